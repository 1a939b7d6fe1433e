"""Plugins must not outlive the host that launched them, however it ends.

At a normal end or an uncaught exception `atexit` kills them. Python dies of SIGTERM and SIGHUP without further ado, so
those are caught while plugins are alive, unless the program does so itself; they then end the process as before.
Nothing helps against SIGKILL, except that a plugin made with this package notices it.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Final

    from ._plugin import Plugin

_DEADLY: Final = (signal.SIGTERM, signal.SIGHUP)

_live: dict[int, Plugin] = {}
_lock = threading.Lock()
_owner = 0


def add(plugin: Plugin) -> None:
    """Kill `plugin` at the latest when this process ends."""
    global _owner  # noqa: PLW0603  (there is one process)
    with _lock:
        if _owner != os.getpid():
            _live.clear()  # after a fork they are the parent's
            _owner = os.getpid()
            atexit.register(kill_all)
        _live[id(plugin)] = plugin
    if threading.current_thread() is threading.main_thread():
        for number in _DEADLY:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _die)


def discard(plugin: Plugin) -> None:
    """Forget `plugin`, which is dead."""
    with _lock:
        _live.pop(id(plugin), None)
        empty = not _live
    if empty and threading.current_thread() is threading.main_thread():
        for number in _DEADLY:
            if signal.getsignal(number) is _die:
                signal.signal(number, signal.SIG_DFL)


def kill_all() -> None:
    """Kill every plugin that this process has launched, all at once. For hosts that are about to end."""
    if _owner != os.getpid():
        return
    plugins = list(_live.values())
    for plugin in plugins:
        plugin.ask_to_stop()
    for plugin in plugins:
        plugin.kill()


def _die(number: int, _frame: FrameType | None) -> None:
    """Runs between two instructions of whatever the main thread does, so it must take no lock.

    A second signal ends the process at once.
    """
    signal.signal(number, signal.SIG_DFL)
    _thread.start_new_thread(_kill_all_and_die, (number,))


def _kill_all_and_die(number: int) -> None:
    try:
        kill_all()
    finally:
        os.kill(os.getpid(), number)
