"""One connection of the peer, joined to one connection of grpcio, with TLS between the two if there is any.

The peer's side is a `Carrier`: a socket of its own, or a stream of a multiplexed connection. At most `CHUNK` bytes wait
in each direction: while the carrier is blocked nothing is read from grpcio, and while grpcio does not read nothing is
taken from the carrier, or granted to a stream.
"""

from __future__ import annotations

import socket
import ssl
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from typing import Final, cast

from ._backend import hung_up
from ._errors import PeerRefusedError, TransportError
from ._loop import CHUNK, READ, RECORD, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._loop import Loop, Timer, Watch

#: Seconds that a peer may take to close its side after ours is closed.
LINGER: Final = 5.0
_MOST_WAITING: Final = 2 * CHUNK


class Carrier(ABC):
    """What carries the bytes to the peer and back."""

    pipe: Pipe

    def __init__(self, loop: Loop) -> None:
        #: Whether what was sent has not all gone out: `Pipe.unblocked` is called when it has.
        self.blocked = False
        #: Whether the peer has closed its side entirely, so that nothing can be sent to it any more. What it sent
        #: before can still be read, and tells how it meant that.
        self.deaf = False
        #: Whether the peer gets everything even if it is closed right after that was sent.
        self.closes_safely = False
        self._loop: Final = loop
        self._waiting: Final = bytearray()

    @property
    def settled(self) -> bool:
        """Whether nothing waits here to be sent."""
        return not self.blocked

    def keep(self, data: memoryview) -> None:
        """Keep what cannot be sent yet."""
        self.blocked = True
        self._waiting.extend(data)
        if len(self._waiting) > _MOST_WAITING:
            # Only TLS itself sends while blocked, in answer to the peer's requests for new keys.
            error = TransportError("talking TLS with the peer: it makes requests without reading the answers")
            self._loop.soon(partial(self.pipe.break_off, error))

    @abstractmethod
    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, or keep what does not go out yet."""

    @abstractmethod
    def receive(self, wanted: bool) -> None:
        """Stop or go on reading from the peer."""

    @abstractmethod
    def settle(self, kept: int) -> None:
        """Note that all bytes given to the pipe have left it, but for `kept`."""

    @abstractmethod
    def finish(self) -> None:
        """Close the direction to the peer, once everything has gone out."""

    @abstractmethod
    def close(self, *, abruptly: bool) -> None:
        """Close both directions at once; `abruptly` tells the peer that something is missing."""


class SocketCarrier(Carrier):
    """A connection that belongs to one pipe."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(loop)
        # TCP throws away what the peer has not read yet when it sends something to a closed socket.
        self.closes_safely = sock.family == socket.AF_UNIX
        self._socket: Final = sock
        self._finishing = False
        self._watch: Final[Watch] = loop.watch(sock, READ, self._ready, self._fail)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        if self.deaf:
            return
        sent = 0
        if not self._waiting:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self.deaf = True
                self._loop.soon(self.pipe.unblocked)
                return
            except OSError as error:
                # Not now: the caller is in the middle of something with this pipe.
                self._loop.soon(partial(self.pipe.break_off, _broken("sending to the peer", error)))
                return
        if sent < len(data):
            self.keep(memoryview(data)[sent:])
            self._watch.add(WRITE)

    def receive(self, wanted: bool) -> None:
        if wanted:
            self._watch.add(READ)
        else:
            self._watch.drop(READ)

    def settle(self, kept: int) -> None:
        """The kernel's buffer is the only flow control of a socket."""

    def finish(self) -> None:
        self._finishing = True
        if not self._waiting:
            _shut_down(self._socket)

    def close(self, *, abruptly: bool) -> None:
        self._watch.want(0)
        if abruptly and self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _fail(self, error: TransportError) -> None:
        self.pipe.break_off(error)

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & READ:
            self._read()

    def _read(self) -> None:
        if self.pipe.ended:
            return
        try:
            size = self._socket.recv_into(self._loop.received)
        except BlockingIOError:
            return
        except OSError as error:
            self.pipe.break_off(_broken("receiving from the peer", error))
            return
        if size:
            self.pipe.received(self._loop.received[:size])
        else:
            self._watch.drop(READ)
            self.pipe.carrier_ended()

    def _flush(self) -> None:
        try:
            del self._waiting[: self._socket.send(self._waiting)]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.deaf = True
            self._waiting.clear()
        except OSError as error:
            self.pipe.break_off(_broken("sending to the peer", error))
            return
        if not self._waiting:
            self.blocked = False
            self._watch.drop(WRITE)
            if self._finishing:
                _shut_down(self._socket)
            self.pipe.unblocked()


