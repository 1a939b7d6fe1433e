"""A process's log: a file that the process itself writes, so there is no pipe, no thread and nothing to lose."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LINES_SHOWN = 40
"""How many last lines a failure shows."""

RING = 200
"""How many last lines doze keeps of a process, and its `log_line` probe looks at."""

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The end of a log.

    Attributes:
        path: the whole log; None when its folder goes with the failure, and nothing else was in it.
        lines: the last ones, the last of them perhaps unfinished.
        total: how many lines there are.

    """

    path: Path | None
    lines: tuple[str, ...]
    total: int

    @property
    def title(self) -> str:
        """Say how much is shown and where the rest is."""
        if not self.total:
            return f"empty: {self.path}" if self.path else "empty"
        place = f", full log kept in {self.path}" if self.path else ""
        return f"last {len(self.lines)} of {self.total} lines{place}"


class LogFile:
    """The log of one process, which begins at an offset of its file: a restarted engine appends to the same file.

    Offsets count bytes from the beginning of the file. Bytes that are not UTF-8 read as U+FFFD.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.start = start

    def mark(self) -> int:
        """Return the offset at which the log ends now."""
        return self.path.stat().st_size

    def read(self, since: int = 0) -> str:
        """Return what was written since the offset *since*, at most since this process began."""
        with self.path.open("rb") as file:
            file.seek(max(since, self.start))
            return file.read().decode(errors="replace")

    def follow(self, since: int = 0) -> Follower:
        """Return a reader of the lines written from the offset *since* on, for somebody who watches the log."""
        return Follower(self.path, max(since, self.start))

    def tail(self, lines: int = LINES_SHOWN, since: int = 0) -> Excerpt:
        """Return the last lines, an unfinished one included: an engine's last words often lack the line break."""
        kept: deque[bytes] = deque(maxlen=lines)
        total = 0
        try:
            with self.path.open("rb") as file:
                file.seek(max(since, self.start))
                for line in file:
                    total += 1
                    kept.append(line.removesuffix(b"\n"))
        except FileNotFoundError:  # an engine may remove its own log; a report of its end must not fail over that
            pass
        return Excerpt(self.path, tuple(line.decode(errors="replace") for line in kept), total)


class Follower:
    """Reads a log as it grows, whole lines only.

    Args:
        offset: where to begin, in bytes.
        limit: how many lines a call returns at most, the last ones; None is all.

    """

    def __init__(self, path: Path, offset: int, *, limit: int | None = None) -> None:
        self._path = path
        self._offset = offset
        self._limit = limit
        self._unfinished = b""

    def lines(self) -> deque[str]:
        """Return the lines finished since the last call.

        A carriage return stays part of its line, as in the host.
        """
        lines: deque[str] = deque(maxlen=self._limit)
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while data := file.read(_CHUNK):
                *finished, self._unfinished = (self._unfinished + data).split(b"\n")
                lines.extend(line.decode(errors="replace") for line in finished)
                self._unfinished = self._unfinished[-_LONGEST_LINE:]
                self._offset += len(data)
        return lines

    def rest(self) -> str:
        """Return what stands behind the last line break: an engine's last words often lack theirs."""
        return self._unfinished.decode(errors="replace")


def create(path: Path) -> tuple[int, LogFile]:
    """Open a log for appending, as a descriptor for the process to inherit.

    Raises:
        OSError: the file cannot be made or written.

    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return descriptor, LogFile(path, os.fstat(descriptor).st_size)
