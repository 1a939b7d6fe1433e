"""Broker multiplexing: one connection to the peer that carries many, as yamux streams."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Final

from . import _yamux as yamux
from ._errors import PluginError, TransportError
from ._exchange import MOST_CONNECTIONS
from ._gateway import Gateway
from ._loop import CHUNK, READ, WRITE, contain, failure, log_failure
from ._pipe import Carrier

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ._backend import Backend
    from ._exchange import Exchange
    from ._loop import Timer

#: Seconds after which a knock that no stream follows is forgotten: a peer opens the stream as soon as it has the ack.
KNOCK_TIMEOUT: Final = 10.0
#: Seconds that a connection may stay silent before anything proves that it is the peer's: Go pings after 30.
SILENCE_TIMEOUT: Final = 75.0
#: Connections that may at the same time claim to be the peer's.
MOST_CANDIDATES: Final = 16

#: While more than this waits to be sent, nothing is read from grpcio for any stream.
_CONGESTED: Final = 2 * CHUNK


class StreamCarrier(Carrier):
    """One stream of a link."""

    def __init__(self, link: Link, number: int) -> None:
        super().__init__(link.exchange.loop)
        self.number: Final = number
        self._link: Final = link
        self._unsettled = 0
        self._finishing = False

    def send(self, data: bytes | bytearray | memoryview) -> None:
        if self.deaf:
            return
        taken = 0
        if not self.blocked:
            taken = self._link.send(self, data)
        if taken < len(data):
            self.keep(memoryview(data)[taken:])

    def granted(self) -> None:
        """Go on sending after the peer made room, or the link did."""
        if not self.blocked:
            return
        if self._waiting:
            del self._waiting[: self._link.send(self, self._waiting)]
        if self._waiting or self._link.congested:
            return
        self.blocked = False
        if self._finishing:
            self._link.finish(self)
        self.pipe.unblocked()

    @property
    def settled(self) -> bool:
        return not self.blocked and self._link.settled

    def lose(self) -> None:
        """Take note that the link is gone."""
        self.deaf = True
        self.blocked = False
        self._waiting.clear()
        self.pipe.carrier_lost()

    def take(self, data: memoryview) -> None:
        self._unsettled += len(data)
        self.pipe.received(data)

    def receive(self, wanted: bool) -> None:
        """A stream whose bytes are not settled gets no new ones: the peer's window is used up."""

    def settle(self, kept: int) -> None:
        size = self._unsettled - kept
        self._unsettled = kept
        self._link.consume(self, size)

    def finish(self) -> None:
        self._finishing = True
        if not self.blocked:
            self._link.finish(self)

    def close(self, *, abruptly: bool) -> None:
        self._link.close_stream(self, abruptly=abruptly)


