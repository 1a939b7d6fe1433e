"""`modtool dev`: what it serves, what it refuses before anything runs, and that nothing outlives it."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.host.proc import eventually
from tests.modtool.conftest import GREETER, MODTOOL, ROOT, Running, Start, ask, free_port

HERE = f"{sys.executable} -m tests.modules"


def two(one: int, other: int) -> str:
    """Return a config in which the first block refers to the second."""
    return (
        f'greeter "one" {{\n  port     = {one}\n  greeting = "hi"\n'
        '  peer     = "${greeter.other.url} ${greeter.other.words[0]} ${greeter.other.port} ${local.who}"\n}\n'
        f'greeter "other" {{\n  port     = {other}\n  greeting = var.word\n}}\n'
        'variable "word" {\n  default = "good morning"\n}\n'
        'locals {\n  who = upper(local.name)\n  name = "${var.word}!"\n}\n'
    )


def only(port: int, *lines: str) -> str:
    inside = "".join(f"  {line}\n" for line in lines)
    return f'greeter "only" {{\n  port = {port}\n{inside}}}\n'


def refused(running: Running, code: int = 1) -> str:
    """Return what was said by a `modtool dev` that started nothing."""
    assert running.end() == code, running.out + running.err
    assert running.out == ""
    assert "Traceback" not in running.err
    return running.err


# -- serving


def test_instances_are_served_in_the_order_of_their_references(dev: Start) -> None:
    one, other = free_port(), free_port()
    running = dev(two(one, other))
    running.until(f"one: GREETER_ONE=greet://127.0.0.1:{one}")

    assert running.out.index("other: GREETER=") < running.out.index("one: GREETER_ONE=")
    assert ask(other) == "good morning"
    assert ask(one) == f"hi greet://127.0.0.1:{other} good {other} GOOD MORNING! other=unix:other"


def test_a_variable_of_the_environment_has_its_way(dev: Start) -> None:
    one, other = free_port(), free_port()
    running = dev(two(one, other), DOZE_VAR_word="cheers")
    running.until("one: GREETER_ONE=")

    assert ask(other) == "cheers"


def test_the_logs_are_followed_with_the_instances_name(dev: Start) -> None:
    running = dev(two(free_port(), free_port()))
    running.until("other | greeting with good morning")
    running.until("one | greeting with hi")


def test_what_the_driver_prints_and_logs_is_shown(dev: Start) -> None:
    running = dev(only(free_port(), 'fails = "prints"'))
    running.until("plugin | printed by the driver")
    running.until("plugin | warning: logged by the driver")


def test_a_supervised_instance_listens_on_its_port_by_itself(dev: Start) -> None:
    port = free_port()
    running = dev(only(port, "alone = true"))
    running.until("only: GREETER=")

    assert ask(port) == "hello"


def test_the_port_of_a_supervised_instance_is_looked_at_before_anything_boots(dev: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(dev(only(taken.getsockname()[1], "alone = true")))

    assert "on 127.0.0.1 is in use" in said


def test_a_home_keeps_the_data_from_one_run_to_the_next(dev: Start, short_dir: Path) -> None:
    for _ in range(2):
        assert dev(only(free_port()), "--home", "home", "--", "true").end() == 0

    calls = (short_dir / "home" / "only" / "data" / "calls").read_text().split()
    assert calls == ["template", "provision", "converge", "provision", "converge"]


def test_two_runs_do_not_share_a_home(dev: Start) -> None:
    first = dev(only(free_port()), "--home", "home")
    first.until("only: GREETER=")

    assert "another modtool dev uses it" in refused(dev(only(free_port()), "--home", "home"))


def test_without_a_config_the_example_of_the_folders_project_is_served(modtool: Start, short_dir: Path) -> None:
    port = free_port()
    assert modtool("new", "hello", "--no-input").end() == 0
    example = short_dir / "hello" / "examples" / "doze.hcl"
    example.write_text(example.read_text().replace("8080", str(port)))
    code = "import os, urllib.request as u; print(u.urlopen(os.environ['HELLO_URL']).read().decode())"
    running = modtool("dev", "--", sys.executable, "-c", code, cwd=short_dir / "hello")

    assert running.end() == 0, running.err
    assert "It works." in running.out
    assert f"site: HELLO_URL=http://127.0.0.1:{port}" in running.err


# -- a command


def test_a_command_has_the_connection_strings_and_the_output_to_itself(dev: Start) -> None:
    port = free_port()
    running = dev(only(port), "--", "sh", "-c", "echo $GREETER; exit 7")

    assert running.end() == 7
    assert running.out == f"greet://127.0.0.1:{port}\n"
    assert f"only: GREETER=greet://127.0.0.1:{port}\n" in running.err


def test_a_command_that_a_signal_ends_has_the_shells_exit_code(dev: Start) -> None:
    assert dev(only(free_port()), "--", "sh", "-c", "kill -TERM $$").end() == 143


def test_a_command_that_is_no_program_is_a_usage_error_before_anything_starts(dev: Start) -> None:
    assert "no program 'no-such-program'" in refused(dev(only(free_port()), "--", "no-such-program"), code=2)


def test_what_a_command_leaves_in_the_background_ends_with_it(dev: Start) -> None:
    running = dev(only(free_port()), "--", "sh", "-c", "sleep 1000 & echo $!")

    assert running.end() == 0
    assert eventually(lambda: running.family() == {}), running.family()


# -- what is refused

CONFIG = """\
name = "stack"
home = "/srv"
nme  = "stack"