class Pipe:
    """One connection of the peer on its way to grpcio.

    `on_ready` runs when the peer has proved who it is; it calls `join`, then or later. `on_end` runs once.
    """

    def __init__(
        self,
        loop: Loop,
        carrier: Carrier,
        security: Security | None,
        *,
        on_ready: Callable[[Pipe], None],
        on_end: Callable[[TransportError | None], None],
    ) -> None:
        self.ended = False
        self._loop: Final = loop
        self._carrier: Final = carrier
        self._security: Final = security
        self._on_ready: Final = on_ready
        self._on_end: Final = on_end
        self._inner: socket.socket | None = None
        self._watch: Watch | None = None
        self._to_inner: Final = bytearray()
        self._secured = False
        self._inner_finished = False
        self._inner_gone = False  # grpcio has closed its socket: what the peer still sends is dropped
        self._peer_finished = False
        self._refused: TransportError | None = None
        self._timer: Timer | None = None
        carrier.pipe = self

    def start(self, timeout: float) -> None:
        """Begin; the peer has `timeout` seconds to prove who it is."""
        if self._security is None:
            self._secured = True
            self._on_ready(self)
            return
        self._timer = self._loop.later(timeout, lambda: self.break_off(_silent(timeout)))
        self._shake_hands(self._security)

    def join(self, inner: socket.socket) -> None:
        """Connect with `inner`, a non-blocking socket that belongs to the pipe from now on."""
        self._inner = inner
        self._watch = self._loop.watch(inner, READ, self._inner_ready, self.break_off)
        self._flush_inner()

    @property
    def settled(self) -> bool:
        """Whether nothing waits here to be sent to the peer."""
        return self._carrier.settled

    # --- From the peer to grpcio ---

    def received(self, data: memoryview) -> None:
        """Take what the carrier received."""
        if self.ended or self._refused is not None or self._peer_finished:
            self._carrier.settle(0)
            return
        if self._security is None:
            self._deliver(data)
            self._settle()
            return
        self._security.feed(data)
        if self._secured:
            self._decrypt(self._security)
        else:
            self._shake_hands(self._security)

    def carrier_ended(self) -> None:
        """Take note that nothing more will come from the peer."""
        if self.ended or self._peer_finished:
            return
        if self._refused is not None:
            self._end()
            return
        if self._security is None:
            self._finish_inner()
            return
        self._security.feed_eof()
        if self._secured:
            self._decrypt(self._security)
        else:
            self._shake_hands(self._security)

    def carrier_lost(self) -> None:
        """Take note that nothing more will come from the peer or go to it, as if its process had ended."""
        if self._security is None and not self._peer_finished:
            self.break_off(None)
        else:  # what has come already may be complete, and grpcio may not have taken all of it
            self.carrier_ended()
            self.unblocked()

    def _shake_hands(self, security: Security) -> None:
        try:
            self._secured = security.shake_hands()
        except ssl.SSLError as error:
            self._refuse(security, error)
            return
        self._send_pending(security)
        if self._secured and not self.ended:
            self._cancel_timer()
            self._on_ready(self)
            self._decrypt(security)

    def _decrypt(self, security: Security) -> None:
        while not (self.ended or self._to_inner or self._peer_finished or self._refused):
            try:
                size = security.decrypt(self._loop.decrypted)
            except ssl.SSLError as error:
                self._refuse(security, error)
                return
            if size:
                self._deliver(self._loop.decrypted[:size])
            if security.peer_finished:
                self._finish_inner()
            if not security.more:
                break
        if not self.ended:
            self._send_pending(security)
            self._settle()

    def _deliver(self, data: memoryview) -> None:
        if self._inner_gone:
            return
        sent = 0
        if self._inner is not None and not self._to_inner:
            try:
                sent = self._inner.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._lose_inner()
                return
        if sent < len(data):
            self._to_inner.extend(data[sent:])
            self._carrier.receive(wanted=False)
            if self._watch is not None:
                self._watch.add(WRITE)

    def _settle(self) -> None:
        if not self._to_inner:
            self._carrier.settle(0 if self._security is None else self._security.kept)

    def _flush_inner(self) -> None:
        assert self._inner is not None
        assert self._watch is not None
        if self._to_inner:
            try:
                del self._to_inner[: self._inner.send(self._to_inner)]
            except BlockingIOError:
                self._watch.add(WRITE)
                return
            except OSError:
                self._lose_inner()
        if self._to_inner:
            self._watch.add(WRITE)
            return
        self._watch.drop(WRITE)
        if self._peer_finished:
            _shut_down(self._inner)
            self._end_if_done()
            return
        self._settle()
        if self._security is not None:
            self._decrypt(self._security)
        if not self._to_inner and not self.ended and not self._peer_finished:
            self._carrier.receive(wanted=True)

    def _finish_inner(self) -> None:
        self._peer_finished = True
        self._carrier.receive(wanted=False)
        if self._inner is not None and not self._to_inner:
            _shut_down(self._inner)
        self._end_if_done()

    def _lose_inner(self) -> None:
        # What grpcio sent before it closed its socket can still be read from it, so reading goes on until its end.
        self._inner_gone = True
        self._to_inner.clear()

    # --- From grpcio to the peer ---

    def unblocked(self) -> None:
        """Take note that the carrier can send again."""
        if self.ended or self._refused is not None:
            return
        if not self._inner_finished and self._watch is not None:
            self._watch.add(READ)
        self._end_if_done()

    def _inner_ready(self, mask: int) -> None:
        if mask & WRITE:
            self._flush_inner()
        if mask & READ and not self.ended:
            self._read_inner()

    def _read_inner(self) -> None:
        assert self._inner is not None
        assert self._watch is not None
        data = self._loop.received
        try:
            size = self._inner.recv_into(data)
        except BlockingIOError:
            return
        except OSError:
            self.break_off(None)  # our own gRPC closed its socket without reading all that the peer sent
            return
        if not size:
            self._inner_ends()
            return
        carrier = self._carrier
        if self._security is None:
            carrier.send(data[:size])
        else:
            try:
                encrypted = self._security.encrypt(data[:size])
            except ssl.SSLError as error:
                self._refuse(self._security, error)
                return
            carrier.send(encrypted)
        if carrier.blocked and not self.ended:
            self._watch.drop(READ)

    def _inner_ends(self) -> None:
        assert self._inner is not None
        assert self._watch is not None
        self._inner_finished = True
        self._watch.drop(READ)
        if hung_up(self._inner):
            self._lose_inner()
            if self._carrier.closes_safely:
                self._peer_finished = True  # whatever it still sends is of no use to anybody
            else:
                self._linger()
                self._carrier.receive(wanted=True)
        if self._security is not None:
            if self._inner_gone:
                self._decrypt(self._security)
            self._security.finish()
            self._send_pending(self._security)
        self._carrier.finish()
        self._end_if_done()

    def _send_pending(self, security: Security) -> None:
        data = security.pending()
        if data:
            self._carrier.send(data)

    # --- The end ---

    def break_off(self, error: TransportError | None, *, abruptly: bool = True) -> None:
        """End both connections now, dropping what waits, and report `error`."""
        self._end(error, abruptly=abruptly)

    def hang_up(self) -> None:
        """End both connections as the peer expects it, without waiting for anything."""
        if not self.ended and self._security is not None and self._secured:
            self._security.finish()
            self._send_pending(self._security)
        self._end()

    def _refuse(self, security: Security, error: ssl.SSLError) -> None:
        fault = _fault(error, secured=self._secured)
        self._send_pending(security)  # the alert, which tells the peer why
        if _cut_off(error):
            self.break_off(fault)
            return
        self._refused = fault
        if self._watch is not None:
            self._watch.want(0)
        self._cancel_timer()
        if self._carrier.closes_safely and not self._carrier.blocked:
            self._end()
            return
        # A TCP peer would never see the alert if its unread data met a closed socket.
        self._linger()
        self._carrier.receive(wanted=True)
        self._carrier.finish()

    def _linger(self) -> None:
        self._timer = self._loop.later(LINGER, partial(self._end, abruptly=True))

    def _end_if_done(self) -> None:
        over = self._peer_finished and (self._inner_finished or self._carrier.deaf)
        if over and not self._to_inner and not self._carrier.blocked:
            self._end()

    def _end(self, error: TransportError | None = None, *, abruptly: bool = False) -> None:
        if self.ended:
            return
        self.ended = True
        self._cancel_timer()
        self._on_end(self._refused or error)
        if self._watch is not None:
            self._watch.want(0)
        if self._inner is not None:
            self._inner.close()
        self._carrier.close(abruptly=abruptly)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Security:
    """TLS without I/O. Its methods raise `ssl.SSLError` for whatever the peer does wrong."""

    def __init__(self, context: ssl.SSLContext, name: str | None) -> None:
        """`name` is whom a client expects; None is the server's role."""
        self._in: Final = ssl.MemoryBIO()
        self._out: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(self._in, self._out, server_side=name is None, server_hostname=name)
        #: Whether the peer has said that it will send nothing more.
        self.peer_finished = False
        self._fed_all = False  # the input takes nothing after its end, but `finish` has to put records back

    def feed(self, data: memoryview) -> None:
        self._in.write(data)

    def feed_eof(self) -> None:
        self._fed_all = True

    @property
    def kept(self) -> int:
        """Received bytes that are not decrypted yet."""
        return self._in.pending

    @property
    def more(self) -> bool:
        """Whether to decrypt again, for further records or for the end."""
        return self._fed_all or self._in.pending > 0

    def pending(self) -> bytes:
        return self._out.read()

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if not self._fed_all:
                return False
            self._in.write_eof()
            self._tls.do_handshake()
        return True

    def encrypt(self, data: memoryview) -> bytes:
        self._tls.write(data)
        return self._out.read()

    def decrypt(self, into: memoryview) -> int:
        """Decrypt whole records, `CHUNK` bytes and the rest of the last one at most; see `more`."""
        if self._fed_all and not self._in.pending:
            self._in.write_eof()
        size = 0
        read = self._tls.read
        try:
            while size < CHUNK:
                more = cast("int", read(RECORD, into[size:] if size else into))
                if not more:
                    self.peer_finished = True
                    break
                size += more
                if not self._in.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.peer_finished = True
        return size

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        # The farewell is written at once; that the peer's has not come yet, or never will, is no matter. But `unwrap`
        # looks for it, and destroys what it finds before it.
        undecrypted = self._in.read()
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        if undecrypted:
            self._in.write(undecrypted)


def _shut_down(sock: socket.socket) -> None:
    # If the other side is gone already, reading will tell.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def _broken(what: str, error: OSError) -> TransportError:
    return TransportError(f"{what}: the connection broke: {error}")


def _silent(seconds: float) -> PeerRefusedError:
    return PeerRefusedError(f"waiting for the TLS handshake of whoever connected: not done after {seconds:g} s")


def _cut_off(error: ssl.SSLError) -> bool:
    # Python up to 3.11.3 gives the reason, later versions the class.
    return isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING"


def _fault(error: ssl.SSLError, *, secured: bool) -> TransportError:
    reason = error.reason or str(error)
    if _cut_off(error):
        return TransportError("talking TLS with the peer: the connection was cut off without a farewell")
    if secured and "ALERT" not in reason:
        return TransportError(f"talking TLS with the peer: {reason}")
    if "ALERT" in reason:
        return PeerRefusedError(f"shaking hands with the peer: it refuses our certificate: {reason}")
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
    return PeerRefusedError(f"shaking hands with whoever connected: it is not the peer that was announced: {reason}")
