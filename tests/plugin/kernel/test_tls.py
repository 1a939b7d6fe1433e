"""Encryption from end to end: AutoMTLS, static TLS, and who is kept out."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doze_sdk.plugin import kernel
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Caller, Launch

ACCEPT = "answer = broker.accept(broker.next_id(), serve_back).service_id"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def contexts(certificate: Path) -> kernel.TLSContexts:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context(cafile=str(certificate))
    return kernel.TLSContexts(server=server, client=client)


def registered(server: grpc.Server, broker: kernel.Broker) -> None:
    echo_plugin.register(1, server, broker)


@pytest.mark.parametrize("network", ["unix", "tcp"])
def test_static_tls_encrypts_the_connection_and_brokered_ones(certificate: Path, network: str) -> None:
    both = contexts(certificate)
    with (
        kernel.serve_test(versions={1: registered}, tls=lambda: both, network=network) as served,
        kernel.reattach(served.reattach_config(), tls=both) as plugin,
    ):
        call = Caller(plugin)
        with plugin.broker.dial(int(call.run(ACCEPT))) as channel:
            assert channel.unary_unary("/test.Back/Back")(b"x", timeout=PATIENCE) == b"back:x"


def test_one_context_is_enough_without_brokered_connections(certificate: Path) -> None:
    both = contexts(certificate)
    with (
        kernel.serve_test(versions={1: registered}, tls=lambda: both.server) as served,
        kernel.reattach(served.reattach_config(), tls=both.client) as plugin,
    ):
        assert Caller(plugin)("Echo", b"x") == b"x"
        with pytest.raises(kernel.BrokerError, match="give tls=TLSContexts"):
            plugin.broker.accept(1, echo_plugin.serve_back)
        with pytest.raises(grpc.RpcError, match="give tls=TLSContexts"):
            Caller(plugin).run("broker.dial(1)")


def test_a_host_that_trusts_another_certificate_does_not_connect(certificate: Path) -> None:
    both = contexts(certificate)
    stranger = ssl.create_default_context()
    with (
        kernel.serve_test(versions={1: registered}, tls=lambda: both) as served,
        kernel.reattach(served.reattach_config(), tls=stranger) as plugin,
        pytest.raises(grpc.RpcError),
    ):
        Caller(plugin)("Echo", b"x")


def test_automtls_and_static_tls_exclude_each_other(certificate: Path) -> None:
    with pytest.raises(kernel.PluginError, match="choose one"):
        kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}, auto_mtls=True, tls=contexts(certificate))


@pytest.mark.parametrize("mode", [{}, {"multiplex": True}], ids=["mtls", "both"])
def test_an_intruder_gets_no_answer_from_a_plugin_with_automtls(
    start: Launch, certificate: Path, mode: dict[str, bool]
) -> None:
    call = start(auto_mtls=True, **mode)
    address = call.plugin._announcement.address
    plaintext = grpc.insecure_channel(address.target)
    credentials = grpc.ssl_channel_credentials(
        certificate.read_bytes(), certificate.read_bytes(), certificate.read_bytes()
    )
    wrong = grpc.secure_channel(address.target, credentials)
    for intruder in (plaintext, wrong):
        with pytest.raises(grpc.RpcError):
            intruder.unary_unary("/test.Plugin/Echo")(b"x", timeout=1.0)
        intruder.close()

    assert call("Echo", b"x") == b"x"


def test_a_tls_client_without_a_certificate_gets_no_answer(start: Launch) -> None:
    call = start(auto_mtls=True)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(PATIENCE)
        raw.connect(call.plugin._announcement.address.address)
        with (
            pytest.raises(OSError),
            context.wrap_socket(raw) as wrapped,
        ):  # in TLS 1.3 the refusal comes with the reading
            if not wrapped.recv(1):
                raise OSError("closed without a word")

    assert call("Echo", b"x") == b"x"


def test_no_other_process_can_reach_the_plaintext_behind_the_encryption(start: Launch, short_dir: Path) -> None:
    call = start(auto_mtls=True)
    call("Echo", b"x")
    bound = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if str(short_dir) in line}
    hidden = bound - {call.plugin._announcement.address.address}

    assert [path for path in hidden if socket_answers(path)] == []


def socket_answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(1.0)
        try:
            raw.connect(path)
        except OSError:
            return False
    return True


def test_the_certificate_is_given_to_a_host_that_asks_and_to_no_other(start: Launch) -> None:
    assert start()("Echo", b"x") == b"x"  # launch() refuses a certificate that it has not asked for
    assert len(start(auto_mtls=True).plugin._announcement.certificate) > 100
