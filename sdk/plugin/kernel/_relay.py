"""Carries bytes between the peer (TLS, yamux, or both) and grpcio in this process, which speaks neither.

grpcio refuses the P-521 certificates that Go hosts make, and knows no yamux. With AutoMTLS or broker multiplexing all
connections therefore go through a relay; plain mode needs none. It is one thread with non-blocking sockets and Python's
own `ssl`; its connections to grpcio are unix sockets that no other process can reach.

    relay = Relay(tls=contexts(...))                  # None: multiplexing alone
    backend = Backend(bind)                           # bind("unix:/...") starts a grpcio server there
    relay.listen(listener, backend)                   # the plugin's main listener, and each brokered one
    relay.dial("unix", path).target                   # for grpc.insecure_channel: each dialled address

With multiplexing, on the plugin's side and on the host's:

    session = relay.accept_session(listener, backend)
    session = relay.dial_session("unix", path)
    session.gateway().target                          # for the host's main channel
    session.gateway(knock).target                     # for a brokered channel
    session.expect(backend)                           # when the peer knocks
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from functools import partial
from typing import Final

from ._acceptor import PAUSE, Acceptor
from ._backend import SERVER_OPTIONS, Backend
from ._errors import PluginError, TransportError, shortened
from ._exchange import MOST_CONNECTIONS, Exchange
from ._gateway import Gateway
from ._listener import excess
from ._loop import WRITE
from ._pipe import SocketCarrier
from ._session import Session
from ._tls import TLSContexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from ._loop import Watch

    _Place = str | tuple[str, int]

__all__ = ["SERVER_OPTIONS", "Backend", "Gateway", "Relay", "Route", "Session", "TLSContexts"]

_LAST_PORT: Final = 0xFFFF
_LONGEST_PORT: Final = 5  # digits


class Relay:
    """The relay's thread and all its connections. A context manager; the methods may be called from any thread."""

    def __init__(
        self,
        *,
        tls: TLSContexts | None = None,
        handshake_timeout: float = 10.0,
        on_error: Callable[[PluginError], object] | None = None,
        folder: str = "",
    ) -> None:
        """Start the thread.

        Args:
            tls: For every connection with the peer; on a multiplexed one, inside each stream. A connection that this
                side accepts takes the server's role, one that it dials the client's, brokered or not.
            handshake_timeout: Seconds that a peer has to prove who it is.
            on_error: Is told of refused peers and of connections that broke, on the relay's thread: all connections
                stand still until it returns. Without it they are logged under ``doze_sdk.plugin.relay`` from a thread
                of their own, so that the application's handlers may wait.
            folder: Where to put the targets of channels, or empty for the temporary files: a folder that the other
                process removes if this one is killed.
        """
        self._exchange: Final = Exchange(tls, handshake_timeout, on_error, folder)

    def listen(self, listener: socket.socket, backend: Backend) -> Route:
        """Serve whoever connects to `listener`, a listening socket, from `backend`. The route closes the listener."""
        served = 0

        def ended() -> None:
            nonlocal served
            served -= 1

        def answer(sock: socket.socket) -> None:
            nonlocal served
            if served >= MOST_CONNECTIONS:
                self._exchange.report(TransportError(f"refusing a connection: there are {served} already"))
                sock.close()
                return
            served += 1
            self._exchange.answer(SocketCarrier(self._exchange.loop, sock), backend, on_end=ended)

        return Route(self._exchange, listener, answer)

    def dial(self, network: str, address: str) -> Gateway:
        """Return a target whose connections go to `address`: a path for "unix", host:port for "tcp".

        Raises `TransportError` if that is no address; whether anybody listens there is for the channel to find out.
        """
        family, place = _resolve(network, address)

        def connect(inner: socket.socket, on_end: Callable[[], None]) -> None:
            _Dial(self._exchange, family, place, inner, on_end).attempt()

        return Gateway(self._exchange, connect)

    def accept_session(self, listener: socket.socket, main: Backend) -> Session:
        """Return the session that the first peer to prove itself on `listener` will have with us (yamux server).

        Streams that nobody knocked for go to `main`. The relay closes the listener when it is closed itself; until then
        further connections are refused.
        """
        session = Session(self._exchange, main)
        Route(self._exchange, listener, partial(session.adopt, client=False))
        return session

    def dial_session(self, network: str, address: str, *, timeout: float = 5.0) -> Session:
        """Return a session over a connection to `address`, which is made now (yamux client).

        Streams that are not expected are reset.

        Raises:
            TransportError: Nobody accepts the connection within `timeout` seconds, or there is no such address.
        """
        family, place = _resolve(network, address)
        try:
            sock = _connected(family, place, timeout)
        except OSError as error:
            raise TransportError(f"connecting to the plugin at {network} {address}: {error}") from error
        session = Session(self._exchange, None)
        try:
            self._exchange.loop.run(partial(session.adopt, sock, client=True))
        except TransportError:
            sock.close()
            raise
        return session

    def descriptors(self) -> tuple[int, ...]:
        """What is open beside sockets that have a name."""
        return self._exchange.loop.descriptors()

    def close(self) -> None:
        """End every connection, then the thread. What grpcio has sent so far still reaches the peer. Idempotent."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Route:
    """A listening socket, whose connections the relay takes until `close`."""

    def __init__(self, exchange: Exchange, listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
        """`take` gets each connection, non-blocking, on the loop's thread."""
        self._exchange: Final = exchange
        self._listener: Final = listener
        self._take: Final = take
        self._acceptor: Acceptor | None = None
        exchange.loop.run(self._open)

    def close(self) -> None:
        """Close the listener, but leave a unix path to the caller; connections in progress go on. Idempotent."""
        with suppress(TransportError):  # a closed relay has closed its routes
            self._exchange.loop.run(self._close)

    def _open(self) -> None:
        self._exchange.closing.add(self._close)
        self._acceptor = Acceptor(self._exchange, self._listener, "the peer", self._prepared)

    def _prepared(self, sock: socket.socket) -> None:
        _prepare(sock)
        self._take(sock)

    def _close(self) -> None:
        self._exchange.closing.discard(self._close)
        if self._acceptor is not None:
            self._acceptor.close()


