from __future__ import annotations

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import grpc
import pytest

from doze_sdk.plugin.kernel import _tls as tls
from doze_sdk.plugin.kernel._errors import PluginError
from doze_sdk.plugin.kernel._relay import SERVER_OPTIONS, Backend, Gateway, Relay, Session, TLSContexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 10.0
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
MODES = ("plain", "tls", "mux", "tls+mux")


def eventually(condition: Callable[[], object]) -> bool:
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this very listing
            count += str(entry.readlink()).startswith("socket:")
    return count


def relay_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("doze-relay")]


@pytest.fixture(autouse=True)
def folder(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders go; afterwards no thread, socket or folder of a relay may be left."""
    temporary = short_dir / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = sockets()
    yield short_dir
    assert relay_threads() == []
    assert eventually(lambda: sockets() <= before), f"{sockets()} sockets are open, {before} were before"
    assert list(temporary.iterdir()) == []


class Errors(list[PluginError]):
    """What a relay reported."""

    def wait_for(self, kind: type[PluginError], text: str = "") -> PluginError:
        def found() -> list[PluginError]:
            return [error for error in self if isinstance(error, kind) and text in str(error)]

        assert eventually(found), f"no {kind.__name__} with {text!r} in {list(self)}"
        return found()[0]


class Echo(grpc.GenericRpcHandler):
    """Has these methods in any service.

    Echo returns what it gets, and Wait does so when the gate opens. Count streams numbers, Sum adds the sizes of what
    it is sent, and Name tells which server it is.
    """

    def __init__(self, name: str, servers: Servers) -> None:
        self.name = name
        self._servers = servers

    def wait(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        with self._servers.lock:
            self._servers.waiting += 1
        self._servers.gate.wait(PATIENCE)
        return request

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method.rpartition("/")[2]
        if method == "Count":
            return grpc.unary_stream_rpc_method_handler(lambda request, _: (b"%d" % i for i in range(int(request))))
        if method == "Sum":
            return grpc.stream_unary_rpc_method_handler(lambda requests, _: b"%d" % sum(map(len, requests)))
        if method == "Wait":
            return grpc.unary_unary_rpc_method_handler(self.wait)
        if method == "Name":
            return grpc.unary_unary_rpc_method_handler(lambda _, __: self.name.encode())
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


class Servers:
    """Makes grpcio servers for backends."""

    def __init__(self) -> None:
        self.started: list[grpc.Server] = []
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.waiting = 0
        self._backends: list[Backend] = []

    def backend(self, name: str = "main", *, spare: int = 2) -> Backend:
        def bind(target: str) -> Callable[[], object]:
            server = grpc.server(ThreadPoolExecutor(8), options=SERVER_OPTIONS + UNLIMITED)
            server.add_generic_rpc_handlers((Echo(name, self),))
            server.add_insecure_port(target)
            server.start()
            self.started.append(server)
            return lambda: server.stop(None)

        backend = Backend(bind, spare=spare)
        self._backends.append(backend)
        return backend

    def stop(self, grace: float | None = None) -> None:
        for backend in self._backends:
            backend.close()
        for server in self.started:
            server.stop(grace).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RawBackend:
    """A backend whose server is the test itself: `connection(n)` is the far end of the n-th connection."""

    def __init__(self) -> None:
        self.binds = 0
        self._accepted: list[socket.socket] = []
        self.backend = Backend(self._bind, spare=4)

    def _bind(self, target: str) -> Callable[[], object]:
        self.binds += 1
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(target.removeprefix("unix:"))
        self._listener.listen(16)
        return lambda: None

    def connection(self, index: int = 0) -> socket.socket:
        while len(self._accepted) <= index:
            sock, _address = self._listener.accept()
            sock.settimeout(PATIENCE)
            self._accepted.append(sock)
        return self._accepted[index]

    def close(self) -> None:
        self.backend.close()
        self._listener.close()
        for sock in self._accepted:
            sock.close()


class Wire:
    """A host's relay and a plugin's, joined in one of the modes."""

    def __init__(self, mode: str, folder: Path, backend: Backend, contexts: tuple[TLSContexts, TLSContexts]) -> None:
        self.plugin_errors, self.host_errors = Errors(), Errors()
        secure = "tls" in mode
        self.plugin = Relay(tls=contexts[0] if secure else None, on_error=self.plugin_errors.append)
        self.host = Relay(tls=contexts[1] if secure else None, on_error=self.host_errors.append)
        self.path = str(folder / "plugin")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(16)
        self.plugin_session: Session | None = None
        self.host_session: Session | None = None
        if "mux" in mode:
            self.plugin_session = self.plugin.accept_session(listener, backend)
            self.host_session = self.host.dial_session("unix", self.path)
        else:
            self.plugin.listen(listener, backend)
        self._channels: list[grpc.Channel] = []
        self._sockets: list[socket.socket] = []

    def gateway(self) -> Gateway:
        if self.host_session is not None:
            return self.host_session.gateway()
        return self.host.dial("unix", self.path)

    def channel(self, gateway: Gateway | None = None, *options: tuple[str, object]) -> grpc.Channel:
        target = (gateway or self.gateway()).target
        channel = grpc.insecure_channel(target, options=(("grpc.use_local_subchannel_pool", 1), *UNLIMITED, *options))
        self._channels.append(channel)
        return channel

    def connect(self) -> socket.socket:
        """The end of a connection that a channel would have."""
        sock = socket.socket(socket.AF_UNIX)
        self._sockets.append(sock)
        sock.settimeout(PATIENCE)
        sock.connect(self.gateway().target.removeprefix("unix:"))
        return sock

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        for sock in self._sockets:
            sock.close()
        self.host.close()
        self.plugin.close()


def call(channel: grpc.Channel, method: str, request: bytes = b"") -> bytes:
    answer: bytes = channel.unary_unary(f"/t/{method}")(request, timeout=30)
    return answer


@pytest.fixture(scope="session")
def identities() -> tuple[tls.Identity, tls.Identity]:
    return tls.generate(), tls.generate()


@pytest.fixture(scope="session")
def contexts(identities: tuple[tls.Identity, tls.Identity]) -> tuple[TLSContexts, TLSContexts]:
    """Of a plugin and of its host."""
    plugin, host = identities
    return tls.contexts(plugin, host.certificate), tls.contexts(host, plugin.certificate)


@pytest.fixture
def servers(folder: Path) -> Iterator[Servers]:
    with Servers() as servers:
        yield servers


@pytest.fixture
def raw(folder: Path) -> Iterator[RawBackend]:
    raw = RawBackend()
    yield raw
    raw.close()


@pytest.fixture
def make_wire(folder: Path, contexts: tuple[TLSContexts, TLSContexts]) -> Iterator[Callable[[str, Backend], Wire]]:
    made: list[Wire] = []

    def make(mode: str, backend: Backend) -> Wire:
        made.append(Wire(mode, folder, backend, contexts))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def insecure_client() -> ssl.SSLContext:
    """A TLS client that accepts any server and has no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def make_tcp(contexts: tuple[TLSContexts, TLSContexts]) -> Callable[[Backend], tuple[Relay, Relay, str]]:
    """A plugin's relay that listens on a port, a host's relay, and the port's address."""

    def make(backend: Backend) -> tuple[Relay, Relay, str]:
        listener = socket.create_server(("127.0.0.1", 0))
        plugin, host = Relay(tls=contexts[0]), Relay(tls=contexts[1])
        plugin.listen(listener, backend)
        return plugin, host, "{}:{}".format(*listener.getsockname())

    return make
