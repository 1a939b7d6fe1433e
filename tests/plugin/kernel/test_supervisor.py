"""A plugin that is kept running: probes, restarts, hot swaps."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import grpc
import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel import _supervisor
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Caller, alive, until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Launcher:
    """Launches echo plugins and remembers them; fails as often as it is told."""

    def __init__(self) -> None:
        self.launched: list[kernel.Plugin] = []
        self.times: list[float] = []
        self.failures = 0
        self.error: Exception = kernel.CommandError("the disk is not mounted")
        self.versions = "1"

    def __call__(self) -> kernel.Plugin:
        self.times.append(time.monotonic())
        if self.failures:
            self.failures -= 1
            raise self.error
        command = [*ECHO, "--versions", self.versions]
        self.launched.append(kernel.launch(command, echo_plugin.HANDSHAKE, versions={1, 2}))
        return self.launched[-1]


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def supervisor(launcher: Launcher) -> Iterator[kernel.Supervisor]:
    with kernel.Supervisor(launcher, probe_interval=0.2, probe_timeout=1.0, most_failures=2, first_pause=0.05) as made:
        yield made


def pid_of(supervisor: kernel.Supervisor) -> int:
    with supervisor.use() as plugin:
        assert plugin.pid is not None
        return plugin.pid


def test_a_supervised_plugin_is_used_and_stopped(launcher: Launcher) -> None:
    with kernel.Supervisor(launcher) as supervisor, supervisor.use() as plugin:
        assert Caller(plugin)("Echo", b"x") == b"x"

    assert [plugin.exited for plugin in launcher.launched] == [True]


def test_a_plugin_that_dies_is_started_again(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    first = pid_of(supervisor)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(launcher.launched) == 2, "the restart")
    with supervisor.use() as plugin:
        assert Caller(plugin)("Echo", b"x") == b"x"
        assert plugin.pid != first


def test_a_plugin_that_hangs_is_killed_and_started_again(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    first = pid_of(supervisor)
    os.kill(first, signal.SIGSTOP)
    until(lambda: not alive(first), "the end of the first plugin")
    until(lambda: len(launcher.launched) == 2, "the restart")

    assert pid_of(supervisor) != first


def test_a_plugin_that_hangs_and_cannot_be_killed_is_replaced_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(kernel.ProcessRunner):
        def kill(self) -> None:
            raise kernel.PluginError("the engine of boxes is away")

    boxes = [Stubborn(ECHO), kernel.ProcessRunner(ECHO)]
    rest = iter(boxes)
    with kernel.Supervisor(
        lambda: kernel.launch(next(rest), echo_plugin.HANDSHAKE, versions={1}),
        probe_interval=0.05,
        probe_timeout=0.2,
        most_failures=1,
    ) as supervisor:
        first = pid_of(supervisor)
        os.kill(first, signal.SIGSTOP)
        try:
            until(lambda: pid_of(supervisor) != first, "the restart")
        finally:
            kernel.ProcessRunner.kill(boxes[0])

    assert "the engine of boxes is away" in caplog.text


def test_restarts_that_fail_are_repeated_with_growing_pauses(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    launcher.failures = 4
    os.kill(pid_of(supervisor), signal.SIGKILL)
    until(lambda: len(launcher.launched) == 2, "the restart")
    pauses = [later - earlier for earlier, later in zip(launcher.times[1:], launcher.times[2:], strict=False)]

    assert len(pauses) == 4
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.05
    assert pauses[3] >= 0.4


def test_whoever_wants_a_plugin_that_is_down_is_told_why(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    launcher.failures = 1000
    os.kill(pid_of(supervisor), signal.SIGKILL)
    until(lambda: len(launcher.times) > 2, "the attempts")
    with pytest.raises(kernel.SupervisorError, match="the disk is not mounted"), supervisor.use(timeout=0.05):
        pass


@pytest.mark.parametrize("error", [ConnectionError("the database is away"), grpc.RpcError("the database is away")])
def test_a_restart_goes_on_whatever_the_start_function_raises(
    supervisor: kernel.Supervisor, launcher: Launcher, error: Exception
) -> None:
    launcher.failures, launcher.error = 1000, error
    first = pid_of(supervisor)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(launcher.times) > 2, "the attempts")
    told = f"starting it raised {type(error).__name__}: the database is away"
    with pytest.raises(kernel.SupervisorError, match=told), supervisor.use(timeout=0.05):
        pass
    launcher.failures = 0

    assert pid_of(supervisor) != first


def test_a_plugin_that_cannot_be_started_at_first_is_the_callers_business(launcher: Launcher) -> None:
    launcher.failures = 1
    with pytest.raises(kernel.CommandError, match="the disk is not mounted"):
        kernel.Supervisor(launcher)


def test_a_hot_swap_loses_no_call(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    stop = threading.Event()
    answers: list[bytes] = []
    failures: list[grpc.RpcError] = []

    def call() -> None:
        while not stop.is_set():
            with supervisor.use() as plugin:
                try:
                    answers.append(Caller(plugin)("Version"))
                except grpc.RpcError as error:
                    failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    until(lambda: len(answers) > 10, "answers of the first plugin")
    launcher.versions = "2"
    supervisor.swap()
    until(lambda: answers[-1] == b"2", "answers of the second plugin")
    stop.set()
    for caller in callers:
        caller.join(PATIENCE)

    assert failures == []
    assert [plugin.exited for plugin in launcher.launched] == [True, False]


def test_a_swap_waits_for_uses_of_the_old_plugin(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    with supervisor.use() as old:
        swapping = threading.Thread(target=supervisor.swap)
        swapping.start()
        until(lambda: pid_of(supervisor) != old.pid, "the switch")
        assert Caller(old)("Echo", b"x") == b"x"
    swapping.join(PATIENCE)

    assert old.exited


def test_a_swap_does_not_wait_for_ever(supervisor: kernel.Supervisor) -> None:
    with supervisor.use() as old:
        supervisor.swap(drain_timeout=0.1)

        assert old.exited


def test_a_swap_to_a_plugin_that_does_not_start_changes_nothing(
    supervisor: kernel.Supervisor, launcher: Launcher
) -> None:
    before = pid_of(supervisor)
    launcher.failures = 1
    with pytest.raises(kernel.CommandError):
        supervisor.swap()

    assert pid_of(supervisor) == before


def test_a_swap_that_raises_leaves_the_restarts_as_they_were(supervisor: kernel.Supervisor, launcher: Launcher) -> None:
    broken = Launcher()
    broken.failures, broken.error = 1000, OSError("no such file")
    with pytest.raises(OSError, match="no such file"):
        supervisor.swap(broken)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    until(lambda: len(launcher.launched) == 2, "the restart")

    assert len(broken.times) == 1


def test_a_swap_may_bring_another_command_that_restarts_use_too(supervisor: kernel.Supervisor) -> None:
    other = Launcher()
    supervisor.swap(other)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    until(lambda: len(other.launched) == 2, "the restart")


def test_a_stopped_supervisor_serves_and_swaps_nothing(launcher: Launcher) -> None:
    supervisor = kernel.Supervisor(launcher)
    supervisor.stop()
    supervisor.stop()
    with pytest.raises(kernel.SupervisorError, match="its supervisor was stopped"), supervisor.use():
        pass
    with pytest.raises(kernel.SupervisorError, match="its supervisor was stopped"):
        supervisor.swap()


def test_stopping_during_a_restart_leaves_nothing(launcher: Launcher) -> None:
    supervisor = kernel.Supervisor(launcher, first_pause=0.01)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    until(lambda: len(launcher.times) == 2, "the restart")
    supervisor.stop()

    assert all(plugin.exited for plugin in launcher.launched)


class Hanging(Launcher):
    """Launches one plugin at once, and the next ones when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = threading.Event()
        self.free = threading.Event()

    def __call__(self) -> kernel.Plugin:
        if self.launched:
            self.hangs.set()
            self.free.wait(PATIENCE)
        return super().__call__()

    def hang_at_the_restart(self, supervisor: kernel.Supervisor) -> None:
        os.kill(pid_of(supervisor), signal.SIGKILL)
        assert self.hangs.wait(PATIENCE)


