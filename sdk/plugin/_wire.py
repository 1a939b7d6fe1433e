"""The proxy filter's end of the wire: the host hands each client's connection over, and the driver opens it.

The host connects to the path that `WireAddr` told it, passes one client's descriptor, and then answers lines:

    module   boot | handled | splice | error <text>
    host     backend <path> | bootfail <text>

One thread serves one client, and one more watches over those that are inside the driver's code: when the host goes, or
a client during the handshake, their sockets are shut down, so that no call in a driver waits for somebody who left.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import shutil
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import (
    SOCKET_PATH_LIMIT,
    CancelRegistry,
    ErrorWriter,
    Preamble,
    ProxyFilter,
    ProxyOptions,
    check_socket_path,
)
from ._failure import describe_failure
from ._wire_handoff import GoneError, Handoff, ServerContext, WireError, receive, server_context
from ._wire_splice import splice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

_log = logging.getLogger("doze_sdk.plugin.wire")

# The codes that the host's own filter gives to `write_error`; they are SQLSTATEs.
_CANNOT_BOOT = "57P03"
_BACKEND_UNREACHABLE = "08006"
_FILTER_FAILED = "XX000"

# Python waits with poll(2) and tries again after EAGAIN only for a socket that has a timeout. The descriptor arrives
# non-blocking and the host's duplicate shares the flag, so a driver's socket gets a timeout that nobody will see pass.
_NO_LIMIT = 24 * 3600.0

# A client that has ended its stream may still want the answer (`nc -N`), so it is not gone; but a handshake that it
# cannot influence any more must end.
_HALF_CLOSED_PATIENCE = 10.0

# For a backend to accept, and for a client to take the few bytes of an error.
_SHORT = 5.0

# Hosts give a plugin 2 s to exit, and a thread that is stuck in a driver's code dies with the process anyway.
_CLOSING = 0.5

_LINE_LIMIT = 64 * 1024
_CLIENT_ENDED = getattr(select, "POLLRDHUP", 0)


class WireServer:
    """Serves a driver's proxy filter on a unix socket in a private folder.

    Nothing starts before the first `address`. The folder is removed by `close` and when the process exits.
    """

    def __init__(self, driver: ProxyFilter) -> None:
        self.driver = driver
        self.cancels = CancelRegistry()
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._closed = False
        self._connections: set[_Connection] = set()
        self._watched: dict[_Connection, _Watch] = {}

    def address(self) -> Path:
        """Return the path of the socket; the first call makes it and starts to listen.

        Raises:
            WireError: the server is closed.
            SocketPathError: no folder for temporary files has a path short enough.
            OSError: the folder cannot be made.

        """
        with self._lock:
            if self._closed:
                raise WireError("the proxy filter's server is closed")
            if self._path is None:
                self._path = self._start()
            return self._path

    def close(self) -> None:
        """Stop listening, end every connection, remove the folder. May be called again."""
        with self._lock:
            if self._closed or self._path is None:
                self._closed = True
                return
            self._closed = True
            connections = list(self._connections)
            for connection in connections:
                connection.abort()
        atexit.unregister(self._close_at_exit)
        self._wake()
        deadline = time.monotonic() + _CLOSING
        for thread in (self._watcher, *(connection.thread for connection in connections)):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def _start(self) -> Path:
        folder = _make_folder()
        path = folder / "wire"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            check_socket_path(path)
            listener.bind(os.fspath(path))
            path.chmod(0o600)
            listener.listen(128)
        except BaseException:
            listener.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        listener.setblocking(False)
        self._alarm, alarm = socket.socketpair()
        self._alarm.setblocking(False)
        alarm.setblocking(False)
        self._owner = os.getpid()
        atexit.register(self._close_at_exit)
        self._watcher = threading.Thread(
            target=self._serve, args=(listener, alarm), name="doze-wire-watch", daemon=True
        )
        self._watcher.start()
        return path

    def _close_at_exit(self) -> None:
        if os.getpid() == self._owner:  # a forked child has the registration, but not the folder
            self.close()

    def _serve(self, listener: socket.socket, alarm: socket.socket) -> None:
        with listener, alarm, self._alarm:
            while not self._closed:
                ready = self._poll(listener, alarm)
                if alarm.fileno() in ready:
                    with contextlib.suppress(BlockingIOError):
                        alarm.recv(4096)
                if listener.fileno() in ready:
                    self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            side, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            _log.error("the proxy filter cannot accept a connection: %s", error.strerror)  # noqa: TRY400 - the traceback is our own loop
            time.sleep(0.1)  # out of descriptors: the listener stays ready
            return
        connection = _Connection(self, side)
        try:
            with self._lock:
                if self._closed:
                    side.close()
                    return
                connection.thread.start()
                self._connections.add(connection)
        except RuntimeError:
            _log.exception("the proxy filter cannot start a thread")
            side.close()

    def forget(self, connection: _Connection) -> None:
        """Leave *connection* alone from now on; it closes its sockets."""
        with self._lock:
            self._connections.discard(connection)

    @contextlib.contextmanager
    def watching(self, connection: _Connection, *, client: bool) -> Iterator[None]:
        """Abort *connection* when its host leaves while the block runs, or its client if *client* is set."""
        with self._lock:
            if self._closed:
                raise GoneError
            watch = self._watched[connection] = _Watch(client=client)
        self._wake()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[connection]
            self._wake()  # a poll in progress keeps a closed socket open
            if watch.aborted or self._closed:
                raise GoneError  # whatever the driver made of it

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: nobody is left to wake
            self._alarm.send(b"!")

    def _poll(self, *always: socket.socket) -> dict[int, int]:
        poll = select.poll()
        for source in always:
            poll.register(source, select.POLLIN)
        with self._lock:
            for connection, watch in self._watched.items():
                watch.register(poll, connection)
            deadlines = [watch.deadline for watch in self._watched.values() if watch.deadline and not watch.aborted]
        timeout = max(0.0, min(deadlines) - time.monotonic()) * 1000 if deadlines else None
        events = dict(poll.poll(timeout))
        with self._lock:
            for connection, watch in self._watched.items():
                watch.react(events, connection)
        return events


class _Watch:
    """What the watching thread knows about a connection inside the driver's code."""

    def __init__(self, *, client: bool) -> None:
        self.client = client
        self.deadline = 0.0
        self.aborted = False
        self._side = self._client = -1

    def register(self, poll: select.poll, connection: _Connection) -> None:
        self._side = self._client = -1
        if self.aborted:
            return
        self._side = connection.side.fileno()
        poll.register(self._side, select.POLLIN)
        if self.client and not self.deadline:
            self._client = connection.control.fileno()
            poll.register(self._client, _CLIENT_ENDED)

    def react(self, events: dict[int, int], connection: _Connection) -> None:
        if self.aborted:
            return
        if self._client in events:
            self.deadline = time.monotonic() + _HALF_CLOSED_PATIENCE
        # The host has nothing to say here, so whatever comes from it means that it is gone or not what we take it for.
        if self._side in events or (self.deadline and time.monotonic() >= self.deadline):
            self.aborted = True
            connection.abort()


