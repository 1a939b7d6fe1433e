"""A running plugin as its host sees it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import grpc

from . import _codec, _controller, _health, _live, _stdio
from ._broker import Broker
from ._child import reported
from ._errors import PluginError, ReattachError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Final, Self

    from grpc import _CallIterator  # in the stubs alone

    from ._announcement import Announcement
    from ._child import Child
    from ._connection import Connection
    from ._reattach import Attached, ReattachConfig

PATIENCE: Final = 2.0
"""Seconds that a plugin has to end by itself after it was asked to, as in go-plugin."""

_OLD_PATIENCE = 0.25  # the same for a plugin that cannot be asked, as in go-plugin before 2018
_LAST_OUTPUT = 0.25  # seconds for the caller's functions to take what the plugin has written last
_ACCEPTS = 1.0  # seconds for a thread that is accepting a brokered connection to find that it cannot
_REAPED = 5.0  # seconds in which the kernel must have ended a process that got SIGKILL


class Plugin:
    """A running plugin. As a context manager it is killed at the end of the block.

    Attributes:
        channel: The connection to the plugin; make the contract's stubs with it. Closed by `kill`.
        version: The version of the contract that both sides speak.
        broker: Makes further connections.
    """

    def __init__(
        self,
        process: Child | Attached,
        announcement: Announcement,
        *,
        connection: Connection,
        logger: logging.Logger,
        on_stdout: Callable[[bytes], object] | None,
        on_stderr: Callable[[bytes], object] | None,
        release: Callable[[], None],
    ) -> None:
        self.channel: Final = connection.channel
        self.version: Final = announcement.version
        self._announcement = announcement
        self._process = process
        self._logger = logger
        self._release = release
        self._kill_lock = threading.RLock()
        self._killed = False
        self._shutdown: grpc.Future[bytes] | None = None
        self._asked = 0.0
        runner = process.runner
        self.broker: Final = Broker(connection.wiring, to_peer=runner.to_plugin, from_peer=runner.to_host)
        self._end_broker = self.broker.start_stream(self.channel)
        self._stdio = _stdio_stream(self.channel)
        self._sinks = {_codec.STDOUT: on_stdout, _codec.STDERR: on_stderr}
        self._stdio_thread = threading.Thread(target=self._take_stdio, name="go-plugin-stdio", daemon=True)
        self._stdio_thread.start()

    @property
    def pid(self) -> int | None:
        """The plugin's process id, if it runs on this machine."""
        return self._process.runner.pid

    @property
    def id(self) -> str:
        """The plugin's process id or whatever its runner names it by."""
        return self._process.runner.id

    @property
    def exited(self) -> bool:
        """Whether the plugin's process has ended."""
        return self._process.ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """Exit code of the ended process, negative for a signal; None while it runs, or if nobody can tell."""
        return self._process.exit_code

    @property
    def stderr(self) -> tuple[str, ...]:
        """The last lines that the plugin wrote to the stderr it was started with, as text."""
        return self._process.last_words()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the plugin's process has ended, at most `timeout` seconds; return whether it has."""
        return self._process.ended.wait(timeout)

    def ping(self, *, timeout: float = 5.0) -> None:
        """Ask the plugin's health service whether it lives.

        Raises:
            PluginError: There is no answer within `timeout` seconds, or the answer is an error.
        """
        check = self.channel.unary_unary(
            _health.CHECK,
            request_serializer=_codec.encode_health_request,
            response_deserializer=_codec.decode_health_response,
        )
        try:
            check(_health.SERVICE, timeout=timeout)
        except (grpc.RpcError, ValueError) as error:  # ValueError: the channel is closed
            raise PluginError(f"plugin {self._name} does not answer: {reason(error)}").with_last_words(
                self.stderr if self.exited else ()
            ) from error

    def reattach_config(self) -> ReattachConfig:
        """Return what another host needs to connect to this same plugin.

        Raises:
            ReattachError: The connection is encrypted or multiplexed, which cannot be picked up by another host.
        """
        from ._reattach import ReattachConfig

        if self._announcement.certificate or self._announcement.multiplex or self.pid is None:
            raise ReattachError(
                f"cannot hand over plugin {self._name}: only a plugin on this machine, launched without auto_mtls and "
                "multiplex, can be picked up by another host"
            )
        address, version = self._announcement.address, self._announcement.version
        return ReattachConfig(address, version, self.pid, test=self._process.is_test)

    def kill(self) -> None:
        """End the plugin: ask it to stop, wait two seconds, then send SIGKILL. Harmless when it has ended.

        Whatever processes the plugin has started do not delay this, even if they hold its stdout or stderr. When it
        returns, the channel is closed, and no thread, socket or folder of this plugin is left.

        Raises:
            PluginError: The process cannot be killed, because another account owns it. The connection to it is gone all
                the same. What a `Runner` raises comes through likewise.
        """
        with self._kill_lock:
            if self._killed:
                return
            self._killed = True
            try:
                self._end()
            finally:
                _live.discard(self)

    def ask_to_stop(self) -> None:
        """Send the request to stop without waiting for anything, so that several plugins can stop at once."""
        if self._shutdown is None and not self._process.is_test and not self.exited:
            with contextlib.suppress(ValueError):  # the channel is closed
                self._asked = time.monotonic()
                self._shutdown = _shutdown_call(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def __repr__(self) -> str:
        return f"<Plugin {self._name} version {self.version}, {'ended' if self.exited else 'running'}>"

    @property
    def _name(self) -> str:
        return f"{self._process.runner.name!r} ({self.id})"

    def _end(self) -> None:
        self.ask_to_stop()
        patience = 0.0
        try:
            self._end_process()
            patience = _REAPED
        finally:  # what is ours goes, even if the process stays because it cannot be killed
            self._let_go(patience)

    def _end_process(self) -> None:
        ended = self._process.is_test
        try:
            patience = self._patience()
            self.broker.close()
            ended = ended or self._process.ended.wait(patience)
        finally:
            if not ended:
                self._process.runner.kill()
                self._log(logging.WARNING, "plugin %s failed to exit gracefully")

    def _let_go(self, patience: float) -> None:
        try:
            self._end_broker()
            if not self._process.is_test and threading.current_thread() is not self._stdio_thread:
                self._stdio_thread.join(_LAST_OUTPUT)  # the stream ends with the plugin, once it has been read
            self._stdio.cancel()
            self.channel.close()
            if not self._process.stop(patience):
                self._log(logging.ERROR, "plugin %s cannot be killed: it is still there")
        finally:
            self.broker.settle(_ACCEPTS)
            self._release()

    def _log(self, level: int, message: str) -> None:
        with reported(self._logger, "logging the end of a plugin"):
            self._logger.log(level, message, self._name)

    def _patience(self) -> float:
        """Seconds that the plugin still has, out of those that began when it was asked."""
        if self._shutdown is None:
            return 0.0
        try:
            self._shutdown.result(self._left_of(PATIENCE))
        except grpc.FutureTimeoutError:
            return 0.0  # it does not even answer
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return self._left_of(_OLD_PATIENCE)
        return self._left_of(PATIENCE)  # without an answer too: it may have gone before

    def _left_of(self, patience: float) -> float:
        return max(0.0, self._asked + patience - time.monotonic())

    def _take_stdio(self) -> None:
        try:
            for item in self._stdio:
                sink = self._sinks.get(item.channel)
                if sink is not None:
                    self._give(sink, item.data)
        except grpc.RpcError:
            pass  # the stream ends with the connection, and old plugins do not have it

    def _give(self, sink: Callable[[bytes], object], data: bytes) -> None:
        with reported(self._logger, "the function given for the plugin's output"):
            sink(data)


def reason(error: grpc.RpcError | ValueError) -> str:
    """Say in words what came of a call."""
    if isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)


def _stdio_stream(channel: grpc.Channel) -> _CallIterator[_codec.StdioData]:
    return channel.unary_stream(
        _stdio.STREAM, request_serializer=_codec.encode_empty, response_deserializer=_codec.decode_stdio_data
    )(None)


def _shutdown_call(channel: grpc.Channel) -> grpc.Future[bytes]:
    return channel.unary_unary(
        _controller.SHUTDOWN, request_serializer=_codec.encode_empty, response_deserializer=_codec.decode_empty
    ).future(None, timeout=PATIENCE)
