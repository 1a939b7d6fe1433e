"""How a plugin ends: asked to, killed, by itself, by a signal, or because its host died."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import MODES
from .hosts import HANDSHAKE, GoHost, HostError, Launch, alive, eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .conftest import Workshop
    from .hosts import Host

BOUND = 10.0
"""Seconds that stand for "does not wait for it": whatever the tests below hold lasts much longer."""
LONG = 100


def started(workshop: Workshop, pair: Sequence[str], *flags: str, launch: Launch | None = None) -> Host:
    host = workshop.host(pair[0])
    host.start(dataclasses.replace(launch or Launch(), command=workshop.plugin(pair[1], *flags)))
    return host


def test_a_plugin_that_is_asked_to_stop_ends_by_itself(workshop: Workshop, combination: tuple[str, str, str]):
    mode, *pair = combination
    host = started(workshop, pair, launch=MODES[mode])
    pid = host.facts().pid

    killed = host.kill()

    assert not killed.forced
    assert not alive(pid)


def test_a_plugin_that_does_not_end_is_killed(workshop: Workshop, combination: tuple[str, str, str]):
    mode, *pair = combination
    host = started(workshop, pair, "--stubborn", str(LONG), launch=MODES[mode])
    pid = host.facts().pid

    killed = host.kill()

    assert killed.forced
    assert killed.seconds < BOUND
    assert not alive(pid)


def test_a_call_in_flight_does_not_delay_the_end(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair)
    call = host.sleep(LONG)
    host.ping()

    killed = host.kill()

    assert not killed.forced
    with pytest.raises(HostError):
        call.result(BOUND)


def test_a_process_that_outlives_the_plugin_does_not_delay_the_end(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair)
    lingering = host.linger(LONG)

    killed = host.kill()

    assert not killed.forced
    assert killed.seconds < BOUND
    assert alive(lingering)
    os.kill(lingering, signal.SIGKILL)


def test_our_host_does_not_wait_for_a_process_that_holds_the_plugins_first_streams(workshop: Workshop):
    host = workshop.host("python")
    script = f'sleep {LONG} & echo "$!" > "$TMPDIR/pid"; exec "$@"'
    host.start(Launch(command=["sh", "-c", script, "sh", *workshop.plugin("go")]))
    holder = int((workshop.sockets / "pid").read_text())

    killed = host.kill()

    assert killed.seconds < BOUND
    assert alive(holder)
    os.kill(holder, signal.SIGKILL)
    (workshop.sockets / "pid").unlink()


def test_killing_twice_is_harmless(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair)

    host.kill()
    again = host.kill()

    assert again.seconds < BOUND


def test_the_death_of_the_plugin_ends_its_calls_and_is_noticed(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair)
    assert not host.exited()
    workshop.leaves_sockets = host.language == "go"

    with pytest.raises(HostError) as caught:
        host.die(3)

    assert caught.value.code == "Unavailable"
    assert eventually(host.exited)


def test_an_interrupt_from_the_terminal_does_not_end_the_plugin(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair)
    pid = host.facts().pid

    for _ in range(3):
        os.kill(pid, signal.SIGINT)

    host.echo(10)
    assert not host.kill().forced


@pytest.mark.parametrize("mode", MODES)
def test_our_plugin_leaves_no_socket_when_it_is_terminated(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), launch=MODES[mode])

    os.kill(host.facts().pid, signal.SIGTERM)

    assert eventually(host.exited)
    assert list(workshop.sockets.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_our_plugin_ends_when_its_host_is_killed(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), launch=MODES[mode])
    assert isinstance(host, GoHost)
    pid = host.facts().pid

    host.process.kill()

    assert eventually(lambda: not alive(pid), limit=BOUND)
    assert list(workshop.sockets.iterdir()) == []


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(3)", "1 / 0", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_a_go_plugin_does_not_outlive_our_host(workshop: Workshop, end: str):
    script = f"""
import os, signal, sys, time
from doze_sdk.plugin import kernel
handshake = kernel.Handshake(cookie_key={HANDSHAKE.cookie_key!r}, cookie_value={HANDSHAKE.cookie_value!r})
plugin = kernel.launch(sys.argv[1:], handshake, versions={{1}})
print(plugin.pid, flush=True)
{end}
"""
    command = [sys.executable, "-c", script, *workshop.plugin("go")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)

    assert eventually(lambda: not alive(int(done.stdout)), limit=BOUND)


def test_an_exception_that_nobody_catches_reaches_the_host_as_one_error(workshop: Workshop):
    host = workshop.host("go")

    with pytest.raises(HostError):
        host.start(Launch(command=workshop.plugin("python", "--broken")))

    errors = [record for record in host.seen().records if "the engine room is on fire" in record.message]
    assert [record.level for record in errors] == ["error"]
    assert "python_plugin.py" in errors[0].fields["traceback"]
