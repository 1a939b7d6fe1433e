"""Further connections between a host and its plugin, in either direction, under numbers that both know.

The numbers travel in messages of the contract; the broker's own stream, ``plugin.GRPCBroker/StartStream``, tells where
each one is accepted.
"""

from __future__ import annotations

import collections
import itertools
import threading
import time
import weakref

import grpc

from . import _codec
from ._codec import ConnInfo, Knock
from ._errors import BrokerError, PluginError
from ._listener import Address
from ._server import ServerGroup, serving
from ._threads import STREAM_THREADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Final, TypeVar

    from ._wiring import Opened, Wiring

    T = TypeVar("T")

STREAM: Final = "/plugin.GRPCBroker/StartStream"

PATIENCE: Final = 5.0
"""Seconds that go-plugin waits for the other side, and that it remembers what nobody has asked for yet."""

_LAST_ID = (1 << 32) - 1  # ConnInfo has a uint32
_RECONNECTS = 0.05  # seconds; old hosts that cannot ask a plugin to stop send SIGKILL after 0.25
_MOST_UNCLAIMED = 1024  # so that a peer that sends without end cannot fill the memory within PATIENCE


class Accepted:
    """A server on a brokered connection, as made by `Broker.accept`."""

    def __init__(
        self, service_id: int, group: ServerGroup, opened: Opened, forget: Callable[[Accepted], object]
    ) -> None:
        self.service_id: Final = service_id
        self._group = group
        self._opened = opened
        self._forget = forget

    def stop(self, *, grace: float | None = None) -> None:
        """Accept no more connections; calls in flight have `grace` seconds. Harmless when repeated."""
        self._forget(self)
        self._opened.close()
        self._group.stop(grace)

    @property
    def address(self) -> Address | None:
        """Where to connect to; None inside a multiplexed connection."""
        return self._opened.address

    def info(self) -> ConnInfo | None:
        """The same as the other side hears of it."""
        return None if self.address is None else ConnInfo(self.service_id, *self.address)

    def expect(self) -> None:
        """Take the next multiplexed connection."""
        self._opened.expect()