class Link:
    """A connection that speaks yamux."""

    def __init__(
        self,
        exchange: Exchange,
        sock: socket.socket,
        *,
        client: bool,
        on_stream: Callable[[Link, int], None],
        on_end: Callable[[Link, TransportError | None], None],
    ) -> None:
        self.exchange: Final = exchange
        #: Whether so much waits to be sent that no stream should add to it.
        self.congested = False
        #: Whether a whole frame has come.
        self.heard = False
        self._socket: Final = sock
        self._connection: Final = yamux.Connection(client=client)
        self._on_stream: Final = on_stream
        self._on_end: Final = on_end
        self._carriers: Final[dict[int, StreamCarrier]] = {}
        self._flush_due = False
        self._timer: Timer | None = None
        self._deadline = 0.0  # when the timer fires
        self._closed = False
        sock.setblocking(False)
        self._watch: Final = exchange.loop.watch(sock, READ, self._ready, self._end)

    @property
    def settled(self) -> bool:
        """Whether nothing waits here to be sent."""
        return self._closed or not self._connection.outgoing

    @property
    def streams(self) -> int:
        """How many streams are in use."""
        return len(self._carriers)

    # --- Streams ---

    def open(self) -> StreamCarrier:
        """Open a stream. Raises `YamuxError`."""
        return self._carry(self._connection.open())

    def accept(self, number: int) -> StreamCarrier:
        self._connection.accept(number)
        return self._carry(number)

    def refuse(self, number: int) -> None:
        self._connection.reset(number)
        self._flush_soon()

    def greet(self) -> None:
        self._connection.greet()
        self._flush_soon()

    def send(self, carrier: StreamCarrier, data: bytes | bytearray | memoryview) -> int:
        try:
            taken = self._connection.send(carrier.number, data)
        except yamux.StreamClosedError:
            return 0  # the event that says so is on its way to the pipe
        if len(self._connection.outgoing) > _CONGESTED:
            self.congested = True
            carrier.blocked = True
        self._flush_soon()
        return taken

    def consume(self, carrier: StreamCarrier, size: int) -> None:
        self._connection.consume(carrier.number, size)
        if self._connection.outgoing:
            self._flush_soon()

    def finish(self, carrier: StreamCarrier) -> None:
        self._connection.finish(carrier.number)
        self._flush_soon()

    def close_stream(self, carrier: StreamCarrier, *, abruptly: bool) -> None:
        del self._carriers[carrier.number]
        if abruptly:
            self._connection.reset(carrier.number)
        else:
            self._connection.finish(carrier.number)
        self._flush_soon()

    def _carry(self, number: int) -> StreamCarrier:
        carrier = self._carriers[number] = StreamCarrier(self, number)
        self._flush_soon()
        return carrier

    # --- The socket ---

    def close(self) -> None:
        """Say goodbye and end; streams are cut off."""
        self._connection.close()
        self._end(None)

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & READ and not self._closed:
            self._read()

    def _read(self) -> None:
        try:
            size = self._socket.recv_into(self.exchange.loop.received)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(TransportError(f"receiving from the multiplexed connection: it broke: {error}"))
            return
        if not size:
            self._handle(self._connection.receive_eof())
            return
        events = self._connection.receive(self.exchange.loop.received[:size])
        self.heard = self.heard or bool(events)
        self._handle(events)
        self._flush_soon()

    def _handle(self, events: list[yamux.Event]) -> None:
        for event in events:
            if isinstance(event, yamux.Opened):
                self._on_stream(self, event.stream)
            elif isinstance(event, yamux.Ended):
                self._end(event.error)
            elif (
                isinstance(event, (yamux.Received, yamux.Granted, yamux.Finished, yamux.Reset))
                and (carrier := self._carriers.get(event.stream)) is not None
            ):
                try:
                    _tell(carrier, event)
                except Exception as error:  # noqa: BLE001 - a defect of ours costs this stream, not all of them
                    log_failure(error)
                    carrier.pipe.break_off(failure(error))

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.exchange.loop.soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_due = False
        self._flush()

    def _flush(self) -> None:
        if self._closed:
            return
        outgoing = self._connection.outgoing
        if outgoing:
            try:
                del outgoing[: self._socket.send(outgoing)]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self._handle(self._connection.receive_eof())
                return
            except OSError as error:
                self._end(TransportError(f"sending on the multiplexed connection: it broke: {error}"))
                return
        if outgoing:
            self._watch.add(WRITE)
        else:
            self._watch.drop(WRITE)
        self._watch_the_clock()
        if self.congested and len(outgoing) <= CHUNK:
            self.congested = False
            for carrier in list(self._carriers.values()):
                carrier.granted()

    def _watch_the_clock(self) -> None:
        deadline = self._connection.deadline()
        if deadline is None or (self._timer is not None and self._deadline <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = deadline
        self._timer = self.exchange.loop.at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._handle(self._connection.expire())
        self._flush_soon()

    def _end(self, error: TransportError | None) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        with suppress(OSError):  # the farewell; nobody may be there to hear it
            self._socket.send(self._connection.outgoing)
        self._watch.want(0)
        self._socket.close()
        for carrier in list(self._carriers.values()):
            contain(carrier.lose)
        self._on_end(self, error)


def _tell(carrier: StreamCarrier, event: yamux.Received | yamux.Granted | yamux.Finished | yamux.Reset) -> None:
    if isinstance(event, yamux.Received):
        carrier.take(event.data)
    elif isinstance(event, yamux.Granted):
        carrier.granted()
    elif isinstance(event, yamux.Finished):
        carrier.pipe.carrier_ended()
    else:
        carrier.pipe.break_off(None)


class _Expectation:
    __slots__ = ("_backend", "_timer")

    def __init__(self, backend: Backend, timer: Timer) -> None:
        self._backend: Final = backend
        self._timer: Final = timer

    def claim(self) -> Backend:
        self._timer.cancel()
        return self._backend


class Session:
    """The one multiplexed connection with the peer. The methods may be called from any thread."""

    def __init__(self, exchange: Exchange, main: Backend | None) -> None:
        """See `Relay.accept_session` and `Relay.dial_session`, which make sessions."""
        self._exchange: Final = exchange
        self._main: Final = main
        self._candidates: Final[set[Link]] = set()
        self._link: Link | None = None
        self._settled: Final = threading.Event()  # established, or ended
        self._failure: TransportError | None = None
        self._expected: Final[deque[_Expectation]] = deque()
        self._dials: Final[SimpleQueue[Callable[[], None] | None]] = SimpleQueue()
        self._dialler: threading.Thread | None = None
        self._closed = False
        exchange.closing.add(self._close)

    def wait(self, timeout: float = 5.0) -> None:
        """Wait until the peer has connected and proved who it is.

        Raises:
            TransportError: It has not within `timeout` seconds, or the session has ended.
        """
        if not self._settled.wait(timeout):
            raise TransportError(f"waiting for the multiplexed connection: nobody connected within {timeout:g} s")
        if self._failure is not None:
            raise self._failure

    def expect(self, backend: Backend) -> None:
        """Give the next stream that the peer opens to `backend`. Call it on a knock, before its ack is sent.

        Several are served in order. One that no stream follows within `KNOCK_TIMEOUT` seconds is forgotten, so that it
        cannot take a later stream that is meant for another service.

        Raises:
            TransportError: The session has ended.
        """
        self._exchange.loop.run(partial(self._expect, backend))

    def gateway(self, knock: Callable[[], object] | None = None) -> Gateway:
        """Return a target whose connections are streams of this session.

        Before each stream is opened, `knock` runs on a thread of the session, one at a time: it sends the knock and
        waits for its ack. If it raises, that connection of the channel is closed and the error reported.

        Raises:
            TransportError: The relay is closed.
        """
        return Gateway(self._exchange, partial(self._connect, knock))

    def close(self) -> None:
        """Send GoAway and end the session with all its streams. Idempotent."""
        with suppress(TransportError):  # a closed relay has closed its sessions
            self._exchange.loop.run(self._close)
        dialler = self._dialler
        if dialler is not None and dialler is not threading.current_thread():
            dialler.join()

    # --- On the loop's thread ---

    def adopt(self, sock: socket.socket, *, client: bool) -> None:
        """Take a connection that may be the peer's; the one that we dialled certainly is."""
        if why := self._objection():
            self._exchange.report(TransportError(f"refusing one more multiplexed connection: {why}"))
            sock.close()
            return
        link = Link(self._exchange, sock, client=client, on_stream=self._answer, on_end=self._lose)
        self._candidates.add(link)
        if client:
            self._establish(link)
            link.greet()  # or the plugin would take us for silent until the first stream is opened
        else:
            self._exchange.loop.later(SILENCE_TIMEOUT, partial(self._drop_silent, link))

    def _objection(self) -> str:
        """Why no further connection may be the peer's, or empty."""
        if self._link is not None:
            return "there is one already"
        if self._failure is not None:  # go-plugin takes one session only: nobody would broker in a second one
            return f"the only one has ended: {self._failure}"
        return "too many claim to be it" if len(self._candidates) >= MOST_CANDIDATES else ""

    def _drop_silent(self, link: Link) -> None:
        if link in self._candidates and not link.heard:
            self._exchange.report(TransportError("closing a connection that has not sent a single yamux frame"))
            link.close()

    def _establish(self, link: Link) -> None:
        if self._link is not None:
            return
        self._link = link
        self._candidates.discard(link)
        for other in list(self._candidates):
            other.close()
        self._settled.set()

    def _answer(self, link: Link, number: int) -> None:
        backend = self._main if link is not self._link or not self._expected else self._expected.popleft().claim()
        if backend is None or link.streams >= MOST_CONNECTIONS:
            why = "nobody expects it" if backend is None else f"there are {MOST_CONNECTIONS} already"
            self._exchange.report(TransportError(f"refusing stream {number} of the multiplexed connection: {why}"))
            link.refuse(number)
            return
        self._exchange.answer(link.accept(number), backend, on_secure=partial(self._establish, link))

    def _expect(self, backend: Backend) -> None:
        if self._failure is not None:
            raise self._failure
        # They all have the same time, so it is always the oldest that runs out.
        timer = self._exchange.loop.later(KNOCK_TIMEOUT, self._expected.popleft)
        self._expected.append(_Expectation(backend, timer))

    def _connect(self, knock: Callable[[], object] | None, inner: socket.socket, on_end: Callable[[], None]) -> None:
        if knock is None:
            self._open(inner, on_end)
            return
        self._dials.put(partial(self._knock, knock, inner, on_end))
        if self._dialler is None:
            self._dialler = self._exchange.spawn("doze-relay-knock", self._dial)

    def _open(self, inner: socket.socket, on_end: Callable[[], None]) -> None:
        try:
            if self._link is None:
                raise self._failure or TransportError("opening a stream: there is no multiplexed connection yet")
            carrier = self._link.open()
        except TransportError as error:
            self._give_up(inner, on_end, error)
            return
        self._exchange.call(carrier, inner, on_end=on_end)

    def _give_up(self, inner: socket.socket, on_end: Callable[[], None], error: PluginError) -> None:
        on_end()
        inner.close()
        self._exchange.report(error)

    def _lose(self, link: Link, error: TransportError | None) -> None:
        self._candidates.discard(link)
        if link is self._link:
            self._link = None
            self._fail(error or TransportError("the peer has closed the multiplexed connection"))
        if error is not None:
            self._exchange.report(error)

    def _fail(self, error: TransportError) -> None:
        self._failure = self._failure or error
        while self._expected:
            self._expected.popleft().claim()
        self._settled.set()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._exchange.closing.discard(self._close)
        self._fail(TransportError("the multiplexed connection was closed"))
        self._dials.put(None)
        links = list(self._candidates)
        if self._link is not None:
            links.append(self._link)
        for link in links:
            link.close()

    # --- On the dialling thread ---

    def _dial(self) -> None:
        while (dial := self._dials.get()) is not None:
            dial()

    def _knock(self, knock: Callable[[], object], inner: socket.socket, on_end: Callable[[], None]) -> None:
        """Knock and open: no other stream may be opened in between."""
        loop = self._exchange.loop
        try:
            if self._closed:
                raise TransportError("the multiplexed connection was closed")
            knock()
            loop.run(partial(self._open, inner, on_end))
        except Exception as error:  # noqa: BLE001 - whatever a knock raises costs that one connection
            known = error if isinstance(error, PluginError) else TransportError(f"knocking at the peer: {error!r}")
            try:
                loop.run(partial(self._give_up, inner, on_end, known))
            except TransportError:
                inner.close()  # the relay was closed meanwhile
