"""Attaching to running plugins, test mode, and Terraform's JSON."""

from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from doze_sdk.plugin import kernel
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import PATIENCE, Caller, Launch, alive, until

if TYPE_CHECKING:
    from collections.abc import Callable


def register(server: grpc.Server, broker: kernel.Broker) -> None:
    echo_plugin.register(6, server, broker)


def test_another_host_picks_up_a_plugin_and_may_end_it(start: Launch) -> None:
    first = start("--outlive-host").plugin
    config = kernel.ReattachConfig.from_json(first.reattach_config().to_json())
    second = kernel.reattach(config)

    assert Caller(second)("Echo", b"x") == b"x"
    assert (second.pid, second.version, second.exited) == (first.pid, 1, False)
    second.kill()
    assert second.exited
    assert first.wait(PATIENCE)


def test_the_end_of_a_plugin_is_noticed_by_whoever_attached(start: Launch) -> None:
    first = start().plugin
    with kernel.reattach(first.reattach_config()) as second:
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)

        assert second.wait(PATIENCE)


def test_the_end_of_a_plugin_is_noticed_where_the_kernel_gives_no_descriptor_of_a_process(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start().plugin
    monkeypatch.delattr(os, "pidfd_open")
    with kernel.reattach(first.reattach_config()) as second:
        assert first.pid is not None
        assert not second.exited
        os.kill(first.pid, signal.SIGKILL)

        assert second.wait(PATIENCE)


def test_a_process_that_is_gone_is_reported_where_the_kernel_gives_no_descriptor_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    config = kernel.ReattachConfig(kernel.Address("unix", "/tmp/no-such-socket"), 1, process.pid)
    with pytest.raises(kernel.ReattachError, match=f"there is no process {process.pid}"):
        kernel.reattach(config)


def test_a_plugin_that_does_not_answer_is_killed_by_whoever_attached(start: Launch) -> None:
    first = start().plugin
    second = kernel.reattach(first.reattach_config())
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)
    second.kill()

    assert first.wait(PATIENCE)
    assert first.exit_code == -signal.SIGKILL


def test_the_broker_works_for_whoever_attached(start: Launch) -> None:
    first = start().plugin
    with kernel.reattach(first.reattach_config()) as second:
        first._end_broker()
        identity = int(Caller(second).run("answer = broker.accept(broker.next_id(), serve_back).service_id"))
        with second.broker.dial(identity) as channel:
            assert channel.unary_unary("/test.Back/Back")(b"x", timeout=PATIENCE) == b"back:x"


@pytest.mark.parametrize("mode", [{"auto_mtls": True}, {"multiplex": True}])
def test_an_encrypted_or_multiplexed_plugin_cannot_be_handed_over(start: Launch, mode: dict[str, bool]) -> None:
    with pytest.raises(kernel.ReattachError, match="launched without auto_mtls and multiplex"):
        start(**mode).plugin.reattach_config()


def test_a_process_that_is_gone_is_reported() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    config = kernel.ReattachConfig(kernel.Address("unix", "/tmp/no-such-socket"), 1, process.pid)
    with pytest.raises(kernel.ReattachError, match=f"there is no process {process.pid}"):
        kernel.reattach(config)


@pytest.mark.parametrize("pid", [2**40, 2**80, 2**31 - 1, 0, -1])
def test_a_number_that_no_process_has_is_reported(pid: int) -> None:
    config = kernel.ReattachConfig(kernel.Address("unix", "/tmp/no-such-socket"), 1, pid)
    with pytest.raises(kernel.ReattachError, match=f"there is no process {pid}"):
        kernel.reattach(config)


@pytest.mark.parametrize(
    "address",
    [
        ("unix", "/tmp/no-such-socket"),
        ("unix", "/tmp/\ud800"),
        ("unix", "/" + "x" * 200),
        ("tcp", "127.0.0.1:1"),
        ("tcp", "127.0.0.1:99999"),
        ("tcp", "127.0.0.1:-1"),
        ("tcp", "127.0.0.1:" + "9" * 5000),
        ("tcp", "a\0b:1"),
        ("tcp", "nonsense"),
    ],
    ids=range(9),
)
def test_an_address_where_nobody_answers_is_reported(address: tuple[str, str]) -> None:
    config = kernel.ReattachConfig(kernel.Address(*address), 1, os.getpid())
    with pytest.raises(kernel.ReattachError, match="nobody answers at"):
        kernel.reattach(config)