use greeter "used" {}
tls {}
postgres "db" { port = 5432 }
greeter "many" {
  for_each = ["a"]
  port     = 1
}
greeter "few" {
  count  = 2
  listen = "unix:/tmp/x"
  port   = 0
}
greeter {}
greeter "twice" { port = 7301 }
greeter "twice" { port = 7302 }
greeter "typo" {
  port     = 7303
  greting  = "hi"
  size     = "big"
  peer     = greeter.tpyo.url
}
greeter "waits" {
  port = 7304
  peer = greeter.typo.url
  size = []
}
greeter "asleep" {
  enabled = false
}
greeter "portless" {
  peer = greeter.asleep.url
}
greeter "egg" {
  port = 7305
  peer = greeter.hen.url
}
greeter "hen" {
  port = 7306
  peer = "${greeter.egg.url}"
}
variable "unset" {}
"""

REFUSALS = [
    "doze.hcl:2,1-5: Not evaluated; modtool dev keeps data where --home says",
    'doze.hcl:3,1-4: Unsupported argument; An argument named "nme" is not expected here. Did you mean "name"?',
    "doze.hcl:5,1-4: Not served; modtool dev does not evaluate `use`; write the block out",
    "doze.hcl:6,1-4: Not served; modtool dev does not do TLS; take the block out, or try the module under doze",
    "doze.hcl:7,1-9: Not served; modtool dev serves blocks of type 'greeter' only",
    "doze.hcl:9,3-11: Not evaluated; modtool dev does not evaluate for_each; write one block for each instance",
    "doze.hcl:13,3-8: Not evaluated; modtool dev does not evaluate count; write one block for each instance",
    "doze.hcl:14,3-9: Not evaluated; modtool dev serves on a `port` only",
    "doze.hcl:15,12-13: Unsuitable port; Expected a whole number from 1 to 65535, got 0.",
    "doze.hcl:17,9-10: Missing name for greeter; All greeter blocks must have 1 labels (name).",
    'doze.hcl:19,1-16: Duplicate name; greeter "twice" is already declared, at doze.hcl:18,1-16.',
    'doze.hcl:22,3-10: Unsupported argument; An argument named "greting" is not expected here. Did you mean',
    "doze.hcl:23,15-18: Unsuitable value type;",
    'doze.hcl:24,14-30: Unknown instance; This file has no enabled greeter "tpyo". Did you mean "typo"?',
    "doze.hcl:29,10-11: Unsuitable value type;",
    'doze.hcl:35,10-28: Unknown instance; This file has no enabled greeter "asleep".',
    "doze.hcl:37,1-14: Dependency cycle; These refer to each other: egg -> hen -> egg.",
    'doze.hcl:45,1-17: Missing value; Variable "unset" has no default; set DOZE_VAR_unset, or give it one.',
]


def test_everything_that_is_wrong_with_a_config_is_said_at_once_in_order_and_nothing_starts(dev: Start) -> None:
    running = dev(CONFIG)
    said = refused(running)
    firsts = [line for line in said.splitlines() if line.startswith("doze.hcl:")]

    assert len(firsts) == len(REFUSALS), said
    for line, start in zip(firsts, REFUSALS, strict=True):
        assert line.startswith(start)


def test_the_line_is_shown_and_what_is_wrong_in_it_underlined(dev: Start) -> None:
    said = refused(dev(only(free_port(), 'greting = "hi"')))

    assert '  3 |   greting = "hi"\n    |   ^^^^^^^\n' in said


def test_a_syntax_error_is_shown_with_its_line(dev: Start) -> None:
    said = refused(dev('greeter "one" {\n  port = \n}\n'))

    assert said.startswith("doze.hcl:2,10-3,1: Invalid expression")
    assert "  2 |   port = " in said


def test_an_instance_without_a_port_is_refused(dev: Start) -> None:
    assert 'doze.hcl:1,1-14: Missing port; modtool dev serves greeter "one" on one' in refused(
        dev('greeter "one" {}\n')
    )


def test_a_config_without_an_instance_is_refused(dev: Start) -> None:
    assert 'doze.hcl declares no instance; write a block: greeter "name"' in refused(dev("locals {\n  a = 1\n}\n"))


def test_a_config_that_is_not_there_is_refused(modtool: Start) -> None:
    said = refused(modtool("dev", "--plugin", f"{HERE}.greeter", "nowhere.hcl"))

    assert said == "modtool: reading nowhere.hcl: No such file or directory\n"


def test_every_port_in_use_is_named_before_anything_boots(dev: Start) -> None:
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = [taken.getsockname()[1] for taken in (first, second)]
        said = refused(dev(two(*ports)))

    assert [f"port {port} on 127.0.0.1 is in use" in said for port in ports] == [True, True]


def test_a_socket_path_over_the_limit_is_said_before_anything_boots(dev: Start) -> None:
    said = refused(dev(only(free_port()), "--home", "h" * 100))

    assert "this system allows 107" in said
    assert "--home a shorter folder" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user: root may write everywhere")
def test_a_home_that_cannot_be_written_to_is_said_before_anything_boots(dev: Start, short_dir: Path) -> None:
    (short_dir / "locked").mkdir(mode=0o500)

    assert "Permission denied; name a folder that can be written to" in refused(
        dev(only(free_port()), "--home", "locked/home")
    )


def test_a_home_that_is_a_file_is_refused(dev: Start, short_dir: Path) -> None:
    (short_dir / "file").touch()

    assert "file" in refused(dev(only(free_port()), "--home", "file"), code=2)


# -- a module that does not start


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("prints_before_serving", ["'loading config'", "nothing may print to stdout"]),
        ("dies_at_start", ["exited before we could connect", "the licence server is down"]),
        ("speaks_version_2", ["Plugin version: 2, Client versions: [1]", "upgrade"]),
        ("cannot_import", ["cannot be imported", "nothing_of_that_name", "cannot_import/driver.py:3"]),
        ("lacks_methods", ["lacks", "plan()"]),
        ("no_such_module", ["No module named tests.modules.no_such_module"]),
    ],
)
def test_each_way_in_which_a_module_does_not_start_has_its_own_sentence(
    dev: Start, module: str, words: list[str]
) -> None:
    said = refused(dev(only(free_port()), module=f"{HERE}.{module}"))

    assert [word for word in words if word not in said] == [], said


# -- an engine that does not work


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("plan", ["RuntimeError: the plan has a hole", "greeter/driver.py:"]),
        ("provision", ["there is no room for another greeter", "greeter/driver.py:"]),
        ("converge", ["nobody wants to be greeted"]),
        ("at start", ['process "main" exited with code 3', "FATAL: out of greetings"]),
        ("never ready", ["is running but was not ready after 0.5 s", "No such file or directory"]),
    ],
)
def test_an_engine_that_does_not_come_up_says_why_and_leaves_nothing(dev: Start, fails: str, words: list[str]) -> None:
    running = dev(only(free_port(), f'fails = "{fails}"'))

    assert running.end() == 1
    assert [word for word in words if word not in running.err] == [], running.err
    assert eventually(lambda: running.family() == {})


def test_the_logs_of_an_engine_that_did_not_come_up_are_kept(dev: Start) -> None:
    running = dev(only(free_port(), 'fails = "at start"'))

    assert running.end() == 1
    kept = Path(running.err.partition("the logs are kept in ")[2].splitlines()[0])
    assert (kept / "only" / "log" / "main.log").read_text() == "FATAL: out of greetings\n"


def test_an_engine_that_ends_by_itself_ends_the_session_with_its_last_words(dev: Start) -> None:
    port = free_port()
    running = dev(only(port, 'fails = "later"'))
    running.until("only: GREETER=")

    assert ask(port, b"leave") == "hello"
    assert running.end() == 1
    assert "only | one greeting was enough" in running.out
    assert "only: process 'main' exited with code 5" in running.err
    assert eventually(lambda: running.family() == {})


def test_a_plugin_that_dies_ends_the_session(dev: Start) -> None:
    running = dev(only(free_port()))
    running.until("only: GREETER=")
    os.kill(running.member("-m tests.modules.greeter", without=("__serve", "doze_sdk.modtool")), signal.SIGKILL)

    assert running.end() == 1
    assert "ended by itself (signal 9)" in running.err
    assert eventually(lambda: running.family() == {})


# -- watching


def test_a_changed_config_boots_again(dev: Start, short_dir: Path) -> None:
    port = free_port()
    running = dev(only(port), "--watch")
    running.until("only: GREETER=")
    (short_dir / "doze.hcl").write_text(only(port, 'greeting = "changed"'))
    running.until("only | greeting with changed")

    assert ask(port) == "changed"


def test_a_broken_edit_is_said_and_the_next_one_boots_again(dev: Start, short_dir: Path) -> None:
    port = free_port()
    running = dev(only(port), "--watch")
    running.until("only: GREETER=")
    (short_dir / "doze.hcl").write_text(only(port, 'greting = "typo"'))
    running.until("waiting for a change")
    assert 'doze.hcl:3,3-10: Unsupported argument; An argument named "greting"' in running.err
    (short_dir / "doze.hcl").write_text(only(port, 'greeting = "mended"'))
    running.until("only | greeting with mended")

    assert ask(port) == "mended"


def test_watching_begins_also_with_a_broken_config(dev: Start, short_dir: Path) -> None:
    running = dev("greeter {", "--watch")
    running.until("waiting for a change")
    (short_dir / "doze.hcl").write_text(only(free_port()))
    running.until("only: GREETER=")


def test_an_engine_that_ends_is_booted_again_after_the_next_change(dev: Start, short_dir: Path) -> None:
    port = free_port()
    running = dev(only(port, 'fails = "later"'), "--watch")
    running.until("only: GREETER=")
    ask(port, b"leave")
    running.until("waiting for a change")
    (short_dir / "doze.hcl").write_text(only(port, 'greeting = "back"'))
    running.until("only | greeting with back")


def test_a_changed_source_boots_again(modtool: Start, short_dir: Path) -> None:
    assert modtool("new", "hello", "--no-input").end() == 0
    project, port = short_dir / "hello", free_port()
    example, driver = project / "examples" / "doze.hcl", project / "src" / "hello_plugin" / "driver.py"
    example.write_text(example.read_text().replace("8080", str(port)))
    running = modtool("dev", "--watch", cwd=project)
    running.until("HELLO_URL=")
    source = driver.read_text()
    driver.write_text(source.replace("def plan(", "def plan("[:-1]))
    running.until("waiting for a change")
    assert "SyntaxError" in running.err
    assert "hello_plugin/driver.py:" in running.err
    driver.write_text(source.replace("_URL", "_ADDRESS"))
    running.until(f"site: HELLO_ADDRESS=http://127.0.0.1:{port}")


# -- a terminal


def test_on_a_terminal_the_step_is_shown_and_wiped_away(dev: Start, short_dir: Path) -> None:
    (short_dir / "doze.hcl").write_text(only(free_port()))
    shown, terminal = pty.openpty()
    command = [*MODTOOL, "dev", "--plugin", GREETER, "--", "sh", "-c", "test -t 2 && echo done"]
    done = subprocess.run(
        command,
        cwd=short_dir,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=terminal,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    os.close(terminal)
    text = os.read(shown, 10_000).decode()
    os.close(shown)

    assert done.stdout == b"done\n"
    assert "\r\x1b[Konly: provision …" in text
    assert text.rstrip().rpartition("\x1b[K")[2].startswith("only: GREETER=")


def test_a_pipe_gets_no_steps(dev: Start) -> None:
    running = dev(only(free_port()), "--", "true")

    assert running.end() == 0
    assert "\x1b" not in running.err
    assert len(running.err.splitlines()) == 1


# -- the end


@pytest.fixture
def served(dev: Start) -> Running:
    running = dev(only(free_port()))
    running.until("only: GREETER=")
    return running


def nothing_is_left(running: Running, folder: Path) -> bool:
    """Whether no process, run folder or socket's folder is left, or soon is not."""
    return eventually(lambda: running.family() == {} and not folder.exists() and list(running.tmp.iterdir()) == [])


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_process_alone_leaves_nothing_without_the_reaper(
    served: Running, signum: signal.Signals, code: int
) -> None:
    folder = served.run_folder()
    os.kill(served.member("_reaper_process"), signal.SIGKILL)
    served.process.send_signal(signum)

    assert served.end() == code
    assert nothing_is_left(served, folder)


