"""`boot`: a real engine around a block of code, in process and through the plugin, and nothing behind it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from tests.enginetest.conftest import Program
from tests.host.proc import eventually
from tests.modules.greeter.driver import Greeter

from doze_sdk.engine import EngineError, SlowBooter, SocketPathError
from doze_sdk.enginetest import Backend, boot, boot_example
from doze_sdk.hcl import HCLError
from doze_sdk.host import ExitedError, NotReadyError

Via = Literal["inprocess", "plugin"]
Run = Callable[..., Program]
both = pytest.mark.parametrize("via", ["inprocess", "plugin"])


@pytest.fixture
def data_root(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOZE_TEST_DIR", str(short_dir))
    return short_dir


def greeting(backend: Backend) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(backend.socket))
        return b"".join(iter(lambda: client.recv(1000), b"")).decode().strip()


def calls(backend: Backend) -> list[str]:
    return (backend.instance.data_dir / "calls").read_text().split()


@both
def test_a_booted_engine_answers_at_its_socket_and_is_gone_after_the_block(via: Via, data_root: Path) -> None:
    with boot(Greeter(), 'greeting = "good evening"', via=via) as backend:
        assert greeting(backend) == "good evening"
        pid = backend.awake.unit.pid

    assert not Path(f"/proc/{pid}").exists()
    assert list(data_root.iterdir()) == []


@both
def test_the_first_boot_clones_the_template_provisions_and_converges(via: Via) -> None:
    with boot(Greeter, via=via) as backend:
        assert calls(backend) == ["template", "provision", "converge"]


def test_converging_again_calls_the_driver_again() -> None:
    with boot(Greeter()) as backend:
        backend.converge()

        assert calls(backend)[-2:] == ["converge", "converge"]


def test_a_config_may_refer_to_variables() -> None:
    with boot(Greeter(), 'greeting = "hi ${var.who}"', variables={"var": b'{"who":"you"}'}) as backend:
        assert greeting(backend) == "hi you"


@both
def test_the_example_of_the_description_boots(via: Via) -> None:
    with boot_example(Greeter(), via=via) as backend:
        assert (backend.instance.name, greeting(backend)) == ("one", "hello")


@both
def test_a_wrong_config_is_refused_with_its_place_and_nothing_is_left(via: Via, data_root: Path) -> None:
    expected = {"inprocess": HCLError, "plugin": EngineError}[via]

    with pytest.raises(expected, match=r'doze\.hcl:2,1-8: .*"greting" is not expected here'):
        boot(Greeter(), 'greting = "x"', via=via).__enter__()

    assert list(data_root.iterdir()) == []


@both
def test_an_engine_that_dies_at_start_is_reported_with_its_last_words_and_nothing_is_left(
    via: Via, data_root: Path
) -> None:
    with pytest.raises(ExitedError) as caught, boot(Greeter(), 'fails = "at start"', via=via):
        pass

    assert 'process "main" exited with code 3' in str(caught.value)
    assert "    FATAL: out of greetings" in str(caught.value)
    assert "kept" not in str(caught.value), "all of the log is shown"
    assert list(data_root.iterdir()) == []


def test_an_engine_that_is_not_ready_in_the_given_time_is_ended(data_root: Path) -> None:
    with (
        pytest.raises(NotReadyError, match=r"was not ready after 0\.2 s"),
        boot(Greeter(), 'fails = "never ready"', timeout=0.2),
    ):
        pass

    assert list(data_root.iterdir()) == []


@both
def test_a_slow_booter_has_the_time_that_it_asks_for(via: Via) -> None:
    with (
        pytest.raises(NotReadyError, match=r"was not ready after 0\.3 s"),
        boot(Slow(), 'fails = "never ready"', via=via, plugin=None),
    ):
        pass


class Slow(Greeter, SlowBooter):
    def boot_budget(self) -> timedelta:
        return timedelta(seconds=0.3)

    # The plugin process is that of the greeter.
    __module__ = Greeter.__module__


def test_a_failing_block_carries_the_engines_last_words() -> None:
    with pytest.raises(ZeroDivisionError) as caught, boot(Greeter(), 'greeting = "still here"'):
        _ = 1 / 0

    assert caught.value.__notes__ == ["engine log: main of acc\ngreeting with still here"]


def test_a_data_folder_too_deep_for_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch, short_dir: Path) -> None:
    deep = short_dir / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("DOZE_TEST_DIR", str(deep))

    with pytest.raises(SocketPathError, match="set DOZE_TEST_DIR to a shorter directory"), boot(Greeter()):
        pass

    assert list(deep.iterdir()) == []


def test_an_unknown_way_to_boot_is_refused() -> None:
    with pytest.raises(EngineError, match='expected "inprocess" or "plugin"'), boot(Greeter(), via="docker"):  # type: ignore[arg-type]
        pass


# -- the end of the program, each with nothing else to help

PROGRAM = """\
import os, signal, sys, time
from doze_sdk.enginetest import boot
from tests.modules.greeter.driver import Greeter

