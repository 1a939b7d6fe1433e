# ruff: noqa: N802  (gRPC names the methods)
"""The service: each value is a file of the folder in which the plugin was started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from . import kv_pb2, kv_pb2_grpc

if TYPE_CHECKING:
    from doze_sdk.plugin import kernel


class KV(kv_pb2_grpc.KVServicer):
    def Get(self, request: kv_pb2.GetRequest, context: grpc.ServicerContext) -> kv_pb2.GetResponse:
        try:
            return kv_pb2.GetResponse(value=_file(request.key, context).read_bytes())
        except FileNotFoundError:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no value for {request.key!r}")

    def Put(self, request: kv_pb2.PutRequest, context: grpc.ServicerContext) -> kv_pb2.Empty:
        _file(request.key, context).write_bytes(request.value)
        return kv_pb2.Empty()


def _file(key: str, context: grpc.ServicerContext) -> Path:
    if not key or "/" in key or "\0" in key:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"a key is the end of a file's name, which {key!r} cannot be")
    return Path(f"kv_{key}")


def register(server: grpc.Server, _broker: kernel.Broker) -> None:
    """Add the service to the server; the broker is for further connections, which this contract does not need."""
    kv_pb2_grpc.add_KVServicer_to_server(KV(), server)
