"""A Go host that starts plugins with a runner of its own: go-plugin makes the folder for the sockets of both sides."""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import MODES
from .hosts import GoHost, alive, eventually

if TYPE_CHECKING:
    from .conftest import Workshop
    from .hosts import Launch

MIB = 1 << 20
LANGUAGES = ["python", "go"]
"""The Go plugin is the control."""
FOREIGN = ["setpriv", "--reuid=65534", "--regid=1", "--clear-groups"]

every_mode = pytest.mark.parametrize("mode", MODES)
either_plugin = pytest.mark.parametrize("plugin", LANGUAGES)


def started(workshop: Workshop, plugin: str, launch: Launch) -> GoHost:
    host = workshop.host("go")
    assert isinstance(host, GoHost)
    host.start(dataclasses.replace(launch, command=launch.command or workshop.plugin(plugin), boxed=True))
    return host


def sockets(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_socket()]


def main_socket(host: GoHost) -> Path:
    return Path(host.reattachment()["Addr"]["String"])


def use_the_broker(host: GoHost) -> None:
    assert host.upstream(["a", "b"], size=MIB) == ["host:A", "host:B"]
    assert host.offer(["a", "b"], size=MIB) == ["plugin:A", "plugin:B"]


@pytest.fixture
def group(tmp_path: Path) -> str:
    """A group that this account may give files to; if possible not the one that its files have anyway."""
    own, probe = os.getgid(), tmp_path / "probe"
    probe.touch()
    for entry in grp.getgrall():
        with contextlib.suppress(PermissionError):
            os.chown(probe, -1, entry.gr_gid)
            if entry.gr_gid != own:
                return entry.gr_name
    return str(own)


@every_mode
@either_plugin
def test_every_socket_of_both_sides_lies_in_the_folder_that_the_host_made(
    workshop: Workshop, short_dir: Path, mode: str, plugin: str
) -> None:
    host = started(workshop, plugin, dataclasses.replace(MODES[mode], socket_folder=short_dir))
    use_the_broker(host)

    [folder] = short_dir.iterdir()
    assert main_socket(host) in sockets(folder)
    assert len(sockets(folder)) == (1 if MODES[mode].multiplex else 3)  # the main one, the plugin's and the host's
    assert list(workshop.sockets.iterdir()) == []


@every_mode
@either_plugin
def test_brokered_calls_go_both_ways_again_and_again(workshop: Workshop, mode: str, plugin: str) -> None:
    host = started(workshop, plugin, MODES[mode])

    for _ in range(3):
        use_the_broker(host)
    host.echo(MIB, count=20, concurrency=4)


@every_mode
@either_plugin
def test_a_kill_leaves_nothing(workshop: Workshop, short_dir: Path, mode: str, plugin: str) -> None:
    host = started(workshop, plugin, dataclasses.replace(MODES[mode], socket_folder=short_dir))
    use_the_broker(host)
    pid = host.facts().pid

    killed = host.kill()

    assert not killed.forced
    assert not alive(pid)
    assert list(short_dir.iterdir()) == []


@every_mode
def test_our_plugin_empties_the_folder_before_the_host_removes_it(workshop: Workshop, mode: str) -> None:
    host = started(workshop, "python", MODES[mode])
    host.offer(["a"])
    assert sockets(main_socket(host).parent)

    host.kill()

    assert host.boxed().left == []


@every_mode
def test_our_plugin_removes_the_folder_of_a_host_that_was_killed(
    workshop: Workshop, short_dir: Path, mode: str
) -> None:
    host = started(workshop, "python", dataclasses.replace(MODES[mode], socket_folder=short_dir))
    use_the_broker(host)
    pid = host.facts().pid

    host.process.kill()

    assert eventually(lambda: not alive(pid))
    assert list(short_dir.iterdir()) == []


@every_mode
@either_plugin
def test_the_folder_and_its_sockets_belong_to_the_group(
    workshop: Workshop, short_dir: Path, group: str, mode: str, plugin: str
) -> None:
    gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    host = started(workshop, plugin, dataclasses.replace(MODES[mode], socket_folder=short_dir, socket_group=group))
    use_the_broker(host)

    [folder] = short_dir.iterdir()
    found = {(path.stat().st_gid, oct(stat.S_IMODE(path.stat().st_mode))) for path in sockets(folder)}
    assert found == {(gid, oct(0o660))}
    assert (folder.stat().st_gid, oct(stat.S_IMODE(folder.stat().st_mode))) == (gid, oct(0o770))
    assert not host.kill().forced
    assert host.boxed().left == [] or plugin == "go"


@every_mode
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another account")
def test_our_plugin_of_another_account_serves_and_is_served_through_the_group(
    workshop: Workshop, short_dir: Path, mode: str
) -> None:
    command = [*FOREIGN, *workshop.plugin("python")]
    if subprocess.run([*command, "--help"], capture_output=True, check=False).returncode:
        pytest.skip("only root can use this Python, which another account cannot read")
    for folder in (workshop.sockets, short_dir):
        folder.chmod(0o777)
    launch = dataclasses.replace(MODES[mode], command=command, socket_folder=short_dir, socket_group="1")
    host = started(workshop, "python", launch)

    use_the_broker(host)

    assert Path(f"/proc/{host.facts().pid}").stat().st_uid == 65534
    assert not host.kill().forced
    assert host.boxed().left == []


@every_mode
@either_plugin
def test_a_plugin_that_sees_the_folder_under_another_path_is_reached_and_reaches_the_host(
    workshop: Workshop, short_dir: Path, mode: str, plugin: str
) -> None:
    inside = workshop.sockets / "inside"
    host = started(workshop, plugin, dataclasses.replace(MODES[mode], socket_folder=short_dir, seen_as=inside))
    use_the_broker(host)
    [folder] = short_dir.iterdir()
    own_sockets = 0 if MODES[mode].multiplex else 1

    assert main_socket(host).parent == folder
    boxed = host.boxed()
    assert [Path(address).parent for address in boxed.from_plugin] == [inside] * (1 + own_sockets)
    assert [Path(address).parent for address in boxed.from_host] == [folder] * own_sockets
    assert not host.kill().forced
    assert (list(short_dir.iterdir()), list(workshop.sockets.iterdir())) == ([], [])
