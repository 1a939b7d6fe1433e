"""What SIGINT and SIGTERM do in a plugin, and in the processes that it forks."""

from __future__ import annotations

import signal
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Handler = Callable[[int, FrameType | None], Any] | int | None


class Signals:
    """The signals that this process handles itself. Outside of the main thread, Python allows none."""

    def __init__(self) -> None:
        self._allowed = threading.current_thread() is threading.main_thread()
        self._handlers: dict[int, tuple[Handler, Handler]] = {}
        self._masks = threading.local()

    def wake(self, descriptor: int) -> None:
        """Have each signal write to `descriptor`."""
        if self._allowed:
            signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)

    def handle(self, number: int, handler: Handler) -> None:
        """Call `handler` for a signal."""
        if self._allowed:
            self._handlers[number] = handler, signal.signal(number, handler)

    def hold(self) -> None:
        """Let signals wait while this thread forks: Python forgets what comes to a child before its hooks run."""
        self._masks.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, self._handlers)

    def release(self) -> None:
        """Take the signals that wait."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.earlier)

    def give_back(self) -> None:
        """In a forked child, let signals do what they did before us, and take those that wait.

        The author's code may have put another handler in the place of ours; that one stays.
        """
        if self._allowed:
            signal.set_wakeup_fd(-1)
        for number, (handler, earlier) in self._handlers.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL if earlier is None else earlier)  # None: not set by Python
        self.release()
