"""Runners: a plugin that runs where its sockets have other names, as in a container."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel import _live
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, Caller, alive, open_descriptors
from tests.plugin.kernel.test_live import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = [{}, {"auto_mtls": True}, {"multiplex": True}]
DIAL = "with broker.dial({}) as channel:\n answer = channel.unary_unary('/test.Back/Back')(b'x', timeout=10)"
ACCEPT = "answer = broker.accept(broker.next_id(), serve_back).service_id"


class Elsewhere:
    """Runs the echo plugin as if the host's folder of sockets had another name in there."""

    def __init__(self, inside: Path, command: list[str] = ECHO) -> None:
        self.name = "echo in a box"
        self.id = "box-1"
        self.inside = str(inside)
        self.outside = ""
        self.environment: Mapping[str, str] = {}
        self._process = kernel.ProcessRunner(command)

    @property
    def pid(self) -> int | None:
        return None

    def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:
        self.outside = socket_folder
        self.environment = environment
        Path(self.inside).symlink_to(socket_folder)
        return self._process.start({**environment, "PLUGIN_UNIX_SOCKET_DIR": self.inside}, self.inside)

    def wait(self) -> int | None:
        code = self._process.wait()
        Path(self.inside).unlink()
        return code

    def kill(self) -> None:
        self._process.kill()

    def diagnose(self) -> str:
        return "is the box large enough?"

    def to_host(self, address: kernel.Address) -> kernel.Address:
        assert address.address.startswith(self.inside)
        return address._replace(address=address.address.replace(self.inside, self.outside))

    def to_plugin(self, address: kernel.Address) -> kernel.Address:
        assert address.address.startswith(self.outside)
        return address._replace(address=address.address.replace(self.outside, self.inside))


@pytest.mark.parametrize("mode", MODES, ids=["plain", "mtls", "mux"])
def test_a_plugin_in_a_box_is_reached_and_reaches_the_host(short_dir: Path, mode: dict[str, bool]) -> None:
    runner = Elsewhere(short_dir / "inside")
    with kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1}, **mode) as plugin:
        call = Caller(plugin)
        broker = plugin.broker
        there = int(call.run(ACCEPT))
        with broker.dial(there) as channel:
            assert channel.unary_unary("/test.Back/Back")(b"x", timeout=10) == b"back:x"
        back = broker.accept(broker.next_id(), echo_plugin.serve_back).service_id

        assert call.run(DIAL.format(back)) == "back:x"
        assert (plugin.pid, plugin.id) == (None, "box-1")
    assert plugin.exit_code == 0


def test_a_box_gets_the_variables_of_the_protocol_and_need_not_get_the_hosts(short_dir: Path) -> None:
    runner = Elsewhere(short_dir / "inside")
    environment = {"PATH": os.environ["PATH"]}
    with kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1, 2}, inherit_env=False, env=environment):
        pass

    assert runner.environment == {
        **environment,
        "DOZE_TEST_PLUGIN": "5f2b",
        "PLUGIN_MIN_PORT": "10000",
        "PLUGIN_MAX_PORT": "25000",
        "PLUGIN_PROTOCOL_VERSIONS": "1,2",
        "PLUGIN_UNIX_SOCKET_DIR": runner.outside,
    }


def test_a_box_that_does_not_start_is_diagnosed_by_its_runner(short_dir: Path) -> None:
    runner = Elsewhere(short_dir / "inside", ["false"])
    with pytest.raises(kernel.PluginExitedError, match=r"its exit code is 1; is the box large enough\?"):
        kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1})


def test_a_box_that_does_not_stop_is_killed_by_its_runner(short_dir: Path) -> None:
    runner = Elsewhere(short_dir / "inside")
    plugin = kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1})
    assert runner._process.pid is not None
    os.kill(runner._process.pid, signal.SIGSTOP)
    plugin.kill()

    assert plugin.exit_code == -signal.SIGKILL


def test_a_box_cannot_be_handed_over_or_checked(short_dir: Path) -> None:
    runner = Elsewhere(short_dir / "inside")
    with pytest.raises(kernel.ChecksumError, match="a runner starts it"):
        kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1}, secure=kernel.SecureConfig("ab" * 32))
    with (
        kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1}) as plugin,
        pytest.raises(kernel.ReattachError, match="only a plugin on this machine"),
    ):
        plugin.reattach_config()


def test_a_box_whose_runner_cannot_kill_it_leaves_nothing_of_ours(short_dir: Path) -> None:
    """The fixture that looks for leftovers judges the rest, once the box has gone."""

    class Stubborn(Elsewhere):
        def kill(self) -> None:
            raise ConnectionError("the engine of boxes is away")

    runner = Stubborn(short_dir / "inside")
    plugin = kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1})
    assert runner._process.pid is not None
    os.kill(runner._process.pid, signal.SIGSTOP)
    with pytest.raises(ConnectionError, match="the engine of boxes is away"):
        plugin.kill()
    left = Path(runner.outside).exists()
    plugin.kill()
    runner._process.kill()

    assert not left


@pytest.mark.parametrize("settings", [{"cwd": "/tmp"}, {"kill_group": True}])  # noqa: S108  (nothing is put there)
def test_what_a_runner_decides_cannot_be_asked_of_launch(settings: dict[str, Any]) -> None:
    runner = kernel.ProcessRunner(SILENT)
    with pytest.raises(kernel.PluginError, match="cannot launch plugin 'sh' with cwd or kill_group"):
        kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1}, **settings)

    assert runner.pid is None


def test_a_start_that_fails_says_why_even_if_the_runner_cannot_kill_what_it_started(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stubborn(kernel.ProcessRunner):
        def kill(self) -> None:
            raise ConnectionError("the engine of boxes is away")

    runner = Stubborn(SILENT)
    before = open_descriptors()
    try:
        with pytest.raises(kernel.StartTimeoutError, match=r"did not announce itself on stdout within 0\.5 s"):
            kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1}, start_timeout=0.5)
        left = open_descriptors() - before
        live = list(_live._live)
    finally:
        kernel.ProcessRunner.kill(runner)

    assert len(left) == 1  # by which the thread tells that waits for the process
    assert not live
    assert "ConnectionError: the engine of boxes is away" in caplog.text


def test_a_runner_whose_pipes_are_closed_is_refused_and_what_it_started_is_killed() -> None:
    class Careless(kernel.ProcessRunner):
        def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:
            pipes = super().start(environment, socket_folder)
            for pipe in pipes:
                os.close(pipe)
            return pipes

    runner = Careless(["sleep", "60"])
    with pytest.raises(kernel.HandshakeError, match="closed its stdout without announcing itself"):
        kernel.launch(runner, echo_plugin.HANDSHAKE, versions={1})

    assert runner.pid is not None
    assert not alive(runner.pid)
