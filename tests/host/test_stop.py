"""The stop ladder alone: no reaper, so nothing else could have ended what is gone afterwards."""

import os
import re
import signal
import threading

import pytest
from tests.host.proc import eventually, is_running

from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import KILL, STOP_LADDER, StopError, start

QUICK = ((signal.SIGINT, 0.3), (signal.SIGQUIT, 0.3), (signal.SIGKILL, 2.0))
SAID_SOMETHING = Ready(kind="log_line", target=".")


def run(logs, *specs, ladder=QUICK):
    return start(SpawnPlan(specs), log_dir=logs, reaper=None, ladder=ladder)


def test_the_ladder_is_that_of_the_host():
    assert STOP_LADDER == ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))


def test_an_engine_that_heeds_sigint_ends_by_itself(engine, logs):
    unit = run(logs, engine("never_ready", ready=SAID_SOMETHING), ladder=STOP_LADDER)

    unit.stop()

    assert unit.processes["main"].exit.code == 0
    assert not is_running(unit.pid)


def test_an_engine_that_ignores_sigint_gets_sigquit(engine, logs):
    unit = run(logs, engine("ignores_signals", "SIGINT", ready=SAID_SOMETHING))

    unit.stop()

    assert unit.processes["main"].exit.signal == signal.SIGQUIT


def test_an_engine_that_ignores_sigint_and_sigquit_gets_sigkill(engine, logs):
    unit = run(logs, engine("ignores_signals", "SIGINT", "SIGQUIT", ready=SAID_SOMETHING))

    unit.stop()

    assert unit.processes["main"].exit.signal == signal.SIGKILL


@pytest.mark.parametrize("tree", [False, True])
def test_a_grandchild_that_outlives_its_parent_does_not_outlive_the_unit(engine, logs, tree):
    unit = run(logs, engine("leaves_a_grandchild", ready=SAID_SOMETHING, tree=tree))
    grandchild = int(re.search(r"grandchild (\d+)", unit.log())[1])
    assert is_running(grandchild)

    unit.stop()

    assert unit.processes["main"].exit.code == 0
    assert not is_running(grandchild)


def test_the_grandchild_of_a_crashed_engine_does_not_outlive_the_unit(engine, logs):
    unit = run(logs, engine("leaves_a_grandchild", ready=SAID_SOMETHING))
    grandchild = int(re.search(r"grandchild (\d+)", unit.log())[1])
    os.kill(unit.pid, signal.SIGKILL)
    assert eventually(lambda: unit.exited)

    unit.stop()

    assert not is_running(grandchild)


def test_a_tree_gets_the_first_signal_as_a_group(engine, logs):
    unit = run(logs, engine("leaves_a_grandchild", ready=SAID_SOMETHING, tree=True))

    unit.processes["main"].signal(signal.SIGINT)

    assert eventually(lambda: "grandchild heard SIGINT" in unit.log())
    unit.stop()


def test_a_process_that_is_no_tree_gets_the_first_signal_alone(engine, logs):
    unit = run(logs, engine("leaves_a_grandchild", ready=SAID_SOMETHING))

    unit.processes["main"].signal(signal.SIGINT)

    assert eventually(lambda: unit.exited)
    assert "grandchild heard SIGINT" not in unit.log()
    unit.stop()


def test_processes_stop_in_reverse_order_of_their_start(logs, folder):
    def noting(name, *after):
        script = f"trap 'echo {name} >> {folder}/order; exit 0' INT; echo up; while :; do sleep 0.02; done"
        return SpawnSpec(name=name, bin="/bin/sh", args=("-c", script), after=after, ready=SAID_SOMETHING)

    unit = run(logs, noting("web", "db"), noting("db"), ladder=STOP_LADDER)

    unit.stop()

    assert (folder / "order").read_text().split() == ["web", "db"]


def test_a_second_stop_does_nothing(engine, logs):
    unit = run(logs, engine("never_ready", ready=SAID_SOMETHING))
    unit.stop()
    first = unit.processes["main"].exit

    unit.stop()

    assert unit.processes["main"].exit is first


def test_two_threads_may_stop_at_once(engine, logs):
    unit = run(logs, engine("ignores_signals", "SIGINT", ready=SAID_SOMETHING))
    threads = [threading.Thread(target=unit.stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert unit.processes["main"].exit.signal == signal.SIGQUIT


def test_killing_leaves_no_time_to_say_goodbye(engine, logs):
    unit = run(logs, engine("never_ready", ready=SAID_SOMETHING), ladder=STOP_LADDER)

    unit.kill()

    assert unit.processes["main"].exit.signal == signal.SIGKILL
    assert KILL == ((signal.SIGKILL, 2.0),)


def test_a_ladder_that_does_not_end_the_process_is_an_error_that_names_it(engine, logs):
    unit = run(logs, engine("ignores_signals", "SIGINT", ready=SAID_SOMETHING))

    with pytest.raises(StopError, match=rf"process 'main' \(pid {unit.pid}\) did not end after SIGINT"):
        unit.stop(((signal.SIGINT, 0.05),))

    assert eventually(lambda: not is_running(unit.pid))
    unit.stop()


def test_an_engine_heeds_sigint_although_its_host_was_started_with_sigint_ignored(engine, logs):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        unit = run(logs, engine("ignores_signals", ready=SAID_SOMETHING))
        unit.stop()
    finally:
        signal.signal(signal.SIGINT, before)

    assert unit.processes["main"].exit.signal == signal.SIGINT
