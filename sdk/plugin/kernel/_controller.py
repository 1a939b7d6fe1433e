"""go-plugin's controller service: how a host asks a plugin to stop."""

from __future__ import annotations

import grpc

from . import _codec
from ._threads import STREAM_THREADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SHUTDOWN = "/plugin.GRPCController/Shutdown"


def controller(*, before_reply: Callable[[], object], after_reply: Callable[[], None]) -> grpc.GenericRpcHandler:
    """Answer Shutdown. `before_reply` may still use the host's streams; `after_reply` runs once the answer is out."""
    return grpc.method_handlers_generic_handler(
        "plugin.GRPCController",
        {
            "Shutdown": grpc.unary_unary_rpc_method_handler(
                _Shutdown(before_reply, after_reply),
                request_deserializer=_codec.decode_empty,
                response_serializer=_codec.encode_empty,
            ),
        },
    )


class _Shutdown:
    experimental_thread_pool = STREAM_THREADS  # a host must be able to stop a plugin whose workers are all busy
    experimental_non_blocking = False

    def __init__(self, before_reply: Callable[[], object], after_reply: Callable[[], None]) -> None:
        self._before_reply = before_reply
        self._after_reply = after_reply

    def __call__(self, _request: bytes, context: grpc.ServicerContext) -> None:
        if not context.add_callback(self._after_reply):
            self._after_reply()  # the host has hung up already
        self._before_reply()
