"""The reaper alone: its owners never stop what they start, and end in every way a process can end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.host.proc import eventually, is_running

from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import HostError, Reaper, start

ENGINES = Path(__file__).parents[1] / "engines"

OWNER = """
import json, os, signal, sys, time
from pathlib import Path
from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import Reaper, start

def engine(program, *args):
    return SpawnSpec(name="main", bin=sys.executable, args=("-I", "-S", f"{engines}/{program}.py", *args),
                     ready=Ready(kind="log_line", target="."))

def say(**facts):
    print(json.dumps(facts), flush=True)

folder, engines = Path(sys.argv[1]), sys.argv[2]
"""

BOOT = """
reaper = Reaper()
reaper.adopt_folder(folder)
unit = start(SpawnPlan.single(engine("ignores_signals", "SIGINT", "SIGTERM")), log_dir=folder, reaper=reaper)
say(engine=unit.pid, reaper=reaper.pid)
"""


@pytest.fixture
def owner(folder):
    """Start a program that owns a reaper, in a process group of its own; give the process and what it says first."""
    started = []

    def run(script, **options):
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER + script, str(folder), str(ENGINES)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def all_gone(said, folder):
    return eventually(lambda: not is_running(said["engine"]) and not folder.exists() and not is_running(said["reaper"]))


def test_an_owner_that_ends_normally_leaves_nothing(owner, folder):
    _, said = owner(BOOT)

    assert all_gone(said, folder)


def test_an_owner_that_ends_with_an_exception_leaves_nothing(owner, folder):
    _, said = owner(BOOT + "raise RuntimeError")

    assert all_gone(said, folder)


def test_an_owner_that_ends_without_any_farewell_leaves_nothing(owner, folder):
    _, said = owner(BOOT + "os._exit(3)")

    assert all_gone(said, folder)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV])
def test_an_owner_that_a_signal_ends_leaves_nothing(owner, folder, signum):
    process, said = owner(BOOT + "time.sleep(60)")
    assert is_running(said["engine"])
    assert folder.exists()

    process.send_signal(signum)

    assert all_gone(said, folder)


def test_signals_to_the_group_of_the_owner_and_to_the_reaper_itself_do_not_end_the_reaper(owner, folder):
    ignoring = "[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
    process, said = owner(ignoring + BOOT + "time.sleep(60)")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.killpg(process.pid, signum)
    deadly = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    assert eventually(lambda: set(deadly) <= ignored_signals(said["reaper"]))
    for signum in deadly:
        os.kill(said["reaper"], signum)

    process.kill()

    assert all_gone(said, folder)


def ignored_signals(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
    return {signum for signum in signal.Signals if mask >> (signum - 1) & 1}


def test_a_closed_reaper_has_ended_what_was_registered(folder):
    with Reaper() as reaper:
        engine = subprocess.Popen(
            [sys.executable, "-I", "-S", ENGINES / "ignores_signals.py", "SIGINT"],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        reaper.adopt_group(engine.pid)
        reaper.adopt_folder(folder)

    assert engine.wait(10) < 0
    assert not folder.exists()


def test_what_was_released_is_left_alone(folder):
    with Reaper() as reaper:
        engine = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
        reaper.adopt_group(engine.pid)
        reaper.adopt_folder(folder)
        reaper.release_group(engine.pid)
        reaper.release_folder(folder)

    assert is_running(engine.pid)
    assert folder.exists()
    engine.kill()
    engine.wait()


def test_a_stopped_unit_leaves_nothing_registered(folder):
    hooked = SpawnSpec(
        name="main", bin="/bin/sleep", args=("60",), ready=Ready(kind="exec", target="true"), hooks=("true",)
    )
    with Reaper() as reaper:
        unit = start(SpawnPlan.single(hooked), log_dir=folder, reaper=reaper)
        assert unit.pid in reaper._estate.groups

        unit.stop()

        assert not reaper._estate.groups
        assert not reaper._estate.starting


def test_a_process_that_starts_while_its_owner_is_killed_is_found(owner, folder):
    _, said = owner("""
import subprocess
reaper = Reaper()
reaper.adopt_folder(folder)
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
reaper.expect(log)
child = subprocess.Popen(["/bin/sleep", "60"], stdout=log, start_new_session=True)
say(engine=child.pid, reaper=reaper.pid)
os.kill(os.getpid(), signal.SIGKILL)
""")

    assert all_gone(said, folder)


def test_a_child_that_the_owner_forked_does_not_keep_the_reaper_waiting(owner, folder):
    process, said = owner(
        BOOT.replace("say(", "child = os.fork() or time.sleep(60) or os._exit(0)\nsay(child=child, ") + "time.sleep(60)"
    )
    try:
        process.kill()

        assert all_gone(said, folder)
        assert is_running(said["child"])
    finally:
        os.kill(said["child"], signal.SIGKILL)


def test_a_forked_child_that_closes_its_copy_ends_nothing(folder):
    with Reaper() as reaper:
        reaper.adopt_folder(folder)
        child = os.fork()
        if not child:
            reaper.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

        assert is_running(reaper.pid)
        assert folder.exists()


def test_the_death_of_the_controller_ends_the_worker_and_then_its_engines(owner, folder):
    worker = OWNER + BOOT.replace("Reaper()", "Reaper(controller=os.getppid())")
    worker = worker.replace("say(engine", "say(worker=os.getpid(), engine") + "time.sleep(60)"
    script = f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {worker!r}, *sys.argv[1:]])\ntime.sleep(60)"
    controller, said = owner(script)

    controller.kill()

    assert eventually(lambda: not is_running(said["worker"]))
    assert all_gone(said, folder)


def test_a_controller_that_has_already_ended_is_an_error():
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()

    with pytest.raises(HostError, match=f"cannot watch process {gone.pid}: it has already ended"):
        Reaper(controller=gone.pid)


def test_a_reaper_that_was_killed_is_replaced_and_knows_everything(folder, tmp_path):
    engine = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    with Reaper() as reaper:
        first = reaper.pid
        reaper.adopt_group(engine.pid)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: not is_running(first))

        reaper.adopt_folder(folder)

        assert reaper.pid != first

    assert engine.wait(10) == -signal.SIGINT
    assert not folder.exists()


def test_containers_are_removed_by_docker(owner, folder, tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
    docker.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process, _ = owner(
        'reaper = Reaper()\nfor c in ("a1", "b2", "c3"): reaper.adopt_container(c)\n'
        "reaper.release_container('b2'); say(); time.sleep(60)",
        env=environ,
    )

    process.kill()

    assert eventually((tmp_path / "called").exists)
    assert eventually(lambda: (tmp_path / "called").read_text() == "rm -f -v a1 c3\n")


def test_a_folder_that_is_gone_already_is_no_trouble(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with Reaper() as reaper:
        reaper.adopt_folder(folder)
        reaper.adopt_folder(other)
        shutil.rmtree(folder)

    assert not other.exists()


@pytest.mark.parametrize("path", ["relative", "/", "/tmp/a\nd /home"])
def test_a_path_that_nobody_can_have_meant_is_refused(path):
    with Reaper() as reaper, pytest.raises(HostError, match="the reaper removes absolute paths"):
        reaper.adopt_folder(Path(path))


def test_a_closed_reaper_takes_nothing_more(folder):
    reaper = Reaper()
    reaper.close()
    reaper.close()

    with pytest.raises(HostError, match="the reaper is closed"):
        reaper.adopt_folder(folder)
