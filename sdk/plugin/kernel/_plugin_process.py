"""The process around a plugin's server: its file descriptors, signals, logs, and its end."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import faulthandler
import logging
import os
import select
import signal
import threading
import time
from queue import Empty, SimpleQueue

from ._environment import PROTOCOL_VERSIONS, HostVariables
from ._errors import PluginError, ServeError
from ._fork import ForkedChildren
from ._hclog import HclogHandler, install_excepthooks, write_all
from ._listener import remove_hosts_folder
from ._orphan import OrphanWatch
from ._plugin_server import Hooks, PluginServer, Settings
from ._signals import Signals
from ._stdio import Output, Redirection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Final, NoReturn

    from ._announcement import Announcement
    from ._descriptors import OriginalStreams
    from ._handshake import Handshake
    from ._listener import Address

LOGGER: Final = logging.getLogger("doze_sdk.plugin")

_CALLS_SETTLE = 0.1  # seconds for calls in flight after a host's request, so that gRPC need not complain about them
_CALLS_FINISH = 1.0  #  seconds for calls in flight after a SIGTERM; a host's own patience is two
_MAIN_THREAD_ENDS = 0.2  # seconds for the main thread to notice that it is time
_OUTPUT_ARRIVES = 0.1  # seconds for the last output to reach a host that reads it
_HOST_READS = 5000  # milliseconds for a host to read what a starting plugin says, before that is dropped
_ORPHAN_ENDS = 0.05  # seconds from the host's death to our own, at most


class Ends:
    """The ends that were asked for, each with the seconds that calls get, or None for that of an orphan.

    The main thread waits at a pipe. At a lock, CPython would not notice a signal that comes just before the wait: it
    runs handlers when a wait is interrupted, and between two instructions.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[float | None] = SimpleQueue()
        # Never closed: whoever asks late must not write to what has got the number since.
        self.descriptors = self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def end_waits_at(self, signals: Signals) -> None:
        """Have signals end a wait."""
        signals.wake(self._writer)

    def put(self, grace: float | None) -> None:
        """Ask for an end; from any thread or signal handler."""
        self._asked.put(grace)
        with contextlib.suppress(BlockingIOError):  # it is full of reasons to wake up
            os.write(self._writer, b"\0")

    def get_nowait(self) -> float | None:
        """Return the first that was asked for. Raises Empty."""
        return self._asked.get_nowait()

    def wait(self) -> float | None:
        """Wait for the first."""
        while True:
            try:
                return self._asked.get_nowait()
            except Empty:
                os.read(self._reader, 4096)


class PluginOutput(Output):
    """What the plugin writes. Until a host can ask for it, it goes to the stderr where it reads why a start failed."""

    def __init__(self, stderr: int) -> None:
        super().__init__()
        self._stderr = stderr
        self._announced = False

    def lead_to_stream(self) -> None:
        """Keep for the host's stream what comes from now on."""
        self._announced = True

    def put(self, channel: int, data: bytes) -> None:
        if self._announced:
            super().put(channel, data)
            return
        poll = select.poll()
        poll.register(self._stderr, select.POLLOUT)
        with contextlib.suppress(OSError):  # nobody reads it any more
            while data and poll.poll(_HOST_READS):
                data = data[os.write(self._stderr, data) :]


