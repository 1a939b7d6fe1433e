"""The service before its driver is there: the handshake does not wait for the driver's imports."""

from __future__ import annotations

import gc

from ._contract import SERVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from ._handlers import Answer
    from .kernel import Broker


class Module:
    """A module in its own process: it answers the calls of the Engine service once `load` has run; till then they wait.

    What comes between is the host's connecting, which takes about as long as the imports. It is a generic handler of
    gRPC by its methods alone, because it is made before the cookie was seen, when nothing may be imported.
    """

    def __init__(self, driver: object) -> None:
        self._driver = driver
        self._answers: Mapping[str, Answer] = {}

    def register(self, server: grpc.Server, _broker: Broker) -> None:
        """Add the service to *server*."""
        import threading

        self._loaded = threading.Event()
        server.add_generic_rpc_handlers((self,))  # type: ignore[arg-type]  # see the class

    def load(self) -> None:
        """Import the driver and all that serves it, in the calling thread."""
        try:
            from . import _handlers, _logfile

            # What was imported lives as long as the process, so the collector need not look at it: gRPC's many objects
            # while the rest is imported, and all of them while the module serves. The collector itself stays on.
            gc.freeze()
            self._answers = _handlers.answers(self._driver, _logfile.install(self._provisional_name()))
            gc.freeze()
        finally:
            self._loaded.set()
        # A host's first call that needs more than this is DecodeConfig, and it has work of its own before it.
        from ..engine import decode_config  # noqa: F401 - imported to have been imported, as is the next
        from ..hcl import decode_block, variables_from_json  # noqa: F401

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of a call, or None for one of another service."""
        import grpc

        _, service, name = details.method.split("/")
        if service != SERVICE:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(name, request, context))

    def _answer(self, name: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._loaded.wait()
        if name not in self._answers:
            import grpc

            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{SERVICE} has no method {name!r}")
        return self._answers[name](request, context)

    def _provisional_name(self) -> str:
        """Name the log file for what goes wrong before the driver's type is known."""
        driver = self._driver
        if isinstance(driver, str):
            return driver.partition(":")[0].partition(".")[0]
        return getattr(driver, "type", None) or type(driver).__module__
