"""Full load with random kills, in all four modes; nothing may be left: `python -m benchmarks.soak --minutes 30`.

For each mode a host of its own drives two plugins with everything that the protocol has: calls, streams, large
messages, brokered connections in both directions, output. One of the two is killed at random and restarted or replaced
by a supervisor; the other one lives as long as the run, as its host does, and the memory of both must be flat. Beside
them hosts come and are killed with SIGKILL, and their plugins must notice. At the end no process, socket, folder,
thread or descriptor may be left, and no answer may have been wrong; else the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from doze_sdk.plugin import kernel

from .leftovers import Held, children, descriptors, files, marked
from .measure import ENVIRONMENT, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import grpc

    from .load import Load

HANDSHAKE = kernel.Handshake(cookie_key="DOZE_SOAK_PLUGIN", cookie_value="1")
MODES: Mapping[str, Mapping[str, bool]] = {
    "plain": {},
    "AutoMTLS": {"auto_mtls": True},
    "multiplexed": {"multiplex": True},
    "both": {"auto_mtls": True, "multiplex": True},
}
COMMAND = [sys.executable, "-m", "benchmarks.soak"]
GONE = 10.0
"""Seconds in which a killed host's plugins and folders must be gone, and the threads of an ended plugin."""
END = 120.0
"""Seconds in which a host must have ended that was asked to."""
GROWTH = {0.0: 0.0, 60.0: 1.25, 600.0: 1.05}
"""How much more a process may hold at the end of a run of so many seconds, as a ratio: a short one is seldom idle, so
that only large leaks show, and the shortest tells nothing."""
ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Lets glibc give back what was freed, so that the memory of a process shows what it holds."""
WORKERS = 8
"""Threads for the handlers of a plugin. All are started before the samples begin: one that is first needed in the last
minute, because the machine is busier, would look like a leak."""
RUN, VICTIM = "DOZE_SOAK_RUN", "DOZE_SOAK_VICTIM"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("role", nargs="?", choices=["host", "victim", "plugin"], help=argparse.SUPPRESS)
    parser.add_argument("mode", nargs="?", choices=list(MODES), default="plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "plugin":
        kernel.serve(HANDSHAKE, versions={1: register}, max_workers=WORKERS)
    elif options.role:
        Host(MODES[options.mode], kills=options.role == "host").run()
    else:
        sys.exit(Soak(options.minutes * 60).run())


def register(server: grpc.Server, broker: kernel.Broker) -> None:
    from .load import register as add

    add(server, broker)


# -- a host


class Host:
    """Loads two plugins until its stdin ends, then prints what it has seen as JSON."""

    def __init__(self, mode: Mapping[str, bool], *, kills: bool) -> None:
        self._mode = mode
        self._kills = kills
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._failures: list[str] = []
        self._received = 0

    def run(self) -> None:
        from .load import Load

        _warm_up()
        before = _holdings()
        with (
            self._launch(self._take) as steady,
            kernel.Supervisor(self._launch, first_pause=0.05, longest_pause=0.5) as supervisor,
        ):
            load = Load(steady)
            load.occupy(WORKERS)
            jobs = [
                *[lambda: self._work(load)] * 3,
                *[lambda: self._work_while_it_lives(supervisor)] * 2,
                *[lambda: self._disturb(supervisor)] * self._kills,  # of two that are killed at once nobody cleans up
            ]
            threads = [threading.Thread(target=self._repeat, args=(job,)) for job in jobs]
            for thread in threads:
                thread.start()
            print(json.dumps({"plugin": steady.pid}), flush=True)
            sys.stdin.read()
            self._stop.set()
            for thread in threads:
                thread.join()
            self._compare_output(load.written)
        left = _wait_until_gone(before)
        print(json.dumps({"counts": self._counts, "failures": self._failures[:20], "left": left}), flush=True)

    def _launch(self, sink: Callable[[bytes], object] | None = None) -> kernel.Plugin:
        command = [*COMMAND, "plugin"]
        return kernel.launch(command, HANDSHAKE, versions={1}, cwd=ROOT, on_stdout=sink, on_stderr=sink, **self._mode)

    def _repeat(self, job: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                job()
            except Exception:  # noqa: BLE001  (whatever it is, it is reported, and the load goes on)
                self._fail(traceback.format_exc())

    def _work(self, load: Load) -> None:
        kind = random.choice(load.kinds)
        kind()
        self._count(kind.__name__)

    def _work_while_it_lives(self, supervisor: kernel.Supervisor) -> None:
        import grpc

        from .load import Load

        with supervisor.use(timeout=END) as plugin:
            try:
                self._work(Load(plugin))
            except (grpc.RpcError, kernel.PluginError, ValueError):  # ValueError: its channel was closed
                if not plugin.wait(GONE):
                    raise  # it lives, so the call should have worked
                self._count("cut off by a kill")

    def _disturb(self, supervisor: kernel.Supervisor) -> None:
        if self._stop.wait(random.uniform(0.2, 4.0)):
            return
        if random.random() < 0.2:
            supervisor.swap()
            self._count("plugins replaced")
            return
        with supervisor.use(timeout=END) as plugin:
            assert plugin.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it has just been restarted
                os.kill(plugin.pid, signal.SIGKILL)
                self._count("plugins killed")

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        if b"[" in data:
            self._count("outputs dropped")

    def _compare_output(self, written: int) -> None:
        """Not a byte may be lost on the way from the steady plugin, unless it said so."""
        deadline = time.monotonic() + GONE
        while self._received < written and not self._counts["outputs dropped"]:
            if time.monotonic() > deadline:
                self._fail(f"the plugin wrote {written} bytes, {self._received} of which arrived")
                return
            time.sleep(0.05)

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _fail(self, what: str) -> None:
        with self._lock:
            self._failures.append(what)


def _warm_up() -> None:
    """Let gRPC open the descriptors that it keeps for good, before any are counted."""
    import grpc

    with grpc.insecure_channel("unix:/nonexistent") as channel, contextlib.suppress(grpc.RpcError):
        channel.unary_unary("/a/b")(b"", timeout=10)


def _holdings() -> set[str]:
    threads = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    return threads | children() | descriptors("self") | files(Path(tempfile.gettempdir()))


def _wait_until_gone(before: set[str]) -> list[str]:
    deadline = time.monotonic() + GONE
    while (left := _holdings() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sorted(left)


# -- the run


class HostProcess:
    """A host, in a folder of its own for sockets."""

    def __init__(self, role: str, mode: str, folder: Path, marks: Mapping[str, str]) -> None:
        self.mode = mode
        self.folder = folder
        folder.mkdir()
        self._stderr = folder.with_suffix(".stderr")
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*COMMAND, role, mode],
                cwd=ROOT,
                env={**ENVIRONMENT, **ALLOCATOR, **marks, "TMPDIR": str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self.pid = self._process.pid

    def answer(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SoakError(f"the host {self.mode!r} ended with exit code {self._process.wait()}:\n{self._words()}")
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def end(self) -> Mapping[str, Any]:
        """Ask it to end; return what it has seen."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        timer = threading.Timer(END, self._process.kill)
        timer.start()
        try:
            seen = self.answer()
            if self._process.wait():
                raise SoakError(
                    f"the host {self.mode!r} ended with exit code {self._process.returncode}:\n{self._words()}"
                )
        finally:
            timer.cancel()
            self._close()
        return seen

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _words(self) -> str:
        return self._stderr.read_text(errors="replace")[-4000:]