class PluginProcess:
    """Runs a plugin in this process from the handshake to its end."""

    def __init__(
        self,
        handshake: Handshake,
        *,
        parent: int,
        streams: OriginalStreams,
        log_level: int | str | None,
        redirect: bool,
        outlive_host: bool,
        exit_on_disconnect: bool,
        on_announced: Callable[[], object],
    ) -> None:
        self._on_announced = on_announced
        self._exit_on_disconnect = exit_on_disconnect
        self._streams = streams
        self._variables = HostVariables.take(os.environ, handshake.cookie_key)
        self._ends = Ends()
        self._signals = Signals()
        self._output = PluginOutput(streams.stderr)
        self._redirection = Redirection(self._output) if redirect else None
        self._server: PluginServer | None = None
        self._waiting = False
        self._ending = threading.Lock()
        self._ended = False
        self._watch = (
            None
            if outlive_host
            else OrphanWatch(
                stdout=streams.stdout,
                stderr=streams.stderr,
                parent=parent,
                connected=lambda: self._server is not None and self._server.connected,
                orphaned=self._orphaned,
            )
        )
        self._forked: ForkedChildren | None = None
        self._log = HclogHandler(streams.stderr)
        self._log_to_host(log_level)

    def run(self, settings: Settings) -> None:
        """Serve until the end. Raise ``SystemExit(1)`` if that is not possible."""
        self._handle_signals()
        if self._watch is not None:
            self._watch.start()
        grace: float | None = 0.0
        try:
            if self._redirection is not None:
                self._redirection.start()
            self._forked = ForkedChildren(self._streams, self._descriptors, self._addresses, self._signals)
            self._announce(self._open(settings))  # from now on the host may call what forks
            self._on_announced()
            self._waiting = True
            grace = self._ends.wait()
        finally:
            self._waiting = True
            self._end(grace)

    def _open(self, settings: Settings) -> Announcement:
        hooks = Hooks(
            warn=_warn_of_version,
            before_reply=self._hand_over_output,
            after_reply=self._stop_soon,
            disconnected=self._stop_soon if self._exit_on_disconnect else None,
        )
        try:
            self._server = PluginServer(settings, self._variables, self._output, hooks)
            return self._server.open()
        except PluginError as error:
            self._report(error)
            raise SystemExit(1) from error

    def _announce(self, announcement: Announcement) -> None:
        if self._redirection is not None:
            self._redirection.flush()
        try:
            write_all(self._streams.stdout, announcement.line())
        except OSError:
            self._end_as_orphan()  # the host has died while we started
        self._output.lead_to_stream()

    def _stop_soon(self) -> None:
        self._stop(_CALLS_SETTLE)

    def _stop(self, grace: float) -> None:
        """End from any thread. A signal handler may call this, so no lock is taken that the main thread could hold."""
        self._ends.put(grace)
        if not self._waiting:
            _thread.start_new_thread(self._end_without_main_thread, ())

    def _end_without_main_thread(self) -> None:
        """End although the main thread is busy: with the author's registration, or after the handshake."""
        time.sleep(_MAIN_THREAD_ENDS)
        try:
            grace = self._ends.get_nowait()
        except Empty:
            return  # it has come to its end by itself
        try:
            self._end(grace)
        finally:
            _exit(0)

    def _end(self, grace: float | None) -> None:
        """End everything, even if one part fails. Whoever comes second waits for the first."""
        self._log.hurry()
        if grace is None:
            self._end_as_orphan()
        with self._ending, contextlib.ExitStack() as ends:  # the last one first
            if self._ended:
                return
            self._ended = True
            if self._watch is not None:
                ends.callback(self._watch.stop)
            if self._redirection is not None:
                ends.callback(self._redirection.stop)
            if self._server is not None:
                ends.callback(self._server.stop, grace)
            if self._forked is not None:
                ends.callback(self._forked.stop)
            ends.callback(self._hand_over_output)

    def _handle_signals(self) -> None:
        self._ends.end_waits_at(self._signals)
        self._signals.handle(signal.SIGINT, _leave_to_host)
        self._signals.handle(signal.SIGTERM, lambda _signal, _frame: self._stop(_CALLS_FINISH))

    def _descriptors(self) -> Iterator[int]:
        yield from self._ends.descriptors
        if self._redirection is not None:
            yield from self._redirection.descriptors()
        if self._watch is not None:
            yield from self._watch.descriptors()
        if self._server is not None:
            yield from self._server.descriptors()

    def _addresses(self) -> list[Address]:
        return [] if self._server is None else self._server.addresses()

    def _hand_over_output(self) -> None:
        if self._redirection is not None:
            self._redirection.flush()
            self._output.drain(_OUTPUT_ARRIVES)

    def _orphaned(self) -> None:
        threading.Thread(target=self._end_at_last, name="go-plugin-last-resort", daemon=True).start()
        self._ends.put(None)

    def _end_as_orphan(self) -> NoReturn:
        """End without a host to talk to. What `atexit` knows runs; taking down the interpreter would take too long."""
        self._remove_sockets()
        _exit(1)

    def _end_at_last(self) -> None:
        time.sleep(_ORPHAN_ENDS)
        self._remove_sockets()
        os._exit(1)

    def _remove_sockets(self) -> None:
        """Remove our sockets, and the folder that the host has made for them: it cannot any more."""
        if self._server is not None:
            self._server.remove_sockets()
        remove_hosts_folder(self._variables.socket_folder)

    def _log_to_host(self, level: int | str | None) -> None:
        if not faulthandler.is_enabled():
            faulthandler.enable(self._streams.stderr, all_threads=False)  # a host keeps the last few lines alone
        if level is None:
            return
        root = logging.getLogger()
        root.addHandler(self._log)
        try:
            root.setLevel(level)
        except (TypeError, ValueError) as error:
            self._report(ServeError(f"cannot log: log_level={level!r} is no level of logging, such as 'INFO' or 20"))
            raise SystemExit(1) from error
        install_excepthooks(LOGGER)

    def _report(self, error: PluginError) -> None:
        record = LOGGER.makeRecord(LOGGER.name, logging.ERROR, __file__, 0, "%s", (error,), None)
        self._log.handle(record)


def _warn_of_version(entry: str) -> None:
    LOGGER.warning("ignoring %r in %s, which is no version number; mend the host", entry, PROTOCOL_VERSIONS)


def _exit(code: int) -> NoReturn:
    """End from any thread. What `atexit` knows runs; the main thread is not waited for."""
    atexit._run_exitfuncs()  # noqa: SLF001  (what the interpreter itself calls)
    os._exit(code)


def _leave_to_host(_signal: int, _frame: FrameType | None) -> None:
    """Let the host decide what a Ctrl-C means: it reaches the whole process group.

    A function that does nothing, because SIG_IGN would be inherited by every process that the plugin starts.
    """
