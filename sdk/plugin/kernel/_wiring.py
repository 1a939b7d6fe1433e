"""How connections are made and taken: directly, through TLS, or inside one multiplexed connection.

A `Wiring` is what the plugin's server, the host's channel and the brokers of both are built on. Only the direct one
exists unless a host asks for more.
"""

from __future__ import annotations

from typing import Protocol

import grpc

from ._errors import BrokerError, TransportError
from ._server import CHANNEL_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from ._listener import Address, Listeners
    from ._relay import Backend, Gateway, Relay, Route, Session
    from ._server import ServerGroup

    Options = Sequence[tuple[str, object]]


class Opened(Protocol):
    """A group of servers that can be reached from outside."""

    @property
    def address(self) -> Address | None:
        """Where to connect to; None inside a multiplexed connection."""

    def expect(self) -> None:
        """Take the next multiplexed connection."""

    def close(self) -> None:
        """Take no more connections. The servers are stopped by whoever made them."""


class Wiring(Protocol):
    """How connections are made and taken."""

    multiplexed: bool
    lacks: str
    """``"server"`` or ``"client"`` if static TLS was given for the other role alone; else empty."""

    def open(self, group: ServerGroup) -> Opened:
        """Let the other side connect to `group`."""

    def dial(self, address: Address, options: Options) -> grpc.Channel:
        """Connect to `address`."""

    def dial_multiplexed(self, knock: Callable[[], None] | None, options: Options) -> grpc.Channel:
        """Connect to whatever the other side has agreed on in `knock`."""


class Listening:
    """Servers that can be reached at an address of their own."""

    def __init__(self, listeners: Listeners, address: Address, *, route: Route | None, backend: Backend | None) -> None:
        self.address = address
        self._listeners = listeners
        self._route = route
        self._backend = backend

    def expect(self) -> None:
        raise NotImplementedError("only multiplexed connections are announced by a knock")

    def close(self) -> None:
        if self._route is not None:
            self._route.close()
        if self._backend is not None:
            self._backend.close()
        self._listeners.discard(self.address)


class DirectWiring:
    """Plaintext gRPC on sockets of its own: the default of go-plugin."""

    multiplexed = False
    lacks = ""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def open(self, group: ServerGroup) -> Listening:
        return Listening(self._listeners, self._listeners.bind(group.bind), route=None, backend=None)

    def dial(self, address: Address, options: Options) -> grpc.Channel:
        if "," in address.address:
            raise TransportError(
                f"cannot connect to {address.network} address {address.address!r}: gRPC takes the comma for the end of "
                "an address; let the other side use a folder (TMPDIR) without one in its name"
            )
        return grpc.insecure_channel(address.target, options=(*CHANNEL_OPTIONS, *options))

    def dial_multiplexed(self, knock: Callable[[], None] | None, options: Options) -> grpc.Channel:
        raise NotImplementedError("direct connections are made by address")


class RelayWiring:
    """Sockets of its own behind TLS, which a relay carries to gRPC servers and channels in this process."""

    multiplexed = False

    def __init__(self, relay: Relay, listeners: Listeners, *, lacks: str = "") -> None:
        self.lacks = lacks
        self._relay = relay
        self._listeners = listeners

    def open(self, group: ServerGroup) -> Listening:
        listener, address = self._listeners.listen()
        try:
            backend = _backend(group, self._listeners.path)
        except BaseException:
            listener.close()
            self._listeners.discard(address)
            raise
        route = self._relay.listen(listener, backend)
        return Listening(self._listeners, address, route=route, backend=backend)

    def dial(self, address: Address, options: Options) -> grpc.Channel:
        return gateway_channel(self._relay.dial(address.network, address.address), options)

    def dial_multiplexed(self, knock: Callable[[], None] | None, options: Options) -> grpc.Channel:
        raise NotImplementedError("connections with sockets of their own are made by address")


class _Multiplexed:
    address: Address | None = None

    def __init__(self, session: Session, backend: Backend) -> None:
        self._session = session
        self._backend = backend

    def expect(self) -> None:
        self._session.expect(self._backend)

    def close(self) -> None:
        self._backend.close()


class SessionWiring:
    """Streams of one multiplexed connection."""

    multiplexed = True

    def __init__(self, relay: Relay, *, folder: str, lacks: str = "") -> None:
        self.lacks = lacks
        self._relay = relay
        self._folder = folder
        self._session: Session | None = None

    def open(self, group: ServerGroup) -> _Multiplexed:
        return _Multiplexed(self._require_session(), _backend(group, self._folder))

    def open_main(self, listeners: Listeners, group: ServerGroup) -> Listening:
        """Listen for the host: its first connection carries everything, and streams without a knock go to `group`."""
        backend = _backend(group, self._folder)
        listener, address = listeners.listen()
        self._session = self._relay.accept_session(listener, backend)
        return Listening(listeners, address, route=None, backend=backend)

    def dial_main(self, address: Address, options: Options) -> grpc.Channel:
        """Connect to a plugin's main server."""
        self._session = self._relay.dial_session(address.network, address.address)
        return self.dial_multiplexed(None, options)

    def dial(self, address: Address, options: Options) -> grpc.Channel:
        raise NotImplementedError("multiplexed connections have no address")

    def dial_multiplexed(self, knock: Callable[[], None] | None, options: Options) -> grpc.Channel:
        return gateway_channel(self._require_session().gateway(knock), options)

    def _require_session(self) -> Session:
        if self._session is None:
            raise BrokerError("cannot make a brokered connection before the plugin serves")
        return self._session


def _backend(group: ServerGroup, folder: str) -> Backend:
    from ._relay import SERVER_OPTIONS, Backend

    return Backend(lambda target: group.bind(target, options=SERVER_OPTIONS), folder=folder)


def gateway_channel(gateway: Gateway, options: Options) -> grpc.Channel:
    """Return a channel through `gateway` that takes the gateway along when it is closed."""
    channel = grpc.insecure_channel(gateway.target, options=(*CHANNEL_OPTIONS, *options))
    return OwningChannel(channel, gateway.close)


class OwningChannel(grpc.Channel):
    """A channel with something beside it that has to be closed too."""

    def __init__(self, channel: grpc.Channel, on_close: Callable[[], None]) -> None:
        self._channel = channel
        self._on_close = on_close

    def close(self) -> None:
        self._channel.close()
        self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def subscribe(self, callback, try_to_connect=False):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.unsubscribe(callback)

    def unary_unary(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.unary_unary(*args, **kwargs)

    def unary_stream(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.unary_stream(*args, **kwargs)

    def stream_unary(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.stream_unary(*args, **kwargs)

    def stream_stream(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # as the base class says
        return self._channel.stream_stream(*args, **kwargs)
