"""What a process that is killed leaves in the file system, and who removes it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._listener import SocketFolder, private_folder, remove_hosts_folder
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Caller, plugin_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.kernel.conftest import Launch

MODES = [{"auto_mtls": True}, {"multiplex": True}]


def hosts_folder(plugin: kernel.Plugin) -> Path:
    return Path(plugin._announcement.address.address).parent


def there_and_back(call: Caller) -> tuple[bytes, str]:
    """What one brokered call in each direction returns."""
    broker = call.plugin.broker
    with broker.dial(int(call.run("answer = broker.accept(broker.next_id(), serve_back).service_id"))) as channel:
        there: bytes = channel.unary_unary("/test.Back/Back")(b"x", timeout=PATIENCE)
    here = broker.accept(broker.next_id(), echo_plugin.serve_back).service_id
    return there, call.run(f"answer = broker.dial({here}).unary_unary('/test.Back/Back')(b'y', timeout=10)")


@pytest.mark.parametrize("mode", MODES, ids=["auto_mtls", "multiplex"])
def test_the_relays_of_both_sides_use_the_hosts_folder(start: Launch, short_dir: Path, mode: dict[str, bool]) -> None:
    caller = start(**mode)
    caller.run("broker.accept(broker.next_id(), serve_back)")

    assert list(short_dir.iterdir()) == [hosts_folder(caller.plugin)]


def test_what_a_killed_plugin_was_about_to_use_goes_with_the_hosts_folder(start: Launch) -> None:
    """The fixture that looks for leftovers judges."""
    plugin = start().plugin
    (hosts_folder(plugin) / "relay0").mkdir()
    (hosts_folder(plugin) / "relay0" / "s").touch()
    assert plugin.pid is not None

    os.kill(plugin.pid, signal.SIGKILL)
    plugin.kill()

    assert not hosts_folder(plugin).exists()


def test_what_a_plugin_names_as_its_socket_stays_unless_it_is_in_the_hosts_folder(
    script: Callable[[str], list[str]], tmp_path: Path, short_dir: Path
) -> None:
    document, foreign = tmp_path / "document", short_dir / "s"
    document.touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(foreign))
        for path in (document, foreign):
            line = f"1|1|unix|{path}|grpc|"
            command = script(f"import time\nprint({line!r}, flush=True)\ntime.sleep(60)")
            kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}).kill()

    assert (document.exists(), foreign.exists()) == (True, True)
    foreign.unlink()


def test_the_folder_of_a_dead_host_goes_with_its_sockets_and_what_its_relay_had_there(short_dir: Path) -> None:
    folder = short_dir / "plugin-dir17"
    (folder / "relay0").mkdir(parents=True)
    (folder / "relay0" / "s").touch()
    with socket.socket(socket.AF_UNIX) as brokered:
        brokered.bind(str(folder / "plugin1"))

    remove_hosts_folder(str(folder))

    assert not folder.exists()


@pytest.mark.parametrize("name", ["plugin-dir17/precious", "chosen/relay0"])
def test_what_is_not_ours_stays_when_a_host_has_died(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)

    remove_hosts_folder(str((tmp_path / name).parent))

    assert (tmp_path / name).exists()


@pytest.mark.parametrize("length", range(60, 100, 4))
def test_a_socket_has_room_in_a_hosts_folder_however_long_the_temporary_folders_name_is(
    length: int, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = short_dir / ("x" * (length - len(str(short_dir)) - 1))
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    folder = SocketFolder()
    try:
        listener, _address = folder.listen()
        listener.close()
    finally:
        folder.close()
    temporary.rmdir()


@pytest.mark.parametrize("mode", [{}, {"auto_mtls": True}], ids=["plain", "auto_mtls"])
@pytest.mark.parametrize("name", ["a%41", "a#b", "a?b", "\N{LATIN SMALL LETTER A WITH DIAERESIS} b"])
def test_a_folder_may_have_any_name_whatever_it_means_in_a_uri(
    start: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: dict[str, bool]
) -> None:
    (short_dir / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(short_dir / name))
    call = start(**mode)

    assert hosts_folder(call.plugin).parent == short_dir / name
    assert there_and_back(call) == (b"back:x", "back:y")
    call.plugin.kill()
    (short_dir / name).rmdir()


@pytest.mark.parametrize(
    "mode", [{}, {"auto_mtls": True}, {"multiplex": True}], ids=["plain", "auto_mtls", "multiplex"]
)
@pytest.mark.parametrize("name", ["a,b", "a|b", "a\nb"])
def test_a_temporary_folder_whose_name_separates_addresses_is_passed_over(
    start: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: dict[str, bool]
) -> None:
    (short_dir / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(short_dir / name))

    assert there_and_back(start(**mode)) == (b"back:x", "back:y")
    (short_dir / name).rmdir()


def test_an_address_that_grpc_would_split_is_refused(script: Callable[[str], list[str]], short_dir: Path) -> None:
    command = script(f"import time\nprint('1|1|unix|{short_dir}/a,b|grpc|', flush=True)\ntime.sleep(60)")
    with pytest.raises(kernel.TransportError, match="gRPC takes the comma for the end of an address"):
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1})


def test_a_folder_may_begin_with_two_slashes(start: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", f"/{short_dir}")
    call = start()

    assert call.plugin._announcement.address.address.startswith("//")
    assert there_and_back(call) == (b"back:x", "back:y")


def test_a_hosts_folder_whose_name_is_no_text_is_refused(short_dir: Path) -> None:
    folder = short_dir / os.fsdecode(b"\xff")
    folder.mkdir()
    environment = plugin_environment(PLUGIN_UNIX_SOCKET_DIR=str(folder))
    result = subprocess.run(ECHO, env=environment, capture_output=True, timeout=PATIENCE, check=False)
    folder.rmdir()

    assert (result.returncode, result.stdout) == (1, b"")
    assert "the path is no UTF-8" in kernel.parse_log_line(result.stderr.strip()).getMessage()


def test_a_temporary_folder_whose_name_is_no_text_is_passed_over(
    start: Launch, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = short_dir / os.fsdecode(b"\xff")
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))

    assert there_and_back(start(auto_mtls=True)) == (b"back:x", "back:y")
    folder.rmdir()


def test_a_folder_that_others_may_write_to_is_not_used_for_private_ones(short_dir: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)

    made = Path(private_folder("relay", str(shared)))
    made.rmdir()

    assert made.parent == short_dir


def test_a_broker_that_is_closed_while_it_accepts_says_so_and_stops_what_it_started(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture that looks for leftovers judges the second half."""
    plugin = start().plugin
    wiring = plugin.broker._wiring
    really_open = wiring.open

    def closing_open(group: object) -> object:
        opened = really_open(group)  # type: ignore[arg-type]
        plugin.broker.close()
        return opened

    monkeypatch.setattr(wiring, "open", closing_open)

    with pytest.raises(kernel.BrokerError, match="closed"):
        plugin.broker.accept(7, lambda server: None)


