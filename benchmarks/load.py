"""What the plugin of `soak` serves, and how a host loads it. Every answer is compared with what it must be."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doze_sdk.plugin import kernel

LIMIT = 60.0
"""Seconds for one call on a machine that does nothing but this."""
LARGE = 4 << 20
SERVICE = "soak.Load"


class MismatchError(Exception):
    """An answer is not what it must be."""


def check(answer: object, expected: object, what: str) -> None:
    if answer != expected:
        raise MismatchError(f"{what}: expected {expected!r:.80}, got {answer!r:.80}")


class Plugin:
    """The plugin's methods."""

    def __init__(self, broker: kernel.Broker) -> None:
        self._broker = broker
        self._offered: dict[int, kernel.Accepted] = {}

    def echo(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    def count(self, request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def chat(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def dial(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        with self._broker.dial(int(request), timeout=LIMIT) as channel:
            answer: bytes = channel.unary_unary("/soak.Back/Echo")(request, timeout=LIMIT)
        return answer

    def offer(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        number = self._broker.next_id()
        self._offered[number] = self._broker.accept(number, add_back)
        return b"%d" % number

    def withdraw(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        self._offered.pop(int(request)).stop()
        return b""

    def write(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        os.write(random.choice((1, 2)), request)
        return b""


def register(server: grpc.Server, broker: kernel.Broker) -> None:
    plugin = Plugin(broker)
    unary = grpc.unary_unary_rpc_method_handler
    handlers = {
        "Echo": unary(plugin.echo),
        "Count": grpc.unary_stream_rpc_method_handler(plugin.count),
        "Chat": grpc.stream_stream_rpc_method_handler(plugin.chat),
        "Dial": unary(plugin.dial),
        "Offer": unary(plugin.offer),
        "Withdraw": unary(plugin.withdraw),
        "Write": unary(plugin.write),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def add_back(server: grpc.Server) -> None:
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("soak.Back", {"Echo": handler}),))


class Load:
    """The host's half: each method is one piece of work on a plugin. They may run in several threads."""

    def __init__(self, plugin: kernel.Plugin) -> None:
        self._plugin = plugin
        self._channel = plugin.channel
        self._lock = threading.Lock()
        self.written = 0
        self.kinds = (self.unary, self.large, self.count, self.chat, self.dial, self.be_dialled, self.write)

    def occupy(self, workers: int) -> None:
        """Have so many calls in progress at once."""
        done = threading.Event()

        def requests() -> Iterator[bytes]:
            yield b"here"
            done.wait()

        chat = self._channel.stream_stream(f"/{SERVICE}/Chat")
        calls = [chat(requests(), timeout=LIMIT) for _ in range(workers)]
        for call in calls:
            check(next(call), b"here", "one of many calls")
        done.set()
        for call in calls:
            check(list(call), [], "the end of one of many calls")

    def unary(self) -> None:
        for _ in range(50):
            message = random.randbytes(random.randrange(2000))
            check(self._call("Echo", message), message, "echo")

    def large(self) -> None:
        message = random.randbytes(LARGE)
        check(self._call("Echo", message), message, "large echo")

    def count(self) -> None:
        frames = list(self._channel.unary_stream(f"/{SERVICE}/Count")(b"200", timeout=LIMIT))
        check(frames, [b"%d" % number for number in range(200)], "count")

    def chat(self) -> None:
        sent = [b"%d" % number for number in range(100)]
        came = list(self._channel.stream_stream(f"/{SERVICE}/Chat")(iter(sent), timeout=LIMIT))
        check(came, sent, "chat")

    def dial(self) -> None:
        offered = self._call("Offer")
        with self._plugin.broker.dial(int(offered), timeout=LIMIT) as channel:
            check(channel.unary_unary("/soak.Back/Echo")(offered, timeout=LIMIT), offered, "dial")
        self._call("Withdraw", offered)

    def be_dialled(self) -> None:
        number = self._plugin.broker.next_id()
        accepted = self._plugin.broker.accept(number, add_back)
        try:
            check(self._call("Dial", b"%d" % number), b"%d" % number, "be dialled")
        finally:
            accepted.stop()

    def write(self) -> None:
        data = b"." * random.randrange(1, 8000) + b"\n"
        self._call("Write", data)
        with self._lock:
            self.written += len(data)

    def _call(self, method: str, request: bytes = b"") -> bytes:
        answer: bytes = self._channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=LIMIT)
        return answer
