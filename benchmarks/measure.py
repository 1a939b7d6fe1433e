"""Interleaved measurements and the ratios between them.

Absolute times of a shared machine say little; the ratio of two things measured in turn, in one run, holds.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]

# Compiled files are what an installation has; a development machine may have switched them off.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}}


@dataclass(frozen=True)
class Bar:
    """A ratio that must not be exceeded (or, with `least`, be reached)."""

    name: str
    ratio: float
    bar: float
    least: bool = False

    @property
    def holds(self) -> bool:
        return self.ratio >= self.bar if self.least else self.ratio <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        verdict = "" if self.holds else "   MISSED"
        return f"{self.name:<66} {self.ratio:7.2f}   {sign} {self.bar}{verdict}"


def interleaved(cases: Mapping[str, Callable[[], float]], *, rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Run every case once per round, in a fresh random order, and return what each returned (seconds)."""
    results: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases)
    for number in range(-warmup, rounds):
        random.shuffle(order)
        for name in order:
            value = cases[name]()
            if number >= 0:
                results[name].append(value)
    return results


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes, with the garbage collector held off."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    finally:
        gc.enable()


class Started(NamedTuple):
    """What a plugin has cost until its handshake, in seconds."""

    wall: float
    processor: float


def started(command: Sequence[str], env: Mapping[str, str]) -> Started:
    """Start a plugin, take the time from the spawn to the newline of its handshake, and kill it."""
    with tempfile.TemporaryDirectory(prefix="dz", dir="/tmp") as folder:  # its socket's folder outlives SIGKILL
        return _started(command, {**ENVIRONMENT, **env, "TMPDIR": folder})


def _started(command: Sequence[str], env: Mapping[str, str]) -> Started:
    read, write = os.pipe()
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )
    os.close(write)
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(read, 4096)
        if not chunk:
            raise SystemExit(f"{command}: ended before its handshake")
        line += chunk
    wall = time.perf_counter() - start
    processor = processor_time(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    os.close(read)
    return Started(wall, processor)


def processor_time(pid: int) -> float:
    """Seconds for which the threads that a process has now were running."""
    stats = (task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def show(results: Mapping[str, Sequence[float]], *, unit: str = "ms") -> None:
    """Print minimum and median of each case."""
    scale = {"ms": 1e3, "us": 1e6}[unit]
    for name, values in results.items():
        low, middle = min(values) * scale, statistics.median(values) * scale
        print(f"  {name:<64} min {low:9.3f}  median {middle:9.3f} {unit}")


def ratio(results: Mapping[str, Sequence[float]], ours: str, theirs: str) -> float:
    """Return the ratio of medians."""
    return statistics.median(results[ours]) / statistics.median(results[theirs])


def finish(bars: Sequence[Bar]) -> None:
    """Print the bars and exit with code 1 when one was missed."""
    for bar in bars:
        print(bar)
    sys.exit(any(not bar.holds for bar in bars))
