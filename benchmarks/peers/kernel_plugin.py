"""The plugin of `bare_grpc.py` on the kernel, and a service that makes brokered connections."""

import os
import sys

from doze_sdk.plugin import kernel

HANDSHAKE = kernel.Handshake(cookie_key="DOZE_BENCHMARK", cookie_value="1")
TYPE_CHECKING = False
if TYPE_CHECKING:
    import grpc


class Connections:
    """Methods that take a number and give bytes: what each side of the broker does when the other asks for it."""

    def __init__(self, broker: kernel.Broker) -> None:
        self._broker = broker
        self._offered: dict[int, kernel.Accepted] = {}

    def dial(self, request: bytes, _context: "grpc.ServicerContext") -> bytes:
        with self._broker.dial(int(request)) as channel:
            answer: bytes = channel.unary_unary("/bare.Back/Echo")(request, timeout=30)
        return answer

    def offer(self, _request: bytes, _context: "grpc.ServicerContext") -> bytes:
        number = self._broker.next_id()
        self._offered[number] = self._broker.accept(number, add_back)
        return str(number).encode()

    def withdraw(self, request: bytes, _context: "grpc.ServicerContext") -> bytes:
        self._offered.pop(int(request)).stop()
        return b""


def add_back(server: "grpc.Server") -> None:
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Back", {"Echo": handler}),))


def register(server: "grpc.Server", broker: kernel.Broker) -> None:
    import grpc

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import bare_pb2

    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, _context: request,
        request_deserializer=bare_pb2.Note.FromString,
        response_serializer=bare_pb2.Note.SerializeToString,
    )
    unary, connections = grpc.unary_unary_rpc_method_handler, Connections(broker)
    handlers = {
        "Dial": unary(connections.dial),
        "Offer": unary(connections.offer),
        "Withdraw": unary(connections.withdraw),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("bare.Echo", {"Echo": handler}),
            grpc.method_handlers_generic_handler("bare.Connections", handlers),
        )
    )


if __name__ == "__main__":
    kernel.serve(HANDSHAKE, versions={1: register})