def test_stopping_does_not_wait_for_a_restart_that_hangs_and_its_plugin_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_supervisor, "_LAST_START", 0.1)
    launcher = Hanging()
    supervisor = kernel.Supervisor(launcher)
    launcher.hang_at_the_restart(supervisor)
    supervisor.stop()

    assert len(launcher.launched) == 1
    launcher.free.set()
    until(lambda: len(launcher.launched) == 2, "the late plugin")
    assert launcher.launched[1].wait(PATIENCE)


def test_a_swap_does_not_wait_for_a_restart_that_hangs_and_is_not_undone_by_it(
    launcher: Launcher, caplog: pytest.LogCaptureFixture
) -> None:
    hanging = Hanging()
    with kernel.Supervisor(hanging) as supervisor:
        hanging.hang_at_the_restart(supervisor)
        supervisor.swap(launcher)
        swapped = pid_of(supervisor)
        assert len(hanging.launched) == 1
        hanging.free.set()
        until(lambda: len(hanging.launched) == 2, "the late plugin")

        assert hanging.launched[1].wait(PATIENCE)
        assert pid_of(supervisor) == swapped
    assert "cannot be restarted" not in caplog.text


def test_a_start_function_may_stop_its_supervisor(launcher: Launcher) -> None:
    def start() -> kernel.Plugin:
        if launcher.launched:
            supervisor.stop()
            stopped.set()
        return launcher()

    stopped = threading.Event()
    supervisor = kernel.Supervisor(start)
    os.kill(pid_of(supervisor), signal.SIGKILL)

    assert stopped.wait(PATIENCE)
    until(lambda: len(launcher.launched) == 2, "the late plugin")
    assert launcher.launched[1].wait(PATIENCE)