class SoakError(Exception):
    """A host has not done what it was asked to."""


class Soak:
    """One run. `run` returns the exit code."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._run = uuid.uuid4().hex
        self._failures: list[str] = []
        self._killed = 0

    def run(self) -> int:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="soak", dir="/tmp") as folder:
            try:
                self._load(Path(folder))
            except SoakError as error:
                self._failures.append(str(error))
            finally:
                self._end_what_is_left()
        print(f"{len(MODES)} modes, {self._killed} hosts killed, {time.monotonic() - started:.0f} s")
        for failure in self._failures:
            print(f"FAILED: {failure}")
        print("failed" if self._failures else "every answer was right, memory is flat, nothing is left")
        return 1 if self._failures else 0

    def _load(self, folder: Path) -> None:
        hosts = [HostProcess("host", mode, folder / str(number), {RUN: self._run}) for number, mode in enumerate(MODES)]
        held: dict[str, Held] = {}
        for host in hosts:
            held[f"{host.mode}, host"] = Held(host.pid)
            held[f"{host.mode}, plugin"] = Held(host.answer()["plugin"])
        stop = threading.Event()
        killer = threading.Thread(target=self._kill_hosts, args=(folder, stop))
        killer.start()
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            time.sleep(min(0.2, self._seconds / 100))
            for process in held.values():
                process.look()
        stop.set()
        killer.join()
        for host in hosts:
            self._judge(host.mode, host.end())
            self._failures += [f"{host.mode}: left in the folder: {path}" for path in files(host.folder)]
        for name, process in held.items():
            print(f"{name}: {process}")
            if growth := GROWTH[max(least for least in GROWTH if least <= self._seconds)]:
                self._failures += [str(bar) for bar in process.bars(name, growth) if not bar.holds]

    def _judge(self, mode: str, seen: Mapping[str, Any]) -> None:
        counts = ", ".join(f"{number} {what}" for what, number in sorted(seen["counts"].items()))
        print(f"{mode}: {counts}")
        self._failures += [f"{mode}: {failure}" for failure in seen["failures"]]
        self._failures += [f"{mode}: left: {thing}" for thing in seen["left"]]

    def _kill_hosts(self, folder: Path, stop: threading.Event) -> None:
        """Start hosts and kill them without a warning; their plugins must go by themselves, and leave nothing."""
        for number in itertools.count():
            mark = f"{self._run}-{number}"
            marks = {RUN: self._run, VICTIM: mark}
            victim = HostProcess("victim", random.choice(list(MODES)), folder / f"v{number}", marks)
            try:
                victim.answer()
            except SoakError as error:
                self._failures.append(str(error))
                return
            stop.wait(random.uniform(0.2, 5.0))
            victim.kill()
            self._killed += 1
            self._check_gone(victim, f"{VICTIM}={mark}")
            if stop.is_set():
                return

    def _check_gone(self, victim: HostProcess, mark: str) -> None:
        deadline = time.monotonic() + GONE
        while (left := [*marked(mark), *files(victim.folder)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._failures += [f"{victim.mode}: left by a host that was killed: {thing}" for thing in left]

    def _end_what_is_left(self) -> None:
        for pid in marked(f"{RUN}={self._run}"):
            self._failures.append(f"left: process {pid}: {_command(pid)}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return "ended by now"


if __name__ == "__main__":
    main()
