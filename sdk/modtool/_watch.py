"""Noticing that a file was changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

# How often files are looked at; a person does not see the difference to "at once".
_TICK = 0.2


class Watch:
    """Looks at files, which may come and go.

    Args:
        files: names them anew for each look.

    """

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files
        self._looked = time.monotonic()
        self._seen = self._state()

    def changed(self) -> bool:
        """Whether anything was changed, made or removed since the last call that said so; looks now and then."""
        now = time.monotonic()
        if now < self._looked + _TICK:
            return False
        self._looked = now
        state = self._state()
        changed = state != self._seen
        self._seen = state
        return changed

    def wait(self) -> None:
        """Wait until something is changed."""
        while not self.changed():
            time.sleep(_TICK)

    def _state(self) -> Mapping[Path, tuple[int, int]]:
        state = {}
        for file in self._files():
            try:
                status = file.stat()
            except OSError:  # an editor is replacing it
                continue
            state[file] = (status.st_mtime_ns, status.st_size)
        return state
