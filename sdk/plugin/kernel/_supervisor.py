"""Keeps a plugin running: probes its health, restarts it with growing pauses, replaces it without a gap."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from . import _live
from ._child import describe_exit, reported
from ._errors import PluginError, SupervisorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Final, Self

    from ._plugin import Plugin

_FIRST_ANSWER: Final = 10.0  # seconds; a process that has just started is slower than one that runs
_LAST_START: Final = 5.0  # seconds for a restart that is under way when the supervisor stops
_LOGGER: Final = logging.getLogger("doze_sdk.plugin.supervisor")


class Supervisor:
    """Keeps one plugin running, from its making to `stop`. A context manager.

    ::

        with Supervisor(lambda: kernel.launch(command, HANDSHAKE, versions={1})) as supervisor:
            with supervisor.use() as plugin:
                KVStub(plugin.channel).Get(request)

    Args:
        start: Launches the plugin. It is called again for each restart; whatever it raises then, a first call to the
            plugin that fails included, counts as a restart that failed.
        probe_interval: Seconds between two questions to the plugin's health service. A plugin's end is noticed at once.
        probe_timeout: Seconds in which it must answer.
        most_failures: How many probes may fail in a row before the plugin is killed and started again.
        first_pause, longest_pause: Seconds before a restart. The first one comes at once, the next after `first_pause`,
            and so on with twice the pause, until a plugin has run for `longest_pause`.

    Raises:
        PluginError: The plugin cannot be started the first time, or does not answer then. Whatever else `start` raises
            the first time is raised too.
    """

    def __init__(
        self,
        start: Callable[[], Plugin],
        *,
        probe_interval: float = 5.0,
        probe_timeout: float = 2.0,
        most_failures: int = 3,
        first_pause: float = 0.1,
        longest_pause: float = 30.0,
    ) -> None:
        self._start = start
        self._probe_interval = probe_interval
        self._probe_timeout = probe_timeout
        self._most_failures = most_failures
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._condition = threading.Condition()
        self._swapping = threading.Lock()
        self._uses: dict[Plugin, int] = {}
        self._watches: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._current: Plugin | None = None
        self._pause = 0.0
        self._reason = "it has not been started"
        self._switch_to(self._started(start), start)

    @contextlib.contextmanager
    def use(self, *, timeout: float = 10.0) -> Iterator[Plugin]:
        """Yield the running plugin. `swap` waits for the end of this block before it stops that plugin.

        Raises:
            SupervisorError: No plugin has been running for `timeout` seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._current is not None or self._stopping.is_set(), timeout):
                raise SupervisorError(f"no plugin is running, for {timeout:g} s: {self._reason}; it is being restarted")
            if (plugin := self._current) is None:
                raise SupervisorError("no plugin is running: its supervisor was stopped")
            self._uses[plugin] = self._uses.get(plugin, 0) + 1
        try:
            yield plugin
        finally:
            with self._condition:
                self._uses[plugin] -= 1
                if not self._uses[plugin]:
                    del self._uses[plugin]
                self._condition.notify_all()

    def swap(self, start: Callable[[], Plugin] | None = None, *, drain_timeout: float = 30.0) -> None:
        """Replace the plugin without a gap: start a new one, check its health, switch, drain, stop the old one.

        A restart that is under way is not waited for: what it starts is killed, if this one is ready first.

        Args:
            start: Launches the new plugin, and all that follow; default: as before.
            drain_timeout: Seconds in which the uses of the old plugin may end by themselves.

        Raises:
            PluginError: The new plugin cannot be started or does not answer. The old one goes on, as it does after
                whatever else `start` raises.
        """
        with self._swapping:
            self._check_running()
            launch = start or self._start
            new = self._started(launch)
            old = self._switch_to(new, launch)
        if old is not None:
            with self._condition:
                self._condition.wait_for(lambda: old not in self._uses or self._stopping.is_set(), drain_timeout)
            old.kill()

    def stop(self) -> None:
        """Kill the plugin and end the supervision. Harmless when repeated.

        A restart that is under way is waited for five seconds; what it starts after that is killed then. Nothing can
        hurry `start`, which may call this itself.
        """
        self._stopping.set()
        with self._condition:
            plugin, self._current = self._current, None
            self._condition.notify_all()
        try:
            if plugin is not None:
                plugin.kill()
        finally:
            deadline = time.monotonic() + _LAST_START
            for watch in self._watches - {threading.current_thread()}:
                watch.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise SupervisorError("cannot replace the plugin: its supervisor was stopped")

    @staticmethod
    def _started(start: Callable[[], Plugin]) -> Plugin:
        plugin = start()
        try:
            plugin.ping(timeout=_FIRST_ANSWER)
        except BaseException:
            plugin.kill()
            raise
        return plugin

    def _switch_to(self, new: Plugin, start: Callable[[], Plugin], *, restart: bool = False) -> Plugin | None:
        """Return the plugin that was used before. A restart yields to whatever has been swapped in meanwhile."""
        watch = threading.Thread(target=self._watch, args=(new,), name="go-plugin-supervisor", daemon=True)
        with self._condition:
            late = restart and (self._current is not None or self._start is not start)
            if not late and not self._stopping.is_set():
                old, self._current, self._start = self._current, new, start
                self._watches.add(watch)
                watch.start()
                self._condition.notify_all()
                return old
        new.kill()
        if restart:
            return None
        raise SupervisorError("the plugin was stopped while it started: so was its supervisor")

    def _watch(self, plugin: Plugin) -> None:
        """Run for one plugin, from the switch to it until it is lost or replaced."""
        started = time.monotonic()
        failures = 0
        while failures < self._most_failures and not plugin.wait(self._probe_interval):
            if self._current is not plugin:
                break
            failures = 0 if self._answers(plugin) else failures + 1
        if time.monotonic() - started > self._longest_pause:
            self._pause = 0.0
        if self._lose(plugin):
            with reported(_LOGGER, "killing a plugin that is to be restarted"):
                plugin.kill()
            self._start_again()
        with self._condition:
            self._watches.discard(threading.current_thread())

    def _answers(self, plugin: Plugin) -> bool:
        try:
            plugin.ping(timeout=self._probe_timeout)
        except PluginError as error:
            self._reason = str(error)
            return False
        return True

    def _lose(self, plugin: Plugin) -> bool:
        with self._condition:
            if self._current is not plugin or _live.is_ending():
                return False  # it was replaced, or the supervisor stopped, or all plugins are killed for good
            self._current = None
        if plugin.exited:
            self._reason = f"{plugin!r}: {describe_exit(plugin.exit_code)}"
        _warn("restarting a plugin: %s", self._reason)
        return True

    def _start_again(self) -> None:
        while not self._stopping.wait(self._pause) and self._current is None:
            self._pause = min(max(2 * self._pause, self._first_pause), self._longest_pause)
            start = self._start
            try:
                self._switch_to(self._started(start), start, restart=True)
            except Exception as error:  # noqa: BLE001  (`start` is the caller's: whatever it raises may pass)
                self._reason = _told(error)
                if _live.is_ending():
                    return
                _warn("a plugin cannot be restarted, trying again in %g s: %s", self._pause, self._reason)
            else:
                return


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, PluginError) else f"starting it raised {type(error).__name__}: {error}"


def _warn(message: str, *values: object) -> None:
    with reported(_LOGGER, "logging a restart"):
        _LOGGER.warning(message, *values)
