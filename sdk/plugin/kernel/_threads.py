"""Threads for gRPC handlers that never keep a process from ending."""

from __future__ import annotations

import collections
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


_OPEN: list[DaemonPool] = []
"""Pools that were not shut down, the first server's first."""


class DaemonPool(Executor):
    """A thread pool whose threads end with the process.

    `concurrent.futures.ThreadPoolExecutor` is joined at exit, so that one handler that hangs would keep a plugin alive
    until its host loses patience. The worker that became idle last is the first to work again: with short calls few
    threads are awake at once, and they contend less for the interpreter. There is one worker from the beginning: when
    the system has no thread left, calls wait for each other. An exception here would end the server for good.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._waiting: collections.deque[Callable[[], None]] = collections.deque()
        self._workers = 0
        self._closed = False
        with self._lock:
            self._grow()
        _OPEN.append(self)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def task() -> None:
            _run(future, fn, *args, **kwargs)

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit a call: the server has stopped")
            if self._idle:
                self._idle.pop().give(task)
            else:
                self._waiting.append(task)
                self._grow()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002  (as its base class)
        """Take no more calls. Those in progress are not waited for."""
        with self._lock:
            if not self._closed:
                _OPEN.remove(self)
            self._closed = True
            while self._idle:
                self._idle.pop().give(None)

    def _grow(self) -> None:
        """Start one more thread, for the call that has waited longest or for the next one."""
        if self._workers >= self._max_workers:
            return
        worker = _Worker(self._waiting[0] if self._waiting else None)
        try:
            threading.Thread(target=self._work, args=(worker,), name="grpc-handler", daemon=True).start()
        except RuntimeError:  # the system has none left
            return
        self._workers += 1
        if self._waiting:
            self._waiting.popleft()
        else:
            self._idle.append(worker)

    def _work(self, worker: _Worker) -> None:
        while (task := worker.take()) is not None:
            task()
            del task  # a finished call must not keep its request alive until the next one
            with self._lock:
                if self._waiting:
                    worker.give(self._waiting.popleft())
                elif self._closed:
                    return
                else:
                    self._idle.append(worker)


class _Worker:
    """What one thread of a pool has to do next, or that it has nothing to do any more."""

    def __init__(self, task: Callable[[], None] | None) -> None:
        self._given = threading.Lock()
        self._task = task
        if task is None:
            self._given.acquire()

    def give(self, task: Callable[[], None] | None) -> None:
        self._task = task
        self._given.release()

    def take(self) -> Callable[[], None] | None:
        self._given.acquire()
        task, self._task = self._task, None
        return task


class StreamThreads(ThreadPoolExecutor):
    """A thread of its own for each call of a handler of go-plugin's own services.

    In a synchronous gRPC server a handler that streams until its client leaves would occupy a worker for good, and
    go-plugin's hosts open two at once; one that answers at once would wait until the author's own calls leave a worker.
    gRPC honours the attribute ``experimental_thread_pool`` of a handler only if it is a `ThreadPoolExecutor`.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        thread = threading.Thread(
            target=lambda: _run(future, fn, *args, **kwargs), name="go-plugin-stream", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has none left: take turns with the author's calls
            if _OPEN:
                return _OPEN[0].submit(fn, *args, **kwargs)
            future.set_exception(error)  # every server has stopped
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
