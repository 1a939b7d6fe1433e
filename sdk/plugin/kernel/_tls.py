"""AutoMTLS: our certificate in go-plugin's shape, and `ssl` contexts that trust the peer's certificate only.

On the plugin's side, and on the host's:

    identity = generate()
    tls = contexts(identity, peer_from_pem(os.environ["PLUGIN_CLIENT_CERT"]))    # handshake field 6: identity.field
    tls = contexts(identity, peer_from_field(field_6))                           # PLUGIN_CLIENT_CERT: identity.pem

The shape is that of go-plugin's mtls.go, but on P-256 where Go takes P-521: Go verifies any curve, and P-256 is three
times cheaper. It is written as DER here, because importing `cryptography.x509` costs a starting plugin 19 ms.
"""

from __future__ import annotations

import base64
import binascii
import functools
import os
import re
import ssl
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ._errors import CertificateError, MissingExtraError, TransportError
from ._listener import private_folder, remove_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric import ec

#: The name in every AutoMTLS certificate (go-plugin's mtls.go).
NAME: Final = "localhost"

_BEFORE: Final = 30
_AFTER: Final = 262_980 * 3600
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class TLSContexts:
    """The two roles of this process: `server` for accepted connections, `client` for dialled ones."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Identity:
    """Our certificate and its private key, both DER. The key is in memory alone."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(certificate=<{len(self.certificate)} bytes>)"

    @property
    def field(self) -> str:
        """Field 6 of the handshake line: base64 of the certificate, without padding."""
        return base64.b64encode(self.certificate).rstrip(b"=").decode()

    @property
    def pem(self) -> str:
        """The value of `PLUGIN_CLIENT_CERT`."""
        return _pem("CERTIFICATE", self.certificate)