class _Dial:
    """One connection that is being made for a channel of ours."""

    def __init__(
        self, exchange: Exchange, family: int, place: _Place, inner: socket.socket, on_end: Callable[[], None]
    ) -> None:
        self._exchange: Final = exchange
        self._place: Final = place
        self._inner: Final = inner
        self._on_end: Final = on_end
        self._family: Final = family
        self._socket: socket.socket | None = None
        self._watch: Watch | None = None
        self._limit: Final = exchange.loop.later(exchange.timeout, self._time_out)
        exchange.closing.add(self._close)

    def attempt(self) -> None:
        if self._inner.fileno() < 0:
            return
        try:
            self._socket = self._socket or _unblocked(self._family)
            error = self._socket.connect_ex(self._place)
        except OSError as caught:  # no descriptor is free, or Python takes the place for none
            self._give_up(str(caught))
            return
        if error == errno.EINPROGRESS:
            self._watch = self._exchange.loop.watch(self._socket, WRITE, self._connected, self._fail)
        elif error == errno.EAGAIN:  # the queue of a unix listener is full
            self._exchange.loop.later(PAUSE, self.attempt)
        elif error:
            self._give_up(os.strerror(error))
        else:
            self._join(self._socket)

    def _connected(self, _: int) -> None:
        assert self._socket is not None
        if self._watch is not None:
            self._watch.want(0)
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._give_up(os.strerror(error))
        else:
            self._join(self._socket)

    def _join(self, sock: socket.socket) -> None:
        self._limit.cancel()
        self._exchange.closing.discard(self._close)
        _prepare(sock)
        carrier = SocketCarrier(self._exchange.loop, sock)
        self._exchange.call(carrier, self._inner, on_end=self._on_end)

    def _time_out(self) -> None:
        self._give_up(f"nobody accepts it within {self._exchange.timeout:g} s")

    def _fail(self, error: TransportError) -> None:
        self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        self._exchange.report(TransportError(f"connecting to the peer at {self._place}: {why}"))
        self._on_end()
        self._close()

    def _close(self) -> None:
        self._exchange.closing.discard(self._close)
        self._limit.cancel()
        if self._watch is not None:
            self._watch.want(0)
        if self._socket is not None:
            self._socket.close()
        self._inner.close()


def _resolve(network: str, address: str) -> tuple[int, _Place]:
    if network == "unix":
        _check_path(address)
        return socket.AF_UNIX, address
    if network != "tcp":
        raise TransportError(
            f"resolving the peer's address {_shown(address)}: expected network 'unix' or 'tcp', got {_shown(network)}"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or len(port) > _LONGEST_PORT or int(port) > _LAST_PORT:
        raise TransportError(
            f"resolving the peer's address {_shown(address)}: expected host:port, with a port up to {_LAST_PORT}"
        )
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # Python refuses labels of more than 63 characters itself
        raise TransportError(f"resolving the peer's address {_shown(address)}: {error}") from error
    family, _kind, _protocol, _name, place = found[0]
    return family, (str(place[0]), int(place[1]))


def _check_path(path: str) -> None:
    try:
        reason = excess(path)
    except UnicodeError as error:
        raise TransportError(f"resolving the peer's address {_shown(path)}: {error}") from error
    if reason:
        raise TransportError(
            f"resolving the peer's address {_shown(path)}: {reason}; let the peer use a folder with a shorter name"
        )


def _shown(text: str) -> str:
    return repr(shortened(text, 200))


def _unblocked(family: int) -> socket.socket:
    sock = socket.socket(family)
    sock.setblocking(False)
    return sock


def _connected(family: int, place: _Place, timeout: float) -> socket.socket:
    sock = socket.socket(family)
    try:
        sock.settimeout(timeout)
        sock.connect(place)
        _prepare(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