class _Connection:
    """One client, from the hand-off to the end."""

    def __init__(self, server: WireServer, side: socket.socket) -> None:
        self.side = side
        self.thread = threading.Thread(target=self._run, name="doze-wire-client", daemon=True)
        self._server = server
        self._driver = server.driver
        self._clients: list[socket.socket] = []
        self._backend: socket.socket | None = None
        self._spliced = False

    def abort(self) -> None:
        """Shut every socket down, so that whoever waits for one wakes up. Safe from any thread while registered."""
        # Of the client's sockets only our own duplicate: SSLSocket.shutdown() drops the TLS state that a driver uses.
        for connection in (*self._clients[:1], self._backend, self.side):
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close the client, the backend and then the host's connection, which tells the host that it is over."""
        self._server.forget(self)
        if self._clients:
            self._end_client()
        if self._backend is not None:
            self._backend.close()
        self.side.close()

    def _run(self) -> None:
        try:
            self._handle(receive(self.side))
        except GoneError:
            _log.debug("a host or client left before its connection was spliced")
        except _BootFailedError as error:
            self._tell_client(_CANNOT_BOOT, str(error))
        except _UnreachableError as error:
            self._fail(error, _BACKEND_UNREACHABLE)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and its client must be let go
            self._fail(error, _FILTER_FAILED)
        finally:
            self.end()

    def _handle(self, handoff: Handoff) -> None:
        self._adopt(handoff.client)
        preamble = self._preamble(handoff)
        if preamble.handled:
            self._tell_host("handled")
            return
        path = self._boot()
        self._backend = backend = _dial(path)
        self._replay(preamble.replay)
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(backend.makefile("rb"))
            with self._server.watching(self, client=True):
                ready = stack.enter_context(
                    self._driver.handshake(preamble.client, reader, Path(path), self._server.cancels)
                )
            if ready:
                self._splice(preamble.client, reader)

    def _adopt(self, client: socket.socket) -> None:
        client.settimeout(_NO_LIMIT)
        self.control = client.dup()
        self.control.setblocking(False)
        self._clients = [self.control, client]

    def _preamble(self, handoff: Handoff) -> Preamble:
        tls = server_context(handoff.certificate, handoff.key) if handoff.certificate else None
        options = ProxyOptions(tls=tls, require_tls=handoff.require_tls, local_unix=handoff.local_unix)
        try:
            with self._server.watching(self, client=False):
                preamble = self._driver.preamble(handoff.client, self._server.cancels, options)
        finally:
            wrapped = ServerContext.take_wrapped()
            if wrapped is not None:
                self._clients.append(wrapped)
        if not isinstance(preamble, Preamble):
            raise WireError(f"preamble() returned {preamble!r}; expected a Preamble")
        if preamble.client not in self._clients:
            self._clients.append(preamble.client)
        encrypted = handoff.local_unix or isinstance(preamble.client, ssl.SSLSocket)
        if handoff.require_tls and not encrypted and not preamble.handled:
            raise WireError("this config requires TLS, and the client did not ask for it")
        return preamble

    def _boot(self) -> str:
        self._tell_host("boot")
        line = self._read_line()
        word, _, rest = line.partition(" ")
        if word == "bootfail":
            raise _BootFailedError(rest or "the engine did not boot")
        if word != "backend" or not rest:
            raise WireError(f"asking the host to boot: expected 'backend <path>', got {line[:200]!r}")
        return rest

    def _read_line(self) -> str:
        data = b""
        while b"\n" not in data:
            self._wait(self.side, select.POLLIN)
            chunk = self.side.recv(4096)
            if not chunk:
                raise GoneError
            data += chunk
            if len(data) > _LINE_LIMIT:
                raise WireError(f"asking the host to boot: its answer has more than {_LINE_LIMIT} bytes")
        return os.fsdecode(data.partition(b"\n")[0]).strip()

    def _replay(self, data: bytes) -> None:
        assert self._backend is not None
        rest = memoryview(data)
        while rest:
            self._wait(self._backend, select.POLLOUT)
            try:
                sent = self._backend.send(rest, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise _UnreachableError(f"writing to the backend: {error.strerror}") from error
            rest = rest[sent:]

    def _wait(self, awaited: socket.socket, events: int) -> None:
        """Wait until *awaited* is ready; give up when the host or the client hangs up."""
        poll = select.poll()
        poll.register(self.control, 0)
        poll.register(self.side, 0)
        poll.register(awaited, events)
        if awaited.fileno() not in dict(poll.poll()):
            raise GoneError

    def _splice(self, client: socket.socket, reader: BufferedReader) -> None:
        assert self._backend is not None
        self._tell_host("splice")
        self._spliced = True
        self._backend.setblocking(False)
        try:
            pending = reader.peek()
        except OSError:
            pending = b""  # a reset, which the copying meets again
        splice(client, self._backend, self.side, pending)

    def _tell_host(self, line: str) -> None:
        try:
            self.side.sendall(line.encode("utf-8", "surrogateescape") + b"\n")
        except OSError as error:
            raise GoneError from error

    def _fail(self, error: Exception, code: str) -> None:
        if isinstance(error, OSError | EOFError) and self._client_is_gone():
            _log.debug("a client left before its connection was spliced: %r", error)
            return
        _log.warning("the proxy filter failed", exc_info=error)
        if self._spliced:
            return
        self._tell_client(code, str(error) or type(error).__name__)
        with contextlib.suppress(GoneError):
            self._tell_host("error " + " ".join(describe_failure(error).split()))

    def _client_is_gone(self) -> bool:
        if not self._clients:
            return False
        try:
            return not self.control.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _tell_client(self, code: str, message: str) -> None:
        client = self._clients[-1] if self._clients else None
        if client is None or client.fileno() < 0 or not isinstance(self._driver, ErrorWriter):
            return
        try:
            client.settimeout(_SHORT)
            with client.makefile("wb") as stream:
                self._driver.write_error(stream, code, f"doze: {message}")
        except Exception as error:  # noqa: BLE001 - the driver's code again, and the client may leave while it is told
            _log.debug("a client could not be told why it is refused: %r", error)

    def _end_client(self) -> None:
        """Let the client read what it was sent: an unread byte at close would turn our end of stream into a reset."""
        for connection in self._clients:
            if isinstance(connection, ssl.SSLSocket):
                with contextlib.suppress(OSError, ValueError):  # ValueError: it is unwrapped already
                    connection.settimeout(0)
                    connection.unwrap()
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)
            for _ in range(64):
                if not self.control.recv(65536):
                    break
        for connection in reversed(self._clients):
            connection.close()


class _BootFailedError(WireError):
    """The host said `bootfail`, so it knows."""


class _UnreachableError(WireError):
    """The backend that the host named does not answer."""


def _dial(path: str) -> socket.socket:
    backend = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        backend.settimeout(_SHORT)
        backend.connect("\0" + path[1:] if path.startswith("@") else path)  # as Go writes abstract names
        backend.settimeout(None)
    except OSError as error:
        backend.close()
        raise _UnreachableError(f"the backend is unreachable: {path}: {error.strerror or error}") from error
    return backend


def _make_folder() -> Path:
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) + len("/doze-wire-12345678/wire") > SOCKET_PATH_LIMIT:
        parent = "/tmp"  # noqa: S108 - mkdtemp makes a private folder
    return Path(tempfile.mkdtemp(prefix="doze-wire-", dir=parent))