class Broker:
    """Makes brokered connections: one side accepts a number and sends it to the other, which dials it.

    Both sides of a plugin have one. Its methods may be called from any thread.
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        to_peer: Callable[[Address], Address] | None = None,
        from_peer: Callable[[Address], Address] | None = None,
        on_disconnect: Callable[[], object] | None = None,
    ) -> None:
        self._wiring = wiring
        self._on_disconnect = on_disconnect
        self._to_peer = to_peer
        self._from_peer = from_peer
        self._ids = itertools.count(1)
        self._condition = threading.Condition()
        self._outgoing: collections.deque[ConnInfo] = collections.deque()
        self._infos: dict[int, tuple[ConnInfo, float]] = {}
        self._knocks: dict[int, float] = {}
        self._accepted: dict[int, Accepted | None] = {}  # None: it is being opened
        self._dialled: weakref.WeakKeyDictionary[grpc.Channel, Address] = weakref.WeakKeyDictionary()
        self._streams = 0
        self._gone = False  # a plugin: its host opens the stream once
        self._closed = False

    def next_id(self) -> int:
        """Return a number that this side has not used yet. Each side counts for itself, from 1."""
        return next(self._ids)

    def accept(
        self,
        service_id: int,
        register: Callable[[grpc.Server], object],
        *,
        max_workers: int = 64,
        options: Sequence[tuple[str, object]] = (),
    ) -> Accepted:
        """Serve what `register` adds to the server to whoever dials `service_id` on the other side; return at once.

        Raises:
            BrokerError: The number is in use or no uint32, or the broker is closed.
        """
        _check_number(service_id, "accept")
        self._check_role("server", f"accept connection {service_id}")
        with self._condition:
            self._check_open(f"accept connection {service_id}")
            if service_id in self._accepted:
                raise BrokerError(f"cannot accept connection {service_id}: it is being accepted already; use next_id()")
            self._accepted[service_id] = None
        try:
            group = ServerGroup(serving(register), max_workers=max_workers, options=options)
            accepted = Accepted(service_id, group, self._opened(group, service_id), self._forget)
        except BaseException:
            with self._condition:
                del self._accepted[service_id]
                self._condition.notify_all()
            raise
        with self._condition:
            closed = self._closed
            self._accepted[service_id] = accepted
            knocked = self._knocks.pop(service_id, 0.0)
        if closed:  # while we opened it: nobody else would stop it
            accepted.stop()
            self._check_open(f"accept connection {service_id}")
        if (info := accepted.info()) is not None:
            self._offer(accepted, info)
        elif knocked > time.monotonic() - PATIENCE:
            self._welcome(accepted)
        return accepted

    def dial(
        self, service_id: int, *, timeout: float = PATIENCE, options: Sequence[tuple[str, object]] = ()
    ) -> grpc.Channel:
        """Connect to what the other side accepts under `service_id`. Close the channel when it is not needed any more.

        Raises:
            BrokerError: The other side has not accepted that number within `timeout` seconds, or refused it, or has
                left; or it is no uint32.
            TransportError: It accepts it where nobody can connect to.
        """
        _check_number(service_id, "dial")
        self._check_role("client", f"dial connection {service_id}")
        if self._wiring.multiplexed:
            return self._dial_multiplexed(service_id, timeout, options)
        info = self._wait_for_info(service_id, timeout)
        if info.network not in {"unix", "tcp"}:
            raise BrokerError(
                f"cannot dial connection {service_id}: the other side offers it on {info.network!r} {info.address!r}; "
                "expected 'unix' or 'tcp'"
            )
        info = self._translated(info, self._from_peer)
        return self._remembered(Address(info.network, info.address), options)

    def close(self) -> None:
        """Stop every server that was accepted here, and wake whoever waits. Harmless when repeated."""
        with self._condition:
            self._closed = True
            accepted = [server for server in self._accepted.values() if server is not None]
            self._condition.notify_all()
        for server in accepted:
            server.stop()

    def settle(self, timeout: float) -> None:
        """After `close`, wait until no thread is accepting any more: its socket would outlive the folder's removal."""
        with self._condition:
            self._condition.wait_for(lambda: not self._accepted, timeout)

    def addresses(self) -> list[Address]:
        """Where brokered connections of this side begin or end; takes no lock."""
        opened = [server.address for server in list(self._accepted.values()) if server is not None]
        return [address for address in opened if address is not None] + list(self._dialled.values())

    @property
    def connected(self) -> bool:
        """Whether the other side's stream is open."""
        return self._streams > 0

    def handler(self) -> grpc.GenericRpcHandler:
        """The plugin's end of the stream, as a gRPC service."""
        return grpc.method_handlers_generic_handler(
            "plugin.GRPCBroker",
            {
                "StartStream": grpc.stream_stream_rpc_method_handler(
                    _StartStream(self),
                    request_deserializer=_codec.decode_conn_info,
                    response_serializer=_codec.encode_conn_info,
                ),
            },
        )

    def start_stream(self, channel: grpc.Channel) -> Callable[[], None]:
        """Open the host's end of the stream; return what ends it."""
        call = channel.stream_stream(
            STREAM, request_serializer=_codec.encode_conn_info, response_deserializer=_codec.decode_conn_info
        )(self.outgoing(lambda: True))
        self._start_receiving(call, again=False)

        def cancel() -> None:
            call.cancel()

        return cancel

    def receive(self, infos: Iterable[ConnInfo]) -> None:
        """Take what the other side says until its stream ends."""
        with self._condition:
            self._streams += 1
            self._condition.notify_all()
        try:
            for info in infos:
                self._take(info)
        except grpc.RpcError:
            pass  # the stream ends with the connection
        finally:
            with self._condition:
                self._streams -= 1
                self._condition.notify_all()
            if self._on_disconnect is not None and not self._reconnected():
                self._on_disconnect()

    def outgoing(self, active: Callable[[], bool]) -> Iterator[ConnInfo]:
        """Yield what this side has to say, while `active`."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._outgoing or self._closed or not active())
                if not active() or not self._outgoing:
                    return
                info = self._outgoing.popleft()
            yield info

    def wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _reconnected(self) -> bool:
        """Whether a host opens another stream at once, or there is nothing to wait for."""
        with self._condition:
            return self._condition.wait_for(lambda: self._streams > 0 or self._closed, _RECONNECTS)

    def _start_receiving(self, infos: Iterable[ConnInfo], *, again: bool) -> None:
        """Receive on a thread of its own; `again` tells whether the other side may open another stream."""

        def receive() -> None:
            self.receive(infos)
            with self._condition:
                self._gone = not again
                self._condition.notify_all()

        threading.Thread(target=receive, name="go-plugin-broker", daemon=True).start()

    def _take(self, info: ConnInfo) -> None:
        if info.knock is not None and info.knock.knock and not info.knock.ack:
            self._take_knock(info.service_id)
            return
        now = time.monotonic()
        with self._condition:
            self._infos.pop(info.service_id, None)
            self._drop_unclaimed(now)
            self._infos[info.service_id] = (info, now)
            self._condition.notify_all()

    def _take_knock(self, service_id: int) -> None:
        if not self._wiring.multiplexed:
            self._answer_knock(service_id, "connections are not multiplexed here; dial the address that is offered")
            return
        with self._condition:
            accepted = self._accepted.get(service_id)
            if accepted is None:
                self._knocks.pop(service_id, None)
                self._drop_unclaimed(time.monotonic())
                self._knocks[service_id] = time.monotonic()
                return
        self._welcome(accepted)

    def _welcome(self, accepted: Accepted) -> None:
        try:
            accepted.expect()
        except PluginError as error:  # the connection has ended
            self._answer_knock(accepted.service_id, str(error))
        else:
            self._answer_knock(accepted.service_id)

    def _answer_knock(self, service_id: int, refusal: str = "") -> None:
        self._send(ConnInfo(service_id, knock=Knock(knock=True, ack=True, error=refusal)))

    def _drop_unclaimed(self, now: float) -> None:
        """Forget what is too old or too much; both tables are in order of arrival."""
        while self._infos and (_first(self._infos)[1] <= now - PATIENCE or len(self._infos) >= _MOST_UNCLAIMED):
            del self._infos[next(iter(self._infos))]
        while self._knocks and (_first(self._knocks) <= now - PATIENCE or len(self._knocks) >= _MOST_UNCLAIMED):
            del self._knocks[next(iter(self._knocks))]

    def _offer(self, accepted: Accepted, info: ConnInfo) -> None:
        try:
            self._send(self._translated(info, self._to_peer))
        except BaseException:  # a runner's: nobody will ever learn of the number
            accepted.stop()
            raise

    def _send(self, info: ConnInfo) -> None:
        with self._condition:
            self._outgoing.append(info)
            self._condition.notify_all()

    def _wait_for_info(self, service_id: int, timeout: float) -> ConnInfo:
        deadline = time.monotonic() + timeout
        with self._condition:
            while True:
                self._check_open(f"dial connection {service_id}")
                info, arrived = self._infos.pop(service_id, (None, 0.0))
                now = time.monotonic()
                if info is not None and arrived > now - PATIENCE:
                    return info
                if self._gone:
                    raise BrokerError(
                        f"cannot dial connection {service_id}: the plugin has left, or has ended its broker's stream"
                    )
                if now >= deadline:
                    raise BrokerError(
                        f"cannot dial connection {service_id}: timeout waiting for connection info; the other side has "
                        f"not accepted that number within {timeout:g} s"
                    )
                self._condition.wait(deadline - now)

    def _dial_multiplexed(self, service_id: int, timeout: float, options: Sequence[tuple[str, object]]) -> grpc.Channel:
        attempt = _FirstKnock(lambda: self._knock(service_id, timeout))
        channel = self._wiring.dial_multiplexed(attempt, options)
        channel.subscribe(attempt.observe, try_to_connect=True)
        try:
            attempt.wait(service_id, timeout)
        except BrokerError:
            channel.close()
            raise
        channel.unsubscribe(attempt.observe)
        return channel

    def _knock(self, service_id: int, timeout: float) -> None:
        with self._condition:
            self._infos.pop(service_id, None)
        self._send(ConnInfo(service_id, knock=Knock(knock=True)))
        answer = self._wait_for_info(service_id, timeout).knock
        if answer is None or not answer.ack or answer.error:
            reason = "the answer is no acknowledgement" if answer is None or not answer.error else answer.error
            raise BrokerError(f"cannot dial connection {service_id}: the other side refused: {reason}")

    def _remembered(self, address: Address, options: Sequence[tuple[str, object]]) -> grpc.Channel:
        channel = self._wiring.dial(address, options)  # which connects when it is used
        self._dialled[channel] = address
        return channel

    def _opened(self, group: ServerGroup, service_id: int) -> Opened:
        try:
            return self._wiring.open(group)
        except BaseException as error:
            group.stop(None)
            if isinstance(error, PluginError):
                self._check_open(f"accept connection {service_id}")  # the folder for its socket goes with the plugin
            raise

    def _check_open(self, action: str) -> None:
        if self._closed:
            raise BrokerError(f"cannot {action}: the plugin's connection is closed")

    def _check_role(self, role: str, action: str) -> None:
        if self._wiring.lacks == role:
            raise BrokerError(
                f"cannot {action}: static TLS was given for the first connection alone; give "
                "tls=TLSContexts(server=..., client=...) on this side"
            )

    def _forget(self, accepted: Accepted) -> None:
        with self._condition:
            if self._accepted.get(accepted.service_id) is accepted:  # not a later one of that number
                del self._accepted[accepted.service_id]
                self._condition.notify_all()

    @staticmethod
    def _translated(info: ConnInfo, translate: Callable[[Address], Address] | None) -> ConnInfo:
        if translate is None:
            return info
        network, address = translate(Address(info.network, info.address))
        return info._replace(network=network, address=address)


def _check_number(service_id: object, action: str) -> None:
    if not isinstance(service_id, int) or not 0 <= service_id <= _LAST_ID:
        raise BrokerError(
            f"cannot {action} connection {service_id!r}: expected a number from 0 to {_LAST_ID}; use next_id(), or "
            "what the other side got from its own"
        )


def _first(table: dict[int, T]) -> T:
    return next(iter(table.values()))


class _StartStream:
    experimental_thread_pool = STREAM_THREADS
    experimental_non_blocking = False

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __call__(self, infos: Iterable[ConnInfo], context: grpc.ServicerContext) -> Iterator[ConnInfo]:
        context.add_callback(self._broker.wake)  # not if the host has left already; `infos` ends at once then
        self._broker._start_receiving(infos, again=True)  # noqa: SLF001  (the same thing on the other side of gRPC)
        return self._broker.outgoing(context.is_active)


class _FirstKnock:
    """Knocks for every connection of a channel, and remembers how the first one went."""

    def __init__(self, knock: Callable[[], None]) -> None:
        self._knock = knock
        self._done = threading.Event()
        self._error: BrokerError | None = None

    def __call__(self) -> None:
        try:
            self._knock()
        except BrokerError as error:
            self._error = error
            raise
        finally:
            self._done.set()

    def observe(self, _state: grpc.ChannelConnectivity) -> None:
        """Nothing: being subscribed makes gRPC connect now instead of at the first call."""

    def wait(self, service_id: int, timeout: float) -> None:
        if not self._done.wait(timeout + 1.0):
            raise BrokerError(
                f"cannot dial connection {service_id}: the connection was not opened within {timeout:g} s"
            )
        if self._error is not None:
            raise BrokerError(str(self._error)) from self._error
