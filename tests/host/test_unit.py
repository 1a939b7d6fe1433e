import json
import os
import signal
import sys

import pytest
from tests.host.proc import eventually, is_running

from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import BootError, ExitedError, FolderError, HookError, HostError, NotReadyError, StartError, start

UP = Ready(kind="log_line", target=".")


def run(logs, *specs, **options):
    return start(SpawnPlan(specs), log_dir=logs, reaper=None, **options)


def shell(script, name="main", **fields):
    return SpawnSpec(name=name, bin="/bin/sh", args=("-c", script), **fields)


def account_of(unit, name="main"):
    return json.loads(unit.log(name))


def test_a_process_leads_a_session_of_its_own_and_reads_nothing(engine, logs):
    with run(logs, engine("tells_who_it_is", "a b", "", ready=UP)) as unit:
        said = account_of(unit)

    assert said["pid"] == said["session"] == said["group"] == unit.pid
    assert said["argv"] == ["a b", ""]
    assert said["stdin"] == ""


def test_standard_output_and_error_share_one_log(logs):
    with run(
        logs, shell("echo one; echo two >&2; echo three; exec sleep 60", ready=Ready(kind="log_line", target="three"))
    ) as unit:
        assert unit.log() == "one\ntwo\nthree\n"
        assert (logs / "main.log").read_text() == "one\ntwo\nthree\n"


def test_a_process_without_env_inherits_the_host_but_for_the_plugin_variables(engine, logs):
    plugin = {"DOZE_PLUGIN": "engine", "PLUGIN_MIN_PORT": "1", "PLUGIN_CLIENT_CERT": "c"}
    environ = {"PATH": os.environ["PATH"], "HOME": "/x", **plugin}
    with run(logs, engine("tells_who_it_is", ready=UP), environ=environ) as unit:
        env = account_of(unit)["env"]

    assert env["HOME"] == "/x"
    assert not [name for name in env if name.startswith(("DOZE_", "PLUGIN_"))]


def test_a_process_with_env_gets_exactly_that(engine, logs):
    with run(logs, engine("tells_who_it_is", ready=UP, env=("A=1", "B=x=y", "A=2"))) as unit:
        env = account_of(unit)["env"]

    env.pop("LC_CTYPE", None)  # CPython's own doing, PEP 538
    assert env == {"A": "2", "B": "x=y"}


def test_a_process_runs_in_its_folder_and_an_inherited_pwd_agrees(engine, logs, folder):
    with run(logs, engine("tells_who_it_is", ready=UP, dir=folder)) as unit:
        said = account_of(unit)

    assert said["cwd"] == said["env"]["PWD"] == str(folder)


def test_a_process_without_dir_runs_in_the_folder_of_the_host(engine, logs, folder):
    with run(logs, engine("tells_who_it_is", ready=UP), cwd=folder) as unit:
        assert account_of(unit)["cwd"] == str(folder)


def test_a_bare_name_is_looked_up_in_the_path_of_the_host_and_not_of_the_spec(logs, folder):
    program = folder / "my-engine"
    program.write_text("#!/bin/sh\necho found; exec sleep 60\n")
    program.chmod(0o755)
    spec = SpawnSpec(name="main", bin="my-engine", env=("PATH=/usr/bin:/bin",), ready=UP)

    with run(logs, spec, environ={"PATH": f"{folder}:/usr/bin:/bin"}) as unit:
        assert unit.log() == "found\n"


def test_each_process_starts_when_the_one_before_it_is_ready_and_its_hooks_have_run(logs, folder):
    note = f"{folder}/order"
    specs = [
        shell(f"echo web >> {note}; exec sleep 60", name="web", after=("db",)),
        shell(
            f"echo db >> {note}; sleep 0.2; echo db-ready >> {note}; echo up; exec sleep 60",
            name="db",
            ready=Ready(kind="log_line", target="up"),
            hooks=(f"sleep 0.1; echo hook-1 >> {note}", f"echo hook-2 >> {note}"),
        ),
    ]
    with run(logs, *specs) as unit:
        assert list(unit.processes) == ["db", "web"]
        assert unit.pid == unit.processes["db"].pid

    assert (folder / "order").read_text().split() == ["db", "db-ready", "hook-1", "hook-2", "web"]


def test_hooks_run_in_the_folder_and_environment_of_their_spec(logs, folder):
    hook = "pwd > where; env | grep -c . > count; echo $A > a"
    with run(
        logs, shell("echo up; exec sleep 60", ready=UP, dir=folder, env=("A=1", "PATH=/usr/bin:/bin"), hooks=(hook,))
    ):
        pass

    assert (folder / "where").read_text() == f"{folder}\n"
    assert (folder / "a").read_text() == "1\n"