def test_a_plugin_is_served_in_test_mode_to_any_number_of_hosts() -> None:
    with kernel.serve_test(versions={6: register}) as served:
        for _ in range(2):
            with kernel.reattach(served.reattach_config()) as plugin:
                assert Caller(plugin)("Version") == b"6"
                plugin.ping()
            assert not plugin.exited


@pytest.mark.parametrize("network", ["unix", "tcp"])
def test_a_plugin_is_served_in_test_mode_on_either_network(network: str) -> None:
    with kernel.serve_test(versions={6: register}, network=network) as served:
        assert served.reattach_config().address.network == network
        with kernel.reattach(served.reattach_config()) as plugin:
            assert Caller(plugin)("Echo", b"x") == b"x"


def test_a_plugin_on_ipv6_is_picked_up() -> None:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    echo_plugin.serve_back(server)
    try:
        port = server.add_insecure_port("[::1]:0")
    except RuntimeError:
        pytest.skip("there is no IPv6 on this machine")
    server.start()
    config = kernel.ReattachConfig(kernel.Address("tcp", f"[::1]:{port}"), 1, os.getpid(), test=True)
    with kernel.reattach(config) as plugin:
        assert plugin.channel.unary_unary("/test.Back/Back")(b"x", timeout=PATIENCE) == b"back:x"
    server.stop(None).wait()


def test_test_mode_serves_the_lowest_version_and_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_PROTOCOL_VERSIONS", "7")
    monkeypatch.setenv("PLUGIN_CLIENT_CERT", "nonsense")
    with kernel.serve_test(versions={7: register, 6: register}) as served:
        assert served.reattach_config().version == 6

    assert os.environ["PLUGIN_PROTOCOL_VERSIONS"] == "7"


def test_test_mode_changes_nothing_about_the_process() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.excepthook, os.fstat(1)
    with kernel.serve_test(versions={6: register}):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.excepthook, os.fstat(1)

    assert before == during


def test_a_plugin_in_test_mode_that_nobody_stops_leaves_nothing_when_its_process_ends(
    script: Callable[[str], list[str]], short_dir: Path
) -> None:
    code = "import os\nfrom doze_sdk.plugin import kernel\n"
    code += "served = kernel.serve_test(versions={1: lambda server, broker: None})\n"
    code += "path = served.reattach_config().address.address\npid = os.fork()\n"
    code += "if pid: os.waitpid(pid, 0); print(os.path.exists(path))"
    result = subprocess.run(script(code), stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)

    assert result.stdout == "True\n"
    assert list(short_dir.iterdir()) == []


def test_a_host_may_ask_a_plugin_in_test_mode_to_stop() -> None:
    with kernel.serve_test(versions={6: register}) as served, kernel.reattach(served.reattach_config()) as plugin:
        waiting = threading.Thread(target=served.wait)
        waiting.start()
        plugin.channel.unary_unary("/plugin.GRPCController/Shutdown")(b"", timeout=PATIENCE)
        waiting.join(PATIENCE)

        assert served.wait(0)


def test_serving_nothing_is_refused() -> None:
    with pytest.raises(kernel.ServeError, match="pass versions="):
        kernel.serve_test(versions={})


@pytest.mark.parametrize("place", ["no_colon", "os.path:no_such_function", "os:sep"])
def test_a_place_that_names_no_function_is_refused(place: str) -> None:
    with pytest.raises(kernel.ServeError, match=r"must be 'package\.module:function'"):
        kernel.serve_test(versions={1: place})


def test_a_registration_that_fails_leaves_nothing() -> None:
    def fail(_server: grpc.Server, _broker: kernel.Broker) -> None:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        kernel.serve_test(versions={1: fail})


