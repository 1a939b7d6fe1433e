"""Copying between a client and its backend in one thread.

OpenSSL does not allow one connection to be read and written by two threads at once, so both directions are served in
turn, without blocking. A direction holds one chunk at most: it is read when the last one has been written, and a reader
that stops stops its writer.
"""

from __future__ import annotations

import select
import socket
import ssl
from typing import Protocol

CHUNK = 64 * 1024
"""Bytes read at a time, and the most that one direction holds."""

# Chunks after which the other direction gets its turn.
_TURN = 16

_HANGUP = select.POLLHUP | select.POLLERR | select.POLLNVAL


class _End(Protocol):
    """One side of the splice. `reads` and `writes` are what to poll for before the next try."""

    reads: int
    writes: int

    def fileno(self) -> int: ...

    def receive(self) -> bytes | None:
        """Return what is there, empty at the end of the stream, None if nothing is there yet."""

    def send(self, data: memoryview) -> int:
        """Return how much was taken, 0 if nothing can be taken yet."""

    def finish(self) -> bool:
        """End the stream towards this side; False if that has to wait."""


class _Plain:
    """A socket. `MSG_DONTWAIT` holds whatever the host does to the flag that its duplicate shares with ours."""

    reads = select.POLLIN
    writes = select.POLLOUT

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        try:
            return self._socket.recv(CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def finish(self) -> bool:
        self._socket.shutdown(socket.SHUT_WR)
        return True


class _TLS:
    """A TLS connection. It has no `MSG_DONTWAIT`, so the shared flag is set anew before each step."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._socket = connection
        self._over = False
        self.reads, self.writes = select.POLLIN, select.POLLOUT

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        if self._over:
            return b""
        self._socket.setblocking(False)
        self.reads = select.POLLIN
        try:
            return self._socket.recv(CHUNK)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            self.reads = select.POLLOUT
            return None

    def send(self, data: memoryview) -> int:
        self._socket.setblocking(False)
        self.writes = select.POLLOUT
        try:
            return self._socket.send(data)
        except ssl.SSLWantWriteError:
            return 0
        except ssl.SSLWantReadError:
            self.writes = select.POLLIN
            return 0

    def finish(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.unwrap()
        except ssl.SSLWantWriteError:
            return False
        except ssl.SSLWantReadError:
            return True  # our close_notify is out; the client's stream goes on
        self._over = True  # the client had ended its stream before
        return True


class _Flow:
    """One direction."""

    def __init__(self, source: _End, sink: _End, pending: bytes = b"") -> None:
        self.source = source
        self.sink = sink
        self.done = False
        self._chunk = memoryview(pending)
        self._ended = False

    def run(self) -> bool:
        """Copy until one side is not ready; True if it was only this flow's turn that ended."""
        return all(not self.done and self._step() for _ in range(_TURN))

    def _step(self) -> bool:
        if not self._chunk and not self._ended:
            data = self.source.receive()
            if data is None:
                return False
            self._chunk, self._ended = memoryview(data), not data
        if self._ended:
            self.done = self.sink.finish()
            return False
        sent = self.sink.send(self._chunk)
        self._chunk = self._chunk[sent:]
        return sent > 0

    def interest(self) -> tuple[int, int]:
        """The descriptor that this flow waits for, and the events."""
        if self._chunk or self._ended:
            return self.sink.fileno(), self.sink.writes
        return self.source.fileno(), self.source.reads

    def end_source(self) -> None:
        """Treat the source as ended, because reading it failed."""
        self._ended = True

    @property
    def writing(self) -> bool:
        return bool(self._chunk) or self._ended


def splice(client: socket.socket, backend: socket.socket, side: socket.socket, pending: bytes = b"") -> None:
    """Copy both ways until both directions ended or a side is gone; the end of one direction is passed on.

    Args:
        side: the host's connection; when the host hangs up, the copying ends.
        pending: what was read from the backend already.

    """
    near: _End = _TLS(client) if isinstance(client, ssl.SSLSocket) else _Plain(client)
    far = _Plain(backend)
    up, down = _Flow(near, far), _Flow(far, near, pending)
    while True:
        try:
            busy = _run_up(up)
            busy |= _run_down(down)
        except OSError:
            return  # the client is gone
        if up.done and down.done:
            return
        if _hung_up(_wait(up, down, side, busy), up, down, side):
            return


def _run_up(up: _Flow) -> bool:
    try:
        return up.run()
    except OSError:
        if not up.writing:
            raise
        up.done = True  # the backend takes no more; what it still says reaches the client
        return False


def _run_down(down: _Flow) -> bool:
    try:
        return down.run()
    except OSError:
        if down.writing:
            raise
        down.end_source()
        return True


def _wait(up: _Flow, down: _Flow, side: socket.socket, busy: bool) -> dict[int, int]:
    masks = {side.fileno(): 0}
    # A side whose stream has ended is watched for the hang-up that makes the other direction pointless, too.
    if up.done:
        masks[up.source.fileno()] = 0
    if down.done:
        masks[down.source.fileno()] = 0
    for flow in (up, down):
        if not flow.done:
            descriptor, events = flow.interest()
            masks[descriptor] = masks.get(descriptor, 0) | events
    poll = select.poll()
    for descriptor, events in masks.items():
        poll.register(descriptor, events)
    return dict(poll.poll(0 if busy else None))


def _hung_up(events: dict[int, int], up: _Flow, down: _Flow, side: socket.socket) -> bool:
    def hangs(descriptor: int) -> bool:
        return bool(events.get(descriptor, 0) & _HANGUP)

    return (
        hangs(side.fileno()) or (up.done and hangs(up.source.fileno())) or (down.done and hangs(down.source.fileno()))
    )
