"""What a process that is killed leaves in the file system, and who removes it."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._listener import private_folder, remove_hosts_folder
from tests.plugin.kernel import echo_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.kernel.conftest import Launch

MODES = [{"auto_mtls": True}, {"multiplex": True}]


def hosts_folder(plugin: kernel.Plugin) -> Path:
    return Path(plugin._announcement.address.address).parent


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


def test_a_broker_whose_folder_has_gone_with_the_plugin_says_that_it_is_closed(start: Launch) -> None:
    plugin = start().plugin
    plugin.kill()

    with pytest.raises(kernel.BrokerError, match="closed"):
        plugin.broker.accept(7, lambda server: None)
