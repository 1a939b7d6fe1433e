from __future__ import annotations

import array
import base64
import contextlib
import datetime as dt
import fcntl
import json
import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from doze_sdk.engine import CancelRegistry, CancelTarget, ErrorWriter, Preamble, ProxyFilter, ProxyOptions
from doze_sdk.plugin import _wire, _wire_handoff, launch
from doze_sdk.plugin._wire import WireServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")

PATIENCE = 10.0
ROOT = Path(__file__).parents[2]


class Greeter(ProxyFilter):
    """A filter for a protocol of lines.

    A client says ``TLS`` to be wrapped, ``CANCEL <key>`` to cancel, or ``HELLO <name>``. The backend greets with
    ``KEY <key>`` and ``READY``; the client gets a key of the registry in place of the backend's.
    """

    def preamble(self, client: socket.socket, cancels: CancelRegistry, options: ProxyOptions) -> Preamble:
        line = read_line(client)
        if line == b"TLS\n":
            assert options.tls is not None
            client.sendall(b"GO\n")
            client = options.tls.wrap_socket(client, server_side=True)
            line = read_line(client)
        word, _, argument = line.strip().partition(b" ")
        if word == b"CANCEL":
            target = cancels.lookup(bytes.fromhex(argument.decode()))
            if target is not None:
                with socket.socket(socket.AF_UNIX) as backend:
                    backend.connect(os.fspath(target.backend_socket))
                    backend.sendall(b"CANCEL " + target.key + b"\n")
            return Preamble(client=client, handled=True)
        if word != b"HELLO":
            raise ValueError(f"not a greeting: {word.decode()!r}\n(line two)")
        return Preamble(client=client, replay=line)

    @contextlib.contextmanager
    def handshake(
        self, client: socket.socket, backend: BufferedReader, backend_socket: Path, cancels: CancelRegistry
    ) -> Iterator[bool]:
        key = backend.readline().strip().removeprefix(b"KEY ")
        if key == b"refused":
            yield False
            return
        if not key:
            raise EOFError("the backend left before its greeting")
        ours = cancels.register(CancelTarget(backend_socket, key))
        try:
            client.sendall(b"KEY " + ours.hex().encode() + b"\n" + backend.readline())
            yield True
        finally:
            cancels.unregister(ours)


class TellingGreeter(Greeter, ErrorWriter):
    def write_error(self, stream: BinaryIO, code: str, message: str) -> None:
        stream.write(f"ERR {code} {message}\n".encode())


class Backend:
    """An engine on a unix socket: greets, then answers each connection by `serve`."""

    def __init__(self, folder: Path, *, greeting: bytes = b"KEY abc\nREADY\n") -> None:
        self.path = folder / "backend"
        self.greeting = greeting
        self.said: list[bytes] = []
        self.serve: Callable[[socket.socket], None] = echo
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen()
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        self._threads = [self._thread]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._one, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.said.append(read_line(connection))
            if self.said[-1].startswith(b"HELLO"):
                connection.sendall(self.greeting)
                self.serve(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)


class Host:
    """The host's part of one hand-off."""

    def __init__(self, server: WireServer | Path, client: socket.socket, **header: object) -> None:
        self.side = socket.socket(socket.AF_UNIX)
        self.side.settimeout(PATIENCE)
        self.side.connect(os.fspath(server if isinstance(server, Path) else server.address()))
        # Go's runtime keeps every socket non-blocking, and the flag travels with the description.
        os.set_blocking(client.fileno(), False)
        text = json.dumps({"require_tls": False, "local_unix": False, **header})
        socket.send_fds(self.side, [text.encode()], [client.fileno()])
        self.client = client
        self._data = b""

    def line(self) -> str:
        while b"\n" not in self._data:
            chunk = self.side.recv(4096)
            if not chunk:
                return ""
            self._data += chunk
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    def say(self, line: str) -> None:
        self.side.sendall(line.encode() + b"\n")

    def boot(self, backend: Backend) -> None:
        assert self.line() == "boot"
        self.say(f"backend {backend.path}")

    def close(self) -> None:
        self.side.close()
        self.client.close()


