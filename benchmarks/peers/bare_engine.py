"""One method of the engine contract on bare gRPC: what `Driver.backend_socket` costs without the SDK around it."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from doze_sdk.plugin._proto import dozeplugin_v1_pb2 as pb


def backend_socket(request: pb.BackendSocketRequest, _context: grpc.ServicerContext) -> pb.BackendSocketResponse:
    return pb.BackendSocketResponse(path=str(Path(request.socket_dir) / f"s.{request.port}"))


server = grpc.server(ThreadPoolExecutor(4))
handler = grpc.unary_unary_rpc_method_handler(
    backend_socket,
    request_deserializer=pb.BackendSocketRequest.FromString,
    response_serializer=pb.BackendSocketResponse.SerializeToString,
)
handlers = grpc.method_handlers_generic_handler("dozeplugin.v1.Engine", {"BackendSocket": handler})
server.add_generic_rpc_handlers((handlers,))
path = os.path.join(tempfile.mkdtemp(), "s")
server.add_insecure_port(f"unix:{path}")
server.start()
print(f"1|1|unix|{path}|grpc|", flush=True)
server.wait_for_termination()