def test_a_failing_hook_stops_everything_and_says_it_in_the_words_of_the_host(logs):
    db = shell("echo $$; exec sleep 60", name="db", ready=UP)
    web = shell("echo $$; exec sleep 60", name="web", ready=UP, hooks=("true", 'echo "no luck"; exit 3'))

    with pytest.raises(HookError) as caught:
        run(logs, db, web, engine="shop")

    assert caught.value.headline == (
        'engine "shop" did not start: web hook "echo \\"no luck\\"; exit 3": exit status 3: no luck'
    )
    assert caught.value.process == "web"
    assert not is_running(int((logs / "db.log").read_text()))
    assert not is_running(int((logs / "web.log").read_text()))


def test_a_hook_that_a_signal_ends_is_told_as_go_tells_it(logs):
    with pytest.raises(HookError, match=r'main hook "kill -KILL \$\$": signal: killed: '):
        run(logs, shell("echo up; exec sleep 60", ready=UP, hooks=("kill -KILL $$",)))


def test_a_hook_that_never_ends_is_ended_with_the_budget(logs, folder):
    hook = f"echo $$ > {folder}/pid; sleep 60; true"
    with pytest.raises(HookError, match=r"still running after 0.3 s"):
        run(logs, shell("echo up; exec sleep 60", ready=UP, hooks=(hook,)), budget=0.3)

    assert not is_running(int((folder / "pid").read_text()))


def test_what_a_hook_leaves_in_the_background_ends_with_the_unit_and_not_before(logs, folder):
    hook = f"sleep 60 >/dev/null 2>&1 & echo $! > {folder}/pid"
    with run(logs, shell("echo up; exec sleep 60", ready=UP, hooks=(hook,))):
        left = int((folder / "pid").read_text())
        assert is_running(left)

    assert not is_running(left)


def test_a_crash_at_start_is_reported_with_its_last_words(engine, logs):
    spec = engine("crashes_at_start", 7, name="postgres", ready=Ready(kind="exec", target="echo no response; exit 2"))

    with pytest.raises(ExitedError) as caught:
        run(logs, spec, engine="postgres")

    error = caught.value
    assert (error.exit.code, error.exit.signal, error.process) == (7, None, "postgres")
    lines = str(error).splitlines()
    assert lines[0] == (
        f'engine "postgres" did not start: process "postgres" exited with code 7 after {error.exit.seconds:.2f} s, '
        "before its first successful probe"
    )
    assert lines[1].startswith(f"  command  {sys.executable} -I -S ")
    assert lines[2].startswith("  probe    exec: echo no response; exit 2")
    assert lines[3] == f"  log      last 2 of 2 lines, full log kept in {logs}/postgres.log"
    assert lines[4:] == ["    starting", '    FATAL:  unrecognized configuration parameter "no_such_setting"']


def test_a_report_has_the_last_forty_lines(logs):
    with pytest.raises(ExitedError) as caught:
        run(logs, shell("seq 318; printf 'last words'; exit 1", ready=Ready(kind="log_line", target="never")))

    assert caught.value.excerpt.total == 319
    assert caught.value.excerpt.lines == (*(str(number) for number in range(280, 319)), "last words")
    assert f"last 40 of 319 lines, full log kept in {logs}/main.log" in str(caught.value)


def test_a_process_that_a_signal_ends_is_reported_with_the_signal(logs):
    with pytest.raises(ExitedError, match="was ended by SIGSEGV after") as caught:
        run(logs, shell("kill -SEGV $$", ready=Ready(kind="log_line", target="never")))

    assert (caught.value.exit.code, caught.value.exit.signal) == (None, signal.SIGSEGV)


def test_a_process_without_a_probe_must_stay_alive_for_a_moment(logs):
    with pytest.raises(ExitedError, match=r"exited with code 0 after .* within the 0.75 s that it has to stay alive"):
        run(logs, shell("sleep 0.1"))


def test_a_process_without_a_probe_that_stays_alive_is_ready(logs):
    with run(logs, shell("exec sleep 60")) as unit:
        assert unit.exited is None


def test_the_death_of_an_earlier_process_ends_the_wait_for_a_later_one(logs):
    db = shell("echo up; sleep 0.2; echo gone >&2; exit 4", name="db", ready=UP)
    web = shell("exec sleep 60", name="web", ready=Ready(kind="log_line", target="never"))

    with pytest.raises(
        ExitedError, match=r'process "db" exited with code 4 .* while "web" was not ready yet'
    ) as caught:
        run(logs, db, web)

    assert caught.value.excerpt.lines == ("up", "gone")


def test_a_process_that_is_not_ready_in_time_is_stopped_and_reported(engine, logs):
    with pytest.raises(NotReadyError) as caught:
        run(
            logs,
            engine("never_ready", ready=Ready(kind="exec", target="echo no response; exit 2")),
            engine="pg",
            budget=0.3,
        )

    error = caught.value
    assert not is_running(error.pid)
    assert error.headline == (
        f'engine "pg": process "main" (pid {error.pid}) is running but was not ready after 0.3 s ({error.tries} probes)'
    )
    assert error.tries > 1
    assert error.last_error == "exit 2: no response"
    assert f"  probe    exec: echo no response; exit 2 -> exit 2: no response ({error.tries} tries)" in str(error)
    assert error.excerpt.lines[0] == "still warming up, step 1"


