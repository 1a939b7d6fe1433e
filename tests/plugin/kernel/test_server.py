"""The threads and options of the gRPC servers and channels that the kernel makes."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doze_sdk.plugin.kernel._listener import Address, SocketFolder
from doze_sdk.plugin.kernel._server import CHANNEL_OPTIONS
from doze_sdk.plugin.kernel._threads import DaemonPool
from doze_sdk.plugin.kernel._wiring import DirectWiring
from tests.plugin.kernel.conftest import PATIENCE, Launch, until


def handlers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "grpc-handler"}


class PingCounter:
    """Takes one HTTP/2 connection, answers pings and counts them, and lets calls wait."""

    def __init__(self, path: Path) -> None:
        self.address = Address("unix", str(path))
        self.pings = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.calling = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as sock, sock.makefile("rwb") as stream:
            stream.read(24)  # RFC 9113, 3.4
            stream.write(frame(SETTINGS))
            stream.flush()
            while head := stream.read(9):
                body = stream.read(int.from_bytes(head[:3], "big"))
                kind, acknowledges = head[3], head[4] & 1
                self.pings += kind == PING and not acknowledges
                if kind in {SETTINGS, PING} and not acknowledges:
                    stream.write(frame(kind, body if kind == PING else b"", flags=1))
                    stream.flush()
                if kind == HEADERS:
                    self.calling.set()

    def end(self) -> None:
        self._thread.join(PATIENCE)


HEADERS, SETTINGS, PING = 1, 4, 6  # RFC 9113, 6


def frame(kind: int, body: bytes = b"", *, flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + bytes(4) + body


def test_a_channel_sends_no_pings_of_its_own(short_dir: Path) -> None:
    """A Go plugin answers more than one in five minutes with a GOAWAY."""
    often = (("grpc.keepalive_time_ms", 100), ("grpc.http2.max_pings_without_data", 0))
    ours, other = PingCounter(short_dir / "ours"), PingCounter(short_dir / "other")
    wiring = DirectWiring(SocketFolder(str(short_dir)))
    with wiring.dial(ours.address, ()) as channel, wiring.dial(other.address, often) as control:
        calls = [one.unary_unary("/a/b").future(b"", timeout=PATIENCE) for one in (channel, control)]
        until(
            lambda: ours.calling.is_set() and other.pings >= 10, "ten pings of the channel that was told to send them"
        )

        assert ours.pings == 0
        for call in calls:
            call.cancel()
    for peer in (ours, other):
        peer.end()
        Path(peer.address.address).unlink()


def test_no_option_of_a_channel_sets_an_interval_for_pings() -> None:
    """For those that would come later than a test can wait."""
    assert [name for name, _ in CHANNEL_OPTIONS if "keepalive" in name or "ping" in name] == []


def test_one_thread_is_enough_for_calls_that_follow_each_other() -> None:
    pool = DaemonPool(8)
    try:
        for number in range(50):
            assert pool.submit(lambda number=number: number).result(PATIENCE) == number
            until(lambda: len(pool._idle) == 1, "the end of the call's thread's work")

        assert len(handlers()) == 1
    finally:
        pool.shutdown()


def test_calls_that_wait_have_threads_of_their_own_up_to_the_limit() -> None:
    pool, go, running = DaemonPool(3), threading.Event(), threading.Semaphore(0)

    def wait() -> bool:
        running.release()
        return go.wait(PATIENCE)

    try:
        calls = [pool.submit(wait) for _ in range(5)]
        for _ in range(3):
            assert running.acquire(timeout=PATIENCE)

        assert len(handlers()) == 3
        assert not running.acquire(blocking=False)

        go.set()
        assert all(call.result(PATIENCE) for call in calls)
    finally:
        go.set()
        pool.shutdown()


def test_an_exception_of_a_call_does_not_cost_its_thread() -> None:
    pool = DaemonPool(1)
    try:
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result(PATIENCE)

        assert pool.submit(lambda: "next").result(PATIENCE) == "next"
    finally:
        pool.shutdown()


def test_a_pool_that_was_shut_down_takes_no_call_and_keeps_no_thread() -> None:
    pool = DaemonPool(2)
    pool.submit(lambda: None).result(PATIENCE)

    pool.shutdown()

    with pytest.raises(RuntimeError, match="the server has stopped"):
        pool.submit(lambda: None)
    until(lambda: not handlers(), "the end of the pool's threads")


def test_calls_that_were_accepted_before_the_shutdown_are_done() -> None:
    pool, go = DaemonPool(1), threading.Event()
    calls = [pool.submit(go.wait, PATIENCE) for _ in range(3)]

    pool.shutdown()
    go.set()

    assert all(call.result(PATIENCE) for call in calls)


def test_a_server_goes_on_when_no_thread_can_be_started(start: Launch) -> None:
    """A stack that is larger than the address space makes every start fail, as a limit on processes does."""
    call = start()
    call.run("import threading; threading.stack_size(1 << 47)")
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda number: call("Echo", b"%d" % number), range(18)))
    call.plugin.ping()
    alive = call.run("import threading; answer = [t.name for t in threading.enumerate()].count('grpc-handler')")
    call.plugin.kill()

    assert answers == [b"%d" % number for number in range(18)]
    assert alive == "1"
    assert call.plugin.exit_code == 0


def test_calls_that_found_no_thread_are_done_by_the_next_one() -> None:
    previous = threading.stack_size(1 << 47)
    try:
        pool = DaemonPool(2)
        call = pool.submit(lambda: "first")
        assert not call.done()
    finally:
        threading.stack_size(previous)
    try:
        assert pool.submit(lambda: "second").result(PATIENCE) == "second"
        assert call.result(PATIENCE) == "first"
    finally:
        pool.shutdown()
