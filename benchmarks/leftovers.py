"""What a process holds, as /proc shows it, and whether it holds more and more."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .measure import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator

BUFFERS = 4 << 20
"""Bytes: one large message of the load more than ever before may be in some buffer at every look."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Held:
    """Samples of one process's memory, descriptors and threads."""

    def __init__(self, pid: int | str) -> None:
        self._pid = pid
        self.memory: list[int] = []
        self.descriptors: list[int] = []
        self.threads: list[int] = []

    def look(self) -> None:
        self.memory.append(memory(self._pid))
        self.descriptors.append(len(list(Path(f"/proc/{self._pid}/fd").iterdir())))
        self.threads.append(len(list(Path(f"/proc/{self._pid}/task").iterdir())))

    def bars(self, name: str, growth: float = 1.05) -> list[Bar]:
        """Compare the least of the last fifth with that of the second one; the first is warm-up.

        The least, because what is in use comes and goes, and only what is never given back raises it. A pool may have
        needed two more threads than ever before, and there may be a moment's buffers in every sample.
        """
        held = {"memory": (self.memory, BUFFERS), "descriptors": (self.descriptors, 2), "threads": (self.threads, 2)}
        return [
            Bar(f"{name}: {what}, last fifth / second fifth", _growth(samples, spare), growth)
            for what, (samples, spare) in held.items()
        ]

    def __str__(self) -> str:
        memory = [size / 2**20 for size in _windows(self.memory)]
        pairs = {"MiB": memory, "descriptors": _windows(self.descriptors), "threads": _windows(self.threads)}
        return ", ".join(f"{early:.0f} then {late:.0f} {unit}" for unit, (early, late) in pairs.items())


def _windows(samples: list[int]) -> tuple[int, int]:
    fifth = max(1, len(samples) // 5)
    return min(samples[fifth : 2 * fifth] or samples), min(samples[-fifth:])


def _growth(samples: list[int], spare: int) -> float:
    early, late = _windows(samples)
    return max(late - spare, early) / early if late > early else late / early


def memory(pid: int | str) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def descriptors(pid: int | str) -> set[str]:
    """Pipes, sockets and files that a process has open. gRPC's event descriptors come and go."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this listing
            target = str(link.readlink())
            if not target.startswith(("anon_inode:", "/proc/")):
                found.add(f"descriptor {target}")
    return found


def children() -> set[str]:
    """This process's children, the dead ones that nobody has waited for included."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found.update(f"process {pid}" for pid in (task / "children").read_text().split())
    return found


def files(folder: Path) -> set[str]:
    while True:
        with contextlib.suppress(FileNotFoundError):  # something has just been removed
            return {f"file {path}" for path in folder.rglob("*")}


def marked(mark: str) -> Iterator[int]:
    """Processes whose environment has this assignment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
