"""What all parts of a relay share: its thread, its TLS, and the pipes that are open."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import Final

from ._errors import PluginError, TransportError
from ._loop import Loop, contain, log_failure
from ._pipe import Pipe, Security
from ._relay_log import RELAY_LOG
from ._tls import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ._backend import Backend
    from ._pipe import Carrier
    from ._tls import TLSContexts

#: Connections that one listener or one multiplexed connection may have at a time. go-plugin needs a handful.
MOST_CONNECTIONS: Final = 256

#: Seconds for bytes that grpcio has sent already to reach the peer when the relay is closed.
_DRAIN: Final = 0.5
#: Seconds for the application's handlers to log the last that the relay has to say.
_LAST_WORDS: Final = 0.5


class Exchange:
    """Joins peers with backends and channels. Everything but the constructor and `close` runs on the loop's thread."""

    def __init__(
        self,
        tls: TLSContexts | None,
        handshake_timeout: float,
        on_error: Callable[[PluginError], object] | None,
        folder: str = "",
    ) -> None:
        self.folder: Final = folder
        self.tls: Final = tls
        self.timeout: Final = handshake_timeout
        #: What has to end before the thread does, in any order.
        self.closing: Final[set[Callable[[], None]]] = set()
        self._on_error: Final = on_error
        self._pipes: Final[set[Pipe]] = set()
        self._queues: Final[dict[Backend, list[Pipe]]] = {}
        self._threads: set[threading.Thread] = set()
        self.loop: Final = Loop("doze-relay", self._finish)

    def report(self, error: PluginError) -> None:
        try:
            if self._on_error is not None:
                self._on_error(error)
            else:
                # A connection that broke is everyday life, when a process is killed; the rest is somebody's fault.
                RELAY_LOG.put(logging.DEBUG if type(error) is TransportError else logging.WARNING, "%s", error)
        except Exception as failure:  # noqa: BLE001 - the application's code, in the middle of ending a connection
            log_failure(failure)

    def answer(
        self,
        carrier: Carrier,
        backend: Backend,
        *,
        on_secure: Callable[[], None] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Join a peer that connected with a backend, once it has proved who it is."""

        def ready(pipe: Pipe) -> None:
            if on_secure is not None:
                on_secure()
            self._supply(pipe, backend)

        security = None if self.tls is None else Security(self.tls.server, None)
        self._start(carrier, security, ready, on_end)

    def call(self, carrier: Carrier, inner: socket.socket, *, on_end: Callable[[], None] | None = None) -> None:
        """Join a channel of this process with the peer that was dialled for it."""
        security = None if self.tls is None else Security(self.tls.client, NAME)
        self._start(carrier, security, lambda pipe: pipe.join(inner), on_end, inner)

    def spawn(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """Start a thread that `close` waits for."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads = {one for one in self._threads if one.is_alive()}
        thread.start()
        self._threads.add(thread)
        return thread

    def close(self) -> None:
        self.loop.stop()
        for thread in self._threads - {threading.current_thread()}:
            thread.join()
        RELAY_LOG.flush(_LAST_WORDS)

    def _start(
        self,
        carrier: Carrier,
        security: Security | None,
        ready: Callable[[Pipe], None],
        on_end: Callable[[], None] | None,
        inner: socket.socket | None = None,
    ) -> None:
        def ended(error: TransportError | None) -> None:
            self._pipes.discard(pipe)
            if on_end is not None:
                on_end()
            if inner is not None:
                inner.close()  # the pipe does it only after `join`
            if error is not None:
                self.report(error)

        pipe = Pipe(self.loop, carrier, security, on_ready=ready, on_end=ended)
        self._pipes.add(pipe)
        pipe.start(self.timeout)

    def _supply(self, pipe: Pipe, backend: Backend) -> None:
        inner = backend.take()
        if inner is not None:
            pipe.join(inner)
        elif backend in self._queues:
            self._queues[backend].append(pipe)
        else:
            self._queues[backend] = [pipe]
            self.spawn("doze-relay-refill", partial(self._refill, backend))

    def _refill(self, backend: Backend) -> None:
        failure: PluginError | None = None
        try:
            backend.refill()
        except PluginError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever starting a server raises costs the waiting peers only
            failure = TransportError(f"starting one more gRPC server for a further connection: {error!r}")
        try:
            self.loop.call(lambda: self._serve_queue(backend, failure))
        except TransportError:
            backend.close()  # the relay was closed meanwhile

    def _serve_queue(self, backend: Backend, failure: PluginError | None) -> None:
        waiting = self._queues.pop(backend)
        if failure is not None:
            self.report(failure)
        for pipe in waiting:
            if failure is not None:
                pipe.break_off(None)
            elif not pipe.ended:
                self._supply(pipe, backend)

    def _finish(self) -> None:
        limit = time.monotonic() + _DRAIN
        while time.monotonic() < limit and (self.loop.turn(0) or not all(pipe.settled for pipe in self._pipes)):
            self.loop.turn(0.01)
        for pipe in list(self._pipes):
            contain(pipe.hang_up)
        for close in list(self.closing):
            contain(close)
