"""yamux without I/O: received bytes go in, events and bytes to send come out.

The protocol is version 0 of https://github.com/hashicorp/yamux/blob/master/spec.md with the limits of its Go
implementation, which multiplexing go-plugin hosts run. A connection has two ends, a client (odd stream numbers) and a
server (even ones):

    connection = Connection(client=True)
    number = connection.open()
    taken = connection.send(number, b"...")              # at most the peer's window
    sock.sendall(connection.outgoing); connection.outgoing.clear()
    for event in connection.receive(sock.recv(65536)):   # at the end: connection.receive_eof()
        ...

Memory is bounded: a stream never has more than `WINDOW` bytes in flight towards us, because a peer that sends more ends
the connection, and `send` takes no more than the peer granted. Received data is not kept here at all; whoever keeps it
calls `consume` when it is gone, which is what grants the peer further bytes.
"""

from __future__ import annotations

import struct
import time
from enum import Enum
from typing import Final, NamedTuple

from ._errors import TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that each side may send on a stream before the other grants more.
WINDOW: Final = 256 * 1024
#: Streams that may wait to be accepted; the peer's further ones are reset.
BACKLOG: Final = 256
#: Seconds within which the peer must acknowledge a stream that we opened.
OPEN_TIMEOUT: Final = 75.0
#: Seconds that a stream may stay half closed after we finished it.
CLOSE_TIMEOUT: Final = 300.0
#: Seconds within which the peer must answer a ping.
PING_TIMEOUT: Final = 10.0

_HEADER: Final = struct.Struct(">BBHII")
_HEADER_SIZE: Final = 12
_LARGEST: Final = 2**32 - 1
#: Answers to pings and refusals of streams that may wait to be sent; only a peer that never reads gets there.
_MOST_REPLIES: Final = 4096
#: Go takes a stream number before it queues the frame, so frames of up to a backlog of streams may overtake each other.
_MOST_OVERTAKEN: Final = 2 * BACKLOG

_DATA: Final = 0
_WINDOW_UPDATE: Final = 1
_PING: Final = 2
_GO_AWAY: Final = 3

_SYN: Final = 1
_ACK: Final = 2
_FIN: Final = 4
_RST: Final = 8


_NORMAL: Final = 0
_PROTOCOL_ERROR: Final = 1


class Violation(Enum):
    """The rule that a peer broke."""

    VERSION = "protocol version"
    TYPE = "frame type"
    FLAGS = "flags"
    STREAM = "stream number"
    UNKNOWN_STREAM = "frame for an unknown stream"
    DUPLICATE_STREAM = "stream opened twice"
    WINDOW = "flow control"
    ORDER = "order of frames"
    FLOOD = "amount of requests"


class YamuxError(TransportError):
    """The multiplexed connection is over, or an operation on it is not possible."""


class ViolationError(YamuxError):
    """The peer broke a rule of the protocol. Whatever it is, it is not a working yamux peer."""

    def __init__(self, violation: Violation, got: str) -> None:
        super().__init__(f"reading a yamux frame: the peer broke the rule on {violation.value}: {got}")
        self.violation: Final = violation


class TruncatedError(YamuxError):
    """The transport ended in the middle of a frame: the peer died or was cut off."""


class UnresponsiveError(YamuxError):
    """The peer's transport is up but the peer does not answer."""


