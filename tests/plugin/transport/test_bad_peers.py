"""Peers that are not who they should be, or do not behave: each is refused or cut off, and others are served on."""

from __future__ import annotations

import logging
import os
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from doze_sdk.plugin.kernel import _tls as tls, _yamux as yamux
from doze_sdk.plugin.kernel._backend import Backend
from doze_sdk.plugin.kernel._errors import PeerRefusedError, PluginError, TransportError
from doze_sdk.plugin.kernel._relay import Relay, TLSContexts
from doze_sdk.plugin.kernel._relay_log import RELAY_LOG, RelayLog
from tests.plugin.transport.conftest import MODES, PATIENCE, Errors, RawBackend, Servers, Wire, call, eventually
from tests.plugin.transport.peers import CURVES, certificate

MakeWire = Callable[[str, Backend], Wire]


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def wire(make_wire: MakeWire, servers: Servers) -> Wire:
    return make_wire("tls", servers.backend())


@pytest.fixture
def peer(folder: Path) -> Iterator[Callable[..., socket.socket]]:
    """Makes bare connections to the plugin."""
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(str(folder / "plugin"))
        made.append(sock)
        return sock

    yield connect
    for sock in made:
        sock.close()


Connect = Callable[[], socket.socket]


def alert(sock: socket.socket, context: ssl.SSLContext) -> str:
    """The reason that a TLS server gives for refusing us."""
    with pytest.raises(ssl.SSLError) as caught, context.wrap_socket(sock, server_hostname="localhost") as secure:
        secure.recv(1)
    return str(caught.value.reason)


# --- When this process has no descriptor left for them ---


def test_a_channel_of_ours_waits_until_a_descriptor_is_free(folder: Path) -> None:
    errors = Errors()
    with Relay(on_error=errors.append) as relay, socket.socket(socket.AF_UNIX) as channel:
        path = Path(relay.dial("unix", str(folder / "nobody")).target.removeprefix("unix:"))
        with no_descriptor_free():
            channel.connect(str(path))
            errors.wait_for(TransportError, "accepting a connection of our own gRPC channel")
            time.sleep(0.2)
            assert len(errors) < 20  # it does not ask all the time
        errors.wait_for(TransportError, "No such file")


def test_a_peer_waits_until_a_descriptor_is_free(wire: Wire, folder: Path, insecure_client: ssl.SSLContext) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        with no_descriptor_free():
            sock.connect(str(folder / "plugin"))
            wire.plugin_errors.wait_for(TransportError, "accepting a connection of the peer")
            time.sleep(0.2)
            assert len(wire.plugin_errors) < 20
        assert alert(sock, insecure_client) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


# --- Without the right certificate, at the plugin ---


def test_a_client_without_a_certificate_is_told_that_it_needs_one(
    wire: Wire, peer: Connect, insecure_client: ssl.SSLContext
) -> None:
    assert alert(peer(), insecure_client) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"

    wire.plugin_errors.wait_for(PeerRefusedError, "PEER_DID_NOT_RETURN_A_CERTIFICATE")