def asked_to_boot(server: WireServer, client: tuple[socket.socket, socket.socket]) -> tuple[socket.socket, Host]:
    """Let the client greet; return it, and the host that was asked to boot the backend."""
    near, far = client
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    assert host.line() == "boot"
    return near, host


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    before, threads = descriptors(), threading.active_count()
    yield
    wait_for(lambda: threading.active_count() <= threads, lambda: f"threads left: {threading.enumerate()}")
    wait_for(lambda: len(descriptors()) <= len(before), lambda: f"descriptors left: {descriptors()}")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wire", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def backend(folder: Path) -> Iterator[Backend]:
    engine = Backend(folder)
    yield engine
    engine.close()


@pytest.fixture
def server() -> Iterator[WireServer]:
    wire = WireServer(Greeter())
    yield wire
    wire.close()


@pytest.fixture
def telling() -> Iterator[WireServer]:
    wire = WireServer(TellingGreeter())
    yield wire
    wire.close()


@pytest.fixture
def client() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP client, and the host's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        far, _ = listener.accept()
    with near, far:
        yield near, far


@pytest.fixture(scope="module")
def material() -> dict[str, str]:
    """The host's TLS fields: an EC P-256 certificate as DER and its key as PKCS #8, in base64."""
    x509 = pytest.importorskip("cryptography.x509", reason="makes a certificate with cryptography (extra `mtls`)")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.DER)
    return {"tls_cert": base64.b64encode(public).decode(), "tls_key": base64.b64encode(private).decode()}


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise EOFError("the client left")
        line += byte
    return line


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def descriptors() -> dict[str, str]:
    links = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links[entry.name] = os.fspath(entry.readlink())
    return links


def wait_for(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.01)


def served(server: WireServer) -> int:
    return len(server._connections)


def gone(server: WireServer) -> None:
    wait_for(lambda: not served(server), lambda: "the connection is still served")


def test_nothing_listens_before_the_first_address() -> None:
    before = descriptors(), threading.active_count()
    wire = WireServer(Greeter())
    assert (descriptors(), threading.active_count()) == before
    wire.close()


def test_the_socket_lies_in_a_private_folder_that_close_removes(server: WireServer) -> None:
    path = server.address()
    assert server.address() == path
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.close()
    assert not path.parent.exists()


def test_a_long_folder_for_temporary_files_is_passed_over(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 100)
    assert len(os.fsencode(server.address())) < 60


def test_a_closed_server_gives_no_address(server: WireServer) -> None:
    server.close()
    with pytest.raises(_wire.WireError, match="closed"):
        server.address()


