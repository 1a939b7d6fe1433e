"""The relay's log, written by a thread of its own.

A handler of the application's may wait, for a pipe that nobody reads or for a lock; the relay's thread serves every
connection and must not.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import suppress
from typing import Final, TypeAlias

_Record: TypeAlias = tuple[int, str, tuple[object, ...], BaseException | None]

_LOGGER: Final = logging.getLogger("doze_sdk.plugin.relay")
_CAPACITY: Final = 1000  # records


class RelayLog:
    """Takes records without waiting. Its thread is there while there is something to write.

    While a handler waits, a thousand records are kept; how many came after them is told when it goes on.
    """

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, in a forked child: the records are its parent's to write, and the thread is not there."""
        self._lock = threading.Lock()
        self._records: deque[_Record] = deque()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._writing = False

    def put(self, level: int, message: str, *arguments: object, exception: BaseException | None = None) -> None:
        """Log `message` % `arguments`, with the traceback of `exception`."""
        if not _LOGGER.isEnabledFor(level):
            return
        with self._lock:
            if len(self._records) < _CAPACITY and self._has_thread():
                self._records.append((level, message, arguments, exception))
            else:
                self._dropped += 1

    def flush(self, timeout: float) -> None:
        """Wait until all is written, at most `timeout` seconds."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _has_thread(self) -> bool:
        if not self._writing:
            thread = threading.Thread(target=self._write, name="doze-relay-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False  # there cannot be one more
            self._thread = thread
            self._writing = True
        return True

    def _write(self) -> None:
        while (record := self._next()) is not None:
            level, message, arguments, exception = record
            # A handler or filter of the application's raises, maybe the very exception, or wants to end the thread.
            with suppress(BaseException):
                _LOGGER.log(level, message, *arguments, exc_info=exception)

    def _next(self) -> _Record | None:
        with self._lock:
            if self._records:
                return self._records.popleft()
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                return logging.WARNING, "%d records were dropped here: nobody took them in time", (dropped,), None
            self._writing = False
            return None


RELAY_LOG: Final = RelayLog()
os.register_at_fork(after_in_child=RELAY_LOG.start_afresh)
