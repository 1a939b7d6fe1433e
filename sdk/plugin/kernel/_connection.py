"""A host's connection to its plugin, in whichever way the two have agreed on."""

from __future__ import annotations

from ._wiring import DirectWiring, RelayWiring, SessionWiring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext

    import grpc

    from ._announcement import Announcement
    from ._listener import Listeners
    from ._relay import Relay
    from ._tls import TLSContexts
    from ._wiring import Wiring


def static_tls(tls: SSLContext | TLSContexts | None) -> TLSContexts | None:
    """Return what a caller gave for static TLS. One context serves the first connection alone, not brokered ones."""
    if tls is None:
        return None
    from ._tls import TLSContexts

    contexts = tls if isinstance(tls, TLSContexts) else TLSContexts(server=tls, client=tls)
    for context in (contexts.server, contexts.client):
        context.set_alpn_protocols(["h2"])  # gRPC in Go refuses a connection that has not agreed on it
    return contexts


class Connection:
    """The channel to a plugin, and the wiring of its broker.

    Args:
        listeners: Where the host listens for brokered connections.
    """

    channel: grpc.Channel
    wiring: Wiring

    def __init__(
        self,
        announcement: Announcement,
        listeners: Listeners,
        tls: TLSContexts | None,
        *,
        multiplex: bool,
        options: Sequence[tuple[str, object]],
    ) -> None:
        self._relay: Relay | None = None
        if tls is None and not multiplex:
            self.wiring = DirectWiring(listeners)
            self.channel = self.wiring.dial(announcement.address, options)
            return
        from ._relay import Relay

        self._relay = Relay(tls=tls, folder=listeners.path)
        lacks = "server" if tls is not None and tls.server is tls.client else ""
        try:
            if multiplex:
                self.wiring = session = SessionWiring(self._relay, folder=listeners.path, lacks=lacks)
                self.channel = session.dial_main(announcement.address, options)
            else:
                self.wiring = RelayWiring(self._relay, listeners, lacks=lacks)
                self.channel = self.wiring.dial(announcement.address, options)
        except BaseException:
            self._relay.close()
            raise

    def close(self) -> None:
        self.channel.close()
        if self._relay is not None:
            self._relay.close()
