"""One thread that waits for many sockets: the engine below the relay."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from ._errors import TransportError
from ._relay_log import RELAY_LOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE
#: Bytes read at once from one socket before the others have their turn.
CHUNK: Final = 256 * 1024
#: Bytes of content in a TLS record, at most (RFC 8446, section 5.1).
RECORD: Final = 1 << 14


class Watch:
    """What is wanted of one socket: `callback(mask)` runs on the loop's thread when it can be read or written."""

    __slots__ = ("_callback", "_mask", "_on_failure", "_selector", "_socket")

    def __init__(
        self,
        selector: selectors.BaseSelector,
        sock: socket.socket,
        mask: int,
        callback: Callable[[int], None],
        on_failure: Callable[[TransportError], None] | None,
    ) -> None:
        self._selector = selector
        self._socket = sock
        self._callback = callback
        self._on_failure = on_failure
        self._mask = 0
        self.want(mask)

    def want(self, mask: int) -> None:
        """Watch for `mask`; 0 ends the watch, which must precede closing the socket."""
        if mask == self._mask:
            return
        if not mask:
            self._selector.unregister(self._socket)
        elif not self._mask:
            self._selector.register(self._socket, mask, self)
        else:
            self._selector.modify(self._socket, mask, self)
        self._mask = mask

    def add(self, mask: int) -> None:
        self.want(self._mask | mask)

    def drop(self, mask: int) -> None:
        self.want(self._mask & ~mask)

    def fire(self, mask: int) -> None:
        # An earlier callback of the same round may have lost interest, or closed the socket.
        wanted = mask & self._mask
        if wanted:
            try:
                self._callback(wanted)
            except Exception as error:  # noqa: BLE001 - a defect of ours costs this connection, not all of them
                log_failure(error)
                if self._on_failure is not None:
                    contain(partial(self._on_failure, failure(error)))


class Timer:
    """A callback that runs once, unless cancelled before."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """The thread, its sockets and its timers. All methods but `call`, `run` and `stop` belong to the loop's thread."""

    def __init__(self, name: str, on_stop: Callable[[], None]) -> None:
        #: Scratch space for one read, and its decrypted content in whole records: valid until the next callback.
        self.received: Final = memoryview(bytearray(CHUNK))
        self.decrypted: Final = memoryview(bytearray(CHUNK + RECORD))
        self._selector: Final = selectors.DefaultSelector()
        self._on_stop: Final = on_stop
        self._calls: Final[deque[Callable[[], object]]] = deque()
        self._soon: Final[deque[Callable[[], None]]] = deque()
        self._timers: Final[list[tuple[float, int, Timer]]] = []
        self._order: Final = itertools.count()
        self._lock: Final = threading.Lock()
        self._process: Final = os.getpid()
        self._stopped = False
        self._leaving = False
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self.watch(self._bell, READ, self._answer)
        self._thread: Final = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], object]) -> None:
        """Run `function` on the loop's thread, from any thread. Raises `TransportError` after `stop`."""
        if os.getpid() != self._process:
            raise TransportError("using the relay: it belongs to the process that this one was forked from")
        with self._lock:
            if self._stopped:
                raise TransportError("using the relay: it is closed")
            self._calls.append(function)
            self._ring()

    def run(self, function: Callable[[], _T]) -> _T:
        """Run `function` on the loop's thread and return or raise what it does. For other threads."""
        if threading.current_thread() is self._thread:
            return function()
        result: Future[_T] = Future()

        def call() -> None:
            try:
                result.set_result(function())
            except Exception as error:  # noqa: BLE001 - it goes to the thread that asked
                result.set_exception(error)

        self.call(call)
        return result.result()

    def stop(self) -> None:
        """End the thread and wait for it. `on_stop` is the last that runs on it. Idempotent.

        In a forked process there is no thread, and nothing happens: the sockets are still the parent's.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._calls.append(self._leave)
                self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def descriptors(self) -> tuple[int, ...]:
        """The loop's own, which no other part of a relay knows."""
        return self._bell.fileno(), self._clapper.fileno()

    def watch(
        self,
        sock: socket.socket,
        mask: int,
        callback: Callable[[int], None],
        on_failure: Callable[[TransportError], None] | None = None,
    ) -> Watch:
        """Watch `sock`. Should `callback` raise anything, that is logged, and `on_failure` ends the connection."""
        return Watch(self._selector, sock, mask, callback, on_failure)

    def soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after what is ready now has been dealt with."""
        self._soon.append(callback)

    def later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return self.at(time.monotonic() + seconds, callback)

    def at(self, moment: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` at `moment`, by `time.monotonic`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (moment, next(self._order), timer))
        return timer

    def turn(self, timeout: float | None) -> bool:
        """Wait for sockets, at most `timeout` seconds, and serve them; return whether there was anything to do."""
        ready = self._selector.select(timeout)
        for key, mask in ready:
            key.data.fire(mask)
        soon = self._soon
        while soon:
            contain(soon.popleft())
        if self._timers and self._timers[0][0] <= time.monotonic():
            self._ring_timers()
        return bool(ready)

    def _main(self) -> None:
        try:
            while not self._leaving:
                self.turn(self._patience())
        finally:
            with self._lock:
                self._stopped = True
            try:
                self._on_stop()
            finally:
                self._close()

    def _close(self) -> None:
        self._selector.close()
        self._bell.close()
        self._clapper.close()
        # Only a defect of ours leaves calls behind: they fail, for want of a selector, and whoever waits is told.
        while self._calls:
            contain(self._calls.popleft())

    def _patience(self) -> float | None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        return max(0.0, timers[0][0] - time.monotonic()) if timers else None

    def _ring_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                contain(callback)

    def _ring(self) -> None:
        # If it is full, so many calls are announced already that one more makes no difference.
        with suppress(BlockingIOError):
            self._clapper.send(b"\0")

    def _answer(self, _: int) -> None:
        self._bell.recv(4096)
        while self._calls:
            contain(self._calls.popleft())

    def _leave(self) -> None:
        self._leaving = True


def contain(callback: Callable[[], object]) -> None:
    """Run `callback`; what it raises is a defect of ours, which must not end the thread that all connections share."""
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - see above
        log_failure(error)


def failure(error: Exception) -> TransportError:
    """What to end a connection with after its callback raised `error`."""
    return TransportError(f"serving a connection of the peer: unexpectedly, {error!r}")


def log_failure(error: Exception) -> None:
    RELAY_LOG.put(logging.ERROR, "a callback of the relay failed", exception=error)
