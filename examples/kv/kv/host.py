"""The host: `python -m kv.host put KEY VALUE` and `python -m kv.host get KEY`.

KV_PLUGIN is the plugin's command, for example the Go one's; without it the plugin is ours.
"""

from __future__ import annotations

import os
import shlex
import sys

import grpc

from doze_sdk.plugin import kernel

from . import HANDSHAKE, VERSION, kv_pb2, kv_pb2_grpc


def main() -> None:
    match sys.argv[1:]:
        case ["get", _] | ["put", _, _]:
            command = shlex.split(os.environ.get("KV_PLUGIN", "")) or [sys.executable, "-m", "kv.plugin"]
        case _:
            sys.exit("usage: kv put KEY VALUE | kv get KEY")
    try:
        with kernel.launch(command, HANDSHAKE, versions={VERSION}) as plugin:
            run(kv_pb2_grpc.KVStub(plugin.channel), *sys.argv[1:])
    except kernel.PluginError as error:
        sys.exit(f"kv: {error}")
    except grpc.RpcError as error:
        sys.exit(f"kv: {error.details()}")


def run(store: kv_pb2_grpc.KVStub, verb: str, key: str, value: str = "") -> None:
    if verb == "get":
        sys.stdout.buffer.write(store.Get(kv_pb2.GetRequest(key=key)).value + b"\n")
    else:
        store.Put(kv_pb2.PutRequest(key=key, value=os.fsencode(value)))


if __name__ == "__main__":
    main()
