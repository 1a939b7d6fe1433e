"""Generated modules in pools of their own: contracts that would collide live in one process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pool

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel import protobuf
from tests.plugin.kernel.conftest import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

KV = """
syntax = "proto3";
package proto;
import "google/protobuf/timestamp.proto";
import "google/protobuf/empty.proto";
message GetRequest { string key = 1; }
message GetResponse { bytes value = 1; google.protobuf.Timestamp written = 2; }
service KV {
  rpc Get(GetRequest) returns (GetResponse);
  rpc Clear(google.protobuf.Empty) returns (google.protobuf.Empty);
}
"""
OTHER = """
syntax = "proto3";
package proto;
message GetRequest { repeated int64 number = 1; }
message GetResponse { map<string, double> values = 1; }
service KV { rpc Get(GetRequest) returns (stream GetResponse); }
"""


def generate(folder: Path, **files: str) -> Path:
    """Run protoc."""
    from grpc_tools import protoc

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.proto"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        include = protoc._get_resource_file_name("grpc_tools", "_proto")
        arguments = [f"-I{folder}", f"-I{include}", f"--python_out={folder}", f"--grpc_python_out={folder}", str(path)]
        assert protoc.main(["protoc", *arguments]) == 0
    return folder


def test_two_contracts_with_the_same_file_package_and_names_live_in_one_process(tmp_path: Path) -> None:
    acme_pb2, acme_grpc = protobuf.load("kv_pb2", "kv_pb2_grpc", folder=generate(tmp_path / "acme", kv=KV))
    other_pb2, other_grpc = protobuf.load("kv_pb2", "kv_pb2_grpc", folder=generate(tmp_path / "other", kv=OTHER))

    assert acme_pb2.GetRequest(key="x").SerializeToString() == b"\x0a\x01x"
    assert other_pb2.GetRequest(number=[1]).SerializeToString() == b"\x0a\x01\x01"
    assert acme_grpc.KVServicer is not other_grpc.KVServicer


def test_a_contract_is_served_and_called_from_such_a_pool(tmp_path: Path) -> None:
    kv_pb2, kv_grpc, timestamp_pb2 = protobuf.load(
        "kv_pb2", "kv_pb2_grpc", "google.protobuf.timestamp_pb2", folder=generate(tmp_path / "acme", kv=KV)
    )

    class Servicer(kv_grpc.KVServicer):  # type: ignore[misc, name-defined]  # made at run time
        def Get(self, request: Any, _context: object) -> object:  # noqa: N802  (as generated)
            return kv_pb2.GetResponse(value=request.key.encode(), written=timestamp_pb2.Timestamp(seconds=5))

    def register(server: object, _broker: object) -> None:
        kv_grpc.add_KVServicer_to_server(Servicer(), server)

    with kernel.serve_test(versions={1: register}) as served, kernel.reattach(served.reattach_config()) as plugin:
        answer = kv_grpc.KVStub(plugin.channel).Get(kv_pb2.GetRequest(key="x"), timeout=PATIENCE)

    assert (answer.value, answer.written.ToJsonString()) == (b"x", "1970-01-01T00:00:05Z")


def test_the_global_pool_and_the_loaded_modules_stay_as_they_were(tmp_path: Path) -> None:
    before = set(sys.modules)
    protobuf.load("kv_pb2", folder=generate(tmp_path / "acme", kv=KV))

    assert not {name for name in set(sys.modules) - before if "kv" in name}
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("kv.proto")


def test_modules_of_packages_and_those_that_they_import_share_a_pool(tmp_path: Path) -> None:
    common = 'syntax = "proto3"; package acme; message Key { string name = 1; }'
    store = (
        'syntax = "proto3"; package acme; import "acme/v1/common.proto"; message Get { Key key = 1; }'
        "service Store { rpc Fetch(Get) returns (Key); }"
    )
    folder = generate(tmp_path / "gen", acme__v1__common=common, acme__v1__store=store)
    store_pb2, common_pb2, _ = protobuf.load(
        "acme.v1.store_pb2", "acme.v1.common_pb2", "acme.v1.store_pb2_grpc", folder=folder
    )

    assert store_pb2.Get(key=common_pb2.Key(name="x")).key.name == "x"


def test_a_folder_that_is_called_like_a_keyword_is_no_obstacle(tmp_path: Path) -> None:
    """protoc writes `importlib.import_module` then, because `import` would be a syntax error."""
    key = 'syntax = "proto3"; package acme; message Key { string name = 1; }'
    get = 'syntax = "proto3"; package acme; import "async/key.proto"; message Get { Key key = 1; }'
    folder = generate(tmp_path / "gen", async__key=key, get=get)
    get_pb2, key_pb2 = protobuf.load("get_pb2", "async.key_pb2", folder=folder)

    assert get_pb2.Get(key=key_pb2.Key(name="x")).key.name == "x"
    assert "async.key_pb2" not in sys.modules


def test_modules_on_the_search_path_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(generate(tmp_path / "acme", found=KV))
    (found_pb2,) = protobuf.load("found_pb2")

    assert found_pb2.GetRequest(key="x").key == "x"
    assert "found_pb2" not in sys.modules


def test_relative_imports_of_generated_code_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = generate(tmp_path / "pkg", kv=KV)
    (folder / "__init__.py").touch()
    grpc_module = folder / "kv_pb2_grpc.py"
    grpc_module.write_text(grpc_module.read_text().replace("import kv_pb2 as", "from . import kv_pb2 as"))
    monkeypatch.syspath_prepend(tmp_path)
    kv_pb2, kv_grpc = protobuf.load("pkg.kv_pb2", "pkg.kv_pb2_grpc")

    assert kv_grpc.kv__pb2 is kv_pb2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_pb2", "there is no such module below"),
        ("no.such_pb2", "there is no such module below"),
        (".kv_pb2", "there is no such module below"),
        ("os", "expected a generated module"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_named(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(kernel.PluginError, match=words):
        protobuf.load(name, folder=generate(tmp_path, kv=KV))


@pytest.mark.parametrize("name", ["no.such_pb2", ".such_pb2", "no..such_pb2"])
def test_a_module_that_is_not_on_the_search_path_is_named(name: str) -> None:
    with pytest.raises(kernel.PluginError, match="among the modules that can be imported; run protoc first"):
        protobuf.load(name)
