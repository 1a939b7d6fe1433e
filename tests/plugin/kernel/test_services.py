"""go-plugin's own services on the wire: health, controller, reflection, and the codecs of all five."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, strategies as st

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel import _codec
from doze_sdk.plugin.kernel._codec import ConnInfo, Knock, MalformedMessageError, StdioData
from tests.plugin.kernel.conftest import PATIENCE, Launch, until

if TYPE_CHECKING:
    from google.protobuf.message import Message

FIELD = descriptor_pb2.FieldDescriptorProto


def reference_messages() -> dict[str, type[Message]]:
    """go-plugin's messages as protobuf itself has them, from their published field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="reference.proto", package="r", syntax="proto3")
    shapes = {
        "Knock": [("knock", 1, FIELD.TYPE_BOOL), ("ack", 2, FIELD.TYPE_BOOL), ("error", 3, FIELD.TYPE_STRING)],
        "ConnInfo": [
            ("service_id", 1, FIELD.TYPE_UINT32),
            ("network", 2, FIELD.TYPE_STRING),
            ("address", 3, FIELD.TYPE_STRING),
            ("knock", 4, FIELD.TYPE_MESSAGE),
        ],
        "StdioData": [("channel", 1, FIELD.TYPE_INT32), ("data", 2, FIELD.TYPE_BYTES)],
        "HealthCheckRequest": [("service", 1, FIELD.TYPE_STRING)],
        "HealthCheckResponse": [("status", 1, FIELD.TYPE_INT32)],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            made = message.field.add(name=field, number=number, type=kind, label=FIELD.LABEL_OPTIONAL)
            if kind == FIELD.TYPE_MESSAGE:
                made.type_name = ".r.Knock"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"r.{name}")) for name in shapes}


REFERENCE: dict[str, Any] = reference_messages()
texts = st.text(st.characters(codec="utf-8"))
knocks = st.none() | st.builds(Knock, knock=st.booleans(), ack=st.booleans(), error=texts)
infos = st.builds(ConnInfo, st.integers(0, 2**32 - 1), texts, texts, knocks)


@given(infos)
def test_connection_infos_are_protobufs_own(info: ConnInfo) -> None:
    message = REFERENCE["ConnInfo"](service_id=info.service_id, network=info.network, address=info.address)
    if info.knock is not None:
        message.knock.SetInParent()
        message.knock.knock, message.knock.ack, message.knock.error = info.knock

    assert _codec.decode_conn_info(message.SerializeToString()) == info
    assert REFERENCE["ConnInfo"].FromString(_codec.encode_conn_info(info)) == message


@given(st.builds(StdioData, st.integers(0, 2), st.binary()))
def test_output_is_protobufs_own(item: StdioData) -> None:
    message = REFERENCE["StdioData"](channel=item.channel, data=item.data)

    assert _codec.decode_stdio_data(message.SerializeToString()) == item
    assert REFERENCE["StdioData"].FromString(_codec.encode_stdio_data(item)) == message


@given(texts, st.integers(0, 3))
def test_health_messages_are_protobufs_own(service: str, status: int) -> None:
    request = REFERENCE["HealthCheckRequest"](service=service)
    response = REFERENCE["HealthCheckResponse"](status=status)

    assert _codec.decode_health_request(request.SerializeToString()) == service
    assert REFERENCE["HealthCheckRequest"].FromString(_codec.encode_health_request(service)) == request
    assert _codec.decode_health_response(response.SerializeToString()) == status
    assert REFERENCE["HealthCheckResponse"].FromString(_codec.encode_health_response(status)) == response


@given(infos)
def test_fields_of_later_versions_are_passed_over(info: ConnInfo) -> None:
    later = b"\x78\x05" + b"\x7a\x03abc" + b"\x79" + bytes(8) + b"\x7d" + bytes(4)

    assert _codec.decode_conn_info(_codec.encode_conn_info(info) + later) == info


@given(st.binary())
def test_bytes_that_are_no_message_raise_one_error(data: bytes) -> None:
    for decode in (_codec.decode_conn_info, _codec.decode_stdio_data, _codec.decode_health_request):
        try:
            decode(data)
        except MalformedMessageError as error:
            assert str(error)


