"""Test mode: a plugin served from a process that no host has started, for hosts that attach to it."""

from __future__ import annotations

import atexit
import os
import threading

from ._environment import HostVariables
from ._plugin_server import Hooks, PluginServer, Settings
from ._reattach import ReattachConfig
from ._stdio import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self

    import grpc

    from ._broker import Broker
    from ._tls import TLSContexts


class ServedPlugin:
    """A plugin that is served from this process, until `stop`. A context manager."""

    def __init__(self, settings: Settings) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._stopped = False
        hooks = Hooks(warn=_ignore, before_reply=_nothing, after_reply=self._asked.set)
        self._server = PluginServer(settings, HostVariables.take({}), Output(), hooks)
        self._announcement = self._server.open()
        self._pid = os.getpid()
        atexit.register(self._stop_at_exit)

    def reattach_config(self) -> ReattachConfig:
        """Return what a host needs to connect."""
        return ReattachConfig(self._announcement.address, self._announcement.version, os.getpid(), test=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a host asks the plugin to stop, at most `timeout` seconds; return whether one has."""
        return self._asked.wait(timeout)

    def stop(self, *, grace: float | None = None) -> None:
        """Stop to serve; calls in flight have `grace` seconds. Harmless when repeated."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._server.stop(grace)
        self._asked.set()
        atexit.unregister(self._stop_at_exit)

    def _stop_at_exit(self) -> None:
        if os.getpid() == self._pid:  # not in a forked child
            self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def serve_test(
    *,
    versions: Mapping[int, Callable[[grpc.Server, Broker], object] | str],
    tls: Callable[[], SSLContext | TLSContexts] | None = None,
    network: str = "unix",
    max_workers: int = 64,
    options: Sequence[tuple[str, object]] = (),
    interceptors: Sequence[grpc.ServerInterceptor] = (),
) -> ServedPlugin:
    """Serve the lowest of `versions` from this process, in go-plugin's test mode, and return at once.

    There is no magic cookie, no handshake line, and no change to the process: signals, logging, stdout and stderr stay
    as they are. The parameters are those of `serve`. For a Terraform provider under a debugger::

        with kernel.serve_test(versions={6: register}) as plugin:
            config = kernel.ReattachConfig.to_terraform({"example.org/acme/thing": plugin.reattach_config()})
            print(f"TF_REATTACH_PROVIDERS='{config}'")
            plugin.wait()

    What nobody has stopped ends with the process.

    Raises:
        ServeError: The settings do not allow a server to be started.
    """
    return ServedPlugin(Settings(versions, tls, network, max_workers, options, interceptors))


def _ignore(_entry: str) -> None:
    """No host has named a version."""


def _nothing() -> None:
    """Nothing was redirected that could be handed over."""
