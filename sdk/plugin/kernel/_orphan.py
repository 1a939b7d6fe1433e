"""Notices that the host has died without a word.

Nothing in go-plugin ends a plugin whose host was killed. The host holds the other end of the plugin's stderr: when the
kernel closes it, `poll` reports an error on our end at once, without reading, writing or waking up in between. That
alone could also be a host that closed a pipe, so a second sign is asked for: the process was handed to another parent,
or, when a wrapper such as ``sh -c`` stands between host and plugin, stdout is gone as well and no host holds one of
go-plugin's streams, as every Go host does. One that holds none and closes both pipes cannot be told from a dead one.
"""

from __future__ import annotations

import os
import select
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_PAUSE = 0.032


class OrphanWatch:
    """Calls `orphaned`, once, from a thread of its own, when the host has died."""

    def __init__(
        self,
        *,
        stdout: int,
        stderr: int,
        parent: int,
        connected: Callable[[], bool],
        orphaned: Callable[[], object],
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._parent = parent
        self._connected = connected
        self._orphaned = orphaned
        self._reader, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="go-plugin-orphan-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def descriptors(self) -> tuple[int, ...]:
        """The pipe that `stop` closes."""
        return self._reader, self._writer

    def stop(self) -> None:
        os.close(self._writer)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        os.close(self._reader)

    def _run(self) -> None:
        if not self._wait_for_broken_pipe():
            return
        pause = 0.0005  # an ending process closes its pipes a moment before its children get another parent
        while not self._second_sign():
            if _broken(self._reader):
                return
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._orphaned()

    def _wait_for_broken_pipe(self) -> bool:
        poll = select.poll()
        poll.register(self._stderr, 0)
        poll.register(self._reader, 0)
        return all(descriptor == self._stderr for descriptor, _ in poll.poll())

    def _second_sign(self) -> bool:
        return os.getppid() != self._parent or (_broken(self._stdout) and not self._connected())


def _broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))
