"""Encryption from end to end: AutoMTLS, static TLS, and who is kept out."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
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


SECRET = b"a sentence that nobody else may read"


class Taps:
    """Stands between the two sides and records what each connection carries."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self._sockets: list[socket.socket] = []

    def tap(self, address: kernel.Address) -> kernel.Address:
        """Return where to connect to instead of `address`."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        threading.Thread(target=self._serve, args=(listener, address)).start()
        return kernel.Address("tcp", "{}:{}".format(*listener.getsockname()))

    def _serve(self, listener: socket.socket, address: kernel.Address) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX if address.network == "unix" else socket.AF_INET)
                host, _, port = address.address.rpartition(":")
                far.connect(address.address if address.network == "unix" else (host, int(port)))
                self._sockets += (near, far)
                for source, target in ((near, far), (far, near)):
                    self.heard.append(bytearray())
                    threading.Thread(target=_carry, args=(source, target, self.heard[-1])).start()

    def heard_as(self) -> Counter[str]:
        """How often the secret was said in plaintext, and how often TLS was spoken without it."""
        return Counter(
            "plaintext" if SECRET in heard else "TLS"
            for heard in self.heard
            if SECRET in heard or heard.startswith(b"\x16\x03")  # RFC 8446, 5.1
        )

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # not connected any more
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _carry(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            heard += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def taps() -> Iterator[Taps]:
    made = Taps()
    yield made
    made.close()


def talk_through(taps: Taps, plugin: kernel.Plugin) -> None:
    """Say the secret on a brokered connection in each direction."""
    call, broker = Caller(plugin), plugin.broker
    broker._from_peer = broker._to_peer = taps.tap
    with broker.dial(int(call.run(ACCEPT))) as channel:
        assert channel.unary_unary("/test.Back/Back")(SECRET, timeout=PATIENCE) == b"back:" + SECRET
    accepted = broker.accept(broker.next_id(), echo_plugin.serve_back)
    call.run(
        f"with broker.dial({accepted.service_id}) as channel:\n"
        f"    assert channel.unary_unary('/test.Back/Back')({SECRET!r}, timeout=10) == b'back:' + {SECRET!r}"
    )


@pytest.mark.parametrize("network", ["unix", "tcp"])
@pytest.mark.parametrize("encrypted", [True, False])
def test_static_tls_encrypts_the_connection_and_brokered_ones(
    certificate: Path, network: str, encrypted: bool, taps: Taps
) -> None:
    both = contexts(certificate) if encrypted else None
    with kernel.serve_test(versions={1: registered}, tls=both and (lambda: both), network=network) as served:
        config = served.reattach_config()
        config = dataclasses.replace(config, address=taps.tap(config.address))
        with kernel.reattach(config, tls=both) as plugin:
            assert Caller(plugin)("Echo", SECRET) == SECRET
            talk_through(taps, plugin)

    assert taps.heard_as() == ({"TLS": 6} if encrypted else {"plaintext": 6})  # three connections, in two directions


@pytest.mark.parametrize("encrypted", [True, False])
def test_automtls_encrypts_brokered_connections(start: Launch, encrypted: bool, taps: Taps) -> None:
    talk_through(taps, start(auto_mtls=encrypted).plugin)

    assert taps.heard_as() == ({"TLS": 4} if encrypted else {"plaintext": 4})


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

    assert hidden
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
