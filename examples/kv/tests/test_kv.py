"""Host and plugin as a person uses them: commands in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from kv import HANDSHAKE, VERSION, kv_pb2, kv_pb2_grpc

from doze_sdk.plugin import kernel

ROOT = Path(__file__).parents[1]
PLUGIN = [sys.executable, "-m", "kv.plugin"]


def kv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "kv.host", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with kernel.launch(PLUGIN, HANDSHAKE, versions={VERSION}, cwd=tmp_path) as plugin:
        yield kv_pb2_grpc.KVStub(plugin.channel)


def test_what_one_command_puts_the_next_one_gets(tmp_path: Path):
    put = kv(tmp_path, "put", "hello", "world")
    got = kv(tmp_path, "get", "hello")

    assert (put.returncode, put.stdout, put.stderr) == (0, b"", b"")
    assert (got.returncode, got.stdout, got.stderr) == (0, b"world\n", b"")


def test_a_missing_value_is_one_sentence_on_stderr(tmp_path: Path):
    got = kv(tmp_path, "get", "nothing")

    assert got.returncode == 1
    assert got.stderr == b"kv: there is no value for 'nothing'\n"


def test_a_value_is_bytes_of_any_kind_and_length(store: kv_pb2_grpc.KVStub):
    value = bytes(range(256)) * 40_000

    store.Put(kv_pb2.PutRequest(key="blob", value=value))

    assert store.Get(kv_pb2.GetRequest(key="blob")).value == value


@pytest.mark.parametrize("key", ["", "../escape", "a\0b"])
def test_a_key_that_cannot_be_part_of_a_file_name_is_refused(store: kv_pb2_grpc.KVStub, key: str):
    with pytest.raises(grpc.RpcError) as caught:
        store.Put(kv_pb2.PutRequest(key=key, value=b""))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_plugin_run_by_hand_says_what_it_is(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(PLUGIN, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300)

    assert done.returncode == 1
    assert b"This binary is a plugin" in done.stderr


def test_a_wrong_command_line_is_told_before_a_plugin_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KV_PLUGIN", "/no/such/plugin")
    asked = kv(tmp_path, "put", "hello")
    assert asked.returncode == 1
    assert asked.stderr == b"usage: kv put KEY VALUE | kv get KEY\n"
