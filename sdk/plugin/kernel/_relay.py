"""Carries bytes between a go-plugin peer (TLS, yamux, or both) and a plaintext grpcio server or channel in this process.

grpcio refuses the P-521 certificates of Go hosts and knows no yamux, so AutoMTLS and broker multiplexing end here: one thread,
non-blocking sockets, TLS through `ssl.MemoryBIO`. Plain mode needs no relay.

    relay = Relay(tls=contexts)                       # or tls=None for multiplexing without AutoMTLS
    backend = Backend(bind)                           # bind("unix:/…") starts one grpcio server on that target
    relay.listen(listener, backend)                   # plugin main listener, and every brokered accept
    channel = grpc.insecure_channel(relay.dial("unix", path).target)   # every dial, on either side

    session = relay.accept_session(listener, backend) # multiplexed, plugin side
    session = relay.dial_session("unix", path)        # multiplexed, host side
    session.expect(backend)                           # on a knock, before its ack: the next inbound stream is this backend's
    session.gateway(knock).target                     # multiplexed dial: knock() runs first, serialised, per connection
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final

from ._tls import TLSContexts

#: Options for every grpcio server behind a `Backend`: pre-connected connections must survive until a peer needs them.
SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.server_handshake_timeout_ms", 2**31 - 1),
    ("grpc.keepalive_time_ms", 2**31 - 1),
)
#: Options for every channel to a `Gateway.target`.
CHANNEL_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
)


class Backend:
    """A grpcio server of this process that nobody but the relay can reach.

    `bind(target)` must add an insecure port on `target` (`"unix:/…"`) with `SERVER_OPTIONS`, start the server and return. The
    relay connects `spare` connections ahead and unlinks the path; each outer connection takes one. When few are left, `bind`
    runs again, on a thread of the relay, with a fresh target: it must start one more server with the same services. Whoever
    supplies `bind` stops the servers. The first `bind` runs inside the constructor, on the caller's thread.

    Raises `TransportError` when the server cannot be reached.
    """

    def __init__(self, bind: Callable[[str], None], *, spare: int = 2) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Closes the spare connections; those in use are not touched. Idempotent."""
        raise NotImplementedError


class Route:
    """A listening socket whose connections go to a backend, until `close()` (idempotent, any thread)."""

    def close(self) -> None:
        """Closes the listener (a unix path is the caller's to remove); connections in progress go on."""
        raise NotImplementedError


class Gateway:
    """A private target for `grpc.insecure_channel`; each connection of the channel becomes one dialled connection.

    The channel must be of this process: others are refused by their pid (`SO_PEERCRED`).
    """

    target: str

    def close(self) -> None:
        """Stops accepting and removes the folder; connections in progress go on. Idempotent, any thread."""
        raise NotImplementedError


class Session:
    """One multiplexed connection to the peer. All methods may be called from any thread."""

    def wait(self, timeout: float = 5.0) -> None:
        """Waits until the peer has connected; raises `TransportError` after `timeout` seconds or if the session has ended."""
        raise NotImplementedError

    def expect(self, backend: Backend) -> None:
        """Gives the next inbound stream to `backend`. Call on a knock, before sending its ack.

        Calls queue up in order. One that no stream answers within `KNOCK_TIMEOUT` seconds is forgotten, so that it cannot
        take a later stream of another service.
        """
        raise NotImplementedError

    def gateway(self, knock: Callable[[], None] | None = None) -> Gateway:
        """A target whose connections are streams of this session.

        `knock` runs before each stream is opened, on a thread of the relay, one at a time over the whole session: it sends the
        knock and waits for the ack. If it raises a `PluginError`, that connection of the channel is closed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Sends GoAway, then ends the session and all its streams. Idempotent."""
        raise NotImplementedError


class Relay:
    """The relay thread. Starts at the first use, ends with `close()`.

    `on_error` is told about refused peers and broken sessions, from the relay thread; it must not block.
    """

    def __init__(
        self,
        *,
        tls: TLSContexts | None = None,
        handshake_timeout: float = 10.0,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        raise NotImplementedError

    def listen(self, listener: socket.socket, backend: Backend) -> Route:
        """Serves every connection of `listener` (bound, listening; now the relay's) from `backend`."""
        raise NotImplementedError

    def dial(self, network: str, address: str) -> Gateway:
        """A target that dials `address` for each connection; `network` is `"unix"` or `"tcp"` (`host:port`)."""
        raise NotImplementedError

    def accept_session(self, listener: socket.socket, main: Backend) -> Session:
        """The first connection of `listener` becomes the session (yamux server); streams without a knock go to `main`."""
        raise NotImplementedError

    def dial_session(self, network: str, address: str) -> Session:
        """Dials at once (yamux client). Streams that nobody expects are reset. Raises `TransportError`."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends all connections and the thread; removes every socket and folder. Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
