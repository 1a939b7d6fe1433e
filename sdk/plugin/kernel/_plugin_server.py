"""The server of a plugin: the contract's services, go-plugin's own, and the address at which a host finds them."""

from __future__ import annotations

from typing import NamedTuple

from ._announcement import Announcement
from ._broker import Broker
from ._connection import static_tls
from ._controller import controller
from ._errors import ServeError
from ._health import Health
from ._listener import Listeners, LoopbackPorts, SocketFolder, port_range
from ._server import ServerGroup, Services
from ._versions import negotiate
from ._wiring import DirectWiring, Listening, RelayWiring, SessionWiring

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import grpc

    from ._environment import HostVariables
    from ._listener import Address
    from ._relay import Relay
    from ._stdio import Output
    from ._tls import TLSContexts

    Registration = Callable[[grpc.Server, Broker], object]


_ACCEPTS = 0.2  # seconds for a handler that is accepting a brokered connection to find that it cannot


class Settings(NamedTuple):
    """What an author may choose about the server."""

    versions: Mapping[int, Registration | str]
    tls: Callable[[], ssl.SSLContext | TLSContexts] | None
    network: str
    max_workers: int
    options: Sequence[tuple[str, object]]
    interceptors: Sequence[grpc.ServerInterceptor]


class Hooks(NamedTuple):
    """What the process around the server wants to know."""

    warn: Callable[[str], object]
    before_reply: Callable[[], object]
    """Called before a host that wants the plugin to stop gets its answer."""
    after_reply: Callable[[], None]
    """Called when that answer is out."""
    disconnected: Callable[[], object] | None = None
    """Called when the last host has closed go-plugin's stream without asking the plugin to stop."""


class PluginServer:
    """Serves one version of a contract. Made by `open`, it is ready for the host; `stop` leaves nothing of it."""

    def __init__(self, settings: Settings, variables: HostVariables, output: Output, hooks: Hooks) -> None:
        self._settings = settings
        self._variables = variables
        self._output = output
        self._hooks = hooks
        self._version = _negotiated(settings.versions, variables, hooks.warn)
        self._health = Health()
        self._listeners = _listeners(settings.network, variables)
        self._certificate = ""
        self._relay: Relay | None = None
        self._group: ServerGroup | None = None
        self._opened: Listening | None = None
        self.broker: Broker | None = None

    def open(self) -> Announcement:
        """Register the servicers, start to serve, and return what has to be announced."""
        try:
            return self._open()
        except BaseException:
            self.stop(None)
            raise

    @property
    def connected(self) -> bool:
        """Whether a host holds one of go-plugin's streams."""
        return self._output.has_reader or (self.broker is not None and self.broker.connected)

    def addresses(self) -> list[Address]:
        """Where connections with the host begin or end; takes no lock."""
        brokered = [] if self.broker is None else self.broker.addresses()
        return brokered if self._opened is None else [self._opened.address, *brokered]

    def descriptors(self) -> tuple[int, ...]:
        """What is open beside sockets that have a name."""
        return () if self._relay is None else self._relay.descriptors()

    def stop(self, grace: float | None) -> None:
        """End the streams, let calls in flight finish within `grace` seconds, and remove the sockets."""
        self._health.close()
        self._output.close()
        if self._opened is not None:
            self._opened.close()
        if self.broker is not None:
            self.broker.close()
        if self._group is not None:
            self._group.stop(grace)
        if self._relay is not None:
            self._relay.close()
        if self.broker is not None:
            self.broker.settle(_ACCEPTS)
        self.remove_sockets()

    def remove_sockets(self) -> None:
        """Leave nothing in the file system, whatever the servers do."""
        self._listeners.close()

    def _open(self) -> Announcement:
        wiring = self._wiring()
        self.broker = Broker(wiring, on_disconnect=self._hooks.disconnected)
        self._group = ServerGroup(
            self._services(self.broker),
            max_workers=self._settings.max_workers,
            options=self._settings.options,
            interceptors=self._settings.interceptors,
        )
        if isinstance(wiring, SessionWiring):
            self._opened = wiring.open_main(self._listeners, self._group)
        else:
            self._opened = wiring.open(self._group)
        multiplex = self._variables.multiplex if self._variables.multiplex_is_named else None
        return Announcement(self._version, self._opened.address, self._certificate, multiplex)

    def _services(self, broker: Broker) -> Services:
        services = Services()
        services.add_generic_rpc_handlers(
            (
                self._health.handler(),
                controller(before_reply=self._hooks.before_reply, after_reply=self._hooks.after_reply),
                self._output.handler(),
                broker.handler(),
            )
        )
        register = _resolved(self._settings.versions[self._version], self._version)
        register(services, broker)
        return services

    def _wiring(self) -> DirectWiring | RelayWiring | SessionWiring:
        tls = self._tls()
        if tls is None and not self._variables.multiplex:
            return DirectWiring(self._listeners)
        from ._relay import Relay

        self._relay = Relay(tls=tls, folder=self._listeners.path)
        lacks = "client" if tls is not None and tls.client is tls.server else ""
        if self._variables.multiplex:
            return SessionWiring(self._relay, folder=self._listeners.path, lacks=lacks)
        return RelayWiring(self._relay, self._listeners, lacks=lacks)

    def _tls(self) -> TLSContexts | None:
        if self._settings.tls is not None:
            return static_tls(self._settings.tls())
        if not self._variables.client_certificate:
            return None
        from . import _tls

        identity = _tls.generate()
        self._certificate = identity.field
        return _tls.contexts(identity, _tls.peer_from_pem(self._variables.client_certificate))


def _negotiated(
    versions: Mapping[int, Registration | str], variables: HostVariables, warn: Callable[[str], object]
) -> int:
    if not versions:
        raise ServeError("cannot serve: no version of the contract was given; pass versions={1: register}")
    for version, registration in versions.items():
        if not _is_entry(version, registration):
            raise ServeError(
                f"cannot serve: versions has {version!r}: {registration!r}; expected a number and a function "
                "register(server, broker), or its place, 'package.module:function'"
            )
    return negotiate(versions, variables.protocol_versions, warn=warn)


def _is_entry(version: object, registration: object) -> bool:
    return isinstance(version, int) and (callable(registration) or isinstance(registration, str))


def _listeners(network: str, variables: HostVariables) -> Listeners:
    if network == "tcp":
        return LoopbackPorts(port_range(*variables.ports))
    if network != "unix":
        raise ServeError(f"cannot serve: the network must be 'unix' or 'tcp', got {network!r}")
    return SocketFolder(variables.socket_folder, group=variables.socket_group)


def _resolved(registration: Registration | str, version: int) -> Registration:
    if not isinstance(registration, str):
        return registration
    from importlib import import_module

    module, _, name = registration.partition(":")
    register: Registration | None = getattr(import_module(module), name, None) if name else None
    if not callable(register):
        raise ServeError(
            f"cannot serve version {version}: {registration!r} must be 'package.module:function' and name a function "
            "register(server, broker)"
        )
    return register