def test_terraforms_json_is_written_and_read() -> None:
    config = kernel.ReattachConfig(kernel.Address("unix", "/tmp/plugin1"), 6, 4711, test=True)
    text = kernel.ReattachConfig.to_terraform({"example.org/acme/thing": config})

    assert json.loads(text) == {
        "example.org/acme/thing": {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": 4711,
            "Test": True,
            "Addr": {"Network": "unix", "String": "/tmp/plugin1"},
        }
    }
    assert kernel.ReattachConfig.from_terraform(text) == {"example.org/acme/thing": config}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{}",
        '{"Protocol": "netrpc", "Pid": 1, "Addr": {"Network": "unix", "String": "/x"}}',
        '{"Protocol": "grpc", "Pid": "1", "Addr": {"Network": "unix", "String": "/x"}}',
        '{"Protocol": "grpc", "Pid": 1, "Addr": {"Network": "udp", "String": "/x"}}',
        '{"Protocol": "grpc", "Pid": 1, "Addr": "/x"}',
        '{"Protocol": "grpc", "Pid": 1, "Test": 1, "Addr": {"Network": "unix", "String": "/x"}}',
        '{"Protocol": "grpc", "Pid": true, "Addr": {"Network": "unix", "String": "/x"}}',
        '{"Protocol": "grpc", "ProtocolVersion": true, "Pid": 1, "Addr": {"Network": "unix", "String": "/x"}}',
        '{"Protocol": "grpc", "Pid": ' + "9" * 5000 + ', "Addr": {"Network": "unix", "String": "/x"}}',
        "[" * 100_000,
    ],
    ids=range(13),
)
def test_json_that_is_no_reattach_config_is_refused(text: str) -> None:
    with pytest.raises(kernel.ReattachError, match="cannot read a reattach config"):
        kernel.ReattachConfig.from_json(text)


def test_a_reattach_config_may_leave_out_what_has_a_default() -> None:
    text = '{"Protocol": "grpc", "Pid": 1, "Addr": {"Network": "tcp", "String": "127.0.0.1:5"}}'

    assert kernel.ReattachConfig.from_json(text) == kernel.ReattachConfig(kernel.Address("tcp", "127.0.0.1:5"), 0, 1)


def test_a_plugin_outlives_a_host_that_hands_it_over(script: Callable[[str], list[str]]) -> None:
    code = (
        f"import os, sys\nsys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from tests.plugin.kernel import echo_plugin\nfrom tests.plugin.kernel.conftest import ECHO\n"
        "from doze_sdk.plugin import kernel\n"
        "plugin = kernel.launch([*ECHO, '--outlive-host'], echo_plugin.HANDSHAKE, versions={1})\n"
        "print(plugin.reattach_config().to_json(), flush=True)\nos._exit(0)"
    )
    result = subprocess.run(script(code), stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    plugin = kernel.reattach(kernel.ReattachConfig.from_json(result.stdout))
    answer = Caller(plugin)("Echo", b"x")
    plugin.kill()
    folder = Path(plugin._announcement.address.address).parent
    until(lambda: plugin.pid is not None and not alive(plugin.pid), "the end of the plugin")
    folder.rmdir()  # the dead host's

    assert answer == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another account")
def test_a_process_of_another_account_cannot_be_killed_and_nothing_of_the_connection_is_left(
    script: Callable[[str], list[str]], short_dir: Path
) -> None:
    """The process that attaches gives up root's rights first; it is attached to the one of this test."""
    code = (
        "import grpc, os, socket, threading\nfrom doze_sdk.plugin import kernel\n"
        "kernel.reattach; grpc.insecure_channel('unix:/none').close()  # loads what only root may read\n"
        "listener = socket.create_server(('127.0.0.1', 0))\nport = listener.getsockname()[1]\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"config = kernel.ReattachConfig(kernel.Address('tcp', f'127.0.0.1:{{port}}'), 1, {os.getpid()})\n"
        "plugin = kernel.reattach(config)\n"
        "try: plugin.kill()\nexcept kernel.PluginError as error: print(error)\n"
        "print([thread.name for thread in threading.enumerate() if thread.name.startswith('go-plugin')])\n"
        "print(os.listdir(os.environ['TMPDIR']), flush=True)\n"
        "os._exit(0)"
    )
    short_dir.chmod(0o777)
    result = subprocess.run(script(code), capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert result.stdout.splitlines() == [
        f"cannot kill plugin process {os.getpid()}: it belongs to another account; end it as that one, or as root",
        "[]",
        "[]",
    ], result.stderr


def test_attaching_that_fails_after_the_address_answered_leaves_nothing(start: Launch) -> None:
    """The fixture that looks for leftovers judges."""
    with pytest.raises((TypeError, ValueError)):
        kernel.reattach(start().plugin.reattach_config(), options=[("no value",)])  # type: ignore[list-item]