def test_ctrl_c_reaches_the_whole_group_and_leaves_nothing_without_the_reaper(served: Running) -> None:
    folder = served.run_folder()
    os.kill(served.member("_reaper_process"), signal.SIGKILL)
    os.killpg(served.process.pid, signal.SIGINT)

    assert served.end() == 130
    assert nothing_is_left(served, folder)
    assert "Traceback" not in served.err


def test_an_interrupt_ends_what_a_shell_has_started_in_the_background(dev: Start) -> None:
    running = dev(only(free_port()), through=("sh", "-c", "trap '' INT; exec \"$@\"", "sh"))
    running.until("only: GREETER=")
    running.process.send_signal(signal.SIGINT)

    assert running.end() == 130


def test_sigkill_leaves_nothing(served: Running) -> None:
    folder = served.run_folder()
    assert len(served.family()) == 4, "modtool, the plugin, the engine, the reaper"
    served.process.kill()

    assert nothing_is_left(served, folder), served.family()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_running_command_ends_with_the_session(dev: Start, signum: signal.Signals) -> None:
    running = dev(only(free_port()), "--", "sh", "-c", "echo up; sleep 1000; true")
    running.until("up")
    folder = running.run_folder()
    running.process.send_signal(signum)

    assert running.end() == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[signum]
    assert nothing_is_left(running, folder), running.family()


