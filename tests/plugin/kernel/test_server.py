"""The threads and options of the gRPC servers and channels that the kernel makes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from doze_sdk.plugin.kernel._server import CHANNEL_OPTIONS
from doze_sdk.plugin.kernel._threads import DaemonPool
from tests.plugin.kernel.conftest import PATIENCE, Launch, until


def handlers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "grpc-handler"}


def test_a_channel_sends_no_pings_of_its_own() -> None:
    """A Go plugin answers more than one in five minutes with a GOAWAY."""
    assert [name for name, _ in CHANNEL_OPTIONS if "keepalive" in name] == []


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
