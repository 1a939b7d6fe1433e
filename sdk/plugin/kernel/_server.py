"""gRPC servers that all offer the same services."""

from __future__ import annotations

import threading

import grpc

from ._errors import ServeError
from ._threads import DaemonPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Final, NoReturn

    Handler = grpc.RpcMethodHandler[object, object]

# The text of an error is a header, and a long one is three times as long on the wire. gRPC's own limit is 16 KiB,
# beyond which it tells neither text nor code; Go's is 16 MiB.
_LIMITS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 1 << 24),
    ("grpc.absolute_max_metadata_size", 1 << 24),
)

SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # on by default in grpcio: two plugins would share one port of the range
    *_LIMITS,
)

CHANNEL_OPTIONS: Final = (
    *_LIMITS,
    ("grpc.use_local_subchannel_pool", 1),  # a new plugin on an old address must not inherit a connection's backoff
    ("grpc.enable_http_proxy", 0),  # a proxy in the environment is not meant for the loopback interface
)


class Services(grpc.Server):
    """Records what is registered, so that it can be offered by any number of servers.

    Behind a relay one plugin is several gRPC servers; an author's function must run once all the same, because the
    servicers that it makes have state.
    """

    def __init__(self) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: list[tuple[str, dict[str, Handler]]] = []

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        self._registered.append((service_name, dict(method_handlers)))

    def offer_on(self, server: grpc.Server) -> None:
        """Register everything that was recorded on a real server."""
        server.add_generic_rpc_handlers(tuple(self._generic))
        for service, handlers in self._registered:
            server.add_registered_method_handlers(service, handlers)

    def add_insecure_port(self, address: str) -> NoReturn:
        raise self._refusal(f"listen on {address!r}")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> NoReturn:  # noqa: ARG002  (as gRPC has it)
        raise self._refusal(f"listen on {address!r}")

    def start(self) -> NoReturn:
        raise self._refusal("start")

    def stop(self, grace: float | None) -> NoReturn:  # noqa: ARG002  (as gRPC has it)
        raise self._refusal("stop")

    def wait_for_termination(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002  (as gRPC has it)
        raise self._refusal("wait")

    @staticmethod
    def _refusal(action: str) -> ServeError:
        return ServeError(
            f"cannot {action} while services are registered: the kernel does that; only add servicers here"
        )


class ServerGroup:
    """One or more servers that offer the same services and share their threads."""

    def __init__(
        self,
        services: Services,
        *,
        max_workers: int,
        options: Sequence[tuple[str, object]] = (),
        interceptors: Sequence[grpc.ServerInterceptor] = (),
    ) -> None:
        if max_workers < 1:
            raise ServeError(f"cannot serve with max_workers={max_workers}: calls need at least one thread")
        self._services = services
        self._pool = DaemonPool(max_workers)
        self._options = (*SERVER_OPTIONS, *options)
        self._interceptors = list(interceptors)
        self._lock = threading.Lock()
        self._servers: list[grpc.Server] = []
        self._stopped = False

    def bind(self, target: str, *, options: Sequence[tuple[str, object]] = ()) -> Callable[[], None]:
        """Start one more server, on `target`. Return what stops it alone, when nobody is connected to it any more."""
        server = grpc.server(
            self._pool,  # type: ignore[arg-type]  # the stub asks for a ThreadPoolExecutor, gRPC for an Executor
            options=(*self._options, *options),
            interceptors=self._interceptors,
        )
        self._services.offer_on(server)
        server.add_insecure_port(target)
        with self._lock:
            if self._stopped:
                raise ServeError("cannot take a connection: the server has stopped")
            server.start()
            self._servers.append(server)

        def retire() -> None:
            with self._lock:
                if server not in self._servers:
                    return  # everything is being stopped
                self._servers.remove(server)
            server.stop(None)

        return retire

    def stop(self, grace: float | None, *, patience: float = 1.0) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then cancel them."""
        with self._lock:
            self._stopped = True
            servers = list(self._servers)
            self._servers.clear()
        stopping = [_stopping(server, grace) for server in servers]
        for event in stopping:
            event.wait((grace or 0) + patience)
        self._pool.shutdown()


def _stopping(server: grpc.Server, grace: float | None) -> threading.Event:
    try:
        return server.stop(grace)
    except RuntimeError:  # gRPC waits for the end of the period in a thread, and the system has none left
        return server.stop(None)


def serving(register: Callable[[grpc.Server], object]) -> Services:
    """Record what `register` adds."""
    services = Services()
    register(services)
    return services