def test_a_process_that_exits_leaves_no_folder() -> None:
    program = (
        "from tests.plugin.test_wire import Greeter, WireServer\n"
        "import sys\n"
        "wire = WireServer(Greeter())\n"
        "print(wire.address())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    path = Path(run.stdout.strip())
    assert path.name == "wire"
    assert not path.parent.exists()


def test_a_forked_child_that_exits_leaves_the_folder_to_its_parent() -> None:
    program = (
        "from tests.plugin.test_wire import Greeter, WireServer\n"
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "path = WireServer(Greeter()).address()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "print(path.exists())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "True\n"


def test_a_client_is_opened_and_spliced(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"HELLO ann\nfirst")
    host.boot(backend)
    assert host.line() == "splice"
    assert read_line(near).startswith(b"KEY ")
    assert read_line(near) == b"READY\n"
    assert near.recv(5) == b"first"
    assert backend.said == [b"HELLO ann\n"]
    near.shutdown(socket.SHUT_WR)
    assert read_all(near) == b""
    assert host.line() == ""
    host.close()


def test_what_the_backend_sent_beyond_its_greeting_reaches_the_client(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    backend.greeting = b"KEY abc\nREADY\nand more"
    backend.serve = lambda connection: None
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert read_all(near).endswith(b"READY\nand more")
    host.close()


def test_the_client_gets_its_end_of_stream_before_the_host_closes_its_duplicate(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"CANCEL 0011223344556677\n")
    assert host.line() == "handled"
    assert host.line() == ""
    assert far.fileno() >= 0
    assert read_all(near) == b""
    host.close()


def test_client_and_backend_are_closed_when_the_host_hears_the_end(server: WireServer, backend: Backend) -> None:
    near, far = socket.socketpair()
    ended = threading.Event()
    backend.serve = lambda connection: ended.wait(3 * PATIENCE) and None
    host = Host(server, far, local_unix=True)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    read_line(near), read_line(near)
    far.close()
    near.shutdown(socket.SHUT_RDWR)
    assert host.line() == ""
    for connection in (near, backend.connections[0]):
        poll = select.poll()
        poll.register(connection, 0)
        assert [event & select.POLLHUP for _, event in poll.poll(0)] == [select.POLLHUP]
    ended.set()
    near.close()
    host.close()


@pytest.mark.parametrize("blocking", [True, False])
def test_the_shared_flag_is_not_relied_upon(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], blocking: bool
) -> None:
    near, far = client
    host = Host(server, far)
    os.set_blocking(far.fileno(), blocking)
    near.sendall(b"HEL")
    time.sleep(0.05)
    near.sendall(b"LO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    os.set_blocking(far.fileno(), blocking)
    read_line(near), read_line(near)
    near.sendall(b"x" * 100_000)
    near.shutdown(socket.SHUT_WR)
    assert len(read_all(near)) == 100_000
    host.close()


def test_half_closing_reaches_the_other_side_and_the_answer_comes_back(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    backend.serve = lambda connection: connection.sendall(b"got " + read_all(connection))
    host = Host(server, far)
    near.sendall(b"HELLO ann\nwhole request")
    near.shutdown(socket.SHUT_WR)
    host.boot(backend)
    assert host.line() == "splice"
    assert read_all(near).endswith(b"got whole request")
    host.close()


def test_a_backend_that_half_closes_still_hears_the_client(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    backend.serve = serve
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert read_all(near).endswith(b"bye")
    near.sendall(b"last words")
    near.shutdown(socket.SHUT_WR)
    assert host.line() == "splice"
    assert host.line() == ""
    wait_for(lambda: heard == [b"last words"], lambda: f"heard {heard}")
    host.close()


def test_a_backend_that_dies_ends_the_client(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    backend.serve = lambda connection: None
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    read_all(near)
    assert host.line() == "splice"
    assert host.line() == ""
    host.close()


def test_a_reader_that_stops_stops_the_writer_and_loses_nothing(server: WireServer, backend: Backend) -> None:
    near, far = socket.socketpair()
    near.settimeout(PATIENCE)
    written = [0]
    size = 8 * 1024 * 1024

    def serve(connection: socket.socket) -> None:
        while written[0] < size:
            written[0] += connection.send(b"z" * 65536)

    backend.serve = serve
    host = Host(server, far, local_unix=True)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    settle(lambda: written[0])
    assert written[0] < size
    data = read_all(near)
    assert len(data) - data.index(b"READY\n") - len(b"READY\n") == written[0] >= size
    near.close()
    host.close()


def settle(value: Callable[[], int]) -> None:
    """Wait until *value* is no longer 0 and has stopped changing."""
    last, still = value(), 0
    while still < 20:
        time.sleep(0.01)
        now = value()
        still = still + 1 if now == last and now else 0
        last = now


def test_a_cancel_request_reaches_the_session_that_holds_its_key(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    key = read_line(near).split()[1]
    assert key != b"abc"

    other, handed = socket.socketpair()
    second = Host(server, handed, local_unix=True)
    other.sendall(b"CANCEL " + key + b"\n")
    assert second.line() == "handled"
    assert second.line() == ""
    wait_for(lambda: b"CANCEL abc\n" in backend.said, lambda: f"the backend heard {backend.said}")
    assert host.line() == "splice"
    near.close()
    assert host.line() == ""
    wait_for(lambda: server.cancels.lookup(bytes.fromhex(key.decode())) is None, lambda: "the key is still registered")
    second.close()
    other.close()
    host.close()


def test_a_handshake_that_declines_ends_without_a_splice(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    backend.greeting = b"KEY refused\n"
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == ""
    assert read_all(near) == b""
    host.close()


def tls_client(near: socket.socket) -> ssl.SSLSocket:
    near.sendall(b"TLS\n")
    assert read_line(near) == b"GO\n"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(near)


def test_a_tls_client_is_spliced(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(server, far, require_tls=True, **material)
    with tls_client(near) as secure:
        assert secure.getpeercert(binary_form=True) == base64.b64decode(material["tls_cert"])
        secure.sendall(b"HELLO ann\n")
        host.boot(backend)
        assert host.line() == "splice"
        read_line(secure), read_line(secure)
        for _ in range(10):
            secure.sendall(b"y" * 100_000)
            received = 0
            while received < 100_000:
                received += len(secure.recv(65536))
            assert received == 100_000
    assert host.line() == ""
    host.close()


def test_a_tls_client_gets_a_proper_end_of_stream(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    backend.serve = lambda connection: connection.sendall(b"bye")
    host = Host(server, far, **material)
    secure = tls_client(near)
    with secure:
        secure.suppress_ragged_eofs = False
        secure.sendall(b"HELLO ann\n")
        host.boot(backend)
        assert read_all(secure).endswith(b"bye")
    host.close()


def test_a_backend_that_half_closes_still_hears_a_tls_client(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    backend.serve = serve
    host = Host(server, far, **material)
    with tls_client(near) as secure:
        secure.sendall(b"HELLO ann\n")
        host.boot(backend)
        assert read_all(secure).endswith(b"bye")
        secure.sendall(b"last words")
    assert host.line() == "splice"
    assert host.line() == ""
    wait_for(lambda: heard == [b"last words"], lambda: f"heard {heard}")
    host.close()


def test_a_tls_client_that_stops_reading_does_not_stop_its_own_words(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    heard = [0]

    def serve(connection: socket.socket) -> None:
        flood = threading.Thread(target=send_all, args=(connection, b"z" * 8_000_000))
        flood.start()
        while heard[0] < 1_000_000:
            heard[0] += len(connection.recv(65536))
        flood.join(PATIENCE)

    backend.serve = serve
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    host = Host(server, far, **material)
    with tls_client(near) as secure:
        secure.sendall(b"HELLO ann\n")
        host.boot(backend)
        assert host.line() == "splice"
        read_line(secure), read_line(secure)
        os.set_blocking(far.fileno(), True)
        secure.sendall(b"y" * 1_000_000)
        wait_for(lambda: heard[0] == 1_000_000, lambda: f"the backend heard {heard[0]} bytes")
        assert len(read_all(secure)) == 8_000_000
    host.close()


def send_all(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)


def test_the_key_touches_no_disk(
    server: WireServer,
    backend: Backend,
    client: tuple[socket.socket, socket.socket],
    material: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise AssertionError("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    _wire_handoff.server_context.cache_clear()
    near, far = client
    host = Host(server, far, **material)
    with tls_client(near) as secure:
        secure.sendall(b"HELLO ann\n")
        host.boot(backend)
        assert host.line() == "splice"
    host.close()


def test_without_memory_files_the_key_has_no_name(material: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", None)
    seen: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, chain: str, private: str) -> None:
        seen.extend(os.fspath(Path(name).readlink()) for name in (chain, private))
        assert stat.S_IMODE(Path(private).stat().st_mode) == 0o600
        load(context, chain, private)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    _wire_handoff.server_context.cache_clear()
    _wire_handoff.server_context(*(base64.b64decode(text) for text in material.values()))
    assert len(seen) == 2
    assert all(name.endswith("(deleted)") for name in seen)


def test_a_plain_client_is_refused_where_tls_is_required(
    telling: WireServer, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(telling, far, require_tls=True, **material)
    near.sendall(b"HELLO ann\n")
    assert read_all(near).startswith(b"ERR XX000 doze: this config requires TLS")
    assert host.line().startswith("error this config requires TLS")
    host.close()


def test_a_plain_client_on_a_unix_socket_needs_no_tls(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(server, far, require_tls=True, local_unix=True, **material)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    near.close()
    host.close()


@pytest.mark.parametrize("fields", [{"tls_cert": "AAAA", "tls_key": "AAAA"}, {"tls_cert": "AAAA"}, {"tls_key": "%"}])
def test_tls_material_that_is_none_is_an_error(
    server: WireServer, client: tuple[socket.socket, socket.socket], fields: dict[str, str]
) -> None:
    host = Host(server, client[1], **fields)
    assert host.line().startswith("error ")
    assert host.line() == ""
    host.close()


def test_bytes_that_are_no_tls_end_the_client_with_an_error(
    server: WireServer, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(server, far, **material)
    near.sendall(b"TLS\n")
    assert read_line(near) == b"GO\n"
    near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert host.line().startswith("error SSLError: ")
    assert host.line() == ""
    host.close()


def test_a_boot_that_failed_is_told_to_the_client(
    telling: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, host = asked_to_boot(telling, client)
    host.say("bootfail no such folder: /data")
    host.side.shutdown(socket.SHUT_WR)
    assert read_all(near) == b"ERR 57P03 doze: no such folder: /data\n"
    assert host.line() == ""
    host.close()


def test_a_boot_that_failed_is_told_over_tls(
    telling: WireServer, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(telling, far, **material)
    with tls_client(near) as secure:
        secure.suppress_ragged_eofs = False
        secure.sendall(b"HELLO ann\n")
        assert host.line() == "boot"
        host.say("bootfail no such folder: /data")
        assert read_all(secure) == b"ERR 57P03 doze: no such folder: /data\n"
    host.close()


def test_a_boot_that_failed_ends_the_client_of_a_driver_without_an_error_writer(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, host = asked_to_boot(server, client)
    host.say("bootfail x")
    assert read_all(near) == b""
    host.close()


def test_a_backend_that_does_not_answer_is_told_to_client_and_host(
    telling: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, host = asked_to_boot(telling, client)
    host.say("backend /nowhere/at/all")
    assert read_all(near) == b"ERR 08006 doze: the backend is unreachable: /nowhere/at/all: No such file or directory\n"
    assert host.line().startswith("error the backend is unreachable: /nowhere/at/all")
    host.close()


@pytest.mark.parametrize("answer", ["backend ", "gesundheit", ""])
def test_an_answer_that_is_none_is_an_error(
    server: WireServer, client: tuple[socket.socket, socket.socket], answer: str
) -> None:
    _near, host = asked_to_boot(server, client)
    host.say(answer)
    assert host.line().startswith("error asking the host to boot: expected 'backend <path>'")
    host.close()


def test_an_answer_without_an_end_is_an_error(server: WireServer, client: tuple[socket.socket, socket.socket]) -> None:
    _near, host = asked_to_boot(server, client)
    with contextlib.suppress(OSError):
        host.side.sendall(b"x" * 100_000)
    assert host.line().startswith("error asking the host to boot")
    host.close()


def test_a_preamble_that_raises_is_one_line_to_the_host_with_the_place_in_the_driver(
    telling: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(telling, far)
    near.sendall(b"GET / HTTP/1.1\n")
    assert read_all(near) == b"ERR XX000 doze: not a greeting: 'GET'\n(line two)\n"
    line = host.line()
    assert line.startswith("error ValueError: not a greeting: 'GET' (line two) (")
    assert "test_wire.py:" in line
    assert host.line() == ""
    host.close()


def test_a_preamble_that_raises_after_wrapping_is_told_over_tls(
    telling: WireServer, client: tuple[socket.socket, socket.socket], material: dict[str, str]
) -> None:
    near, far = client
    host = Host(telling, far, **material)
    with tls_client(near) as secure:
        secure.sendall(b"nonsense\n")
        assert read_all(secure).startswith(b"ERR XX000 doze: not a greeting")
    assert host.line().startswith("error ValueError")
    host.close()


def test_a_preamble_that_returns_nothing_is_an_error(client: tuple[socket.socket, socket.socket]) -> None:
    class Forgetful(Greeter):
        def preamble(self, client: socket.socket, cancels: CancelRegistry, options: ProxyOptions) -> Preamble:
            return None  # type: ignore[return-value]

    wire = WireServer(Forgetful())
    host = Host(wire, client[1])
    assert host.line() == "error preamble() returned None; expected a Preamble"
    host.close()
    wire.close()


def test_a_handshake_that_raises_is_told_to_client_and_host(
    telling: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    backend.greeting = b""
    backend.serve = lambda connection: None
    host = Host(telling, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert read_all(near) == b"ERR XX000 doze: the backend left before its greeting\n"
    assert host.line().startswith("error EOFError: the backend left before its greeting")
    host.close()


def test_a_cleanup_that_raises_ends_the_connection_all_the_same(
    backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    class Careless(Greeter):
        @contextlib.contextmanager
        def handshake(
            self, client: socket.socket, backend: BufferedReader, backend_socket: Path, cancels: CancelRegistry
        ) -> Iterator[bool]:
            yield True
            raise RuntimeError("in the cleanup")

    wire = WireServer(Careless())
    near, far = client
    host = Host(wire, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    near.shutdown(socket.SHUT_WR)
    read_all(near)
    assert host.line() == "splice"
    assert host.line() == ""
    host.close()
    wire.close()


def test_an_error_writer_that_raises_does_not_hide_the_error(client: tuple[socket.socket, socket.socket]) -> None:
    class Clumsy(Greeter, ErrorWriter):
        def write_error(self, stream: BinaryIO, code: str, message: str) -> None:
            raise RuntimeError("no")

    wire = WireServer(Clumsy())
    near, far = client
    host = Host(wire, far)
    near.sendall(b"GET\n")
    assert host.line().startswith("error ValueError: not a greeting")
    host.close()
    wire.close()


def test_a_client_that_leaves_in_the_preamble_is_dropped_without_a_word(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"HEL")
    near.close()
    assert host.line() == ""
    host.close()


@pytest.mark.parametrize("tail", [b"", b"\x16\x03\x01"])
def test_a_client_that_leaves_in_the_tls_handshake_is_dropped(
    server: WireServer, client: tuple[socket.socket, socket.socket], material: dict[str, str], tail: bytes
) -> None:
    near, far = client
    host = Host(server, far, **material)
    near.sendall(b"TLS\n")
    assert read_line(near) == b"GO\n"
    near.sendall(tail)
    near.close()
    assert host.line() == ""
    host.close()


def test_a_client_that_resets_while_its_engine_boots_is_dropped(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, host = asked_to_boot(server, client)
    reset(near)
    assert host.line() == ""
    host.close()


def test_a_unix_client_that_leaves_while_its_engine_boots_is_dropped(server: WireServer) -> None:
    near, far = socket.socketpair()
    host = Host(server, far, local_unix=True)
    near.sendall(b"HELLO ann\n")
    assert host.line() == "boot"
    near.close()
    assert host.line() == ""
    host.close()


def test_a_client_that_leaves_in_the_handshake_of_a_silent_backend_is_dropped(
    server: WireServer,
    backend: Backend,
    client: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_wire, "_HALF_CLOSED_PATIENCE", 0.1)
    near, far = client
    backend.greeting = b""
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    near.close()
    assert host.line() == ""
    host.close()


def test_a_client_that_resets_in_the_splice_is_dropped(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    reset(near)
    assert host.line() == ""
    host.close()


def test_a_unix_client_that_leaves_ends_a_backend_that_ignores_the_end_of_stream(
    server: WireServer, backend: Backend
) -> None:
    released = threading.Event()
    backend.serve = lambda connection: released.wait(3 * PATIENCE) and None
    near, far = socket.socketpair()
    host = Host(server, far, local_unix=True)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    read_line(near), read_line(near)
    far.close()  # a unix socket hangs up only when each of its duplicates is closed
    near.close()
    assert host.line() == ""
    released.set()
    host.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [1, 0]).tobytes())
    connection.close()


@pytest.mark.parametrize("stage", ["preamble", "boot", "handshake", "splice"])
def test_a_host_that_dies_ends_the_client(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket], stage: str
) -> None:
    near, far = client
    if stage == "handshake":
        backend.greeting = b""
    host = Host(server, far)
    if stage != "preamble":
        near.sendall(b"HELLO ann\n")
        assert host.line() == "boot"
    if stage in {"handshake", "splice"}:
        host.say(f"backend {backend.path}")
        wait_for(lambda: bool(backend.said), lambda: "the backend heard nothing")
    if stage == "splice":
        assert host.line() == "splice"
    host.close()
    with contextlib.suppress(ConnectionResetError):
        read_all(near)
    gone(server)


def test_a_host_killed_by_a_signal_ends_its_client(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    program = (
        "import socket, sys, json, time\n"
        "side = socket.socket(socket.AF_UNIX)\n"
        "side.connect(sys.argv[1])\n"
        'socket.send_fds(side, [b\'{"require_tls":false,"local_unix":false}\'], [int(sys.argv[2])])\n'
        "print(flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, server.address(), str(far.fileno())],
        pass_fds=[far.fileno()],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    far.close()
    near.sendall(b"HEL")
    wait_for(lambda: bool(served(server)), lambda: "the client was not handed over")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert read_all(near) == b""
    gone(server)


def test_a_host_that_hands_nothing_over_is_told_so(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire_handoff, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as side:
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        side.sendall(b'{"require_tls":')
        assert read_all(side).startswith(b"error receiving a client: the header is not complete")


def test_a_host_that_leaves_before_the_hand_off_is_forgotten(server: WireServer) -> None:
    with socket.socket(socket.AF_UNIX) as side:
        side.connect(os.fspath(server.address()))
        side.sendall(b'{"require_tls":')
    gone(server)


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"require_tls": "yes"}', '{"tls_cert": 3, "tls_key": 3}', "{} {}", '{"a":' * 10_000]
)
def test_a_header_that_is_none_is_an_error_and_its_descriptor_is_closed(server: WireServer, text: str) -> None:
    near, far = socket.socketpair()
    with near, socket.socket(socket.AF_UNIX) as side:
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        socket.send_fds(side, [text.encode()], [far.fileno()])
        far.close()
        assert side.recv(65536).startswith(b"error receiving a client: ")
        assert near.recv(1) == b""


def test_a_header_in_pieces_is_put_together(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    with socket.socket(socket.AF_UNIX) as side:
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        text = json.dumps({"require_tls": False, "local_unix": True, "later": "x" * 30_000}).encode()
        socket.send_fds(side, [text[:10]], [far.fileno()])
        for start in range(10, len(text), 7000):
            time.sleep(0.01)
            side.sendall(text[start : start + 7000])
        near.sendall(b"HELLO ann\n")
        assert side.recv(100) == b"boot\n"


def test_a_header_over_64_kib_is_refused(server: WireServer) -> None:
    with socket.socket(socket.AF_UNIX) as side:
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        with contextlib.suppress(OSError):
            side.sendall(b'{"x":"' + b"x" * 70_000 + b'"}')
        with contextlib.suppress(ConnectionResetError):
            assert side.recv(1000).startswith(b"error receiving a client: the header has more than 65536 bytes")


@pytest.mark.parametrize("count", [0, 2, 5])
def test_another_number_of_descriptors_than_one_is_refused_and_all_are_closed(server: WireServer, count: int) -> None:
    pairs = [socket.socketpair() for _ in range(count)]
    with socket.socket(socket.AF_UNIX) as side:
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        socket.send_fds(side, [b"{}"], [far.fileno() for _, far in pairs])
        line = read_all(side)
        assert line == f"error receiving a client: expected one file descriptor, got {count}\n".encode()
    for near, far in pairs:
        far.close()
        assert near.recv(1) == b""
        near.close()


@pytest.mark.parametrize("kind", ["file", "datagram"])
def test_a_descriptor_that_is_no_stream_socket_is_refused(server: WireServer, kind: str, folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "file":
            handed: int = stack.enter_context((folder / "file").open("w")).fileno()
        else:
            handed = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()
        side = stack.enter_context(socket.socket(socket.AF_UNIX))
        side.settimeout(PATIENCE)
        side.connect(os.fspath(server.address()))
        socket.send_fds(side, [b"{}"], [handed])
        assert b"socket" in read_all(side)


def test_a_received_descriptor_does_not_reach_child_processes(
    server: WireServer, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    known = set(descriptors())
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    assert host.line() == "boot"
    new = set(descriptors()) - known - {str(host.side.fileno())}
    assert new
    for descriptor in new:
        assert fcntl.fcntl(int(descriptor), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    host.close()


def test_closing_the_server_ends_what_it_serves(
    server: WireServer, backend: Backend, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    host = Host(server, far)
    near.sendall(b"HELLO ann\n")
    host.boot(backend)
    assert host.line() == "splice"
    waiting, handed = socket.socketpair()
    second = Host(server, handed)
    wait_for(lambda: served(server) == 2, lambda: "the second client was not taken")
    server.close()
    with contextlib.suppress(ConnectionResetError):
        read_all(near)
        read_all(waiting)
    assert not served(server)
    second.close()
    waiting.close()
    host.close()


def test_many_clients_at_once_are_served(server: WireServer, backend: Backend) -> None:
    pairs = [socket.socketpair() for _ in range(40)]
    hosts = [Host(server, far, local_unix=True) for _, far in pairs]
    for number, (near, _) in enumerate(pairs):
        near.settimeout(PATIENCE)
        near.sendall(b"HELLO %d\npayload %d" % (number, number))
    for host in hosts:
        host.boot(backend)
    for number, ((near, _), host) in enumerate(zip(pairs, hosts, strict=True)):
        near.shutdown(socket.SHUT_WR)
        assert read_all(near).endswith(b"READY\npayload %d" % number)
        assert host.line() == "splice"
        assert host.line() == ""
        near.close()
        host.close()


def test_a_plugin_process_serves_a_client_and_removes_its_folder_at_the_end(
    folder: Path, client: tuple[socket.socket, socket.socket]
) -> None:
    near, far = client
    command = [sys.executable, "-m", "tests.modules.everything"]
    with (
        launch(command, cwd=ROOT, env={"DOZE_HOME": str(folder)}) as plugin,
        socket.create_server(os.fspath(folder / "s"), family=socket.AF_UNIX) as listener,
    ):
        address = plugin.wire_addr()
        assert address is not None
        host = Host(address, far)
        assert host.line() == "boot"
        host.say(f"backend {folder / 's'}")
        assert host.line() == "splice"
        engine, _ = listener.accept()
        near.sendall(b"question")
        assert engine.recv(100) == b"question"
        engine.sendall(b"answer")
        engine.close()
        assert read_all(near) == b"answer"
        assert host.line() == ""
        host.close()
    assert not address.parent.exists()