def generate() -> Identity:
    """Return a fresh self-signed identity on P-256.

    Raises:
        MissingExtraError: The package `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise MissingExtraError(
            "making a certificate for AutoMTLS, which the other side asks for: the package cryptography is missing; "
            "pip install doze-sdk[mtls]"
        ) from error

    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.private_numbers()
    public = numbers.public_numbers
    point = b"\x04" + public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big")
    unsigned = _certificate_info(point, time.time())
    signature = _sign(key, unsigned)
    return Identity(
        certificate=_der(0x30, unsigned, _ECDSA_SHA256, _bits(signature)),
        key=_key_info(numbers.private_value, point),
    )


def _sign(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    try:
        return key.sign(content, _algorithm())
    except (AttributeError, TypeError):  # another version may look at more than the documented properties
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return key.sign(content, ec.ECDSA(hashes.SHA256()))


@functools.cache
def _algorithm() -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    class Algorithm(ec.ECDSA):
        """Leaves out the constructor, which imports 10 ms worth of modules to check an option that is not used here."""

        algorithm = hashes.SHA256()
        deterministic_signing = False

        def __init__(self) -> None:
            pass

    return Algorithm()


def peer_from_field(field: str) -> bytes:
    """Return the peer's certificate (DER) from field 6 of the handshake line.

    Raises `CertificateError` if it is not base64 without padding, as Go's RawStdEncoding reads it.
    """
    try:
        if "=" in field:
            raise CertificateError(
                "reading the plugin's certificate, handshake field 6: it must not be padded with '='"
            )
        return base64.b64decode(field + "=" * (-len(field) % 4), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: a character outside ASCII
        raise CertificateError(f"reading the plugin's certificate, handshake field 6: {error}") from error


def peer_from_pem(text: str) -> bytes:
    """Return the peer's certificates (DER, one after another) from the text of `PLUGIN_CLIENT_CERT`.

    Raises `CertificateError` if there is none. Like Go, it takes several and ignores what stands around them.
    """
    found = re.findall(r"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    if not found:
        raise CertificateError(
            f"reading the host's certificate, PLUGIN_CLIENT_CERT: expected a PEM certificate, got {text[:40]!r}"
        )
    try:
        return b"".join(base64.b64decode("".join(body.split()), validate=True) for body in found)
    except (binascii.Error, ValueError) as error:
        raise CertificateError(f"reading the host's certificate, PLUGIN_CLIENT_CERT: {error}") from error


def contexts(identity: Identity, peer: bytes) -> TLSContexts:
    """Return contexts for TLS 1.2 and newer that present `identity` and accept the certificate `peer` alone.

    Raises:
        CertificateError: `peer` cannot be read, is not for `localhost`, or is not valid now: no connection with it
            would succeed.
    """
    server = _context(ssl.PROTOCOL_TLS_SERVER, peer)
    server.num_tickets = 0  # a session is never resumed: each connection proves its certificate
    client = _context(ssl.PROTOCOL_TLS_CLIENT, peer)
    _check(server, peer)
    _present(identity, (server, client))
    return TLSContexts(server=server, client=client)


def _context(role: int, peer: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(role)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # The peer's own certificate is the root, whether it is self-signed or not (crypto/x509 does the same).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Set by Python up to 3.11.3: a connection that was cut off would look like one that was closed.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["h2"])  # grpc-go refuses a peer that does not negotiate it
    try:
        context.load_verify_locations(cadata=peer)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"reading the peer's certificate: {len(peer)} bytes that are no certificate") from error
    return context


def _check(context: ssl.SSLContext, peer: bytes) -> None:
    now = time.gmtime()
    for names, first, last in _named(context) or _leaf(peer):
        if NAME not in names:
            raise CertificateError(
                f"checking the peer's certificate: expected one for {NAME!r}, as go-plugin makes them, got one for "
                f"{', '.join(map(repr, names)) or 'no name'}"
            )
        if not _moment(first) <= now <= _moment(last):
            raise CertificateError(
                f"checking the peer's certificate: it is valid from {first} to {last}, and now it is "
                f"{time.strftime('%b %d %H:%M:%S %Y GMT', now)}; compare the clocks of both sides"
            )


def _named(context: ssl.SSLContext) -> list[tuple[list[str], str, str]]:
    """Names, beginning and end of the certificates that are marked as CA, as go-plugin marks its own."""
    try:
        certificates = context.get_ca_certs()
    except (ssl.SSLError, ValueError) as error:  # ValueError: a name in it is no UTF-8
        raise CertificateError(f"checking the peer's certificate: Python cannot read it: {error}") from error
    found = []
    for certificate in certificates:
        alternatives: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())  # type: ignore[assignment]
        names = [name for kind, name in alternatives if kind == "DNS"]
        found.append((names, str(certificate["notBefore"]), str(certificate["notAfter"])))
    return found


def _leaf(peer: bytes) -> list[tuple[list[str], str, str]]:
    """The same of a certificate that is not, for which `ssl` has no words but in a handshake."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(peer)
        names = [
            name
            for extension in certificate.extensions
            if isinstance(extension.value, x509.SubjectAlternativeName)
            for name in extension.value.get_values_for_type(x509.DNSName)
        ]
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return []  # there are several, or it is malformed: the handshake judges it
    return [(names, _written(certificate.not_valid_before_utc), _written(certificate.not_valid_after_utc))]


def _written(moment: dt.datetime) -> str:
    return f"{_MONTHS[moment.month - 1]} {moment:%d %H:%M:%S %Y} GMT"


def _moment(text: str) -> tuple[int, ...]:
    """Parse OpenSSL's `Nov 21 12:34:27 2026 GMT`; `ssl.cert_time_to_seconds` would import 5 ms worth of modules."""
    try:
        month, day, clock, year, _ = text.split()
        return (int(year), _MONTHS.index(month) + 1, int(day), *map(int, clock.split(":")))
    except ValueError as error:  # OpenSSL writes `Bad time value` for what is none
        raise CertificateError(f"checking the peer's certificate: {text!r} is no date") from error


