"""One process: its start, its group, its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from . import _log
from ._errors import StopError
from ._reaper_process import is_alive, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ._account import Account
    from ._reaper import Reaper

Ladder: TypeAlias = "Sequence[tuple[signal.Signals, float]]"
"""Signals in the order in which they are sent, each with the seconds that the process then has."""

STOP_LADDER: Final[Ladder] = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))
"""How doze stops a process."""

KILL: Final[Ladder] = STOP_LADDER[-1:]
"""What a crash looks like."""

STRAGGLER_GRACE = 0.2
"""Seconds that the rest of a process group has to end after its leader, before SIGKILL."""

_LADDER_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
_HANDLED = (*_LADDER_SIGNALS, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)
"""Signals whose handlers are known to raise, in this interpreter or in test tools."""

_POLL_STEP = 0.01
"""Seconds between two looks at a process where the system has no pidfd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended.

    Attributes:
        code: its exit code; None when a signal ended it.
        signal: the number of that signal; None when it exited.
        seconds: from its start until its end was seen.

    """

    code: int | None
    signal: int | None
    seconds: float

    def __str__(self) -> str:
        how = f"exited with code {self.code}" if self.signal is None else f"was ended by {_signal_name(self.signal)}"
        return f"{how} after {self.seconds:.2f} s"

    @property
    def status(self) -> str:
        """The text that a Go program has for it: ``exit status 3``, ``signal: killed``."""
        if self.signal is None:
            return f"exit status {self.code}"
        return f"signal: {(signal.strsignal(self.signal) or str(self.signal)).lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to execute, where and as whom.

    Attributes:
        argv: the program, as a path or a name relative to `cwd`, and its arguments.
        cwd: the working folder; None is this process's own.

    """

    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str]
    account: Account | None = None