def test_a_session_killed_before_the_reaper_knows_of_the_command_leaves_nothing(dev: Start) -> None:
    killed_in_between = (
        "import os, signal, sys; from doze_sdk.host import Reaper; from doze_sdk.modtool.cli import main;"
        "Reaper.adopt_group = lambda *_: os.kill(os.getpid(), signal.SIGKILL); main(sys.argv[4:])"
    )
    running = dev(only(free_port()), "--", "sleep", "1000", through=(sys.executable, "-c", killed_in_between))

    assert running.end() == -signal.SIGKILL
    assert eventually(lambda: running.family() == {}), running.family()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_an_engine_starts_leaves_nothing(dev: Start, signum: signal.Signals) -> None:
    config = only(free_port(), 'fails = "never ready"')
    running = dev(config)
    assert eventually(lambda: any("__serve" in line for line in running.family().values()), 60)
    running.process.send_signal(signum)

    assert running.end() != 0
    assert eventually(lambda: running.family() == {}), running.family()


def test_nothing_is_written_into_the_folder_of_the_config(dev: Start, short_dir: Path) -> None:
    assert dev(only(free_port()), "--", "true").end() == 0

    assert {path.name for path in short_dir.iterdir() if path.suffix in {"", ".hcl"}} == {"tmp", "doze.hcl"}
