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
        """Let signals wait while this thread forks: Python forgets what comes to a child before its hooks run.

        Not those for which the author has a handler: it would run within a hook, where Python swallows what it raises.
        """
        ours = [number for number, (handler, _) in self._handlers.items() if signal.getsignal(number) is handler]
        self._masks.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, ours)

    def release(self) -> None:
        """Take the signals that wait."""
        earlier = getattr(self._masks, "earlier", None)  # None: the hooks were added while this thread forked
        if earlier is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)

    def give_back(self) -> None:
        """In a forked child, let signals do what they did before us, and take those that wait.

        The author's code may have put another handler in the place of ours; that one stays.
        """
        if self._allowed:
            signal.set_wakeup_fd(-1)
        waiting = signal.sigpending()
        for number, (handler, earlier) in self._handlers.items():
            if signal.getsignal(number) is handler:
                lost = number in waiting and earlier is signal.default_int_handler  # it raises, and this is a hook
                # None: not set by Python
                signal.signal(number, signal.SIG_DFL if earlier is None or lost else earlier)
        self.release()