def test_a_caller_can_add_a_hint_to_a_report(engine, logs):
    with pytest.raises(BootError) as caught:
        run(logs, engine("crashes_at_start"))

    caught.value.hint = "try something else"

    assert str(caught.value).endswith("\n  hint     try something else")


def test_a_failure_stops_what_was_started_before(logs):
    with pytest.raises(ExitedError):
        run(logs, shell("echo $$; exec sleep 60", name="db", ready=UP), shell("exit 1", name="web"))

    assert not is_running(int((logs / "db.log").read_text()))


def test_an_interrupt_during_the_boot_stops_what_was_started(logs):
    script = f"echo $$; kill -INT {os.getpid()}; exec sleep 60"
    with pytest.raises(KeyboardInterrupt):
        run(logs, shell(script, ready=Ready(kind="log_line", target="never")))

    assert not is_running(int((logs / "main.log").read_text()))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bin": "no-such-engine"}, "no program 'no-such-engine' in PATH (/usr/bin:/bin)"),
        ({"bin": "/no/such/engine"}, "cannot run /no/such/engine: No such file or directory"),
        ({"bin": "/etc/passwd"}, "cannot run /etc/passwd: Permission denied"),
        ({"bin": "/bin/sh", "dir": "/no/such/folder"}, "no folder /no/such/folder to run it in"),
    ],
)
def test_a_process_that_cannot_be_started_is_reported_with_the_reason(logs, fields, reason):
    with pytest.raises(StartError) as caught:
        run(logs, SpawnSpec(name="main", **fields), engine="pg", environ={"PATH": "/usr/bin:/bin"})

    assert str(caught.value) == f'engine "pg" did not start: starting "main": {reason}'


def test_a_missing_program_is_noticed_before_the_first_process_starts(logs):
    with pytest.raises(StartError):
        run(logs, shell("exec sleep 60", name="db"), SpawnSpec(name="web", bin="no-such-engine"))

    assert not list(logs.iterdir())


def test_a_log_folder_that_cannot_be_made_is_noticed_before_anything_starts(folder):
    (folder / "file").touch()
    with pytest.raises(FolderError, match=f"cannot make the folder for logs {folder}/file/logs: Not a directory"):
        run(folder / "file" / "logs", shell("exec sleep 60"))


def test_the_end_of_any_process_ends_the_unit(logs):
    db = shell("echo up; exec sleep 60", name="db", ready=UP)
    web = shell("echo up; exec sleep 60", name="web", ready=UP)
    unit = run(logs, db, web)
    assert unit.wait(0.01) is None
    assert unit.exited is None

    os.kill(unit.processes["web"].pid, signal.SIGTERM)

    assert unit.wait(10) is unit.processes["web"]
    assert unit.exited is unit.processes["web"]
    assert unit.exited.exit.signal == signal.SIGTERM
    assert not is_running(unit.processes["db"].pid)


def test_a_stopped_unit_has_not_exited_by_itself(logs):
    unit = run(logs, shell("echo up; exec sleep 60", ready=UP))

    unit.stop()

    assert unit.exited is None


def test_a_log_can_be_read_from_a_mark(logs, folder):
    script = f"echo before; while ! test -e {folder}/go; do sleep 0.02; done; echo after; exec sleep 60"
    with run(logs, shell(script, ready=UP)) as unit:
        mark = unit.mark()
        (folder / "go").touch()
        assert eventually(lambda: "after" in unit.log())

        assert unit.log(since=mark) == "after\n"
        assert unit.log("main") == "before\nafter\n"


def test_a_restart_appends_to_the_log_and_reads_only_its_own_part(logs):
    spec = shell("echo $$; exec sleep 60", ready=UP)
    with run(logs, spec) as first:
        pass
    with run(logs, spec) as second:
        assert second.log() == f"{second.pid}\n"

    assert (logs / "main.log").read_text() == f"{first.pid}\n{second.pid}\n"


def test_the_logs_of_several_processes_are_told_apart(logs):
    specs = [shell(f"echo I am {name}; exec sleep 60", name=name, ready=UP) for name in ("db", "web")]
    with run(logs, *specs) as unit:
        assert unit.log() == "==> db <==\nI am db\n\n==> web <==\nI am web\n\n"
        with pytest.raises(HostError, match="no process 'cache' in this unit; it has db, web"):
            unit.log("cache")


def test_names_that_are_no_file_names_get_log_files_all_the_same(logs):
    specs = [shell("echo up; exec sleep 60", name=name, ready=UP) for name in ("a/b", "a_b", "..", "")]
    with run(logs, *specs) as unit:
        assert len({process.log.path for process in unit.processes.values()}) == 4
        assert all(process.log.path.parent == logs for process in unit.processes.values())