if __name__ == "__main__":
    with boot(Greeter(), via={via!r}) as backend:
        print("up", flush=True)
        {then}
"""


@both
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_program_that_a_signal_ends_leaves_nothing(via: Via, signum: signal.Signals, program: Run) -> None:
    running = program(PROGRAM.format(via=via, then="time.sleep(1000)"))
    running.until("up")
    assert len(running.family()) == {"inprocess": 3, "plugin": 4}[via], running.family()
    running.process.send_signal(signum)

    assert running.process.wait(60) != 0
    assert running.nothing_is_left(), running.family()


@both
def test_a_block_that_raises_leaves_nothing_without_the_reaper(via: Via, program: Run) -> None:
    running = program(PROGRAM.format(via=via, then="sys.stdin.read() or 1 / 0"))
    running.until("up")
    (reaper,) = [pid for pid, line in running.family().items() if "_reaper_process" in line]
    os.kill(reaper, signal.SIGKILL)
    running.close_stdin()

    assert running.process.wait(60) == 1
    assert "engine log: main of acc\ngreeting with hello" in running.out
    assert running.nothing_is_left(), running.family()


TESTS = """\
import time
import pytest
from doze_sdk.enginetest import boot
from tests.modules.greeter.driver import Greeter


@pytest.fixture(scope="session")
def greeter():
    with boot(Greeter(), 'greeting = "for tests"') as backend:
        yield backend


def test_fails(greeter):
    assert greeter.instance.name == "other"


def test_waits(greeter):
    open("up", "w").close()
    time.sleep(1000)
"""


def test_a_failed_test_shows_the_log_of_an_engine_that_a_fixture_holds(program: Run) -> None:
    running = program(TESTS, pytest_options=("-k", "fails", "-p", "no:cacheprovider"))

    assert running.process.wait(60) == 1
    assert "engine log: main of acc" in running.out
    assert "greeting with for tests" in running.out
    assert running.nothing_is_left()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_test_run_that_a_signal_ends_leaves_nothing(signum: signal.Signals, program: Run, short_dir: Path) -> None:
    running = program(TESTS, pytest_options=("-k", "waits", "-p", "no:cacheprovider"))
    assert eventually((short_dir / "up").exists, 60), running.out
    running.process.send_signal(signum)

    assert running.process.wait(60) == -signum
    assert running.nothing_is_left(), running.family()


# -- the entry point


def test_the_entry_point_of_pytest_imports_nothing_of_the_sdk_but_itself(program: Run) -> None:
    running = program(
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import doze_sdk.enginetest.pytest_plugin\n"
        "print(sorted(set(sys.modules) - before))\n"
    )

    assert running.process.wait(60) == 0
    assert running.out == "['doze_sdk', 'doze_sdk._lazy', 'doze_sdk.enginetest', 'doze_sdk.enginetest.pytest_plugin']\n"
