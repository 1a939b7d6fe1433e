"""What the host sends to the proxy filter for one client: the connection itself and how to treat it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import json
import os
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_LIMIT = 64 * 1024
"""Bytes of the header; a host that needs more speaks another protocol."""

PATIENCE = 10.0
"""Seconds within which a host that has connected must have handed its client over."""

# Linux passes at most 253 descriptors with a message; with room for all of them a surplus is seen and can be closed.
_MOST_DESCRIPTORS = 253

_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class WireError(EngineError):
    """A hand-off that cannot be served; the text goes to the host's log."""


class GoneError(Exception):
    """The host or the client left, so nobody is there to be told anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """A client's connection with the host's wishes.

    Attributes:
        certificate: the server's leaf certificate, DER; empty without a `tls` block.
        key: its private key, PKCS #8 DER.

    """

    client: socket.socket
    require_tls: bool
    local_unix: bool
    certificate: bytes = b""
    key: bytes = b""


def receive(side: socket.socket) -> Handoff:
    """Read the header and the descriptor from the host's connection *side*.

    The header has no terminator: it is complete when it parses, and the host then waits.

    Raises:
        WireError: it is not a hand-off. Every descriptor that came is closed.
        GoneError: the host closed the connection first.

    """
    descriptors: list[int] = []
    try:
        fields = _read_header(side, descriptors)
        if len(descriptors) != 1:
            raise WireError(f"receiving a client: expected one file descriptor, got {len(descriptors)}")
        return _handoff(fields, descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _read_header(side: socket.socket, descriptors: list[int]) -> dict[str, object]:
    data = b""
    side.settimeout(PATIENCE)
    while len(data) <= HEADER_LIMIT:
        try:
            chunk, received, _, _ = socket.recv_fds(
                side, HEADER_LIMIT + 1 - len(data), _MOST_DESCRIPTORS, _CLOSE_ON_EXEC
            )
        except TimeoutError:
            raise WireError(
                f"receiving a client: the header is not complete after {PATIENCE:.0f} s and {len(data)} bytes"
            ) from None
        except OSError as error:
            raise GoneError from error
        descriptors += received
        for descriptor in received:
            os.set_inheritable(descriptor, False)
        data += chunk
        if not chunk:
            raise GoneError
        fields = _parse(data)
        if fields is not None:
            side.settimeout(None)
            return fields
    raise WireError(f"receiving a client: the header has more than {HEADER_LIMIT} bytes")


def _parse(data: bytes) -> dict[str, object] | None:
    """Return the header, or None while it may still be incomplete."""
    text = data.decode("utf-8", "replace").strip()
    if text and not text.startswith("{"):
        raise WireError(f"receiving a client: expected a JSON object, got {text[:40]!r}")
    try:
        fields, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        return None
    except RecursionError:
        raise WireError("receiving a client: the header is nested too deep") from None
    if text[end:]:
        raise WireError(f"receiving a client: {text[end:][:40]!r} follows the header")
    assert isinstance(fields, dict)  # a JSON text that starts with a brace
    return fields


def _handoff(fields: dict[str, object], descriptors: list[int]) -> Handoff:
    certificate, key = _blob(fields, "tls_cert"), _blob(fields, "tls_key")
    if bool(certificate) != bool(key):
        raise WireError("receiving a client: tls_cert and tls_key come together or not at all")
    flags = {name: _flag(fields, name) for name in ("require_tls", "local_unix")}
    try:
        client = socket.socket(fileno=descriptors[0])
    except OSError as error:
        raise WireError(f"receiving a client: the file descriptor is no socket: {error.strerror}") from None
    del descriptors[0]
    if client.type != socket.SOCK_STREAM:
        client.close()
        raise WireError("receiving a client: the file descriptor is no stream socket")
    return Handoff(client=client, certificate=certificate, key=key, **flags)


def _flag(fields: dict[str, object], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise WireError(f"receiving a client: {name}: expected a boolean, got {value!r}")
    return value


def _blob(fields: dict[str, object], name: str) -> bytes:
    value = fields.get(name) or ""
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except binascii.Error:
        pass
    raise WireError(f"receiving a client: {name}: expected base64")


class ServerContext(ssl.SSLContext):
    """A server context that remembers the connection that the running thread wrapped last.

    A driver that wraps its client and then raises has the only reference to the wrapped socket; without it the error
    could not be told to the client, and the socket would be closed whenever its traceback is forgotten.
    """

    _local = threading.local()

    def wrap_socket(self, *args: object, **kwargs: object) -> ssl.SSLSocket:
        wrapped = super().wrap_socket(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        self._local.wrapped = wrapped
        return wrapped

    @classmethod
    def take_wrapped(cls) -> ssl.SSLSocket | None:
        """Return what this thread wrapped since the last call, or None."""
        wrapped = getattr(cls._local, "wrapped", None)
        cls._local.wrapped = None
        return wrapped


@functools.lru_cache(maxsize=4)
def server_context(certificate: bytes, key: bytes) -> ServerContext:
    """Return a server context for a leaf certificate and its PKCS #8 key, both DER.

    Raises:
        WireError: they are not what they should be, or do not belong together.

    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    with _nameless(_pem("CERTIFICATE", certificate)) as chain, _nameless(_pem("PRIVATE KEY", key)) as private:
        try:
            context.load_cert_chain(chain, private)
        except OSError as error:
            raise WireError(f"reading the host's certificate and key: {error}") from None
    return context


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label.encode(), lines, label.encode())


@contextlib.contextmanager
def _nameless(data: bytes) -> Iterator[str]:
    """Yield a path under which *data* can be opened once, for `ssl`, which takes files alone.

    On Linux it lives in memory; elsewhere in a file that is unlinked before anything is written to it.
    """
    with (
        os.fdopen(os.memfd_create("doze-wire"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()
    ) as file:
        file.write(data)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
