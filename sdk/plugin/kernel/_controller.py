"""go-plugin's controller service: how a host asks a plugin to stop."""

from __future__ import annotations

import grpc

from . import _codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SHUTDOWN = "/plugin.GRPCController/Shutdown"


def controller(*, before_reply: Callable[[], object], after_reply: Callable[[], None]) -> grpc.GenericRpcHandler:
    """Answer Shutdown. `before_reply` may still use the host's streams; `after_reply` runs once the answer is out."""

    def shutdown(_request: bytes, context: grpc.ServicerContext) -> None:
        if not context.add_callback(after_reply):
            after_reply()  # the host has hung up already
        before_reply()

    return grpc.method_handlers_generic_handler(
        "plugin.GRPCController",
        {
            "Shutdown": grpc.unary_unary_rpc_method_handler(
                shutdown,
                request_deserializer=_codec.decode_empty,
                response_serializer=_codec.encode_empty,
            ),
        },
    )
