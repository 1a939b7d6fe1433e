"""A TCP port in front of an engine's unix socket."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ..engine import check_socket_path
from ._errors import ListenError, PortInUseError

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK: Final = 1 << 16
"""The most bytes held per connection and direction."""

_BACKLOG = 128
_DIAL_PATIENCE = 5.0
"""Seconds to go on dialling a backend whose own backlog is full."""
_RETRY = 0.01
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close() resets the connection instead of ending it in order."""


class Splice:
    """Listens on a TCP address and carries each connection to a unix socket and back.

        with Splice(("127.0.0.1", 8080), backend=Path("/tmp/dz1/s")) as splice:
            print(splice.port)

    The address is taken when the object is made, before any engine has to boot; clients that come before `serve` wait.
    Each direction ends by itself, so a client may close its half and still read the answer. A side that does not read
    stops the other from writing: at most 64 KiB per direction are held. A client whose backend does not answer, or
    breaks off, gets a reset, as from doze. All connections share one thread.

    Args:
        address: host and port; port 0 takes a free one.
        backend: the engine's socket. It is dialled for every connection, so it may appear later.

    Raises:
        PortInUseError: somebody listens on the port; the text says who, where that can be seen.
        ListenError: the address cannot be listened on for another reason.
        engine.SocketPathError: the path of the backend is too long.

    """

    def __init__(self, address: tuple[str, int], backend: Path) -> None:
        check_socket_path(backend)
        self._backend = backend
        self._listener = _listen(*address)
        self._waking, self._wake = socket.socketpair()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port on which it listens."""
        host, port, *_ = self._listener.getsockname()
        return host, port

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self.address[1]

    def serve(self) -> None:
        """Begin to accept clients."""
        if self._thread is None and not self._closed:
            switchboard = _Switchboard(self._listener, self._waking, str(self._backend))
            self._thread = threading.Thread(target=switchboard.run, name=f"doze-splice-{self.port}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop listening and break off every connection. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._wake.send(b"x")
        if self._thread is not None:
            self._thread.join()
        for end in (self._listener, self._waking, self._wake):
            end.close()

    def __enter__(self) -> Self:
        self.serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Switchboard:
    """The thread that moves the bytes of all connections."""

    def __init__(self, listener: socket.socket, waking: socket.socket, backend: str) -> None:
        self._listener = listener
        self._waking = waking
        self._backend = backend
        self._selector = selectors.DefaultSelector()
        self._links: set[_Link] = set()
        self._waiting: dict[_Link, float] = {}
        self._accept_again = 0.0

    def run(self) -> None:
        with self._selector:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._waking, selectors.EVENT_READ)
            while self._turn():
                self._dial_again()
        for link in self._links:
            link.reset()

    def _turn(self) -> bool:
        for key, events in self._selector.select(_RETRY if self._waiting or self._accept_again else None):
            if key.fileobj is self._waking:
                return False
            if key.fileobj is self._listener:
                self._accept()
            elif (link := key.data) in self._links:
                link.move(key.fileobj, events)
                self._settle(link)
        return True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # out of descriptors or memory: asking again at once would spin
                self._selector.unregister(self._listener)
                self._accept_again = time.monotonic() + _RETRY
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._dial(_Link(client), time.monotonic() + _DIAL_PATIENCE)

    def _dial_again(self) -> None:
        now = time.monotonic()
        for link, deadline in list(self._waiting.items()):
            del self._waiting[link]
            self._dial(link, deadline)
        if self._accept_again and now >= self._accept_again:
            self._accept_again = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _dial(self, link: _Link, deadline: float) -> None:
        self._links.add(link)
        try:
            link.dial(self._backend)
        except BlockingIOError:  # Linux: the backend's backlog is full
            if time.monotonic() < deadline:
                self._waiting[link] = deadline
                return
            self._drop(link)
        except OSError:
            self._drop(link)
        else:
            self._settle(link)

    def _settle(self, link: _Link) -> None:
        """Listen for what the link waits for now, or forget it."""
        if link.broken or link.done:
            self._drop(link)
            return
        for end, events in link.interests():
            registered = self._selector.get_map().get(end)
            if registered is None and events:
                self._selector.register(end, events, link)
            elif registered is not None and not events:
                self._selector.unregister(end)
            elif registered is not None and registered.events != events:
                self._selector.modify(end, events, link)

    def _drop(self, link: _Link) -> None:
        for end in (link.client, link.backend):
            if end is not None and end in self._selector.get_map():
                self._selector.unregister(end)
        self._links.discard(link)
        if link.done and not link.broken:
            link.close()
        else:
            link.reset()


class _Flow:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, *, may_be_unwanted: bool) -> None:
        self.source = source
        self.sink = sink
        self._may_be_unwanted = may_be_unwanted
        self.held = memoryview(b"")
        self.ended = False

    @property
    def wants(self) -> bool:
        """Whether the next thing to do is to read."""
        return not self.ended and not self.held

    def move(self) -> None:
        """Carry what can be carried without waiting; OSError if a side has broken off."""
        if self.wants:
            try:
                data = self.source.recv(_CHUNK)
            except BlockingIOError:
                return
            self.held = memoryview(data)
            if not data:
                self.ended = True
                self.sink.shutdown(socket.SHUT_WR)
        while self.held:
            try:
                self.held = self.held[self.sink.send(self.held) :]
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                if not self._may_be_unwanted:
                    raise
                # A server may answer and leave before it has read the whole request; its answer still has to arrive.
                self.held = memoryview(b"")
                self.ended = True


class _Link:
    """A client, its backend connection and the flows between them."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.backend: socket.socket | None = None
        self.broken = False
        self._flows: tuple[_Flow, ...] = ()

    @property
    def done(self) -> bool:
        """Whether both directions have ended."""
        return bool(self._flows) and all(flow.ended for flow in self._flows)

    def dial(self, path: str) -> None:
        """Connect to the backend; OSError if it does not answer."""
        backend = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            backend.setblocking(False)
            backend.connect(path)
        except OSError:
            backend.close()
            raise
        self.backend = backend
        self._flows = (
            _Flow(self.client, backend, may_be_unwanted=True),
            _Flow(backend, self.client, may_be_unwanted=False),
        )

    def move(self, end: object, events: int) -> None:
        """Move what an event on one end allows."""
        try:
            for flow in self._flows:
                readable = end is flow.source and events & selectors.EVENT_READ and flow.wants
                writable = end is flow.sink and events & selectors.EVENT_WRITE and flow.held
                if readable or writable:
                    flow.move()
        except OSError:
            self.broken = True

    def interests(self) -> list[tuple[socket.socket, int]]:
        """Return each end with the events to wait for."""
        events = {flow.source: 0 for flow in self._flows}
        for flow in self._flows:
            if flow.wants:
                events[flow.source] |= selectors.EVENT_READ
            elif flow.held:
                events[flow.sink] |= selectors.EVENT_WRITE
        return list(events.items())

    def close(self) -> None:
        self.client.close()
        if self.backend is not None:
            self.backend.close()

    def reset(self) -> None:
        """Close both ends so that the client can tell it from an orderly end."""
        with suppress(OSError):  # the client is gone already
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port, _holder_of(port)) from None
        hint = "; ports below 1024 need root" if error.errno == errno.EACCES else ""
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}{hint}") from error
    return listener


def _holder_of(port: int) -> str:
    """Say which process listens on a port, as far as /proc lets this account see it."""
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(str(link.readlink()) in inodes for link in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                command = b" ".join(words).decode(errors="replace")[:120]
                return f"process {folder.name} ({_printable(command)})"
        except OSError:
            continue
    return ""


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _listening(table: Path, port: int) -> list[str]:
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
    # Columns: slot, local address, remote address, state (0A listens), …, the inode in the tenth.
    return [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
