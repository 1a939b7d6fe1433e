"""The plugin's side: what happens in the process that a host has started.

Nothing beyond `os` is imported before the magic cookie was seen, so that a plugin run by hand answers at once.
"""

from __future__ import annotations

import os

from ._handshake import check_cookie

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import grpc

    from ._broker import Broker
    from ._handshake import Handshake
    from ._tls import TLSContexts

_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"


def serve(
    handshake: Handshake,
    *,
    versions: Mapping[int, Callable[[grpc.Server, Broker], object] | str],
    tls: Callable[[], ssl.SSLContext | TLSContexts] | None = None,
    network: str = "unix",
    max_workers: int = 64,
    options: Sequence[tuple[str, object]] = (),
    interceptors: Sequence[grpc.ServerInterceptor] = (),
    log_level: int | str | None = "DEBUG",
    redirect: bool = True,
    outlive_host: bool = False,
    exit_on_disconnect: bool = False,
    on_announced: Callable[[], object] = lambda: None,
) -> None:
    """Serve a contract to the host that started this process, until the host stops it or dies.

    Call it from the main thread, as the last thing that a plugin's ``__main__`` does. Without the magic cookie in the
    environment it prints what go-plugin prints and raises ``SystemExit(1)``. The variables by which the host spoke to
    this process are removed from ``os.environ``, so that no child process inherits them.

    A handler may fork without ``exec``, as `multiprocessing` does: the host's pipes and connections are taken from the
    child, whose log goes to the host as output, not as records; a SIGTERM ends it. ``GRPC_ENABLE_FORK_SUPPORT`` is 0
    for that while gRPC is imported, unless it is set; that comes too late if gRPC was imported before this call, and
    gRPC may crash such a child then. `multiprocessing`'s spawn imports ``__main__`` again: for it, make this call under
    ``if __name__ == "__main__":``.

    Args:
        handshake: The magic cookie that host and plugin know.
        versions: Maps each version of the contract that this plugin speaks to the function that registers its
            servicers, ``register(server, broker)``, or to its place, ``"package.module:function"``, which is imported
            once the version has been negotiated. Nothing is registered for the other versions.
        tls: Static TLS, go-plugin's TLSProvider: a function that returns the server's context, or both roles' for
            brokered connections too. The host must be configured to match; AutoMTLS is not used then.
        network: ``"unix"``, or ``"tcp"`` for a port of the host's range on the loopback interface.
        max_workers: Most threads for handlers. They are started as they are needed; go-plugin's own streams do not use
            them.
        options, interceptors: Further options and the interceptors of the gRPC server.
        log_level: Level of the root logger, which gets a handler that writes hclog records to the host; exceptions that
            nobody catches go the same way. None leaves logging alone.
        redirect: Whether what the process and its children write to stdout and stderr goes to the host through gRPC
            after the handshake. False leaves both on the stderr that the process was started with, for a debugger.
        outlive_host: Whether to go on serving when the host has died without a word, for hosts that reattach, and for
            those that close the pipes to stdout and stderr and open none of go-plugin's streams.
        exit_on_disconnect: Whether to end when the host has closed its connection: for hosts of before go-plugin's
            controller, which can only send SIGKILL otherwise. Not for hosts that reattach.
        on_announced: Called in this thread once the host has the handshake: the place for what need not delay it.

    Raises:
        SystemExit: With code 1, after a message on stderr, if the process was not started by a host or cannot serve.
    """
    parent = os.getppid()
    check_cookie(handshake, os.environ)
    from ._descriptors import OriginalStreams

    streams = OriginalStreams()  # before anything is imported that might print
    # gRPC would start its threads again in a forked child, where they take the parent's events and crash:
    # https://github.com/grpc/grpc/issues/32992. It reads this when it is imported; no other process is to inherit it.
    chosen = _FORK_SUPPORT in os.environ
    os.environ.setdefault(_FORK_SUPPORT, "0")
    from ._plugin_process import PluginProcess
    from ._plugin_server import Settings

    if not chosen:
        del os.environ[_FORK_SUPPORT]

    process = PluginProcess(
        handshake,
        parent=parent,
        streams=streams,
        log_level=log_level,
        redirect=redirect,
        outlive_host=outlive_host,
        exit_on_disconnect=exit_on_disconnect,
        on_announced=on_announced,
    )
    process.run(Settings(versions, tls, network, max_workers, options, interceptors))
