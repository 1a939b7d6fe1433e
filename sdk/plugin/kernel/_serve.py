"""The plugin's side: check the cookie, start a server, announce it, and stop when told."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import grpc

    from ._broker import Broker
    from ._handshake import Handshake


def serve(
    handshake: Handshake,
    *,
    versions: Mapping[int, Callable[[grpc.Server, Broker], object] | str],
    tls: Callable[[], ssl.SSLContext] | None = None,
    network: str = "unix",
    max_workers: int = 10,
    options: Sequence[tuple[str, object]] = (),
    interceptors: Sequence[grpc.ServerInterceptor] = (),
    reflection: Sequence[str] = (),
    log_level: int | str | None = "DEBUG",
    redirect: bool = True,
    outlive_host: bool = False,
) -> None:
    """Serve a contract to the host that started this process, until the host stops it.

    Call it from the main thread, as the last thing that a plugin's ``__main__`` does. Without the magic cookie in the
    environment it prints what go-plugin prints and raises ``SystemExit(1)``; it does so before it imports gRPC or any
    module of the contract.

    Parameters
    ----------
    versions
        Maps each version of the contract that this plugin speaks to the function that registers its servicers,
        ``register(server, broker)``, or to its place, ``"package.module:function"``, which is imported after the version
        was negotiated.
    tls
        Static TLS (go-plugin's TLSProvider): a function that returns the server's context. The host must be configured
        to match; AutoMTLS is ignored then.
    network
        ``"unix"``, or ``"tcp"`` for a port of the host's range on the loopback interface.
    max_workers
        Threads for handlers. go-plugin's own streams do not use them.
    reflection
        Full names of services to describe to clients such as grpcurl.
    log_level
        Level of the root logger, which gets a handler that writes hclog records to the host. None leaves logging alone.
    redirect
        Whether what the process and its children write to stdout and stderr goes to the host through gRPC after the
        handshake. False leaves both as they are, for a debugger.
    outlive_host
        Whether to go on serving when the host has died without a word.
    """
    raise NotImplementedError
