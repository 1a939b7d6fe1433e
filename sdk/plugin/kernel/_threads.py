"""Threads for gRPC handlers that never keep a process from ending."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class DaemonPool(Executor):
    """A thread pool whose threads end with the process.

    `concurrent.futures.ThreadPoolExecutor` is joined at exit, so that one handler that hangs would keep a plugin alive
    until its host loses patience.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._workers = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit a call: the server has stopped")
            self._tasks.put(lambda: _run(future, fn, *args, **kwargs))
            if not self._idle.acquire(blocking=False) and self._workers < self._max_workers:
                self._workers += 1
                threading.Thread(target=self._work, name="grpc-handler", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002  (as its base class)
        """Take no more calls. Those in progress are not waited for."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in range(self._workers):
                self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # a finished call must not keep its request alive until the next one
            self._idle.release()


class StreamThreads(ThreadPoolExecutor):
    """A thread of its own for each call of a handler that streams until its client leaves.

    In a synchronous gRPC server such a handler would occupy a worker for good, and go-plugin's hosts open two at once.
    gRPC honours the attribute ``experimental_thread_pool`` of a handler only if it is a `ThreadPoolExecutor`.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        threading.Thread(target=lambda: _run(future, fn, *args, **kwargs), name="go-plugin-stream", daemon=True).start()
        return future


STREAM_THREADS = StreamThreads()


def _run(future: Future[T], fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  (an executor hands every exception to its future)
        future.set_exception(error)
    else:
        future.set_result(result)
