"""Peers as other implementations make them: certificates of any curve, and plain TLS connections."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@dataclass(frozen=True)
class Certificate:
    der: bytes
    pem: str
    key_pem: bytes

    def context(self, role: int, trusted: bytes | None, folder: Path) -> ssl.SSLContext:
        """A context that presents this certificate and accepts `trusted`, or anything if that is None."""
        context = ssl.SSLContext(role)
        if trusted is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=trusted)
        path = folder / f"{id(self)}.pem"
        path.write_bytes(self.key_pem + self.pem.encode())
        context.load_cert_chain(path)
        path.unlink()
        return context


def certificate(
    curve: str = "P-521", *, name: str = "localhost", starts: float = -30.0, ends: float = 3600.0, ca: bool = True
) -> Certificate:
    """What go-plugin's generateCert makes, or a variation; `starts` and `ends` are seconds from now."""
    key = ec.generate_private_key(CURVES[curve])
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "HashiCorp"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(seconds=starts))
        .not_valid_after(now + dt.timedelta(seconds=ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(key, hashes.SHA512() if curve == "P-521" else hashes.SHA256())
    )
    return Certificate(
        der=made.public_bytes(serialization.Encoding.DER),
        pem=made.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    )


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, *, name: str = "localhost") -> ssl.SSLObject:
    """Let two contexts shake hands in memory and return the client's end; raises what either side raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (one, other):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    other.write(b"secure")
    assert one.read(6) == b"secure"
    return one
