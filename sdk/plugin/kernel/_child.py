"""A plugin's process as the host holds it: its two pipes, its last words, its end."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
import time

from ._errors import CommandError, HandshakeError, PluginError, PluginExitedError, StartTimeoutError
from ._hclog import LogLineParser
from ._runner import MORE_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping

    from ._runner import Runner

_LONGEST_LINE = 1 << 16  # as in go-plugin, for both streams
_LAST_LINES = 40
_LONGEST_POLL = 86400.0  # seconds; the system's number of milliseconds ends after 24 days
_PIPES_STAY_OPEN = 0.25  # seconds after the plugin's end in which a grandchild may still write


class Child:
    """Reads both pipes on one thread and waits for the end on another, until `stop`.

    Before `start_reading` nothing but the calling thread reads, so that a failed start leaves nothing behind.
    """

    is_test = False

    def __init__(
        self, runner: Runner, *, logger: logging.Logger, on_log_line: Callable[[bytes], object] | None
    ) -> None:
        self.runner = runner
        self.exit_code: int | None = None
        self.ended = threading.Event()
        self._logger = logger
        self._on_log_line = on_log_line
        self._parser = LogLineParser(logger.name)
        self._last_lines: collections.deque[bytes] = collections.deque(maxlen=_LAST_LINES)
        self._unfinished = {"stdout": b"", "stderr": b""}
        self._first_line: bytes | None = None
        self._pipes: dict[int, str] = {}
        self._ended_at: float | None = None
        self._poll = select.poll()
        self._wake_reader, self._wake_writer = _pipe(runner.name)
        self._reading = threading.Thread(target=self._read_on, name="go-plugin-pipes", daemon=True)
        self._waiting = threading.Thread(target=self._wait, name="go-plugin-wait", daemon=True)

    def start(self, environment: Mapping[str, str], socket_folder: str) -> None:
        """Start the plugin."""
        try:
            stdout, stderr = self.runner.start(environment, socket_folder)
        except BaseException:
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            raise
        self._pipes = {stdout: "stdout", stderr: "stderr"}
        for descriptor in (stdout, stderr):
            with contextlib.suppress(OSError):  # a runner has closed it: it is read as one that has ended
                os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._wake_reader, 0)
        try:
            self._waiting.start()
        except RuntimeError as error:
            self.runner.kill()
            self._wait()
            self.stop(0.0)
            raise PluginError(f"cannot start plugin {self.runner.name!r}: {error}; end other threads first") from error

    def first_line(self, timeout: float) -> bytes:
        """Return the first line on stdout.

        Raises:
            PluginError: There is none within `timeout` seconds, or the process ends before it.
        """
        deadline = time.monotonic() + timeout
        while self._first_line is None:
            if "stdout" not in self._pipes.values():
                raise self._stdout_closed()
            if not time.monotonic() < deadline:  # so that no number, NaN, is no time
                raise StartTimeoutError(
                    f"timeout while waiting for plugin {self.runner.name!r} to start: it did not announce itself on "
                    f"stdout within {timeout:g} s; give it more (start_timeout), or see what it waits for"
                )
            self._read_once(deadline)
        return self._first_line

    def start_reading(self) -> None:
        """Go on reading on a thread of its own."""
        self._reading.start()

    def last_words(self) -> tuple[str, ...]:
        """The last lines on stderr, as text."""
        lines = [*self._last_lines, *filter(None, [self._unfinished["stderr"]])]
        return tuple(text for line in lines for text in _readable(line))

    def stop(self, patience: float) -> bool:
        """Wait for the end, read what is left, and let go of the pipes, whoever else holds them. Return success."""
        ended = self.ended.wait(patience)
        if self._reading.ident is None:
            while ended and self._pipes:
                self._read_once(time.monotonic() + _PIPES_STAY_OPEN)
            for descriptor in list(self._pipes):
                self._close(descriptor)
            self._let_go()
        elif self._reading is not threading.current_thread():
            self._reading.join(2 * _PIPES_STAY_OPEN)
        if ended and self._waiting.ident is not None:
            self._waiting.join(1.0)
        return ended

    def _let_go(self) -> None:
        """Close what only whoever reads needs: the reading thread at its end, which may be late on a busy machine."""
        reader, self._wake_reader = self._wake_reader, -1
        if reader >= 0:
            os.close(reader)

    def _stdout_closed(self) -> PluginError:
        if not self.ended.wait(_PIPES_STAY_OPEN):
            return HandshakeError(
                f"plugin {self.runner.name!r} closed its stdout without announcing itself there; it must be a "
                "go-plugin plugin, and must not close its stdout"
            )
        diagnosis = self.runner.diagnose()
        return PluginExitedError(
            f"plugin {self.runner.name!r} exited before we could connect: {describe_exit(self.exit_code)}"
            + (f"; {diagnosis}" if diagnosis else ""),
            exit_code=self.exit_code,
        )

    def _wait(self) -> None:
        try:
            self.exit_code = self.runner.wait()
        finally:
            self._ended_at = time.monotonic()
            self.ended.set()
            os.close(self._wake_writer)

    def _read_on(self) -> None:
        while self._pipes:
            self._read_once(None)
        self._let_go()

    def _read_once(self, deadline: float | None) -> None:
        if self._ended_at is not None:
            deadline = min(deadline or self._ended_at + _PIPES_STAY_OPEN, self._ended_at + _PIPES_STAY_OPEN)
        left = None if deadline is None else min(max(0.0, deadline - time.monotonic()), _LONGEST_POLL)
        events = self._poll.poll(None if left is None else left * 1000)
        for descriptor, _ in events:
            if descriptor == self._wake_reader:
                self._poll.unregister(descriptor)  # the end is known now
            else:
                self._read(descriptor)
        if self._ended_at is not None and not events and time.monotonic() >= self._ended_at + _PIPES_STAY_OPEN:
            for descriptor in list(self._pipes):
                self._close(descriptor)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a runner's terminal says so when its other end is closed
        take = self._take_stdout if self._pipes[descriptor] == "stdout" else self._take_stderr
        take(data)
        if not data:
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._pipes[descriptor]
        with contextlib.suppress(OSError):  # a runner has closed it
            os.close(descriptor)

    def _take_stdout(self, data: bytes) -> None:
        if self._first_line is not None:
            return  # go-plugin discards it: what the plugin prints comes through gRPC
        buffer = self._unfinished["stdout"] + data
        line, newline, _ = buffer.partition(b"\n")
        if newline or (line and not data) or len(line) > _LONGEST_LINE:
            self._first_line = line
        self._unfinished["stdout"] = b"" if self._first_line is not None else buffer

    def _take_stderr(self, data: bytes) -> None:
        *lines, rest = (self._unfinished["stderr"] + data).split(b"\n")
        if rest and (not data or len(rest) > _LONGEST_LINE):
            lines.append(rest)
            rest = b""
        self._unfinished["stderr"] = rest
        for line in lines:
            self._log(line.removesuffix(b"\r"))

    def _log(self, line: bytes) -> None:
        self._last_lines.append(line)
        if self._on_log_line is not None:
            with reported(self._logger, "the function given as on_log_line"):
                self._on_log_line(line)
        with reported(self._logger, "logging a line of the plugin's stderr"):
            record = self._parser.parse(line)
            if self._logger.isEnabledFor(record.levelno):
                self._logger.handle(record)  # under the name of the plugin's own logger, without making one


def _pipe(plugin: str) -> tuple[int, int]:
    try:
        return os.pipe()
    except OSError as error:
        raise CommandError(f"cannot start plugin {plugin!r}: {error.strerror}; {MORE_FILES}") from error


def describe_exit(exit_code: int | None) -> str:
    """Say how a process ended."""
    if exit_code is None:
        return "its exit code is unknown"
    if exit_code >= 0:
        return f"its exit code is {exit_code}"
    import signal

    with contextlib.suppress(ValueError):
        return f"it was killed by {signal.Signals(-exit_code).name}"
    return f"it was killed by signal {-exit_code}"


@contextlib.contextmanager
def reported(logger: logging.Logger, what: str) -> Iterator[None]:
    """Keep a caller's function, filter or handler from ending what goes on: a plugin that is not read from hangs."""
    try:
        yield
    except Exception:  # noqa: BLE001  (whatever the caller's code raises)
        try:
            logger.exception("%s failed", what)
        except Exception:  # noqa: BLE001  (the filter or handler again: nobody but stderr can be told)
            import traceback

            with contextlib.suppress(Exception):  # which may be closed
                traceback.print_exc()


def _readable(line: bytes) -> list[str]:
    record = LogLineParser("").parse(line)
    fields = getattr(record, "fields", {})
    text = f"[{record.levelname}] {record.getMessage()}" if line.startswith(b"{") else record.getMessage()
    return [*text.splitlines(), *str(fields.get("traceback", "")).splitlines()]
