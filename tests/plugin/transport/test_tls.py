from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings, strategies as st

from doze_sdk.plugin.kernel import _tls as tls
from doze_sdk.plugin.kernel._errors import CertificateError
from doze_sdk.plugin.kernel._loop import CHUNK, RECORD
from doze_sdk.plugin.kernel._pipe import Security
from tests.plugin.transport.peers import CURVES, certificate, shake_hands


@pytest.fixture(scope="module")
def identity() -> tls.Identity:
    return tls.generate()


@pytest.fixture(scope="module")
def parsed(identity: tls.Identity) -> x509.Certificate:
    return x509.load_der_x509_certificate(identity.certificate)


# --- The shape of our certificate: go-plugin's mtls.go ---


def test_the_certificate_is_for_localhost_of_hashicorp(parsed: x509.Certificate) -> None:
    assert parsed.subject == parsed.issuer
    assert parsed.subject.rfc4514_string() == "CN=localhost,O=HashiCorp"
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_the_certificate_serves_both_roles(parsed: x509.Certificate) -> None:
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    extended = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert usage.digital_signature
    assert usage.key_encipherment
    assert usage.key_agreement
    assert usage.key_cert_sign
    assert not usage.crl_sign
    assert set(extended) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_certificate_is_valid_from_half_a_minute_ago_for_thirty_years(parsed: x509.Certificate) -> None:
    now = time.time()

    assert 0 <= now - 30 - parsed.not_valid_before_utc.timestamp() < 60
    assert 0 <= now + 262_980 * 3600 - parsed.not_valid_after_utc.timestamp() < 60


def test_the_certificate_is_signed_by_its_own_p256_key(parsed: x509.Certificate) -> None:
    parsed.verify_directly_issued_by(parsed)

    key = parsed.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_every_identity_is_new(identity: tls.Identity, parsed: x509.Certificate) -> None:
    other = tls.generate()

    assert other.key != identity.key
    assert x509.load_der_x509_certificate(other.certificate).serial_number != parsed.serial_number
    assert parsed.serial_number.bit_length() > 120


def test_the_key_does_not_show_when_an_identity_is_printed(identity: tls.Identity) -> None:
    assert repr(identity.key) not in repr(identity)


