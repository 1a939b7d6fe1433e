"""The stdout and stderr that a host gave to this process, kept apart from file descriptors 1 and 2."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class OriginalStreams:
    """Duplicates of both streams that no child inherits. From now on file descriptor 1 is the same as 2.

    The first line on stdout must be the handshake; a module that prints while it is imported must not come before it.
    """

    def __init__(self) -> None:
        self.stderr: Final = _duplicate(2)
        self.stdout: Final = _duplicate(1)
        os.dup2(self.stderr, 2)  # open even if it was closed, so that no other file can take its number
        os.dup2(self.stderr, 1)


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)  # was closed