def _present(identity: Identity, both: tuple[ssl.SSLContext, ...]) -> None:
    text = _pem("EC PRIVATE KEY", identity.key) + identity.pem
    try:
        with _key_file(text.encode()) as path:
            for context in both:
                context.load_cert_chain(path)
    except OSError as error:
        raise TransportError(f"loading our own certificate for AutoMTLS: {error}") from error


@contextmanager
def _key_file(content: bytes) -> Iterator[str]:
    """Yield a path under which `content` can be read, for `load_cert_chain`, which takes nothing else."""
    memory: Callable[[str], int] | None = getattr(os, "memfd_create", None)  # on Linux
    if memory is not None:
        descriptor = memory("doze-mtls")
        try:
            os.write(descriptor, content)
            path = f"/proc/self/fd/{descriptor}"
            if os.access(path, os.R_OK):
                yield path
                return
        finally:
            os.close(descriptor)
    with _private_file(content) as path:
        yield path


@contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    folder = private_folder("doze-mtls")
    path = f"{folder}/key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        yield path
    finally:
        remove_folder(folder)


def _pem(label: str, content: bytes) -> str:
    body = base64.encodebytes(content).decode().replace("\n", "")
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


# --- DER (X.690) of the one certificate (RFC 5280) and the one key (RFC 5915) that are made here ---


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _bits(content: bytes, unused: int = 0) -> bytes:
    return _der(0x03, bytes((unused,)), content)


def _oid(text: str) -> bytes:
    return _der(0x06, bytes.fromhex(text))


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _der(0x30, _oid(oid), _der(0x01, b"\xff") if critical else b"", _der(0x04, value))


_P256: Final = _oid("2a8648ce3d030107")
_ECDSA_SHA256: Final = _der(0x30, _oid("2a8648ce3d040302"))
_SUBJECT: Final = _der(
    0x30,
    _der(0x31, _der(0x30, _oid("55040a"), _der(0x13, b"HashiCorp"))),
    _der(0x31, _der(0x30, _oid("550403"), _der(0x13, NAME.encode()))),
)
_EXTENSIONS: Final = b"".join(
    (
        # digitalSignature, keyEncipherment, keyAgreement, keyCertSign
        _extension("551d0f", _bits(b"\xac", unused=2), critical=True),
        # clientAuth, serverAuth: brokered connections swap the roles
        _extension("551d25", _der(0x30, _oid("2b06010505070302"), _oid("2b06010505070301"))),
        _extension("551d13", _der(0x30, _der(0x01, b"\xff")), critical=True),
        _extension("551d11", _der(0x30, _der(0x82, NAME.encode()))),
    )
)


def _certificate_info(point: bytes, now: float) -> bytes:
    serial = (os.urandom(1)[0] & 0x7F | 0x40).to_bytes(1, "big") + os.urandom(15)
    return _der(
        0x30,
        _der(0xA0, _der(0x02, b"\x02")),  # version 3
        _der(0x02, serial),
        _ECDSA_SHA256,
        _SUBJECT,
        _der(0x30, _time(now - _BEFORE), _time(now + _AFTER)),
        _SUBJECT,
        _der(0x30, _der(0x30, _oid("2a8648ce3d0201"), _P256), _bits(point)),
        _der(0xA3, _der(0x30, _EXTENSIONS)),
    )


def _time(seconds: float) -> bytes:
    moment = time.gmtime(seconds)
    if moment.tm_year < 2050:  # RFC 5280, 4.1.2.5
        return _der(0x17, time.strftime("%y%m%d%H%M%SZ", moment).encode())
    return _der(0x18, time.strftime("%Y%m%d%H%M%SZ", moment).encode())


def _key_info(secret: int, point: bytes) -> bytes:
    number = secret.to_bytes(32, "big")
    return _der(0x30, _der(0x02, b"\x01"), _der(0x04, number), _der(0xA0, _P256), _der(0xA1, _bits(point)))