class GoAwayError(YamuxError):
    """The peer takes no further streams, or ended the connection and told why in `code`."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code: Final = code


class StreamClosedError(YamuxError):
    """Nothing can be sent on the stream: this side has finished it, or it is gone."""


class Opened(NamedTuple):
    """The peer opened a stream: `accept` or `reset` it."""

    stream: int


class Acknowledged(NamedTuple):
    """The peer accepted a stream that we opened."""

    stream: int


class Received(NamedTuple):
    """Bytes of a stream: a view into the argument of `receive`, valid as long as that is not changed."""

    stream: int
    data: memoryview


class Granted(NamedTuple):
    """The peer takes more bytes on a stream."""

    stream: int


class Finished(NamedTuple):
    """The peer will send nothing more on a stream."""

    stream: int


class Reset(NamedTuple):
    """The peer dropped a stream; it is gone in both directions."""

    stream: int


class Ponged(NamedTuple):
    """The peer answered the ping of this value."""

    value: int


class WentAway(NamedTuple):
    """The peer takes no further streams; the open ones go on."""


class Ended(NamedTuple):
    """The connection is over, and with it all its streams. `error` is None if the peer closed it between two frames."""

    error: YamuxError | None


Event = Opened | Acknowledged | Received | Granted | Finished | Reset | Ponged | WentAway | Ended


class _Stream:
    __slots__ = ("consumed", "finished", "peer_finished", "receive_window", "send_window", "waiting")

    def __init__(self, *, waiting: bool = False) -> None:
        self.send_window = WINDOW
        self.receive_window = WINDOW
        self.consumed = 0
        self.waiting = waiting  # to be accepted by us
        self.finished = False
        self.peer_finished = False

    def take_credit(self) -> int:
        credit = self.consumed
        self.consumed = 0
        self.receive_window += credit
        return credit


class Connection:
    """One end of a yamux connection."""

    def __init__(self, *, client: bool, clock: Callable[[], float] = time.monotonic) -> None:
        #: Bytes to send; whoever has sent some deletes them from the front.
        self.outgoing = bytearray()
        #: Whether the connection is over: nothing is parsed any more, and `outgoing` ends with the farewell.
        self.ended = False
        self._clock: Final = clock
        self._parity: Final = 1 if client else 0
        self._next = 1 if client else 2
        self._streams: Final[dict[int, _Stream]] = {}
        self._highest = 0 if client else -1  # number of the peer's streams
        self._overtaken: set[int] = set()  # the peer's numbers below the highest that were not opened yet
        self._waiting = 0  # streams of the peer that were not accepted yet
        self._unacknowledged: Final[dict[int, float]] = {}  # our streams and their time limits, oldest first
        self._half_closed: Final[dict[int, float]] = {}
        self._pings: Final[dict[int, float]] = {}
        self._next_ping = 0
        self._replies = 0
        self._leaving = False
        self._peer_left = False
        self._partial = b""  # of a header
        self._payload_left = 0
        self._payload_stream = 0  # 0: nobody wants it
        self._payload_finishes = False

    def __len__(self) -> int:
        """Return the number of streams that are not entirely closed."""
        return len(self._streams)

    # --- Streams ---

    def open(self) -> int:
        """Open a stream and return its number.

        Raises:
            GoAwayError: The peer takes no further streams.
            YamuxError: The connection is over, `BACKLOG` streams wait for the peer's acknowledgement, or all numbers
                are used up.
        """
        if self.ended:
            raise YamuxError("opening a yamux stream: the connection is over")
        if self._peer_left:
            raise GoAwayError("opening a yamux stream: the peer sent GoAway and takes no further streams")
        if len(self._unacknowledged) >= BACKLOG:
            raise YamuxError(f"opening a yamux stream: the peer has left {BACKLOG} streams unacknowledged")
        number = self._next
        if number > _LARGEST - 2:
            raise YamuxError("opening a yamux stream: all stream numbers of this connection are used up")
        self._next += 2
        self._streams[number] = _Stream()
        self._unacknowledged[number] = self._clock() + OPEN_TIMEOUT
        self._frame(_WINDOW_UPDATE, _SYN, number, 0)
        return number

    def accept(self, number: int) -> None:
        """Acknowledge a stream that the peer opened. A stream that is gone already is ignored."""
        stream = self._streams.get(number)
        if stream is not None and stream.waiting:
            stream.waiting = False
            self._waiting -= 1
            self._frame(_WINDOW_UPDATE, _ACK, number, stream.take_credit())

    def window(self, number: int) -> int:
        """Return how many bytes `send` would take now; 0 for a stream that is gone."""
        stream = self._streams.get(number)
        return 0 if stream is None or stream.finished else stream.send_window

    def send(self, number: int, data: bytes | bytearray | memoryview) -> int:
        """Queue the beginning of `data`, as much as the peer's window allows, and return how much that was.

        0 means: wait for `Granted`. Raises `StreamClosedError`.
        """
        stream = self._streams.get(number)
        if stream is None or stream.finished:
            raise StreamClosedError(f"sending on yamux stream {number}: it is closed for sending")
        size = len(data)
        if size > stream.send_window:
            size = stream.send_window
            data = memoryview(data)[:size]
        if size:
            stream.send_window -= size
            outgoing = self.outgoing
            outgoing += _HEADER.pack(0, _DATA, 0, number, size)
            outgoing += data
        return size

    def consume(self, number: int, size: int) -> None:
        """Tell that `size` received bytes are gone from our memory, so that the peer may send as many again."""
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.consumed += size
        if stream.consumed >= WINDOW // 2 and not stream.peer_finished:
            self._frame(_WINDOW_UPDATE, 0, number, stream.take_credit())

    def finish(self, number: int) -> None:
        """Send no more on a stream; the other direction stays open. A stream that is gone already is ignored."""
        stream = self._streams.get(number)
        if stream is None or stream.finished:
            return
        stream.finished = True
        self._frame(_WINDOW_UPDATE, _FIN, number, 0)
        if stream.peer_finished:
            self._remove(number)
        else:
            self._half_closed[number] = self._clock() + CLOSE_TIMEOUT

    def reset(self, number: int) -> None:
        """Drop a stream in both directions. A stream that is gone already is ignored."""
        if number in self._streams:
            self._remove(number)
            self._frame(_WINDOW_UPDATE, _RST, number, 0)

    # --- The connection ---

    def ping(self) -> int:
        """Ask the peer for an answer within `PING_TIMEOUT` and return the value that `Ponged` will carry."""
        value = self._next_ping
        self._next_ping = (value + 1) & _LARGEST
        self._pings[value] = self._clock() + PING_TIMEOUT
        self._frame(_PING, _SYN, 0, value)
        return value

    def greet(self) -> None:
        """Send a ping whose answer does not matter: it shows the peer that this is yamux."""
        self._frame(_PING, _SYN, 0, _LARGEST)

    def go_away(self) -> None:
        """Tell the peer that we take no further streams; open ones go on."""
        if not self._leaving and not self.ended:
            self._leaving = True
            self._frame(_GO_AWAY, 0, 0, _NORMAL)

    def close(self) -> None:
        """End the connection: GoAway is the last that is sent, and nothing that still comes is looked at."""
        if not self.ended:
            self.go_away()
            self._end()

    def deadline(self) -> float | None:
        """Return the time, on this connection's clock, at which `expire` has something to do."""
        if not (self._unacknowledged or self._half_closed or self._pings):
            return None
        limits = (self._unacknowledged, self._half_closed, self._pings)
        return min((next(iter(limit.values())) for limit in limits if limit), default=None)

    def expire(self) -> list[Event]:
        """Enforce the time limits: end the connection of a silent peer, reset streams that stay half closed."""
        now = self._clock()
        for number, limit in self._unacknowledged.items():
            if limit > now:
                break
            return [self._fail(_unresponsive(f"to acknowledge stream {number}", OPEN_TIMEOUT))]
        for value, limit in self._pings.items():
            if limit > now:
                break
            return [self._fail(_unresponsive(f"to answer ping {value}", PING_TIMEOUT))]
        late = [number for number, limit in self._half_closed.items() if limit <= now]
        for number in late:
            self.reset(number)
        return [Reset(number) for number in late]

    def receive_eof(self) -> list[Event]:
        """Take note that the transport has ended."""
        if self.ended:
            return []
        if self._partial or self._payload_left:
            missing = self._payload_left or _HEADER_SIZE - len(self._partial)
            part = "payload" if self._payload_left else "header"
            return [
                self._fail(TruncatedError(f"reading a yamux frame: it ended {missing} bytes before its {part} did"))
            ]
        self._end()
        return [Ended(None)]

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Parse what was received and return what it means, in order. A broken rule is the last event, `Ended`."""
        events: list[Event] = []
        view = memoryview(data)
        position = 0
        size = len(view)
        while position < size and not self.ended:
            if left := self._payload_left:
                stop = min(position + left, size)
                self._payload(view[position:stop], left - (stop - position), events)
                position = stop
            elif self._partial or size - position < _HEADER_SIZE:
                stop = min(position + _HEADER_SIZE - len(self._partial), size)
                self._partial += view[position:stop]
                position = stop
                if len(self._partial) == _HEADER_SIZE:
                    header, self._partial = self._partial, b""
                    self._header(events, *_HEADER.unpack(header))
            else:
                self._header(events, *_HEADER.unpack_from(view, position))
                position += _HEADER_SIZE
        return events

    # --- Frames from the peer ---

    def _payload(self, data: memoryview, left: int, events: list[Event]) -> None:
        self._payload_left = left
        number = self._payload_stream
        if number:
            events.append(Received(number, data))
            if not left and self._payload_finishes and (stream := self._streams.get(number)) is not None:
                self._peer_finishes(stream, number, events)

    def _header(self, events: list[Event], version: int, kind: int, flags: int, number: int, length: int) -> None:
        try:
            if version:
                raise ViolationError(Violation.VERSION, f"expected 0, got {version}, so the peer may not speak yamux")
            if flags & ~15 or flags & (_SYN | _ACK) == _SYN | _ACK:
                raise ViolationError(Violation.FLAGS, f"{flags:#06x} on stream {number}")
            if kind == _DATA:
                self._data(flags, number, length, events)
            elif kind == _WINDOW_UPDATE:
                self._window_update(flags, number, length, events)
            elif kind == _PING:
                self._ping(flags, number, length, events)
            elif kind == _GO_AWAY:
                self._go_away(number, length, events)
            else:
                raise ViolationError(Violation.TYPE, f"expected 0 to 3, got {kind}")
        except YamuxError as error:
            events.append(self._fail(error))

    def _data(self, flags: int, number: int, length: int, events: list[Event]) -> None:
        stream = self._addressed(flags, number, events)
        window = WINDOW if stream is None else stream.receive_window
        if length > window:
            allowed = f"stream {number} may send {window} bytes, the frame announces {length}"
            raise ViolationError(Violation.WINDOW, allowed)
        self._payload_left = length
        self._payload_stream = 0
        if stream is None:
            return
        if flags & _RST:
            self._peer_resets(number, events)
            return
        if length and stream.peer_finished:
            # In Go a Close can overtake a Write of another goroutine; that costs the stream and not the connection.
            self.reset(number)
            events.append(Reset(number))
            return
        if flags & _ACK:
            self._acknowledge(number, events)
        stream.receive_window -= length
        self._payload_stream = number
        self._payload_finishes = bool(flags & _FIN)
        if self._payload_finishes and not length:
            self._peer_finishes(stream, number, events)

    def _window_update(self, flags: int, number: int, length: int, events: list[Event]) -> None:
        stream = self._addressed(flags, number, events)
        if stream is None:
            return
        if flags & _ACK:
            self._acknowledge(number, events)
        if length:
            stream.send_window += length
            if stream.send_window > _LARGEST:
                raise ViolationError(Violation.WINDOW, f"stream {number} was granted more than {_LARGEST} bytes")
            events.append(Granted(number))
        if flags & _RST:
            self._peer_resets(number, events)
        elif flags & _FIN:
            self._peer_finishes(stream, number, events)

    def _addressed(self, flags: int, number: int, events: list[Event]) -> _Stream | None:
        """Return the stream of a frame, opened if need be; None if it was closed here while the frame was under way."""
        if flags & _SYN:
            return self._incoming(number, events)
        stream = self._streams.get(number)
        if stream is None and not self._was_open(number):
            raise ViolationError(Violation.UNKNOWN_STREAM, f"stream {number} was never opened")
        return stream

    def _was_open(self, number: int) -> bool:
        if number & 1 == self._parity:
            return 0 < number < self._next
        return 0 < number <= self._highest and number not in self._overtaken

    def _incoming(self, number: int, events: list[Event]) -> _Stream | None:
        if number & 1 == self._parity or not number:
            role = "server may open even" if self._parity else "client may open odd"
            raise ViolationError(Violation.STREAM, f"the {role} numbers from 1 on, it opened {number}")
        if number > self._highest:
            oldest = number - _MOST_OVERTAKEN
            self._overtaken = {one for one in self._overtaken if one >= oldest}
            self._overtaken.update(range(max(self._highest + 2, oldest), number, 2))
            self._highest = number
        elif number in self._overtaken:
            self._overtaken.discard(number)
        else:
            raise ViolationError(Violation.DUPLICATE_STREAM, f"stream {number} is or was open")
        if self._leaving or self._waiting >= BACKLOG:
            self._reply(_WINDOW_UPDATE, _RST, number, 0)
            return None
        self._waiting += 1
        stream = self._streams[number] = _Stream(waiting=True)
        events.append(Opened(number))
        return stream

    def _acknowledge(self, number: int, events: list[Event]) -> None:
        if self._unacknowledged.pop(number, None) is None:
            raise ViolationError(Violation.ORDER, f"stream {number} was acknowledged though nobody waited for that")
        events.append(Acknowledged(number))

    def _peer_finishes(self, stream: _Stream, number: int, events: list[Event]) -> None:
        if stream.peer_finished:
            events.append(self._fail(ViolationError(Violation.ORDER, f"stream {number} was finished twice")))
            return
        stream.peer_finished = True
        events.append(Finished(number))
        if stream.finished:
            self._remove(number)

    def _peer_resets(self, number: int, events: list[Event]) -> None:
        self._remove(number)
        events.append(Reset(number))

    def _ping(self, flags: int, number: int, value: int, events: list[Event]) -> None:
        if number or flags not in {_SYN, _ACK}:
            raise ViolationError(Violation.FLAGS, f"a ping with flags {flags:#06x} on stream {number}")
        if flags == _SYN:
            self._reply(_PING, _ACK, 0, value)
        elif self._pings.pop(value, None) is not None:
            events.append(Ponged(value))

    def _go_away(self, number: int, code: int, events: list[Event]) -> None:
        if number:
            raise ViolationError(Violation.STREAM, f"a GoAway on stream {number}")
        if code:
            reason = {1: "we broke the protocol", 2: "it had an internal error"}.get(code, "of an unknown reason")
            raise GoAwayError(f"the peer ended the yamux connection with GoAway {code}: {reason}", code=code)
        if not self._peer_left:
            self._peer_left = True
            events.append(WentAway())

    # --- Frames to the peer ---

    def _frame(self, kind: int, flags: int, number: int, length: int) -> None:
        self.outgoing += _HEADER.pack(0, kind, flags, number, length)

    def _reply(self, kind: int, flags: int, number: int, length: int) -> None:
        self._replies = self._replies + 1 if self.outgoing else 0
        if self._replies > _MOST_REPLIES:
            raise ViolationError(Violation.FLOOD, f"{_MOST_REPLIES} requests whose answers it does not read")
        self._frame(kind, flags, number, length)

    def _remove(self, number: int) -> None:
        if self._streams.pop(number).waiting:
            self._waiting -= 1
        self._unacknowledged.pop(number, None)
        self._half_closed.pop(number, None)
        if self._payload_stream == number:
            self._payload_stream = 0

    def _fail(self, error: YamuxError) -> Ended:
        # A peer that left needs no farewell, and a GoAway on what it cannot answer any more does no harm.
        self._frame(_GO_AWAY, 0, 0, _NORMAL if isinstance(error, GoAwayError) else _PROTOCOL_ERROR)
        self._end()
        return Ended(error)

    def _end(self) -> None:
        self.ended = True
        self._streams.clear()
        self._unacknowledged.clear()
        self._half_closed.clear()
        self._pings.clear()
        self._partial = b""
        self._payload_left = 0


def _unresponsive(what: str, seconds: float) -> UnresponsiveError:
    return UnresponsiveError(f"waiting for the yamux peer {what}: nothing came within {seconds:g} s")
