"""AutoMTLS material: our certificate in go-plugin's fixed shape, and the two `ssl` contexts that trust exactly one peer.

Plugin:  identity = generate(); contexts(identity, peer_from_pem(os.environ["PLUGIN_CLIENT_CERT"])); field 6 = identity.field
Host:    identity = generate(); env["PLUGIN_CLIENT_CERT"] = identity.pem; contexts(identity, peer_from_field(field_6))
"""

from __future__ import annotations

from dataclasses import dataclass

from ._relay import TLSContexts


@dataclass(frozen=True, slots=True)
class Identity:
    """Our certificate (DER) and its private key (PKCS#8 PEM, in memory only)."""

    certificate: bytes
    key_pem: bytes

    @property
    def field(self) -> str:
        """Field 6 of the handshake line: base64 of the DER without padding."""
        raise NotImplementedError

    @property
    def pem(self) -> str:
        """The value of `PLUGIN_CLIENT_CERT`."""
        raise NotImplementedError


def generate() -> Identity:
    """A fresh P-256 identity. Raises `MissingExtraError` without `cryptography` (`pip install doze-sdk[mtls]`)."""
    raise NotImplementedError


def peer_from_field(field: str) -> bytes:
    """The peer's certificate (DER) from handshake field 6. Raises `CertificateError`."""
    raise NotImplementedError


def peer_from_pem(text: str) -> bytes:
    """The peer's certificate (DER) from `PLUGIN_CLIENT_CERT`. Raises `CertificateError`."""
    raise NotImplementedError


def contexts(identity: Identity, peer: bytes) -> TLSContexts:
    """TLS >= 1.2, mutual, the only root is `peer`. Raises `CertificateError` when `peer` is no usable certificate."""
    raise NotImplementedError