def test_the_folder_stays_until_nobody_makes_a_socket_in_it(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture that looks for leftovers judges, whichever comes first."""
    plugin = start().plugin
    folder = hosts_folder(plugin)
    opening, going_on = threading.Event(), threading.Event()
    really_open = plugin.broker._wiring.open

    def slow_open(group: object) -> object:
        opening.set()
        going_on.wait(PATIENCE)
        assert folder.exists()
        return really_open(group)  # type: ignore[arg-type]

    monkeypatch.setattr(plugin.broker._wiring, "open", slow_open)
    refused: list[str] = []

    def accept() -> None:
        try:
            plugin.broker.accept(7, lambda server: None)
        except kernel.BrokerError as error:
            refused.append(str(error))

    accepting = threading.Thread(target=accept)
    accepting.start()
    assert opening.wait(PATIENCE)
    threading.Timer(0.5, going_on.set).start()
    plugin.kill()
    accepting.join()

    assert refused == ["cannot accept connection 7: the plugin's connection is closed"]


def test_a_broker_whose_folder_has_gone_with_the_plugin_says_that_it_is_closed(start: Launch) -> None:
    plugin = start().plugin
    plugin.kill()

    with pytest.raises(kernel.BrokerError, match="closed"):
        plugin.broker.accept(7, lambda server: None)


FOREIGN = ["setpriv", "--reuid=65534", "--regid=1", "--clear-groups"]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another account")


@only_root
@pytest.mark.parametrize("mode", [{}, *MODES], ids=["plain", "auto_mtls", "multiplex"])
def test_a_plugin_of_another_account_serves_and_is_served_through_the_group(
    short_dir: Path, mode: dict[str, bool]
) -> None:
    if subprocess.run([*FOREIGN, *ECHO, "--help"], capture_output=True, check=False).returncode:
        pytest.skip("only root can use this Python, which another account cannot read")
    short_dir.chmod(0o777)
    command = [*FOREIGN, *ECHO]
    with kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}, socket_group="1", **mode) as plugin:  # type: ignore[arg-type]
        call = Caller(plugin)

        assert call.run("import os; answer = (os.getuid(), os.getgid())") == "(65534, 1)"
        assert there_and_back(call) == (b"back:x", "back:y")


@only_root
def test_a_group_that_this_user_is_not_in_is_refused_and_leaves_nothing(
    script: Callable[[str], list[str]], short_dir: Path
) -> None:
    short_dir.chmod(0o777)
    code = (
        "import os\nfrom doze_sdk.plugin import kernel\nkernel.launch, kernel.ServeError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: kernel.launch(['true'], kernel.Handshake(cookie_key='K', cookie_value='v'), versions={1}, "
        "socket_group='1')\n"
        "except kernel.ServeError as error: print(error)\n"
        "print(os.listdir(os.environ['TMPDIR']))"
    )
    result = subprocess.run(script(code), capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert result.stdout.splitlines() == [
        "cannot let group 1 connect: Operation not permitted; choose a group that this user is a member of",
        "[]",
    ], result.stderr


@pytest.mark.parametrize("group", ["4294967295", "99999999999", "9" * 5000, "no\0name", "no-such-group"])
def test_a_group_that_there_cannot_be_is_refused_and_leaves_nothing(group: str) -> None:
    """The fixture that looks for leftovers judges."""
    with pytest.raises(kernel.ServeError, match="cannot let group"):
        kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}, socket_group=group)
