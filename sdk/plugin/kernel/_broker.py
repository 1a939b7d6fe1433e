"""Further connections between a host and its plugin, in either direction, under numbers that both know."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc


class Accepted:
    """A server on a brokered connection, as made by `Broker.accept`."""

    service_id: int

    def stop(self, *, grace: float | None = None) -> None:
        """Stop the server; calls in flight have `grace` seconds."""
        raise NotImplementedError


class Broker:
    """Makes brokered connections: one side accepts a number and sends it in a message of its own, the other dials it."""

    def next_id(self) -> int:
        """Return a number that this side has not used yet. Each side counts for itself, from 1."""
        raise NotImplementedError

    def accept(self, service_id: int, register: Callable[[grpc.Server], object], *, max_workers: int = 10) -> Accepted:
        """Serve what `register` adds to the server to whoever dials `service_id` on the other side; return at once."""
        raise NotImplementedError

    def dial(
        self, service_id: int, *, timeout: float = 5.0, options: Sequence[tuple[str, object]] = ()
    ) -> grpc.Channel:
        """Connect to what the other side accepts under `service_id`.

        Raises
        ------
        BrokerError
            The other side has not accepted that number within `timeout` seconds, or refused it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop every server that was accepted here and wake whoever waits."""
        raise NotImplementedError