def test_a_refused_client_is_logged_unless_somebody_else_is_told(
    folder: Path,
    servers: Servers,
    contexts: tuple[TLSContexts, TLSContexts],
    peer: Connect,
    insecure_client: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()
    with Relay(tls=contexts[0]) as relay:
        relay.listen(listener, servers.backend())
        alert(peer(), insecure_client)

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("doze_sdk.plugin.relay", "WARNING")
    assert "not the peer that was announced" in record.message


def test_a_handler_of_the_application_that_waits_holds_up_no_connection(
    make_tcp: Callable[[Backend], tuple[Relay, Relay, str]], servers: Servers, insecure_client: ssl.SSLContext
) -> None:
    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            gate.wait(60)
            messages.append(record.getMessage())

    entered, gate, messages = threading.Event(), threading.Event(), list[str]()
    logger, handler = logging.getLogger("doze_sdk.plugin.relay"), Waiting()
    logger.addHandler(handler)
    plugin, host, address = make_tcp(servers.backend())
    name, _, port = address.partition(":")
    try:
        with plugin, host, grpc.insecure_channel(host.dial("tcp", address).target) as channel:
            assert call(channel, "Echo", b"before") == b"before"
            with socket.create_connection((name, int(port)), timeout=PATIENCE) as intruder:
                alert(intruder, insecure_client)
            assert entered.wait(PATIENCE)
            assert call(channel, "Echo", b"after") == b"after"
            assert messages == []
            gate.set()
    finally:
        gate.set()
        logger.removeHandler(handler)

    assert "not the peer that was announced" in messages[0]


def test_what_is_reported_faster_than_it_is_logged_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    log = RelayLog()
    caplog.handler.addFilter(lambda _record: gate.wait(PATIENCE))
    for number in range(1100):
        log.put(logging.WARNING, "number %d", number)
    gate.set()
    log.flush(PATIENCE)
    messages = [record.getMessage() for record in caplog.records]

    assert messages[0] == "number 0"
    assert messages[-1].endswith("records were dropped here: nobody took them in time")
    assert len(messages) - 1 + int(messages[-1].split()[0]) == 1100


def test_a_forked_child_logs_what_its_own_relay_has_to_say(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    caplog.handler.addFilter(lambda _record: gate.wait(PATIENCE))
    RELAY_LOG.put(logging.WARNING, "of the parent")
    child = os.fork()
    if not child:
        caplog.handler.filters.clear()
        caplog.records.clear()
        RELAY_LOG.put(logging.WARNING, "of the child")
        RELAY_LOG.flush(PATIENCE)
        os._exit([record.getMessage() for record in caplog.records] != ["of the child"])
    _, status = os.waitpid(child, 0)
    gate.set()
    RELAY_LOG.flush(PATIENCE)

    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("curve", CURVES)
def test_a_client_with_another_certificate_is_told_that_it_is_unknown(
    wire: Wire, peer: Connect, tmp_path: Path, curve: str
) -> None:
    intruder = certificate(curve).context(ssl.PROTOCOL_TLS_CLIENT, None, tmp_path)

    assert alert(peer(), intruder) == "TLSV1_ALERT_UNKNOWN_CA"

    wire.plugin_errors.wait_for(PeerRefusedError, "self-signed certificate")


def test_a_tcp_client_sees_the_alert_too(
    make_tcp: Callable[[Backend], tuple[Relay, Relay, str]], servers: Servers, tmp_path: Path
) -> None:
    plugin, host, address = make_tcp(servers.backend())
    intruder = certificate().context(ssl.PROTOCOL_TLS_CLIENT, None, tmp_path)
    name, _, port = address.partition(":")

    with plugin, host, socket.create_connection((name, int(port)), timeout=PATIENCE) as sock:
        assert alert(sock, intruder) == "TLSV1_ALERT_UNKNOWN_CA"


def test_a_client_that_insists_on_tls_1_1_is_refused(
    wire: Wire, peer: Connect, insecure_client: ssl.SSLContext
) -> None:
    insecure_client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        insecure_client.minimum_version = insecure_client.maximum_version = ssl.TLSVersion.TLSv1_1

    assert "PROTOCOL_VERSION" in alert(peer(), insecure_client)


def test_a_plaintext_grpc_client_is_refused(wire: Wire) -> None:
    with grpc.insecure_channel(f"unix:{wire.path}") as channel, pytest.raises(grpc.RpcError):
        call(channel, "Echo", b"hello")

    wire.plugin_errors.wait_for(PeerRefusedError)


def test_garbage_is_refused(wire: Wire, peer: Connect) -> None:
    sock = peer()
    sock.sendall(b"\x16\x03\x01garbage" * 100)
    while sock.recv(100):
        pass

    wire.plugin_errors.wait_for(PeerRefusedError)


def test_a_client_that_says_nothing_is_dropped(
    folder: Path, servers: Servers, contexts: tuple[TLSContexts, TLSContexts], peer: Connect
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()
    errors = Errors()

    with Relay(tls=contexts[0], handshake_timeout=0.2, on_error=errors.append) as relay:
        relay.listen(listener, servers.backend())
        assert peer().recv(1) == b""

    errors.wait_for(PeerRefusedError, "not done after 0.2 s")


def test_a_client_that_drips_its_handshake_is_dropped(
    folder: Path, servers: Servers, contexts: tuple[TLSContexts, TLSContexts], peer: Connect
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()

    with Relay(tls=contexts[0], handshake_timeout=0.3) as relay:
        relay.listen(listener, servers.backend())
        sock = peer()
        sock.settimeout(0.02)
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            for byte in b"\x16\x03\x01\x02\x00" + bytes(512):
                sock.send(bytes((byte,)))
                try:
                    assert sock.recv(1) == b""
                except TimeoutError:
                    continue


def test_refused_clients_use_up_no_server_and_disturb_no_call(
    wire: Wire, servers: Servers, peer: Connect, insecure_client: ssl.SSLContext
) -> None:
    for _ in range(10):
        alert(peer(), insecure_client)

    assert call(wire.channel(), "Echo", b"hello") == b"hello"
    assert len(servers.started) == 1


def test_more_connections_than_the_limit_are_refused(
    wire: Wire, peer: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doze_sdk.plugin.kernel._relay.MOST_CONNECTIONS", 3)
    for _ in range(3):
        peer()

    assert peer().recv(1) == b""
    wire.plugin_errors.wait_for(TransportError, "there are 3 already")


# --- At the host ---


@pytest.fixture
def impostor(folder: Path) -> Iterator[Callable[[ssl.SSLContext], str]]:
    """Serves TLS with any context in a plugin's place, one connection, and returns the path."""
    running: list[tuple[socket.socket, threading.Thread]] = []

    def serve(context: ssl.SSLContext) -> str:
        path = str(folder / "impostor")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            sock, _ = listener.accept()
            sock.settimeout(PATIENCE)
            try:
                with context.wrap_socket(sock, server_side=True) as secure:
                    secure.recv(1)
            except OSError:
                sock.close()

        thread = threading.Thread(target=answer)
        thread.start()
        running.append((listener, thread))
        return path

    yield serve
    for listener, thread in running:
        thread.join()
        listener.close()


def test_a_plugin_with_a_wrong_certificate_gets_no_call(
    impostor: Callable[[ssl.SSLContext], str], identities: tuple[tls.Identity, tls.Identity], tmp_path: Path
) -> None:
    shown, announced = certificate(), certificate()
    errors = Errors()
    contexts = tls.contexts(identities[1], announced.der)
    path = impostor(shown.context(ssl.PROTOCOL_TLS_SERVER, identities[1].certificate, tmp_path))

    with Relay(tls=contexts, on_error=errors.append) as relay:
        channel = grpc.insecure_channel(relay.dial("unix", path).target)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/t/Echo")(b"secret", timeout=5)
        channel.close()

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    errors.wait_for(PeerRefusedError, "not the peer that was announced")


def test_a_plugin_that_refuses_our_certificate_is_named_as_the_reason(
    impostor: Callable[[ssl.SSLContext], str], identities: tuple[tls.Identity, tls.Identity], tmp_path: Path
) -> None:
    theirs = certificate()
    errors = Errors()
    path = impostor(theirs.context(ssl.PROTOCOL_TLS_SERVER, certificate().der, tmp_path))

    with Relay(tls=tls.contexts(identities[1], theirs.der), on_error=errors.append) as relay:
        channel = grpc.insecure_channel(relay.dial("unix", path).target)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/t/Echo")(b"secret", timeout=5)
        channel.close()

    errors.wait_for(PeerRefusedError, "it refuses our certificate")


# --- Peers that die ---


@pytest.mark.parametrize("mode", MODES)
def test_a_host_that_is_killed_ends_its_calls(
    folder: Path,
    servers: Servers,
    mode: str,
    contexts: tuple[TLSContexts, TLSContexts],
    identities: tuple[tls.Identity, tls.Identity],
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    path = str(folder / "plugin")
    listener.bind(path)
    listener.listen()
    with Relay(tls=contexts[0] if "tls" in mode else None) as relay:
        if "mux" in mode:
            relay.accept_session(listener, servers.backend())
        else:
            relay.listen(listener, servers.backend())
        identity = [identities[0].field, identities[1].certificate.hex(), identities[1].key.hex()]
        environment = {**os.environ, "TMPDIR": str(folder)}
        with subprocess.Popen([sys.executable, "-c", _HOST, mode, path, *identity], env=environment) as host:
            assert eventually(lambda: servers.waiting)

            host.kill()

        assert eventually(lambda: not relay._exchange._pipes)
    servers.gate.set()


_HOST = """
import sys, grpc
from doze_sdk.plugin.kernel import _tls as tls
from doze_sdk.plugin.kernel._relay import Relay
mode, path, field, certificate, key = sys.argv[1:]
contexts = None
if "tls" in mode:
    contexts = tls.contexts(tls.Identity(bytes.fromhex(certificate), bytes.fromhex(key)), tls.peer_from_field(field))
relay = Relay(tls=contexts)
gateway = relay.dial_session("unix", path).gateway() if "mux" in mode else relay.dial("unix", path)
grpc.insecure_channel(gateway.target).unary_unary("/t/Wait")(b"x", timeout=60)
"""


def test_a_tls_connection_that_is_cut_off_is_reported(
    make_wire: MakeWire, raw: RawBackend, peer: Connect, host_context: ssl.SSLContext
) -> None:
    wire = make_wire("tls", raw.backend)
    secure = host_context.wrap_socket(peer(), server_hostname="localhost")
    secure.send(b"half of")
    assert raw.connection().recv(7) == b"half of"

    secure.close()  # without close_notify

    wire.plugin_errors.wait_for(TransportError, "cut off without a farewell")
    assert raw.connection().recv(1) == b""


def test_a_tcp_connection_that_is_reset_ends_the_call(
    make_tcp: Callable[[Backend], tuple[Relay, Relay, str]], servers: Servers, host_context: ssl.SSLContext
) -> None:
    plugin, host, address = make_tcp(servers.backend())
    name, _, port = address.partition(":")
    with plugin, host:
        sock = socket.create_connection((name, int(port)))
        secure = host_context.wrap_socket(sock, server_hostname="localhost")
        secure.send(b"PRI")
        assert eventually(lambda: plugin._exchange._pipes)

        secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        secure.close()

        assert eventually(lambda: not plugin._exchange._pipes)


@pytest.fixture
def host_context(contexts: tuple[TLSContexts, TLSContexts]) -> ssl.SSLContext:
    return contexts[1].client


# --- Multiplexed ---


class Peer:
    """A host that multiplexes, seen frame by frame."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.connection = yamux.Connection(client=True)
        self.events: list[yamux.Event] = []

    def flush(self) -> None:
        self.socket.sendall(self.connection.outgoing)
        self.connection.outgoing.clear()

    def wait_for(self, kind: type[yamux.Event]) -> yamux.Event:
        while not (found := [event for event in self.events if isinstance(event, kind)]):
            data = self.socket.recv(65536)
            self.events += self.connection.receive(data) if data else self.connection.receive_eof()
            assert data or found or any(isinstance(event, kind) for event in self.events), self.events
        return found[0]


@pytest.fixture
def plugin(folder: Path, servers: Servers) -> Iterator[Errors]:
    """A plugin that multiplexes without TLS; what it reports."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()
    errors = Errors()
    with Relay(on_error=errors.append) as relay:
        relay.accept_session(listener, servers.backend())
        yield errors


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", yamux.Violation.VERSION),
        (bytes.fromhex("00 00 0000 00000001 00000001") + b"x", yamux.Violation.UNKNOWN_STREAM),
        (bytes.fromhex("00 01 0004 00000001 00000000"), yamux.Violation.UNKNOWN_STREAM),
        (bytes.fromhex("00 00 0001 00000001 00050000"), yamux.Violation.WINDOW),
        (bytes.fromhex("00 01 0001 00000001 00000000" * 2), yamux.Violation.DUPLICATE_STREAM),
    ],
)
def test_a_host_that_breaks_the_rules_gets_a_go_away(
    plugin: Errors, peer: Connect, data: bytes, rule: yamux.Violation
) -> None:
    sock = peer()
    sock.sendall(data)
    answer = b"".join(iter(lambda: sock.recv(100), b""))

    assert answer.endswith(bytes.fromhex("00 03 0000 00000000 00000001"))
    error = plugin.wait_for(yamux.ViolationError)
    assert isinstance(error, yamux.ViolationError)
    assert error.violation is rule


def test_a_host_that_is_cut_off_in_the_middle_of_a_frame_is_reported(raw: RawBackend, folder: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    path = str(folder / "plugin")
    listener.bind(path)
    listener.listen()
    errors = Errors()
    with Relay(on_error=errors.append) as relay, socket.socket(socket.AF_UNIX) as sock:
        relay.accept_session(listener, raw.backend)
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(bytes.fromhex("00 00 0001 00000001 00000010") + b"half")
        assert raw.connection().recv(4) == b"half"
        assert len(sock.recv(12)) == 12  # the acknowledgement; unread, it would make the end a reset

        sock.close()

        errors.wait_for(yamux.TruncatedError, "12 bytes before its payload")
        assert raw.connection().recv(1) == b""


def test_a_host_that_opens_streams_without_end_is_limited(
    plugin: Errors, peer: Connect, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doze_sdk.plugin.kernel._session.MOST_CONNECTIONS", 3)
    host = Peer(peer())
    for _ in range(100):
        host.connection.open()
    host.flush()

    while sum(isinstance(event, yamux.Reset) for event in host.events) < 97:
        host.events += host.connection.receive(host.socket.recv(65536))

    plugin.wait_for(TransportError, "there are 3 already")
    assert len(host.connection) == 3


def test_streams_that_are_opened_and_reset_one_by_one_leave_no_server_behind(
    plugin: Errors, peer: Connect, servers: Servers
) -> None:
    host = Peer(peer())

    def open_and_reset(times: int) -> None:
        for _ in range(times):
            number = host.connection.open()
            host.connection.send(number, b"PRI * HTTP/2.0\r\n")
            host.flush()
            host.wait_for(yamux.Received)  # the server's own greeting: it has the connection
            host.connection.reset(number)
            host.events.clear()

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    open_and_reset(20)
    threads, descriptors = held()
    open_and_reset(200)

    assert eventually(lambda: held()[0] <= threads + 4 and held()[1] <= descriptors + 8), (threads, descriptors, held())


def test_a_stream_that_is_reset_in_the_middle_of_a_call_ends_that_call_alone(
    plugin: Errors, peer: Connect, servers: Servers
) -> None:
    host = Peer(peer())
    number = host.connection.open()
    host.connection.send(number, b"PRI * HTTP/2.0\r\n")
    host.flush()
    host.wait_for(yamux.Received)

    host.connection.reset(number)
    again = host.connection.open()
    host.connection.ping()
    host.flush()

    host.wait_for(yamux.Ponged)
    assert host.connection.window(again) > 0


def test_a_connection_that_stays_silent_is_dropped(
    folder: Path, servers: Servers, peer: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doze_sdk.plugin.kernel._session.SILENCE_TIMEOUT", 0.2)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()
    errors = Errors()
    with Relay(on_error=errors.append) as relay:
        relay.accept_session(listener, servers.backend())
        answer = b"".join(iter(lambda: sock.recv(100), b"")) if (sock := peer()) else b""

    assert answer == bytes.fromhex("00 03 0000 00000000 00000000")
    errors.wait_for(TransportError, "not sent a single yamux frame")


def test_an_intruder_that_is_faster_does_not_lock_the_host_out(
    folder: Path, servers: Servers, peer: Connect, contexts: tuple[TLSContexts, TLSContexts]
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    path = str(folder / "plugin")
    listener.bind(path)
    listener.listen()
    with Relay(tls=contexts[0]) as relay, Relay(tls=contexts[1]) as host:
        session = relay.accept_session(listener, servers.backend())
        intruder = Peer(peer())
        number = intruder.connection.open()
        intruder.connection.send(number, b"\x16\x03\x01garbage" * 10)
        intruder.flush()
        intruder.wait_for(yamux.Acknowledged)

        with grpc.insecure_channel(host.dial_session("unix", path).gateway().target) as channel:
            assert call(channel, "Echo", b"hello") == b"hello"

        session.wait()
        intruder.wait_for(yamux.WentAway)


def test_a_second_host_is_refused(plugin: Errors, peer: Connect) -> None:
    host = Peer(peer())
    host.connection.open()
    host.flush()
    host.wait_for(yamux.Acknowledged)

    assert peer().recv(1) == b""
    plugin.wait_for(PluginError, "there is one already")
