"""Readiness: doze's five probes, its budget and its verdicts.

A probe passes or fails by doze's rules, and the whole time is its `interval` x `retries`. Only the cadence is ours:
the first probe comes after 2 ms, later ones at growing distances up to 100 ms, so a process that is ready is seen at
once. A probe that has begun within the budget may use up its own timeout, as it may in doze.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ..hcl import RE2Error, compile_re2
from ._log import RING, Follower
from ._process import KILL, Process, await_event
from ._shell import Shell, output_of
from ._socket_path import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..engine import Ready

T = TypeVar("T")

LIVENESS: Final = 0.75
"""Seconds that a process without a probe must stay alive."""

DEFAULT_INTERVAL: Final = timedelta(seconds=1)
DEFAULT_TIMEOUT: Final = timedelta(seconds=3)
DEFAULT_RETRIES: Final = 30
"""What doze takes for values that are not positive."""

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.1
_SHARE = 0.5  # of the time that has passed, which is the next pause
# Where an attempt that fails is one system call, and reaches nobody.
_CHEAP_PAUSE = 0.01
_CHEAP_SHARE = 0.05
_CHEAP = frozenset({"socket", "tcp"})
_LAST_PORT = 65535
_MOST_REDIRECTS = 9  # that is ten requests, Go's limit


class ProbeFormError(ValueError):
    """A probe that could never pass: an unknown kind, or a target that its kind cannot have."""


class ProbeFailedError(Exception):
    """An attempt that did not pass; the text says why."""


class MemberEndedError(Exception):
    """A process ended while an attempt was under way."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.name)
        self.process = process


class Gate:
    """A process that must become ready, and the ones started before it, whose end ends the wait as well."""

    def __init__(self, process: Process, members: Sequence[Process], shell: Shell) -> None:
        self.process = process
        self.members = members
        self.shell = shell
        self._log = Follower(process.log.path, process.log.start, limit=RING)

    def new_lines(self) -> Sequence[str]:
        return self._log.lines()

    def until(self, descriptors: Mapping[int, int], deadline: float, others: Sequence[Process] = ()) -> bool:
        """Wait for a descriptor or the end of one of *others*; False at the deadline."""
        event = await_event((*self.members, *others), descriptors, deadline)
        if isinstance(event, Process) and event not in others:
            raise MemberEndedError(event)
        return event is not None


class Probe(Protocol):
    def attempt(self, gate: Gate, deadline: float) -> None:
        """Raise `ProbeFailedError` unless the process serves."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a wait for readiness ended.

    Attributes:
        ended: the process that ended meanwhile.
        tries: how many attempts were made.
        last_error: why the last one failed.

    """

    ready: bool
    ended: Process | None
    tries: int
    last_error: str


def prepare(ready: Ready) -> Probe:
    """Return the probe that *ready* describes.

    Raises:
        ProbeFormError: it could never pass; the text is a sentence without a subject.

    """
    forms: dict[str, Callable[[str], Probe]] = {
        "http": _Http,
        "tcp": _Tcp,
        "exec": _Exec,
        "log_line": _LogLine,
        "socket": _Socket,
    }
    form = forms.get(ready.kind)
    if form is None:
        raise ProbeFormError(f"unknown probe kind {ready.kind!r}; doze knows {', '.join(forms)}")
    return form(ready.target)


def budget_of(ready: Ready) -> float:
    """Return for how many seconds a process may fail its probe."""
    retries = ready.retries if ready.retries > 0 else DEFAULT_RETRIES
    return (_interval(ready) * retries).total_seconds()


def await_alive(gate: Gate, seconds: float = LIVENESS) -> Outcome:
    """Wait whether a process without a probe stays alive."""
    ended = await_event(gate.members, {}, time.monotonic() + seconds)
    return Outcome(ended is None, ended if isinstance(ended, Process) else None, 0, "")


def await_ready(gate: Gate, ready: Ready, probe: Probe, budget: float) -> Outcome:
    """Probe until the process is ready, a process ends, or the budget is used up."""
    timeout = (ready.timeout if ready.timeout > timedelta() else DEFAULT_TIMEOUT).total_seconds()
    share, longest = (_CHEAP_SHARE, _CHEAP_PAUSE) if ready.kind in _CHEAP else (_SHARE, _LONGEST_PAUSE)
    longest = min(_interval(ready).total_seconds(), longest)
    begun = time.monotonic()
    deadline = begun + budget
    tries, last_error = 0, ""
    try:
        while True:
            now = time.monotonic()
            gate.until({}, now + min(max(share * (now - begun), _FIRST_PAUSE), longest))
            tries += 1
            try:
                probe.attempt(gate, time.monotonic() + timeout)
                # What answered may have been somebody else's server, and ours dead because of it.
                gate.until({}, 0.0)
            except ProbeFailedError as error:
                last_error = str(error)
            else:
                return Outcome(True, None, tries, "")
            if time.monotonic() >= deadline:
                return Outcome(False, None, tries, last_error)
    except MemberEndedError as end:
        return Outcome(False, end.process, tries, last_error)


def _interval(ready: Ready) -> timedelta:
    return ready.interval if ready.interval > timedelta() else DEFAULT_INTERVAL


