"""Hosts that connect to a plugin which runs already."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from .hosts import HostError, Launch, alive, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .conftest import Workshop

LANGUAGES = ["go", "python"]


@pytest.mark.parametrize("second", LANGUAGES)
def test_another_host_can_attach_to_a_plugin_that_the_first_one_launched(
    workshop: Workshop, pair: tuple[str, str], second: str
):
    first, other = workshop.host(pair[0]), workshop.host(second)
    first.start(Launch(command=workshop.plugin(pair[1])))

    other.start(Launch(reattach=first.reattachment()))

    other.echo(1 << 20)
    other.ping()
    assert other.facts().pid == first.facts().pid


@pytest.mark.parametrize("second", LANGUAGES)
def test_the_host_that_attached_can_end_the_plugin(workshop: Workshop, pair: tuple[str, str], second: str):
    first, other = workshop.host(pair[0]), workshop.host(second)
    first.start(Launch(command=workshop.plugin(pair[1])))
    pid = first.facts().pid
    other.start(Launch(reattach=first.reattachment()))

    other.kill()

    assert eventually(lambda: not alive(pid))
    assert eventually(first.exited)


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_nothing_to_attach_to_once_the_plugin_is_gone(
    workshop: Workshop, pair: tuple[str, str], language: str
):
    first = workshop.host(pair[0])
    first.start(Launch(command=workshop.plugin(pair[1])))
    entry = first.reattachment()
    first.kill()

    with pytest.raises(HostError):
        workshop.host(language).start(Launch(reattach=entry))


@contextmanager
def served(command: list[str]) -> Iterator[Mapping[str, Any]]:
    """A plugin in test mode; ends when its stdin does."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            assert process.wait(60) == 0


def test_a_plugin_in_test_mode_serves_one_host_after_the_other(workshop: Workshop, pair: tuple[str, str]):
    with served([*workshop.plugin(pair[1], "--test"), "--versions", "4"]) as entry:
        for turn in range(3):
            host = workshop.host(pair[0])
            assert host.start(Launch(reattach=entry, versions=(4,))) == 4
            host.echo(1 << 20)
            if turn == 0 or pair[1] == "python":  # go-plugin's broker serves the first host alone
                assert host.upstream(["a"]) == ["host:A"]
                assert host.offer(["a"]) == ["plugin:A"]
            host.kill()
            host.close()
            assert alive(entry["Pid"])


def test_the_entry_has_the_fields_that_terraform_reads(workshop: Workshop):
    with served(workshop.plugin("go", "--test")) as theirs, served(workshop.plugin("python", "--test")) as ours:
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in theirs.items()
        }
        assert ours["Addr"].keys() == theirs["Addr"].keys()
        assert (ours["Protocol"], ours["Test"], ours["ProtocolVersion"]) == ("grpc", True, 1)
