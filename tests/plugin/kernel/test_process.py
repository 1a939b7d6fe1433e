"""Signals, orphans, file descriptors and the end of both processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._relay import Relay
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Launch, alive, open_descriptors, plugin_environment, until

Script = Callable[[str], list[str]]

HOST = f"""
import os, signal, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from doze_sdk.plugin import kernel
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO
plugins = [kernel.launch([*ECHO, *sys.argv[1:]], echo_plugin.HANDSHAKE, versions={{1}}) for _ in range(2)]
for plugin in plugins:
    plugin.ping()
print(*[plugin.pid for plugin in plugins], flush=True)
"""


@pytest.fixture
def host(script: Script) -> Iterator[Callable[..., tuple[subprocess.Popen[str], list[int]]]]:
    """Start a host process with two plugins; `ending` is the code by which it goes on."""
    processes: list[subprocess.Popen[str]] = []

    def start(ending: str, *arguments: str, mode: str = "") -> tuple[subprocess.Popen[str], list[int]]:
        code = HOST.replace("versions={1}", f"versions={{1}}, {mode}") + ending
        process = subprocess.Popen(
            [*script(code), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return process, [int(pid) for pid in process.stdout.readline().split()]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_what_atexit_knows_is_run_in_an_orphan(host: Callable[..., object], tmp_path: Path) -> None:
    code = f"import atexit; atexit.register(open, {str(tmp_path / 'orphan')!r} + str(os.getpid()), 'w')"
    process, pids = host("os.kill(os.getpid(), signal.SIGKILL)", "--before", code)  # type: ignore[misc]
    process.wait(PATIENCE)
    until(lambda: not any(map(alive, pids)), "the end of the plugins")

    assert all((tmp_path / f"orphan{pid}").exists() for pid in pids)


def test_a_plugin_that_is_busy_after_the_handshake_ends_when_it_is_asked_to(script: Script) -> None:
    command = script(
        "import time\nfrom doze_sdk.plugin import kernel\n"
        "kernel.serve(kernel.Handshake(cookie_key='K', cookie_value='v'), versions={1: lambda server, broker: None},\n"
        "    on_announced=lambda: time.sleep(60))"
    )
    with kernel.launch(command, kernel.Handshake(cookie_key="K", cookie_value="v"), versions={1}) as plugin:
        pass

    assert plugin.exit_code == 0


def test_an_interrupt_is_left_to_the_host(start: Launch) -> None:
    call = start()
    assert call.plugin.pid is not None
    os.kill(call.plugin.pid, signal.SIGINT)

    assert call("Echo", b"still here") == b"still here"


def test_an_interrupt_is_not_ignored_by_what_the_plugin_starts(start: Launch) -> None:
    code = "import subprocess\nprocess = subprocess.Popen(['sleep', '60'])\nprocess.send_signal(2)\n"
    code += "answer = process.wait(10)"

    assert start().run(code) == "-2"


def test_sigterm_ends_a_plugin_gracefully_and_removes_its_socket() -> None:
    with subprocess.Popen(ECHO, env=plugin_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = Path(process.stdout.readline().split("|")[3])
        assert address.exists()
        process.terminate()
        code = process.wait(PATIENCE)

    assert (code, address.exists(), address.parent.exists()) == (0, False, False)


@pytest.mark.parametrize("variables", [{}, {"PLUGIN_MULTIPLEX_GRPC": "true"}], ids=["plain", "multiplexed"])
@pytest.mark.parametrize("stage", ["register", "announced"])
def test_sigterm_ends_a_busy_plugin_that_leaves_no_folder_and_runs_what_atexit_knows(
    short_dir: Path, tmp_path: Path, variables: dict[str, str], stage: str
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    busy = f"import atexit, time; atexit.register(open, {str(ended)!r}, 'w'); open({str(begun)!r}, 'w'); time.sleep(60)"
    environment = plugin_environment(**variables)
    with subprocess.Popen([*ECHO, f"--{stage}", busy], env=environment, stdout=subprocess.PIPE) as process:
        until(begun.exists, "the beginning of what keeps it busy")
        assert list(short_dir.iterdir())
        process.terminate()

        assert process.wait(PATIENCE) == 0
    assert ended.exists()
    assert list(short_dir.iterdir()) == []


def test_a_plugin_whose_output_cannot_be_handed_over_removes_its_socket_all_the_same(short_dir: Path) -> None:
    before = (
        "from doze_sdk.plugin.kernel import _stdio\nclass Broken(_stdio.Output):\n  def drain(self, timeout): 1 / 0\n"
    )
    command = [*ECHO, "--before", before + "_stdio.Output = Broken"]
    with subprocess.Popen(command, env=plugin_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()

        assert process.wait(PATIENCE) == 1
    assert list(short_dir.iterdir()) == []


def test_sigterm_right_after_the_handshake_ends_a_plugin_gracefully() -> None:
    for _ in range(10):
        with subprocess.Popen(ECHO, env=plugin_environment(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            process.terminate()

            assert process.wait(PATIENCE) == 0


def test_sigterm_lets_a_call_in_flight_finish(start: Launch) -> None:
    call = start()
    assert call.plugin.pid is not None
    method = call.plugin.channel.unary_unary(f"/{echo_plugin.SERVICE}/Run")
    future = method.future(b"import time; time.sleep(0.3); answer = 'done'", timeout=PATIENCE)
    time.sleep(0.1)
    os.kill(call.plugin.pid, signal.SIGTERM)

    assert future.result() == b"done"
    assert call.plugin.wait(PATIENCE)
    assert call.plugin.exit_code == 0


def test_a_plugin_may_end_when_an_old_host_closes_its_connection() -> None:
    with subprocess.Popen(
        [*ECHO, "--exit-on-disconnect"], env=plugin_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        main = Path(process.stdout.readline().split("|")[3])
        with grpc.insecure_channel(f"unix:{main}") as channel:
            nothing: SimpleQueue[bytes | None] = SimpleQueue()
            stream = channel.stream_stream("/plugin.GRPCBroker/StartStream")(iter(nothing.get, None))
            assert channel.unary_unary("/test.Plugin/Echo")(b"x", timeout=PATIENCE) == b"x"
            assert process.poll() is None
            stream.cancel()
            nothing.put(None)

        assert process.wait(PATIENCE) == 0
    assert not main.parent.exists()


def test_a_handler_that_hangs_does_not_keep_the_plugin_alive(start: Launch) -> None:
    call = start()
    method = call.plugin.channel.unary_unary(f"/{echo_plugin.SERVICE}/Run")
    method.future(b"import time; time.sleep(60)")
    call("Echo")
    call.plugin.kill()

    assert call.plugin.exit_code == 0


def test_a_plugin_whose_workers_are_all_busy_is_healthy_and_ends_when_it_is_asked_to(
    start: Launch, tmp_path: Path
) -> None:
    call = start("--workers", "2")
    method = call.plugin.channel.unary_unary(f"/{echo_plugin.SERVICE}/Run")
    begun = [tmp_path / "first", tmp_path / "second"]
    calls = [method.future(f"import time; open({str(path)!r}, 'w').close(); time.sleep(60)".encode()) for path in begun]
    until(lambda: all(path.exists() for path in begun), "the calls")
    call.plugin.ping()
    call.plugin.kill()

    assert call.plugin.exit_code == 0
    assert all(one.done() for one in calls)


def test_code_after_serve_runs_when_the_host_ends_the_plugin(start: Launch, tmp_path: Path) -> None:
    call = start("--after", f"open({str(tmp_path / 'ended')!r}, 'w').close()")
    call.plugin.kill()

    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize(
    "ending",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "os._exit(0)",
    ],
)
def test_a_plugin_ends_when_its_host_dies_without_a_word(host: Callable[..., object], ending: str) -> None:
    process, pids = host(ending)  # type: ignore[misc]
    process.wait(PATIENCE)
    until(lambda: not any(map(alive, pids)), "the end of the plugins")


def test_a_plugin_behind_a_wrapper_ends_when_its_host_dies_without_a_word(script: Script) -> None:
    inner = " ".join(ECHO)
    code = HOST.replace("[*ECHO, *sys.argv[1:]]", f"['sh', '-c', '{inner} & echo $! >&2; wait']")
    code = code.replace("versions={1})", "versions={1}, on_log_line=print)")
    with subprocess.Popen(
        script(code + "\nsys.stdin.read()"), stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        pids = [int(line[2:-2]) for line in (process.stdout.readline(), process.stdout.readline())]
        process.stdout.readline()
        process.kill()
    until(lambda: not any(map(alive, pids)), "the end of the plugins")


@pytest.mark.parametrize("mode", ["", "auto_mtls=True", "multiplex=True"])
def test_an_orphan_leaves_no_socket(host: Callable[..., object], short_dir: Path, mode: str) -> None:
    process, pids = host("os.kill(os.getpid(), signal.SIGKILL)", mode=mode)  # type: ignore[misc]
    process.wait(PATIENCE)
    until(lambda: not any(map(alive, pids)), "the end of the plugins")

    assert list(short_dir.iterdir()) == []


def test_a_plugin_can_outlive_its_host(host: Callable[..., object], short_dir: Path) -> None:
    process, pids = host("os.kill(os.getpid(), signal.SIGKILL)", "--outlive-host")  # type: ignore[misc]
    process.wait(PATIENCE)
    time.sleep(0.5)
    living = [pid for pid in pids if alive(pid)]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(map(alive, pids)), "the end of the plugins")
    for folder in short_dir.iterdir():
        folder.rmdir()  # the dead host's

    assert living == pids


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('no more')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", -signal.SIGHUP),
        ("import threading; threading.Thread(target=time.sleep, args=(0.2,)).start()", 0),
    ],
)
def test_every_plugin_is_killed_when_its_host_ends(host: Callable[..., object], ending: str, code: int) -> None:
    process, pids = host(ending, "--outlive-host")  # type: ignore[misc]

    assert process.wait(PATIENCE) == code
    assert not any(map(alive, pids))


def test_a_hosts_own_sigterm_handler_is_left_alone(host: Callable[..., object]) -> None:
    ending = (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    )
    process, pids = host(ending, "--outlive-host")  # type: ignore[misc]

    assert process.wait(PATIENCE) == 5
    assert not any(map(alive, pids))


def test_sigterm_does_what_it_did_before_once_the_last_plugin_is_dead(start: Launch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    start().plugin.kill()

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_forked_process_of_the_host_does_not_kill_its_plugins(host: Callable[..., object]) -> None:
    ending = (
        "import warnings\nwarnings.simplefilter('ignore')\npid = os.fork()\nif pid == 0: sys.exit(0)\n"
        "os.waitpid(pid, 0); plugins[0].ping(); print('alive', flush=True)"
    )
    process, _ = host(ending)  # type: ignore[misc]

    assert process.stdout.readline() == "alive\n"
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("settings", [{}, {"auto_mtls": True}, {"multiplex": True}])
def test_no_descriptor_of_ours_reaches_a_process_that_the_plugin_starts(
    start: Launch, settings: dict[str, bool]
) -> None:
    code = (
        "import os\nr, w = os.pipe()\nif not os.fork():\n  os.dup2(w, 1)\n  os.execvp('ls', ['ls', '/proc/self/fd'])\n"
    )
    code += "os.close(w); answer = os.fdopen(r).read()"
    listed = start(**settings).run(code).split()

    assert listed[:3] == ["0", "1", "2"]
    assert len(listed) == 4  # the fourth is the listing's own


def test_a_grandchild_gets_none_of_the_hosts_pipes(start: Launch) -> None:
    call = start()
    pid = int(call.run("import subprocess; answer = subprocess.Popen(['sleep', '60'], close_fds=False).pid"))
    shared = open_descriptors(pid) & open_descriptors()
    os.kill(pid, signal.SIGKILL)

    assert {item for item in shared if "pipe" in item or "socket" in item} == set()


FORK = "import os, time\npid = os.fork()\nif not pid:\n  time.sleep(60)\n  os._exit(0)\nanswer = pid"


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [({}, []), ({"PLUGIN_MULTIPLEX_GRPC": "true"}, []), ({}, ["--network", "tcp"])],
    ids=["plain", "multiplexed", "tcp"],
)
def test_a_host_sees_the_end_of_a_plugin_whose_forked_child_lives_on(
    variables: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*ECHO, *arguments], env=plugin_environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process, Relay() as relay:
        assert process.stdout is not None
        assert process.stderr is not None
        _, _, network, address, *_ = process.stdout.readline().decode().split("|")
        target = f"unix:{address}" if network == "unix" else address
        if variables:
            target = relay.dial_session(network, address).gateway().target
        with grpc.insecure_channel(target) as channel:
            run = channel.unary_unary(f"/{echo_plugin.SERVICE}/Run")
            child = int(run(FORK.encode(), timeout=PATIENCE))
            begun = tmp_path / "begun"
            hanging = run.future(f"import time; open({str(begun)!r}, 'w').close(); time.sleep(60)".encode())
            until(begun.exists, "the call")
            process.kill()
            process.stdout.read()
            process.stderr.read()
            code = hanging.code()
            living = alive(child)
            os.kill(child, signal.SIGKILL)
    if network == "unix":
        shutil.rmtree(Path(address).parent)  # of a plugin that was killed

    assert living
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "child",
    ["subprocess.Popen(['sleep', '60']).pid", "os.fork()\nif not pid:\n  time.sleep(60)\n  os._exit(0)\n"],
    ids=["execed", "forked"],
)
def test_a_child_that_is_started_before_the_handshake_holds_none_of_the_hosts_pipes(child: str, tmp_path: Path) -> None:
    note = tmp_path / "child"
    code = f"import os, subprocess, time\npid = {child}\nwith open({str(note)!r}, 'w') as file: file.write(str(pid))"
    with subprocess.Popen(
        [*ECHO, "--register", code], env=plugin_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        held = open_descriptors(int(note.read_text()))
        pipes = {
            f"descriptor {Path(f'/proc/self/fd/{end.fileno()}').readlink()}" for end in (process.stdout, process.stderr)
        }
        os.kill(int(note.read_text()), signal.SIGKILL)
        process.terminate()
        process.wait(PATIENCE)

    assert not held & pipes


@pytest.mark.parametrize("end", ["raise RuntimeError('no')", "import sys; sys.exit(3)"])
def test_what_a_plugin_says_before_the_handshake_is_told_of_a_start_that_fails(end: str) -> None:
    code = f"import subprocess; print('said'); subprocess.run(['echo', 'its child said']); {end}"
    with pytest.raises(kernel.PluginExitedError) as caught:
        kernel.launch([*ECHO, "--register", code], echo_plugin.HANDSHAKE, versions={1})

    assert "\n  said\n  its child said" in str(caught.value)


@pytest.mark.parametrize("network", ["unix", "tcp"])
@pytest.mark.parametrize("settings", [{}, {"auto_mtls": True}, {"multiplex": True}])
def test_a_forked_child_has_no_pipe_or_socket_of_ours(start: Launch, settings: dict[str, bool], network: str) -> None:
    call = start("--network", network, **settings)
    broker = call.plugin.broker
    number = broker.next_id()
    broker.accept(number, echo_plugin.serve_back)
    ask = "sys.channel.unary_unary('/test.Back/Back')(b'x', timeout=30)"
    assert call.run(f"import sys; sys.channel = broker.dial({number}); answer = {ask}") == "back:x"
    with broker.dial(int(call.run("answer = broker.accept(broker.next_id(), serve_back).service_id"))) as channel:
        assert channel.unary_unary("/test.Back/Back")(b"y", timeout=PATIENCE) == b"back:y"
        child = int(call.run(FORK))
        until_only_output_is_left(child)
        call.plugin.kill()
    living = alive(child)
    os.kill(child, signal.SIGKILL)

    assert living
    assert call.plugin.exit_code == 0


def until_only_output_is_left(child: int) -> None:
    own = {f"descriptor {Path(f'/proc/{child}/fd/{number}').readlink()}" for number in (1, 2)}
    until(
        lambda: {item for item in open_descriptors(child) if "pipe:" in item or "socket:" in item} == own,
        "the loss of everything but stdout and stderr",
    )


def test_a_forked_child_has_no_connection_to_what_the_host_offered_in_another_folder(
    start: Launch, tmp_path: Path
) -> None:
    call = start()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "offered"))
        listener.listen()
        offers = [("unix", str(tmp_path / "offered")), ("tcp", "nowhere"), ("tcp", "localhost:port")]
        code = "import sys; from doze_sdk.plugin.kernel._codec import ConnInfo\nsys.kept = []\n"
        code += f"for number, offer in enumerate({offers}):\n  broker._take(ConnInfo(number, *offer))\n"
        code += "  sys.kept.append(broker.dial(number))\nsys.kept[0].subscribe(print, try_to_connect=True)"
        call.run(code)
        accepted, _ = listener.accept()
        with accepted:
            child = int(call.run(FORK))
            until_only_output_is_left(child)
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("place", ["database", "relay/s"])
def test_a_forked_child_keeps_the_authors_own_connections_in_the_hosts_folder(short_dir: Path, place: str) -> None:
    path = short_dir / place
    path.parent.mkdir(exist_ok=True)
    environment = plugin_environment(PLUGIN_UNIX_SOCKET_DIR=str(short_dir))
    code = f"import os, socket\ns = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})\npid = os.fork()\n"
    code += "if not pid:\n  try: s.send(b'kept')\n  except OSError: os._exit(1)\n  os._exit(0)\n"
    code += "answer = os.waitpid(pid, 0)[1]"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with subprocess.Popen(ECHO, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            with grpc.insecure_channel("unix:" + process.stdout.readline().split("|")[3]) as channel:
                status = channel.unary_unary(f"/{echo_plugin.SERVICE}/Run")(code.encode(), timeout=PATIENCE)
            process.terminate()
    path.unlink()
    if path.parent != short_dir:
        path.parent.rmdir()

    assert status == b"0"


def test_a_fork_leaves_the_sockets_of_the_plugin_as_they_are(start: Launch) -> None:
    code = "import os, socket\na, b = socket.socketpair(); socket.setdefaulttimeout(10)\npid = os.fork()\n"
    code += "if not pid:\n  os._exit(socket.getdefaulttimeout() != 10)\n"
    code += "answer = os.waitpid(pid, 0)[1], os.get_blocking(a.fileno())"

    assert start().run(code) == "(0, True)"


def test_a_forked_child_can_be_terminated_as_soon_as_it_exists(start: Launch) -> None:
    code = "import multiprocessing, time\nprocess = multiprocessing.get_context('fork').Process(target=time.sleep, "
    code += "args=(60,))\nprocess.start(); process.terminate(); process.join(10); answer = process.exitcode\n"

    assert start().run(code + "process.kill()") == "-15"


def test_an_interrupt_is_not_ignored_by_what_the_plugin_forks(start: Launch) -> None:
    code = "import multiprocessing, os, time\nr, w = os.pipe()\ndef work():\n  os.write(w, b'.'); time.sleep(60)\n"
    code += "process = multiprocessing.get_context('fork').Process(target=work)\nprocess.start(); os.read(r, 1)\n"
    code += "os.kill(process.pid, 2); process.join(10); answer = process.exitcode; process.kill()"

    assert start().run(code) == "1"


FORK_AND_INTERRUPT = """
import os, signal, time
from doze_sdk.plugin.kernel._signals import Signals