def test_generating_imports_no_more_of_cryptography_than_needed() -> None:
    code = (
        "import sys; from doze_sdk.plugin.kernel._tls import generate\n"
        "generate(); print('cryptography.x509' in sys.modules)"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_without_cryptography_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['cryptography'] = None; from doze_sdk.plugin.kernel import _tls; _tls.generate()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "MissingExtraError" in done.stderr
    assert "pip install doze-sdk[mtls]" in done.stderr


# --- On the wire ---


def test_field_6_is_base64_without_padding(identity: tls.Identity) -> None:
    assert re.fullmatch(r"[A-Za-z0-9+/]+", identity.field)
    assert tls.peer_from_field(identity.field) == identity.certificate


def test_the_variable_is_pem_as_others_read_it(identity: tls.Identity) -> None:
    assert ssl.PEM_cert_to_DER_cert(identity.pem) == identity.certificate
    assert tls.peer_from_pem(identity.pem) == identity.certificate


def test_a_pem_with_other_line_ends_and_text_around_it_is_read(identity: tls.Identity) -> None:
    assert tls.peer_from_pem("subject=x\r\n" + identity.pem.replace("\n", "\r\n") + "\r\n") == identity.certificate


def test_all_certificates_of_a_pem_are_trusted(identity: tls.Identity) -> None:
    other = certificate("P-256")

    both = tls.contexts(identity, tls.peer_from_pem(certificate("P-384").pem + other.pem))

    assert other.der in both.client.get_ca_certs(binary_form=True)
    assert len(both.client.get_ca_certs()) == 2


@pytest.mark.parametrize(
    ("field", "why"),
    [("QUJD=", "padded"), ("QUJ!", "discarded|Non-base64|Only base64"), ("Ä" * 8, "ASCII|ascii"), ("A", "cannot be")],
)
def test_a_field_that_is_no_base64_is_refused(field: str, why: str) -> None:
    with pytest.raises(CertificateError, match=f"handshake field 6.*({why})"):
        tls.peer_from_field(field)


@pytest.mark.parametrize(
    "text", ["", "garbage", "-----BEGIN CERTIFICATE-----\nQUJD", "-----BEGIN RSA PRIVATE KEY-----"]
)
def test_a_variable_without_a_certificate_is_refused(text: str) -> None:
    with pytest.raises(CertificateError, match="PLUGIN_CLIENT_CERT: expected a PEM certificate"):
        tls.peer_from_pem(text)


def test_a_variable_whose_certificate_is_no_base64_is_refused() -> None:
    with pytest.raises(CertificateError, match="PLUGIN_CLIENT_CERT"):
        tls.peer_from_pem("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n")


# --- The peer's certificate ---


@pytest.mark.parametrize("peer", [b"", b"garbage", b"\x30\x03\x02\x01\x01"])
def test_bytes_that_are_no_certificate_are_refused(identity: tls.Identity, peer: bytes) -> None:
    with pytest.raises(CertificateError, match="no certificate"):
        tls.contexts(identity, peer)


@pytest.mark.parametrize(
    ("part", "becomes", "why"),
    [(rb"\x17\x0d\d", b"\x17\x0dx", "'Bad time value' is no date"), (b"localhost", b"\xffocalhost", "cannot read it")],
    ids=["date", "name"],
)
def test_a_certificate_that_is_malformed_inside_is_refused(
    identity: tls.Identity, part: bytes, becomes: bytes, why: str
) -> None:
    with pytest.raises(CertificateError, match=why):
        tls.contexts(identity, re.sub(part, becomes, tls.generate().certificate))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_byte_of_a_certificate_is_wrong_the_error_is_ours(identity: tls.Identity, data: st.DataObject) -> None:
    wrong = bytearray(identity.certificate)
    wrong[data.draw(st.integers(0, len(wrong) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CertificateError):
        tls.contexts(identity, bytes(wrong))


@pytest.mark.parametrize(
    ("part", "becomes"),
    [
        (rb"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),  # the version
        (rb"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11"),  # an extension's kind: there are two of one then
        (rb"\x82\x09localhost", b"\xa3\x09localhost"),  # the name's kind
    ],
)
def test_a_malformed_certificate_that_is_no_ca_raises_nothing_but_our_error(
    identity: tls.Identity, part: bytes, becomes: bytes
) -> None:
    wrong, count = re.subn(part, becomes, certificate(ca=False).der)
    assert count == 1
    with contextlib.suppress(CertificateError):
        tls.contexts(identity, wrong)


@pytest.mark.parametrize("ca", [True, False])
def test_a_certificate_for_another_name_is_refused_with_both_names(identity: tls.Identity, ca: bool) -> None:
    with pytest.raises(CertificateError, match=r"expected one for 'localhost'.*got one for 'example.org'"):
        tls.contexts(identity, certificate(name="example.org", ca=ca).der)


@pytest.mark.parametrize("ca", [True, False])
def test_an_expired_certificate_is_refused_with_its_dates(identity: tls.Identity, ca: bool) -> None:
    with pytest.raises(
        CertificateError, match=r"it is valid from .* GMT to .* GMT, and now it is .*compare the clocks"
    ):
        tls.contexts(identity, certificate(starts=-7200, ends=-3600, ca=ca).der)


@pytest.mark.parametrize("ca", [True, False])
def test_a_certificate_of_the_future_is_refused(identity: tls.Identity, ca: bool) -> None:
    with pytest.raises(CertificateError, match="valid from"):
        tls.contexts(identity, certificate(starts=3600, ends=7200, ca=ca).der)


# --- Handshakes ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("curve", CURVES)
def test_both_roles_work_with_peers_on_every_curve(
    identity: tls.Identity, curve: str, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    peer = certificate(curve)
    ours = tls.contexts(identity, peer.der)
    client = peer.context(ssl.PROTOCOL_TLS_CLIENT, identity.certificate, tmp_path)
    server = peer.context(ssl.PROTOCOL_TLS_SERVER, identity.certificate, tmp_path)
    for context in (client, server):
        context.maximum_version = version
        context.set_alpn_protocols(["h2"])

    assert shake_hands(client, ours.server).selected_alpn_protocol() == "h2"
    assert shake_hands(ours.client, server).selected_alpn_protocol() == "h2"


def test_nothing_older_than_tls_1_2_is_spoken(identity: tls.Identity) -> None:
    ours = tls.contexts(identity, certificate().der)

    assert ours.server.minimum_version is ours.client.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_without_a_certificate_is_refused(identity: tls.Identity) -> None:
    ours = tls.contexts(identity, certificate().der)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=identity.certificate)

    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(client, ours.server)


def test_a_client_with_another_certificate_is_refused(identity: tls.Identity, tmp_path: Path) -> None:
    ours = tls.contexts(identity, certificate().der)
    intruder = certificate().context(ssl.PROTOCOL_TLS_CLIENT, identity.certificate, tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(intruder, ours.server)


def test_a_server_with_another_certificate_is_refused(identity: tls.Identity, tmp_path: Path) -> None:
    ours = tls.contexts(identity, certificate().der)
    impostor = certificate().context(ssl.PROTOCOL_TLS_SERVER, identity.certificate, tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(ours.client, impostor)


def test_a_certificate_that_is_no_ca_is_accepted_from_a_peer(identity: tls.Identity, tmp_path: Path) -> None:
    peer = certificate(ca=False)
    ours = tls.contexts(identity, peer.der)
    server = peer.context(ssl.PROTOCOL_TLS_SERVER, identity.certificate, tmp_path)

    assert shake_hands(ours.client, server).version() == "TLSv1.3"


# --- The private key ---


@pytest.fixture
def temporary(folder: Path) -> Path:
    return folder / "tmp"


def test_the_key_touches_no_folder_where_the_system_has_files_in_memory(temporary: Path) -> None:
    with tls._key_file(b"secret") as path:
        assert Path(path).read_bytes() == b"secret"
        assert not list(temporary.iterdir())

    assert not Path(path).exists()


def test_elsewhere_the_key_is_in_a_private_folder_while_it_is_loaded(temporary: Path) -> None:
    with tls._private_file(b"secret") as path:
        assert Path(path).read_bytes() == b"secret"
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700

    assert not list(temporary.iterdir())


def test_contexts_load_from_the_private_folder_too(
    identity: tls.Identity, temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    peer = certificate()

    ours = tls.contexts(identity, peer.der)

    shake_hands(peer.context(ssl.PROTOCOL_TLS_CLIENT, identity.certificate, tmp_path), ours.server)
    assert not list(temporary.iterdir())


# --- The end of one direction ---


def secured(identity: tls.Identity) -> list[Security]:
    """A server and a client that have shaken hands."""
    contexts = tls.contexts(identity, identity.certificate)
    ends = [Security(contexts.server, None), Security(contexts.client, "localhost")]
    done = [False, False]
    while not all(done):
        for one, other in ((0, 1), (1, 0)):
            done[one] = done[one] or ends[one].shake_hands()
            ends[other].feed(memoryview(ends[one].pending()))
    return ends


@settings(max_examples=60, deadline=None)  # each example shakes hands
@given(
    receiver=st.sampled_from([0, 1]),
    records=st.lists(st.sampled_from([1, 100, 16_000, 16_384, 100_000]), max_size=6),
    cut=st.floats(0, 1),
    decrypts_first=st.booleans(),
    end=st.sampled_from(["farewell", "farewell and end", "end", "nothing"]),
)
def test_finishing_destroys_nothing_that_was_received(
    identity: tls.Identity, receiver: int, records: list[int], cut: float, decrypts_first: bool, end: str
) -> None:
    ends = secured(identity)
    ours, theirs = ends[receiver], ends[1 - receiver]
    ciphertext = b"".join(theirs.encrypt(memoryview(os.urandom(size))) for size in records)
    if "farewell" in end:
        theirs.finish()
        ciphertext += theirs.pending()
    before = int(len(ciphertext) * cut)
    buffer = memoryview(bytearray(CHUNK + RECORD))

    ours.feed(memoryview(ciphertext[:before]))
    size = ours.decrypt(buffer) if decrypts_first else 0
    if before == len(ciphertext) and "end" in end:
        ours.feed_eof()
    ours.finish()
    assert ours.pending()
    if before < len(ciphertext):
        ours.feed(memoryview(ciphertext[before:]))
        if "end" in end:
            ours.feed_eof()
    cut_off = False
    try:
        while ours.more and not ours.peer_finished:
            size += ours.decrypt(buffer)
    except ssl.SSLError as error:
        cut_off = "EOF" in str(error)

    assert size == sum(records)
    assert ours.peer_finished == ("farewell" in end)
    assert cut_off == (end == "end")
