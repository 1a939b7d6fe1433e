"""The messages of go-plugin's own five services, encoded and decoded by hand.

Generated modules for them would put ``plugin/grpc_stdio.proto`` and the like into protobuf's one global pool, where any
other library that speaks go-plugin puts them too.
"""

from __future__ import annotations

from typing import NamedTuple

_VARINT, _BYTES = 0, 2

STDOUT, STDERR = 1, 2
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class MalformedMessageError(ValueError):
    """Bytes that are no protobuf message. gRPC turns it into a status."""


class Knock(NamedTuple):
    """Asks to open, or acknowledges, a brokered connection inside a multiplexed one."""

    knock: bool = False
    ack: bool = False
    error: str = ""


class ConnInfo(NamedTuple):
    """Where a brokered connection is accepted."""

    service_id: int
    network: str = ""
    address: str = ""
    knock: Knock | None = None


class StdioData(NamedTuple):
    """What a plugin wrote to stdout (channel 1) or stderr (channel 2)."""

    channel: int
    data: bytes


def encode_empty(_message: None) -> bytes:
    return b""


def decode_empty(_data: bytes) -> bytes:
    return b"empty"  # gRPC drops a call whose message decodes to None


def encode_conn_info(info: ConnInfo) -> bytes:
    data = number_field(1, info.service_id) + text_field(2, info.network) + text_field(3, info.address)
    if info.knock is not None:
        knock = number_field(1, info.knock.knock) + number_field(2, info.knock.ack) + text_field(3, info.knock.error)
        data += bytes_field(4, knock)
    return data


def decode_conn_info(data: bytes) -> ConnInfo:
    info = ConnInfo(0)
    for field, value in fields(data):
        if field == 1 and isinstance(value, int):
            info = info._replace(service_id=value & 0xFFFFFFFF)
        elif field == 2 and isinstance(value, bytes):
            info = info._replace(network=decode_text(value))
        elif field == 3 and isinstance(value, bytes):
            info = info._replace(address=decode_text(value))
        elif field == 4 and isinstance(value, bytes):
            info = info._replace(knock=_decode_knock(value))
    return info


def encode_stdio_data(item: StdioData) -> bytes:
    return number_field(1, item.channel) + bytes_field(2, item.data)


def decode_stdio_data(data: bytes) -> StdioData:
    channel, payload = 0, b""
    for field, value in fields(data):
        if field == 1 and isinstance(value, int):
            channel = value
        elif field == 2 and isinstance(value, bytes):
            payload = value
    return StdioData(channel, payload)


def encode_health_request(service: str) -> bytes:
    return text_field(1, service)


def decode_health_request(data: bytes) -> str:
    return next((decode_text(value) for field, value in fields(data) if field == 1 and isinstance(value, bytes)), "")


def encode_health_response(status: int) -> bytes:
    return number_field(1, status)


def decode_health_response(data: bytes) -> int:
    return next((value for field, value in fields(data) if field == 1 and isinstance(value, int)), 0)


def _decode_knock(data: bytes) -> Knock:
    knock = Knock()
    for field, value in fields(data):
        if field == 1 and isinstance(value, int):
            knock = knock._replace(knock=bool(value))
        elif field == 2 and isinstance(value, int):
            knock = knock._replace(ack=bool(value))
        elif field == 3 and isinstance(value, bytes):
            knock = knock._replace(error=decode_text(value))
    return knock


def decode_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessageError("a string field is not UTF-8") from error


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(field: int, number: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(number) if number else b""


def bytes_field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def text_field(field: int, text: str) -> bytes:
    return bytes_field(field, text.encode()) if text else b""


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise MalformedMessageError("the message ends inside a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise MalformedMessageError("a number has more than ten bytes")


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value: int | bytes
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
            case 1:
                value, at = data[at : at + 8], at + 8
            case 2:
                length, at = _read_varint(data, at)
                value, at = data[at : at + length], at + length
            case 5:
                value, at = data[at : at + 4], at + 4
            case kind:
                raise MalformedMessageError(f"wire type {kind} is not used by these messages")
        if at > len(data):
            raise MalformedMessageError("the message ends inside a field")
        found.append((tag >> 3, value))
    return found
