"""The grpcio side of the relay: connections to a grpcio server of this process, and from a channel of it."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import threading
from collections import deque
from typing import Final

from ._errors import TransportError
from ._listener import RELAY_FOLDER, private_folder, remove_folder, unix_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Options for every grpcio server behind a `Backend`. A connection that is made ahead says nothing until a peer comes,
#: maybe after days; grpcio would drop it after two minutes, and ping it after two hours.
SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.server_handshake_timeout_ms", 2**31 - 1),
    ("grpc.keepalive_time_ms", 2**31 - 1),
)


_SOL_LOCAL: Final = 0  # these two are <sys/un.h> of macOS; Python does not name them
_LOCAL_PEERPID: Final = 2


class Backend:
    """A grpcio server of this process that nobody but the relay can reach.

    `bind(target)` adds an insecure port on `target` ("unix:/…") to a server made with `SERVER_OPTIONS`, starts it, and
    returns what stops it. The backend connects to it `spare` times, then removes the path: whoever is not connected by
    then never will be. Each connection of a peer uses up one of these. When a peer finds none, `bind` runs again, on a
    thread of its own and with another target: it must then start one more server with the same services, because grpcio
    takes no new port after the start. Servers whose connections have all ended, so that nobody will ever reach them
    again, are stopped on that occasion. Whoever supplies `bind` stops the others.

    The path lies in `folder`, or among the temporary files; see `PrivatePath`.

    A plugin's main connection and each brokered one usually last as long as both processes; a host that reconnects, as
    grpc-go does after 30 idle minutes, uses up one more.

    Raises:
        TransportError: The server cannot be reached.
    """

    def __init__(self, bind: Callable[[str], Callable[[], object]], *, spare: int = 2, folder: str = "") -> None:
        self._bind: Final = bind
        self._folder: Final = folder
        self._spare: Final = spare
        self._lock: Final = threading.Lock()
        self._ready: Final[deque[socket.socket]] = deque()
        self._servers: list[tuple[Callable[[], object], list[socket.socket]]] = []
        self._closed = False
        try:
            self._connect_ahead()
        except TransportError:
            self.close()
            raise

    def take(self) -> socket.socket | None:
        """Return a connection made ahead, non-blocking, or None if all are used up."""
        with self._lock:
            while self._ready:
                sock = self._ready.popleft()
                if not hung_up(sock):
                    return sock
                sock.close()
        return None

    def refill(self) -> None:
        """Start another server and connect ahead to it. Takes milliseconds; not for the relay's thread."""
        with self._lock:
            if self._closed:
                raise TransportError("connecting to our own gRPC server: it is being stopped")
        self._connect_ahead()
        for stop in self._outlived():
            stop()

    def close(self) -> None:
        """Close the connections that nobody uses yet. Idempotent, any thread.

        Comes before a server's `stop` with a grace period, which would wait in vain for these connections to end.
        """
        with self._lock:
            self._closed = True
            ready = list(self._ready)
            self._ready.clear()
        for sock in ready:
            sock.close()

    def _connect_ahead(self) -> None:
        with PrivatePath(self._folder) as path:
            try:
                stop = self._bind(unix_target(path))
            except RuntimeError as error:  # gRPC's for an address that it cannot listen on
                raise TransportError(f"starting our own gRPC server at {path}: {error}") from error
            made = []
            for _ in range(self._spare):
                made.append(_connect(path))
                self._keep(made[-1])
        with self._lock:
            self._servers.append((stop, made))

    def _keep(self, sock: socket.socket) -> None:
        with self._lock:
            if not self._closed:
                self._ready.append(sock)
                return
        sock.close()

    def _outlived(self) -> list[Callable[[], object]]:
        """Take out the servers all of whose connections whoever took them has closed."""
        with self._lock:
            over = [server for server in self._servers if all(sock.fileno() < 0 for sock in server[1])]
            self._servers = [server for server in self._servers if server not in over]
        return [stop for stop, _ in over]


class PrivatePath:
    """A path for a unix socket in a folder that only this account can enter; leaving the block removes both.

    That folder is made in `folder`, which somebody else removes if this process is killed, or else among the temporary
    files.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder: Final = private_folder(RELAY_FOLDER, folder)
        self.path: Final = f"{self._folder}/s"

    def remove(self) -> None:
        remove_folder(self._folder)

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()


def owner(sock: socket.socket) -> int:
    """Return the process that connected to a unix socket, or that listens where it is connected to."""
    if sys.platform == "darwin":
        return sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
    peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", peer)[0])


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
        if owner(sock) != os.getpid():
            raise TransportError(f"connecting to our own gRPC server at {path}: process {owner(sock)} listens there")
    except OSError as error:
        sock.close()
        raise TransportError(f"connecting to our own gRPC server at {path}: {error}") from error
    except TransportError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def hung_up(sock: socket.socket) -> bool:
    """Whether the other side of a unix socket is closed in both directions; there may still be something to read."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))