signals = Signals()
signals.handle(signal.SIGINT, lambda *_: None)
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))
os.register_at_fork(before=signals.hold, after_in_parent=signals.release, after_in_child=signals.give_back)
child = os.fork()
if child == 0:
    time.sleep(10)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_an_interrupt_that_comes_while_a_child_is_forked_ends_it(script: Callable[[str], list[str]]) -> None:
    result = subprocess.run(script(FORK_AND_INTERRUPT), capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert (result.stdout, result.stderr) == ("-2\n", "")


def test_a_daemonic_forked_child_does_not_keep_the_plugin_alive(start: Launch) -> None:
    call = start()
    code = "import multiprocessing as mp, sys, time\nsys.kept = mp.get_context('fork').Process(target=time.sleep, "
    child = int(call.run(code + "args=(60,), daemon=True)\nsys.kept.start(); answer = sys.kept.pid"))
    call.plugin.kill()
    living = alive(child)
    if living:
        os.kill(child, signal.SIGKILL)

    assert call.plugin.exit_code == 0
    assert not living


def test_a_signal_handler_of_the_authors_own_stays_in_a_forked_child(start: Launch) -> None:
    call = start("--announced", "import os, signal\ndef own(*_): os._exit(7)\nsignal.signal(signal.SIGTERM, own)")
    name = "import signal; answer = signal.getsignal(signal.SIGTERM).__name__"
    until(lambda: call.run(name) == "own", "the handler")
    code = FORK.replace("  time.sleep(60)", "  os.kill(os.getpid(), 15); time.sleep(60)")

    assert call.run(code + "; answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])") == "7"


def test_grpcs_fork_support_is_left_to_the_processes_that_the_plugin_starts(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRPC_ENABLE_FORK_SUPPORT", raising=False)
    assert b"GRPC_ENABLE_FORK_SUPPORT" not in start()("Environment")
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "1")
    assert b"GRPC_ENABLE_FORK_SUPPORT=1" in start()("Environment")


def test_what_a_forked_child_says_and_logs_reaches_the_host(start: Launch) -> None:
    output = bytearray()
    code = "import os, logging, multiprocessing\ndef say():\n  print('said')\n  logging.warning('logged')\n"
    code += "process = multiprocessing.get_context('fork').Process(target=say)\nprocess.start()\n"
    code += "process.join(); answer = process.exitcode"
    call = start(on_stdout=output.extend, on_stderr=output.extend)

    assert call.run(code) == "0"
    until(lambda: b"said" in output and b"logged" in output, "the output")


def test_kill_does_not_wait_for_a_grandchild_that_holds_the_pipes() -> None:
    before = (
        "import subprocess, sys; print(subprocess.Popen(['sleep', '60'], stdout=1).pid, file=sys.stderr, flush=True)"
    )
    plugin = kernel.launch([*ECHO, "--before", before], echo_plugin.HANDSHAKE, versions={1})
    until(lambda: plugin.stderr, "the grandchild's number")
    plugin.kill()
    grandchild = int(plugin.stderr[0])
    living = alive(grandchild)
    os.kill(grandchild, signal.SIGKILL)

    assert living
    assert plugin.exit_code == 0


def test_a_whole_process_group_can_be_killed(start: Launch) -> None:
    call = start(kill_group=True)
    assert call.plugin.pid is not None
    grandchild = int(call.run("import subprocess; answer = subprocess.Popen(['sleep', '60']).pid"))
    os.kill(call.plugin.pid, signal.SIGSTOP)
    call.plugin.kill()
    until(lambda: not alive(grandchild), "the end of the grandchild")


def test_killing_again_or_from_several_threads_is_harmless(start: Launch) -> None:
    from threading import Thread

    plugin = start().plugin
    threads = [Thread(target=plugin.kill) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    plugin.kill()

    assert plugin.exited


def test_a_plugin_killed_by_the_system_leaves_nothing_when_the_host_notices(start: Launch) -> None:
    call = start(auto_mtls=True)
    assert call.plugin.pid is not None
    os.kill(call.plugin.pid, signal.SIGKILL)
    assert call.plugin.wait(PATIENCE)
    call.plugin.kill()

    assert call.plugin.exit_code == -signal.SIGKILL


def test_an_exception_that_nobody_catches_reaches_the_host_as_an_error(
    start: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "doze_sdk.plugin"):
        call = start()
        call.run("import threading; threading.Thread(target=lambda: 1 / 0, name='worker').start()")
        until(lambda: any(r.levelname == "ERROR" for r in caplog.records), "the record")
    record = next(r for r in caplog.records if r.levelname == "ERROR")

    assert record.getMessage() == "uncaught exception in thread worker: ZeroDivisionError: division by zero"
    assert "ZeroDivisionError" in record.__dict__["fields"]["traceback"]


def test_a_crash_in_c_code_leaves_its_stack_on_the_hosts_stderr(start: Launch) -> None:
    call = start()
    with pytest.raises(grpc.RpcError):
        call.run("import faulthandler; faulthandler._sigsegv()")
    assert call.plugin.wait(PATIENCE)
    call.plugin.kill()

    assert call.plugin.exit_code == -signal.SIGSEGV
    assert any("Fatal Python error: Segmentation fault" in line for line in call.plugin.stderr)


def test_a_thousand_calls_leave_no_thread_behind_in_the_plugin(start: Launch) -> None:
    call = start("--workers", "4")
    for _ in range(1000):
        call("Echo", b"x")

    assert int(call.run("import threading; answer = threading.active_count()")) < 12


def test_one_worker_is_enough_beside_the_hosts_streams(start: Launch) -> None:
    call = start("--workers", "1")
    identity = int(call.run("answer = broker.accept(broker.next_id(), serve_back).service_id"))
    with call.plugin.broker.dial(identity) as channel:
        assert channel.unary_unary("/test.Back/Back")(b"x", timeout=PATIENCE) == b"back:x"
    call.plugin.ping()


def test_a_started_plugin_does_not_read_the_hosts_stdin(script: Script) -> None:
    command = script(HOST + "\nprint(sys.stdin.read(), flush=True)")
    result = subprocess.run(command, input="for the host", capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert result.stdout.splitlines()[1] == "for the host"


def test_python_is_told_apart_from_the_plugin_by_its_own_name(start: Launch) -> None:
    plugin = start().plugin

    assert repr(plugin) == f"<Plugin {Path(sys.executable).name!r} ({plugin.pid}) version 1, running>"


def test_a_signal_that_comes_just_before_the_wait_for_the_end_is_not_missed() -> None:
    script = (
        "import os, select, signal; from doze_sdk.plugin.kernel._plugin_process import Ends, Signals;"
        "ends, signals = Ends(), Signals(); ends.end_waits_at(signals);"
        "signals.handle(signal.SIGTERM, lambda *_: None); os.kill(os.getpid(), signal.SIGTERM);"
        "assert select.select([ends.descriptors[0]], [], [], 0)[0]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