@pytest.mark.parametrize(
    "data", [b"\x08", b"\x0a\x05ab", b"\x08" + b"\xff" * 11, b"\x0b", b"\x12\x01\xff", b"\x22\x02\x1a\x09", b"\x09\x00"]
)
def test_a_message_that_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        _codec.decode_conn_info(data)


def health(call: Any, service: str) -> int:
    check = call.plugin.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=_codec.encode_health_request,
        response_deserializer=_codec.decode_health_response,
    )
    status: int = check(service, timeout=PATIENCE)
    return status


@pytest.mark.parametrize("service", ["plugin", ""])
def test_the_plugin_is_healthy(start: Launch, service: str) -> None:
    assert health(start(), service) == _codec.SERVING


def test_no_other_service_is_known_to_be_healthy(start: Launch) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health(start(), "proto.KV")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_watchers_hear_the_beginning_and_the_end(start: Launch) -> None:
    call = start("--workers", "1")
    heard: dict[int, list[int]] = {0: [], 1: [], 2: []}
    watch = call.plugin.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=_codec.encode_health_request,
        response_deserializer=_codec.decode_health_response,
    )
    streams = [watch("plugin"), watch("plugin"), watch("unknown")]

    def listen(number: int) -> None:
        with contextlib.suppress(grpc.RpcError):
            heard[number].extend(streams[number])

    threads = [threading.Thread(target=listen, args=(number,)) for number in heard]
    for thread in threads:
        thread.start()
    until(lambda: all(heard.values()), "the first status")
    assert call("Echo", b"x") == b"x"
    call.plugin.kill()
    for thread in threads:
        thread.join(PATIENCE)

    assert heard[0] == heard[1] == [_codec.SERVING, _codec.NOT_SERVING]
    assert heard[2] == [_codec.SERVICE_UNKNOWN]


def test_shutdown_is_answered_before_the_plugin_ends(start: Launch) -> None:
    call = start()
    shutdown = call.plugin.channel.unary_unary("/plugin.GRPCController/Shutdown")

    assert shutdown(b"", timeout=PATIENCE) == b""
    assert call.plugin.wait(PATIENCE)
    assert call.plugin.exit_code == 0


def test_a_malformed_message_of_the_host_does_not_end_the_plugin(start: Launch) -> None:
    call = start()
    stream = call.plugin.channel.stream_stream("/plugin.GRPCBroker/StartStream")(
        iter([b"\x0a\x05ab"]), timeout=PATIENCE
    )
    with pytest.raises(grpc.RpcError):
        list(stream)

    assert call("Echo", b"x") == b"x"


def test_an_exception_of_a_handler_is_a_status_and_a_record(start: Launch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR", "doze_sdk.plugin"):
        call = start()
        with pytest.raises(grpc.RpcError) as caught:
            call("Fail", b"no such key")
        until(lambda: caplog.records, "the record")

    assert "no such key" in str(caught.value.details())
    assert "no such key" in caplog.records[0].getMessage()
    assert call("Echo", b"x") == b"x"


def test_reflection_lists_and_describes_what_is_served() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="kv.proto", package="kv", syntax="proto3")
    file.message_type.add(name="Get").nested_type.add(name="Option")
    file.service.add(name="KV").method.add(name="Get", input_type=".kv.Get", output_type=".kv.Get")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindFileByName("kv.proto")

    def register(server: grpc.Server, _broker: kernel.Broker) -> None:
        kernel.add_reflection(server, descriptor)

    with kernel.serve_test(versions={1: register}) as served, kernel.reattach(served.reattach_config()) as plugin:
        for version in ("v1", "v1alpha"):
            method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
            ask = plugin.channel.stream_stream(method)
            requests = [
                b"\x3a\x00",
                b"\x22\x06kv.Get",
                b"\x22\x0dkv.Get.Option",
                b"\x1a\x08kv.proto",
                b"\x22\x02no",
                b"\x32\x06kv.Get",
            ]
            answers = list(ask(iter(requests), timeout=PATIENCE))

            assert b"kv.KV" in answers[0]
            assert all(descriptor.serialized_pb in answer for answer in answers[1:4])
            assert b"symbol 'no' is not known here" in answers[4].replace(b"b'", b"'")
            assert answers[5].endswith(b"\x2a\x08\x0a\x06kv.Get")
