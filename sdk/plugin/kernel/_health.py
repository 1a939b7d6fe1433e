"""The standard health service, under the one name that go-plugin's hosts ask for: ``plugin``."""

from __future__ import annotations

import threading

import grpc

from . import _codec
from ._threads import STREAM_THREADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = "plugin"
CHECK = "/grpc.health.v1.Health/Check"


class Health:
    """Answers SERVING for ``plugin``, and for the server as a whole, until `close`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._status = _codec.SERVING

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health",
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    _Check(self),
                    request_deserializer=_codec.decode_health_request,
                    response_serializer=_codec.encode_health_response,
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    _Watch(self),
                    request_deserializer=_codec.decode_health_request,
                    response_serializer=_codec.encode_health_response,
                ),
            },
        )

    def status(self, service: str) -> int:
        return self._status if service in {SERVICE, ""} else _codec.SERVICE_UNKNOWN

    def changes(self, service: str, context: grpc.ServicerContext) -> Iterator[int]:
        context.add_callback(self._wake)
        last = -1
        while context.is_active():
            status = self.status(service)
            if status != last:
                yield (last := status)
            if self._status == _codec.NOT_SERVING:
                return
            with self._condition:
                self._condition.wait_for(lambda: self.status(service) != last or not context.is_active())

    def close(self) -> None:
        """Tell every watcher that the plugin does not serve any more."""
        self._status = _codec.NOT_SERVING
        self._wake()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()


class _Check:
    experimental_thread_pool = STREAM_THREADS  # a plugin whose workers are all busy is healthy
    experimental_non_blocking = False

    def __init__(self, health: Health) -> None:
        self._health = health

    def __call__(self, service: str, context: grpc.ServicerContext) -> int:
        status = self._health.status(service)
        if status == _codec.SERVICE_UNKNOWN:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {service!r}; this plugin's is {SERVICE!r}")
        return status


class _Watch:
    experimental_thread_pool = STREAM_THREADS
    experimental_non_blocking = False

    def __init__(self, health: Health) -> None:
        self._health = health

    def __call__(self, service: str, context: grpc.ServicerContext) -> Iterator[int]:
        return self._health.changes(service, context)