class Process:
    """A started process, the leader of a session and a process group of its own.

    Its exit status is left with the kernel until `stop`: until then the number of its group cannot be given to somebody
    else, and signals to the group reach nobody else.

    Attributes:
        name: of its spec.
        argv: what was executed.
        log: its standard output and standard error.

    """

    def __init__(
        self,
        name: str,
        command: Command,
        log: _log.LogFile,
        popen: subprocess.Popen[bytes],
        reaper: Reaper | None,
        tree: bool,
    ) -> None:
        self.name = name
        self.argv = command.argv
        self.log = log
        self._popen = popen
        self._started = time.monotonic()
        self._reaper = reaper
        self._tree = tree
        self._exit: Exit | None = None
        self._collected = False
        self._state = threading.Lock()
        self._stopping = threading.Lock()
        self._pidfd = _pidfd(popen.pid)

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._popen.pid

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it runs."""
        with self._state:
            if self._exit is None:
                self._exit = self._look()
            return self._exit

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for its end, *timeout* seconds at most (None: for ever), and say how it ended; None if it still runs."""
        await_event([self], {}, None if timeout is None else time.monotonic() + timeout)
        return self.exit

    def signal(self, signum: int) -> None:
        """Send a signal to it, or to its whole group where its spec says `tree`. One that has ended ignores it."""
        with self._state:
            if self._collected:
                return
            if self._tree:
                send(self.pid, signum)
            else:
                os.kill(self.pid, signum)

    def stop(self, ladder: Ladder = STOP_LADDER) -> Exit:
        """End it and everything left of its group, and collect its exit status. A second call only returns the first's.

        Each signal of the *ladder* goes to the process, or to its group where its spec says `tree`, and is followed by
        the wait that stands beside it. Members of the group that outlive their leader get SIGINT and, 200 ms later,
        SIGKILL. Those that made themselves a session of their own are out of reach.

        Raises:
            StopError: it is still there after the last signal.

        """
        with self._stopping:
            for signum, seconds in ladder:
                if self.exit is not None:
                    break
                self.signal(signum)
                self.wait(seconds)
            if self.exit is None:
                send(self.pid, signal.SIGKILL)
                raise StopError(f"process {self.name!r} (pid {self.pid}) did not end after {ladder[-1][0].name}")
            return self._collect(self.exit)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process ends; -1 where the system has none."""
        return self._pidfd

    def _look(self) -> Exit | None:
        if sys.platform == "darwin":  # Python has no waitid there
            return self._collected_at_once()
        try:
            result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else waits for all children, or SIGCHLD is ignored: the status is lost
            return Exit(code=None, signal=0, seconds=self._seconds())
        if result is None:
            return None
        exited = result.si_code == os.CLD_EXITED
        return Exit(
            code=result.si_status if exited else None,
            signal=None if exited else result.si_status,
            seconds=self._seconds(),
        )

    def _collected_at_once(self) -> Exit | None:
        code = self._popen.poll()
        if code is None:
            return None
        return Exit(code=code if code >= 0 else None, signal=-code if code < 0 else None, seconds=self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _collect(self, end: Exit) -> Exit:
        with self._state:
            if self._collected:
                return end
            self._popen.wait()
            self._collected = True
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1
        _end_stragglers(self.pid)
        if self._reaper is not None:
            self._reaper.release_group(self.pid)
        return end


def start_process(
    name: str, command: Command, log: Path, *, reaper: Reaper | None, into: list[Process], tree: bool = False
) -> Process:
    """Start a process in a session of its own, with no input and its output appended to the file *log*.

    It is in the list *into* before an interrupt (or another signal handler) can raise: somebody has to know of it.

    Raises:
        OSError: it cannot be started.

    """
    output, log_file = _log.create(log)
    try:
        if command.account is not None and not command.account.is_current:
            os.fchown(output, command.account.uid, command.account.gid)
        with _quiet_signals():
            if reaper is not None:
                reaper.expect(output)
            pgid = None
            try:
                process = Process(name, command, log_file, _popen(command, output), reaper, tree)
                pgid = process.pid
                into.append(process)
            finally:
                if reaper is not None:
                    reaper.expected(output, pgid)
            return process
    finally:
        os.close(output)


def _popen(command: Command, output: int) -> subprocess.Popen[bytes]:
    other = command.account is not None and not command.account.is_current
    return subprocess.Popen(
        command.argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=command.cwd,
        env=command.env,
        start_new_session=True,
        user=command.account.uid if command.account is not None and other else None,
        group=command.account.gid if command.account is not None and other else None,
        extra_groups=command.account.groups if command.account is not None and other else None,
    )


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Put off signal handlers while a process starts, and let it start with the ladder's signals at their defaults.

    A shell without job control starts ``command &`` with SIGINT and SIGQUIT ignored, that is inherited by everything
    below, and the ladder would always end in SIGKILL. A handler, unlike "ignore", is reset by exec. Blocking signals is
    no way out: the child would inherit that as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {signum: signal.getsignal(signum) for signum in _HANDLED}
    for signum, handler in before.items():
        if callable(handler) or (handler is signal.SIG_IGN and signum in _LADDER_SIGNALS):
            signal.signal(signum, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for signum, handler in before.items():
            if handler is not None:
                signal.signal(signum, handler)
        for number in came:
            signal.raise_signal(number)


def _pidfd(pid: int) -> int:
    open_descriptor: Callable[[int], int] | None = getattr(os, "pidfd_open", None)  # on Linux, in most builds
    if open_descriptor is None:
        return -1
    try:
        return open_descriptor(pid)
    except OSError:  # a kernel before 5.3
        return -1


def _end_stragglers(pgid: int) -> None:
    # The leader's number was free for reuse only since the line before; the kernel hands numbers out in a circle.
    if not is_alive(pgid):
        return
    for signum, seconds in ((signal.SIGINT, STRAGGLER_GRACE), (signal.SIGKILL, STOP_LADDER[-1][1])):
        send(pgid, signum)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not is_alive(pgid):
                return
            time.sleep(0.002)


def await_event(
    processes: Iterable[Process], descriptors: Mapping[int, int], deadline: float | None
) -> Process | int | None:
    """Wait until one of *processes* ends (returned first) or a descriptor is ready for its `select.poll` events.

    Returns None at the *deadline*, a time of `time.monotonic`.
    """
    members = list(processes)
    poll = select.poll()
    for descriptor, events in descriptors.items():
        poll.register(descriptor, events)
    for process in members:
        if process.fileno() >= 0:
            poll.register(process.fileno(), select.POLLIN)
    step = None if all(process.fileno() >= 0 for process in members) else _POLL_STEP
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = poll.poll(_milliseconds(left, step))
        for process in members:
            if process.exit is not None:
                return process
        for descriptor, _ in ready:
            if descriptor in descriptors:
                return descriptor
        if left == 0.0:
            return None


def _milliseconds(left: float | None, step: float | None) -> float | None:
    times = [seconds for seconds in (left, step) if seconds is not None]
    return min(times) * 1000 if times else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if number else "something that kept its exit status"
