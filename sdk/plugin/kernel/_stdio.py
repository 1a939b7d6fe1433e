"""What a plugin and its children write to stdout and stderr after the handshake, streamed to the host.

go-plugin replaces two variables of the Go runtime; here the file descriptors themselves are replaced, so that C code
and child processes are heard too, and no child can hold the host's pipes open.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import sys
import threading
import time

import grpc

from . import _codec
from ._codec import STDERR, STDOUT, StdioData
from ._threads import STREAM_THREADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = "/plugin.GRPCStdio/StreamStdio"

_CAPACITY = 1 << 20  # bytes of memory for a host that does not read
_OVERHEAD = 150  # bytes of memory around what was written at once
_CHUNK = 1 << 15
_PATIENCE = 5.0  # seconds for a host that reads to take a chunk
_PIPE_SIZE = 1 << 18  # room for a C library that prints with the interpreter's lock held, when nobody can read


class Output:
    """A bounded buffer between whoever writes and a host that may not read.

    Whoever writes waits for a host that reads, as in go-plugin. For one that does not, or that has taken nothing for
    five seconds, the oldest bytes go first.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._condition = threading.Condition()
        self._items: collections.deque[StdioData] = collections.deque()
        self._size = 0
        self._dropped = {STDOUT: 0, STDERR: 0}
        self._readers = 0
        self._stalled = False
        self._closed = False

    def put(self, channel: int, data: bytes) -> None:
        """Add what was written. Waits for room only while a host reads."""
        with self._condition:
            if not self._stalled:
                self._stalled = not self._condition.wait_for(lambda: self._has_room(_cost(data)), _PATIENCE)
            self._items.append(StdioData(channel, data))
            self._size += _cost(data)
            while self._size > self._capacity:
                oldest = self._items.popleft()
                self._size -= _cost(oldest.data)
                self._dropped[oldest.channel] += len(oldest.data)
            self._condition.notify_all()

    def _has_room(self, size: int) -> bool:
        return not self._readers or self._closed or self._size + size <= self._capacity

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "plugin.GRPCStdio",
            {
                "StreamStdio": grpc.unary_stream_rpc_method_handler(
                    _StreamStdio(self),
                    request_deserializer=_codec.decode_empty,
                    response_serializer=_codec.encode_stdio_data,
                ),
            },
        )

    def stream(self, context: grpc.ServicerContext) -> Iterator[StdioData]:
        """Yield what is written until the client leaves. Each byte goes to one client, once."""
        if not context.add_callback(self._wake):
            return
        with self._condition:
            self._readers += 1
        try:
            while (item := self._next(context)) is not None:
                yield item
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    def drain(self, timeout: float) -> None:
        """Wait until a host that reads has taken everything, at most `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: not (self._items and self._readers), timeout)

    def close(self) -> None:
        """End the streams once they have delivered what is left."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def has_reader(self) -> bool:
        """Whether a host is listening."""
        return self._readers > 0

    def _next(self, context: grpc.ServicerContext) -> StdioData | None:
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._closed or not context.is_active())
            if not context.is_active() or not self._items:
                return None
            item = self._items.popleft()
            self._size -= _cost(item.data)
            self._stalled = False
            self._condition.notify_all()
            if dropped := self._dropped[item.channel]:
                self._dropped[item.channel] = 0
                note = f"[{dropped} bytes were dropped here: the host did not read them in time]\n"
                return StdioData(item.channel, note.encode() + item.data)
            return item

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()


def _cost(data: bytes) -> int:
    return len(data) + _OVERHEAD


class _StreamStdio:
    experimental_thread_pool = STREAM_THREADS
    experimental_non_blocking = False

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, _request: bytes, context: grpc.ServicerContext) -> Iterator[StdioData]:
        return self._output.stream(context)


class Redirection:
    """File descriptors 1 and 2 of this process, led into an `Output` by a thread."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._saved: dict[int, int] = {}
        self._pipes: dict[int, int] = {}
        self._wake_reader, self._wake_writer = os.pipe()
        self._taking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="go-plugin-stdio", daemon=True)

    def start(self) -> None:
        """Lead both descriptors away. What was buffered before goes where it was meant to."""
        _flush()
        for descriptor, channel in ((1, STDOUT), (2, STDERR)):
            reader, writer = os.pipe()
            _enlarge(writer)
            os.set_blocking(reader, False)
            self._saved[descriptor] = os.dup(descriptor)
            os.dup2(writer, descriptor)
            os.close(writer)
            self._pipes[reader] = channel
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError):  # a test's own stream, or a closed one
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # checked by the suppression
        self._thread.start()

    def descriptors(self) -> tuple[int, ...]:
        """All that are open but 1 and 2 themselves."""
        return (*self._saved.values(), *self._pipes, self._wake_reader, self._wake_writer)

    def flush(self) -> None:
        """Hand over what was written up to now, as far as a host takes it within a tenth of a second."""
        _flush()
        deadline = time.monotonic() + 0.1
        while (left := deadline - time.monotonic()) > 0:
            if not self._taking.acquire(timeout=left):
                return
            try:
                if not any(_readable(pipe) for pipe in self._pipes):
                    return
            finally:
                self._taking.release()
            time.sleep(0.001)

    def stop(self) -> None:
        """Give both descriptors back, so that the last words of an ending process reach the host's pipes."""
        _flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._saved.clear()
        os.close(self._wake_writer)
        if self._thread.ident is not None:  # a plugin that could not serve has not started it
            self._thread.join(0.1)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake_reader, 0)
        for pipe in self._pipes:
            poll.register(pipe, select.POLLIN)
        stopping = False
        open_pipes = set(self._pipes)
        while open_pipes:
            events = poll.poll(0 if stopping else None)
            if stopping and not any(descriptor in open_pipes for descriptor, _ in events):
                break
            for descriptor, _ in events:
                if descriptor == self._wake_reader:
                    stopping = True
                    poll.unregister(descriptor)
                elif not self._take(descriptor):
                    poll.unregister(descriptor)
                    open_pipes.discard(descriptor)
        for descriptor in (*self._pipes, self._wake_reader):
            os.close(descriptor)

    def _take(self, pipe: int) -> bool:
        with self._taking:
            try:
                data = os.read(pipe, _CHUNK)
            except BlockingIOError:
                return True
            if data:
                self._output.put(self._pipes[pipe], data)
            return bool(data)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, gone, or closed
            stream.flush()


def _enlarge(pipe: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _readable(pipe: int) -> bool:
    poll = select.poll()  # `select.select` takes no descriptor above 1023
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(0))
