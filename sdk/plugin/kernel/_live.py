"""Plugins must not outlive the host that launched them, however it ends.

At a normal end or an uncaught exception `atexit` kills them. Python dies of SIGTERM and SIGHUP without further ado, so
those are caught while plugins are alive, unless the program does so itself; they then end the process as before.
Python lets the main thread alone catch a signal: what other threads launch is safe from these two while the main thread
has a plugin of its own, or if the program makes the signal a normal end. Nothing helps against SIGKILL, except that a
plugin made with this package notices it.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import threading
from typing import Protocol

from ._errors import PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Final

_DEADLY: Final = (signal.SIGTERM, signal.SIGHUP)


class Killable(Protocol):
    """A plugin, or one that is about to start."""

    def ask_to_stop(self) -> None:
        """Send the request to stop without waiting for anything."""

    def kill(self) -> None:
        """End it."""


_live: dict[int, Killable] = {}
_lock = threading.Lock()
_masks = threading.local()
_owner = 0
_ending = False
_signal = 0


def add(plugin: Killable) -> None:
    """Kill `plugin` at the latest when this process ends.

    Raises:
        PluginError: It ends already.
    """
    global _owner, _ending  # noqa: PLW0603  (there is one process)
    with _lock:
        if not _owner:
            os.register_at_fork(before=_hold_signals, after_in_parent=_take_signals, after_in_child=_let_go)
        if _owner != os.getpid():
            _live.clear()  # after a fork they are the parent's
            _owner = os.getpid()
            _ending = False
            atexit.register(_at_exit)
        if _ending:
            raise PluginError("cannot launch a plugin: this process is about to end, and has killed those it had")
        _live[id(plugin)] = plugin
    if threading.current_thread() is threading.main_thread():
        for number in _DEADLY:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _die)


def replace(old: Killable, new: Killable) -> None:
    """Kill `new` instead of `old`."""
    with _lock:
        _live.pop(id(old), None)
        _live[id(new)] = new


def discard(plugin: Killable) -> None:
    """Forget `plugin`, which is dead."""
    with _lock:
        _live.pop(id(plugin), None)
        empty = not _live
    if empty and threading.current_thread() is threading.main_thread():
        for number in _DEADLY:
            if signal.getsignal(number) is _die:
                signal.signal(number, signal.SIG_DFL)


def is_ending() -> bool:
    """Whether this process ends, so that its plugins do too."""
    return _ending


def kill_all() -> None:
    """Kill every plugin that this process has launched, all at once. For hosts that are about to end."""
    if _owner != os.getpid():
        return
    with _lock:
        plugins = list(_live.values())
    with contextlib.ExitStack() as kills:  # one that cannot be killed does not spare the others
        for plugin in plugins:
            kills.callback(plugin.kill)
        for plugin in plugins:
            plugin.ask_to_stop()


def _kill_all_for_good() -> None:
    global _ending  # noqa: PLW0603  (there is one process)
    with _lock:
        _ending = True
    kill_all()


def _at_exit() -> None:
    _kill_all_for_good()
    if _signal:  # it has taken the plugin from the main thread, which has ended over that
        os.kill(os.getpid(), _signal)


def _hold_signals() -> None:
    """Let them wait while this thread forks: Python forgets what comes to a child before its hooks run.

    Not those that the program handles itself: they would be taken within a hook, where Python swallows what is raised.
    """
    ours = [number for number in _DEADLY if signal.getsignal(number) is _die]
    _masks.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, ours)


def _take_signals() -> None:
    earlier = getattr(_masks, "earlier", None)  # this may be the first hook that runs: another thread has just added it
    if earlier is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _let_go() -> None:
    """In a forked child, whose parent has the plugins: end at a signal at once, and meet no lock of a lost thread."""
    global _lock  # noqa: PLW0603  (there is one process)
    _lock = threading.Lock()
    for number in _DEADLY:
        if signal.getsignal(number) is _die:
            signal.signal(number, signal.SIG_DFL)
    _take_signals()


def _die(number: int, _frame: FrameType | None) -> None:
    """Runs between two instructions of whatever the main thread does, so it must take no lock.

    A second signal ends the process at once.
    """
    global _signal  # noqa: PLW0603  (there is one process)
    _signal = number
    signal.signal(number, signal.SIG_DFL)
    _thread.start_new_thread(_kill_all_and_die, (number,))


def _kill_all_and_die(number: int) -> None:
    try:
        _kill_all_for_good()
    finally:
        os.kill(os.getpid(), number)
