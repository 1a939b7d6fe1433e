"""What becomes of plugins when their host ends, at whichever moment."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel import _live
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, alive

Script = Callable[[str], list[str]]

SILENT = ["/bin/sh", "-c", "echo $$ >&2; exec sleep 60"]
"""A plugin that tells its process id and nothing else."""

DEAF = ["/bin/sh", "-c", r"echo '1|1|unix|/nonexistent|grpc|'; echo $$ >&2; exec sleep 60"]
"""A plugin that announces itself, does not serve, and does not notice that its host has died."""

HOST = f"""
import os, signal, sys, threading, time
from doze_sdk.plugin import kernel
HANDSHAKE = kernel.Handshake(cookie_key="K", cookie_value="v")
def show(line):
    print(line.decode(), flush=True)
def launch(command):
    return kernel.launch(command, HANDSHAKE, versions={{1}}, on_log_line=show)
def elsewhere(command):
    thread = threading.Thread(target=lambda: plugins.append(launch(command)), daemon=True)
    thread.start()
    return thread
plugins = []
SILENT, DEAF = {SILENT!r}, {DEAF!r}
"""


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as host:
        try:
            yield host
        finally:
            host.kill()


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("launch(SILENT)", signal.SIGTERM),
        ("launch(SILENT)", signal.SIGHUP),
        ("elsewhere(SILENT); sys.stdin.readline()", None),
        ("elsewhere(SILENT); sys.stdin.readline(); raise RuntimeError('no more')", None),
    ],
    ids=["SIGTERM", "SIGHUP", "normal end", "exception"],
)
def test_a_plugin_that_has_not_announced_itself_is_killed_when_its_host_ends(
    script: Script, code: str, number: signal.Signals | None
) -> None:
    """The fixture that looks for leftovers judges the folder."""
    with running(script(HOST + code)) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        if number is None:
            host.communicate("\n", timeout=PATIENCE)
        else:
            host.send_signal(number)
            host.wait(PATIENCE)

    assert number is None or host.returncode == -number
    assert not alive(pid)


@pytest.mark.parametrize(
    "before",
    ["launch(DEAF)", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))"],
    ids=["the main thread has one", "SIGTERM is a normal end"],
)
def test_what_another_thread_has_launched_is_killed_by_sigterm(script: Script, before: str) -> None:
    code = f"{before}; elsewhere(DEAF).join(); show(b'launched'); time.sleep(60)"
    with running(script(HOST + code)) as host:
        assert host.stdout is not None
        pids = [int(line) for line in iter(host.stdout.readline, "launched\n")]
        host.terminate()
        host.wait(PATIENCE)

    assert len(pids) == 1 + before.count("DEAF")
    assert not any(map(alive, pids))


def test_a_host_that_ends_launches_nothing_more(script: Script) -> None:
    """An exit function that was registered before the first launch runs after the plugins have been killed."""
    late = (
        "import atexit\n@atexit.register\ndef late():\n"
        "  try: launch(SILENT)\n  except kernel.PluginError as error: print(error)\n"
    )
    result = subprocess.run(
        script(HOST + late + "launch(DEAF).kill()"), capture_output=True, text=True, timeout=PATIENCE, check=True
    )

    assert "cannot launch a plugin: this process is about to end" in result.stdout


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM)],
    ids=["normal end", "SIGTERM"],
)
def test_a_host_that_ends_says_nothing_of_restarting_what_it_kills(script: Script, ending: str, code: int) -> None:
    """A plugin beside the supervised one that does not stop leaves two seconds to say so."""
    supervised = (
        f"handshake = kernel.{echo_plugin.HANDSHAKE!r}\n"
        f"supervisor = kernel.Supervisor(lambda: kernel.launch({ECHO}, handshake, versions={{1}}))\n"
    )
    result = subprocess.run(
        script(HOST + supervised + "deaf = launch(DEAF)\n" + ending),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert result.returncode == code
    assert "restart" not in result.stderr


def test_a_child_that_a_host_forks_can_be_terminated_as_soon_as_it_exists(script: Script) -> None:
    fork = (
        "import multiprocessing\nfork = multiprocessing.get_context('fork')\nlaunch(DEAF)\n"
        "def terminated():\n"
        "  process = fork.Process(target=time.sleep, args=(60,))\n"
        "  process.start(); process.terminate(); process.join(5); code = process.exitcode; process.kill()\n"
        "  return code == -signal.SIGTERM\n"
        "print(all(terminated() for _ in range(40)))\n"
    )
    result = subprocess.run(script(HOST + fork), capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert result.stdout.splitlines()[-1] == "True"


def test_a_signal_that_the_host_handles_itself_does_not_wait_for_a_fork(script: Script) -> None:
    """Its handler would run within a hook of the fork, where Python swallows what it raises."""
    fork = (
        "held = []\n"
        "def look(): held.append(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "os.register_at_fork(before=look)\n"  # before ours, so it runs after it
        "launch(DEAF)\n"
        "os.fork() or os._exit(0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "os.fork() or os._exit(0)\n"
        "print(held)\n"
    )
    result = subprocess.run(script(HOST + fork), capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert result.stdout.splitlines()[-1] == "[True, False]"


def test_plugins_that_do_not_stop_are_waited_for_together_and_not_one_after_the_other() -> None:
    plugins = [kernel.launch(DEAF, echo_plugin.HANDSHAKE, versions={1}) for _ in range(8)]
    started = time.monotonic()
    _live.kill_all()

    assert [plugin.exit_code for plugin in plugins] == [-signal.SIGKILL] * 8
    assert time.monotonic() - started < 10  # one after the other they have two seconds each


def test_a_plugin_that_cannot_be_killed_does_not_spare_the_others() -> None:
    class Stubborn(kernel.ProcessRunner):
        def kill(self) -> None:
            raise ConnectionError("the engine of boxes is away")

    boxes = [Stubborn(DEAF), Stubborn(DEAF)]
    first, second, third = (
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}) for command in (boxes[0], DEAF, boxes[1])
    )
    with pytest.raises(ConnectionError):
        _live.kill_all()
    killed = second.exited, first.exited, third.exited
    for box in boxes:
        kernel.ProcessRunner.kill(box)

    assert killed == (True, False, False)