class _Socket:
    def __init__(self, target: str) -> None:
        if not target:
            raise ProbeFormError("the target of a socket probe is the path of a unix socket; it is empty")
        self._target = target

    def attempt(self, gate: Gate, deadline: float) -> None:
        _connect(socket.AF_UNIX, address_of(self._target, gate.shell.cwd), gate, deadline)


class _Tcp:
    def __init__(self, target: str) -> None:
        host, colon, self._port = target.rpartition(":")
        too_high = self._port.isdecimal() and int(self._port) > _LAST_PORT
        if not colon or not self._port or too_high or (":" in host and not host.startswith("[")):
            raise ProbeFormError(
                f"the target of a tcp probe is host:port, with an IPv6 address in brackets; got {target!r}"
            )
        self._host = host.removeprefix("[").removesuffix("]")

    def attempt(self, gate: Gate, deadline: float) -> None:
        failure = ProbeFailedError(f"{self._host!r} has no address")
        for family, _, _, _, address in _in_thread(self._addresses, gate, deadline):
            try:
                _connect(family, address, gate, deadline)
            except ProbeFailedError as error:
                failure = error
            else:
                return
        raise failure

    def _addresses(self) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]:
        try:
            # No host means this machine, as in Go.
            return list(socket.getaddrinfo(self._host or None, self._port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            raise ProbeFailedError(f"cannot resolve {self._host}:{self._port}: {error}") from error


class _Http:
    def __init__(self, target: str) -> None:
        from urllib.parse import urlsplit

        try:
            url = urlsplit(target)
            usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ProbeFormError(
                f"the target of an http probe is an http:// or https:// URL with a host; got {target!r} "
                "(for a unix socket use the kinds socket or exec)"
            )
        self._target = target

    def attempt(self, gate: Gate, deadline: float) -> None:
        # urllib waits where process ends cannot be noticed. An abandoned thread ends with its own timeout.
        _in_thread(lambda: self._get(deadline - time.monotonic()), gate, deadline)

    def _get(self, timeout: float) -> None:
        import http.client
        import urllib.error
        import urllib.request

        class Redirects(urllib.request.HTTPRedirectHandler):
            max_redirections = max_repeats = _MOST_REDIRECTS

        # Without a ProxyHandler: engines are on this machine, where Go does not use a proxy either.
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor,
            urllib.request.UnknownHandler,
            Redirects,
        ):
            opener.add_handler(handler())
        try:
            opener.open(self._target, timeout=timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise ProbeFailedError(f"GET {self._target} returned {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ProbeFailedError(f"GET {self._target}: {getattr(error, 'reason', None) or error!r}") from error


class _Exec:
    def __init__(self, target: str) -> None:
        if "\0" in target:
            raise ProbeFormError("the command of an exec probe holds a NUL byte")
        self._command = target

    def attempt(self, gate: Gate, deadline: float) -> None:
        started: list[Process] = []
        try:
            process = gate.shell.start(self._command, started)
            ended = gate.until({}, deadline, [process])
        except OSError as error:
            raise ProbeFailedError(f"cannot start /bin/sh: {error.strerror}") from error
        finally:
            for command in started:
                command.stop(KILL)
        end = process.exit
        if not ended or end is None:
            raise ProbeFailedError("the command was still running when the probe's timeout was over")
        if end.code != 0:
            output = output_of(process)
            raise ProbeFailedError(end.status.replace("exit status", "exit") + (output and f": {output}"))


class _LogLine:
    def __init__(self, target: str) -> None:
        try:
            self._expression = compile_re2(target)
        except RE2Error as error:
            raise ProbeFormError(f"the log_line expression {target!r} is not usable: {error}") from error
        self._target = target

    def attempt(self, gate: Gate, deadline: float) -> None:
        del deadline
        if not any(self._expression.search(line) for line in gate.new_lines()):
            raise ProbeFailedError(f"log_line {self._target!r} not seen yet")


def _connect(family: int, address: object, gate: Gate, deadline: float) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        code = client.connect_ex(address)  # type: ignore[arg-type]  # getaddrinfo's addresses, or a path
        if code == errno.EINPROGRESS:
            if not gate.until({client.fileno(): select.POLLOUT}, deadline):
                raise ProbeFailedError("no answer to the connection request")
            code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise ProbeFailedError(os.strerror(code))
        # Linux lets a client whose ephemeral port happens to be the target's connect to itself.
        if family != socket.AF_UNIX and client.getsockname() == client.getpeername():
            raise ProbeFailedError(os.strerror(errno.ECONNREFUSED))


def _in_thread(function: Callable[[], T], gate: Gate, deadline: float) -> T:
    """Call a function that waits where `poll` cannot; give up on it at the deadline or when a process ends."""
    results: list[T] = []
    failures: list[ProbeFailedError] = []
    reading, writing = socket.socketpair()

    def call() -> None:
        with writing:
            try:
                results.append(function())
            except ProbeFailedError as error:
                failures.append(error)

    with reading:
        threading.Thread(target=call, name="doze-probe", daemon=True).start()
        if not gate.until({reading.fileno(): select.POLLIN}, deadline):
            raise ProbeFailedError("no answer within the probe's timeout")
    if failures:
        raise failures[0]
    return results[0]
