"""The least that a Python plugin can be: gRPC, generated messages, one handler, a unix socket, the handshake line."""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bare_pb2

workers = int(sys.argv[1]) if sys.argv[1:] else 4
server = grpc.server(ThreadPoolExecutor(workers))
handler = grpc.unary_unary_rpc_method_handler(
    lambda request, _context: request,
    request_deserializer=bare_pb2.Note.FromString,
    response_serializer=bare_pb2.Note.SerializeToString,
)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Echo", {"Echo": handler}),))
path = os.path.join(tempfile.mkdtemp(), "s")
server.add_insecure_port(f"unix:{path}")
server.start()
print(f"1|1|unix|{path}|grpc|", flush=True)
server.wait_for_termination()
