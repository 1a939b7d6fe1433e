"""The handshake line: the first line on a plugin's stdout, by which it says how to reach it.

``1|<app version>|<network>|<address>|grpc|<certificate>[|<multiplexed>]``
"""

from __future__ import annotations

from typing import NamedTuple

from ._errors import CertificateError, HandshakeError, IncompatibleVersionError, UnsupportedPluginError, shortened
from ._handshake import CORE_PROTOCOL_VERSION
from ._listener import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_LONGEST_NUMBER = 19  # digits of Go's int; Python itself refuses to read several thousand
_SHORTEST_CERTIFICATE = 50  # a Go host ignores anything shorter in the sixth field


class Announcement(NamedTuple):
    """The fields of a handshake line."""

    version: int
    address: Address
    certificate: str = ""
    multiplex: bool | None = None

    def line(self) -> bytes:
        """The line as a plugin writes it. The seventh field stands there only if the host has named multiplexing."""
        fields = [
            str(CORE_PROTOCOL_VERSION),
            str(self.version),
            self.address.network,
            self.address.address,
            "grpc",
            self.certificate,
        ]
        if self.multiplex is not None:
            fields.append("true" if self.multiplex else "false")
        return "|".join(fields).encode() + b"\n"


class Expectation(NamedTuple):
    """What a host must find in a handshake line."""

    versions: Collection[int]
    auto_mtls: bool = False
    multiplex: bool = False


def parse(line: bytes, expected: Expectation) -> Announcement:
    """Read the first line of a plugin's stdout as `expected`.

    Raises:
        HandshakeError: The subclass and its sentence say what is wrong with the line.
    """
    text = shown(line)
    fields = line.decode("utf-8", "replace").strip().split("|")
    if len(fields) < 4 or not _is_number(fields[0]):
        raise HandshakeError(
            f"cannot understand the plugin: the first line on its stdout must be a handshake such as "
            f"'1|1|unix|/tmp/plugin123|grpc|', got {text!r}; nothing may print to stdout before the plugin serves "
            "(print to stderr, or log), and the program must be a go-plugin plugin for this machine",
            line=text,
        )
    _check_core(fields[0], text)
    version = _app_version(fields[1], expected.versions, text)
    address = _address(fields[2], fields[3], text)
    _check_protocol(fields[4] if len(fields) > 4 else "", text)
    return Announcement(
        version,
        address,
        _certificate(fields[5] if len(fields) > 5 else "", expected, text),
        _multiplex(fields[6] if len(fields) > 6 else None, expected, text),
    )


def shown(line: bytes) -> str:
    """A line of unknown content, short enough for a message."""
    return shortened(line.decode("utf-8", "backslashreplace").strip(), 200)


def _is_number(field: str) -> bool:
    return len(field) <= _LONGEST_NUMBER and field.isascii() and field.isdecimal()


def _is_plain(address: str) -> bool:
    """Whether gRPC connects to just this: it cuts a name short at a NUL, and what was no UTF-8 has been replaced."""
    return "\ufffd" not in address and all(character >= " " and character != "\x7f" for character in address)


def _check_core(field: str, line: str) -> None:
    if int(field) != CORE_PROTOCOL_VERSION:
        raise IncompatibleVersionError(
            f"cannot talk to the plugin: it speaks version {field} of go-plugin's own protocol, this host speaks "
            f"{CORE_PROTOCOL_VERSION}; upgrade the older of the two",
            line=line,
        )


def _app_version(field: str, versions: Collection[int], line: str) -> int:
    if not _is_number(field.removeprefix("-")):
        raise HandshakeError(
            "cannot understand the plugin: the second field of its handshake must be a version number, got "
            f"{shortened(field)!r} in {line!r}",
            line=line,
        )
    version = int(field)
    if version not in versions:
        spoken = ", ".join(map(str, sorted(versions)))
        raise IncompatibleVersionError(
            f"incompatible API version with plugin. Plugin version: {version}, Client versions: [{spoken}]; "
            f"upgrade the {'host' if version > max(versions) else 'plugin'}",
            line=line,
        )
    return version


def _address(network: str, address: str, line: str) -> Address:
    plain = _is_plain(address)
    if network == "unix" and address and plain:
        return Address(network, address)
    if network == "tcp" and plain:
        host, _, port = address.rpartition(":")
        if host and _is_number(port) and int(port) <= 0xFFFF:
            return Address(network, address)
    raise HandshakeError(
        f"cannot reach the plugin: its handshake must name 'unix' and a path or 'tcp' and host:port, got "
        f"{shortened(network)!r} and {shortened(address)!r}",
        line=line,
    )


def _check_protocol(protocol: str, line: str) -> None:
    protocol = protocol or "netrpc"  # go-plugin's default from before it knew gRPC
    if protocol != "grpc":
        raise UnsupportedPluginError(
            f"unsupported plugin protocol {shortened(protocol)!r}. Supported: [grpc]; this host speaks gRPC alone, so "
            "the plugin has to be built with a gRPC server",
            line=line,
        )


def _certificate(field: str, expected: Expectation, line: str) -> str:
    certificate = field if len(field) > _SHORTEST_CERTIFICATE else ""
    if certificate and not expected.auto_mtls:
        raise CertificateError(
            "the plugin answers with a certificate, but this host did not ask for AutoMTLS; it was probably started "
            "with PLUGIN_CLIENT_CERT left over from another host",
            line=line,
        )
    if expected.auto_mtls and not certificate:
        raise CertificateError(
            "this host asked for AutoMTLS, but the plugin did not answer with a certificate; launch it without "
            "auto_mtls, or use a plugin that supports AutoMTLS",
            line=line,
        )
    return certificate


def _multiplex(field: str | None, expected: Expectation, line: str) -> bool | None:
    multiplex = None if field is None else field in _TRUE
    if expected.multiplex and not multiplex:
        hint = "; rebuild it with go-plugin 1.6 or later" if field is None else ""
        raise UnsupportedPluginError(
            f"this host asked for a multiplexed broker, but the plugin does not support it{hint}, or launch it without "
            "multiplex",
            line=line,
        )
    return multiplex
