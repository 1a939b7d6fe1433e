"""What a host does about a plugin that cannot be used: a typed error with a sentence, in time, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import grpc
import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._tls import generate
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Launch, alive, until

Script = Callable[[str], list[str]]

CERTIFICATE = "A" * 400
LINES = {
    "1": (kernel.HandshakeError, "must be a handshake such as"),
    "1|1": (kernel.HandshakeError, "must be a handshake such as"),
    "1|1|unix": (kernel.HandshakeError, "must be a handshake such as"),
    "1|1|unix|/tmp/x": (kernel.UnsupportedPluginError, "unsupported plugin protocol 'netrpc'"),
    "1|1|unix|/tmp/x|netrpc": (kernel.UnsupportedPluginError, "this host speaks gRPC alone"),
    "1|1|unix|/tmp/x|http": (kernel.UnsupportedPluginError, "unsupported plugin protocol 'http'"),
    "2|1|unix|/tmp/x|grpc|": (kernel.IncompatibleVersionError, "version 2 of go-plugin's own protocol"),
    "1|2|unix|/tmp/x|grpc|": (
        kernel.IncompatibleVersionError,
        "Plugin version: 2, Client versions: [1]; upgrade the host",
    ),
    "1|0|unix|/tmp/x|grpc|": (kernel.IncompatibleVersionError, "upgrade the plugin"),
    "1|x|unix|/tmp/x|grpc|": (kernel.HandshakeError, "must be a version number, got 'x'"),
    "one|1|unix|/tmp/x|grpc|": (kernel.HandshakeError, "must be a handshake such as"),
    "1|1|udp|127.0.0.1:1|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|tcp|127.0.0.1|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|tcp|127.0.0.1:http|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|tcp|127.0.0.1:99999|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    f"1|1|tcp|127.0.0.1:{'9' * 5000}|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    f"1|1|{'u' * 5000}|/tmp/x|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    f"1|1|unix|/tmp/x|{'g' * 5000}|": (kernel.UnsupportedPluginError, "this host speaks gRPC alone"),
    f"{'9' * 5000}|1|unix|/tmp/x|grpc|": (kernel.HandshakeError, "must be a handshake such as"),
    f"1|{'9' * 5000}|unix|/tmp/x|grpc|": (kernel.HandshakeError, "must be a version number"),
    f"1|{'9' * 4000}|unix|/tmp/x|grpc|": (kernel.HandshakeError, "must be a version number"),
    "1|1|tcp|127.0.0.1\x00x:80|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|unix|/tmp/a\x00b|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|unix|/tmp/a\x1bb|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|unix|/tmp/a\udcff|grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    "1|1|unix||grpc|": (kernel.HandshakeError, "'unix' and a path or 'tcp' and host:port"),
    f"1|1|unix|/tmp/x|grpc|{CERTIFICATE}": (kernel.CertificateError, "this host did not ask for AutoMTLS"),
    "": (kernel.HandshakeError, "got ''"),
    "|||||||||": (kernel.HandshakeError, "must be a handshake such as"),
    "\x00\x01 1|1|unix": (kernel.HandshakeError, "must be a handshake such as"),
    "Starting up!": (kernel.HandshakeError, "nothing may print to stdout before the plugin serves"),
}


def saying(script: Script, line: str) -> list[str]:
    return script(f"import os, time\nos.write(1, {os.fsencode(line)!r} + b'\\n')\ntime.sleep(60)")


def failing(command: list[str], **settings: object) -> kernel.PluginError:
    settings.setdefault("versions", {1})
    with pytest.raises(kernel.PluginError) as caught:
        kernel.launch(command, echo_plugin.HANDSHAKE, **settings)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_handshake_that_cannot_be_used_is_refused_with_its_reason(script: Script, line: str) -> None:
    kind, words = LINES[line]
    error = failing(saying(script, line))

    assert type(error) is kind
    assert words in str(error)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    "rest", ["", "|", "||", "|||x", "|short", "||true", "||false", "||nonsense|more", "||true|8|9"]
)
def test_a_handshake_of_five_to_nine_fields_is_understood(script: Script, rest: str) -> None:
    command = saying(script, f"1|1|unix|/tmp/no-such-socket|grpc{rest}")

    with kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}) as plugin:
        assert plugin.version == 1


def test_a_multiplexing_host_refuses_a_plugin_that_does_not_multiplex(script: Script) -> None:
    absent = failing(saying(script, "1|1|unix|/tmp/x|grpc|"), multiplex=True)
    denied = failing(saying(script, "1|1|unix|/tmp/x|grpc||false"), multiplex=True)

    assert (type(absent), type(denied)) == (kernel.UnsupportedPluginError, kernel.UnsupportedPluginError)
    assert "rebuild it" in str(absent)
    assert "rebuild it" not in str(denied)


def test_a_host_with_automtls_refuses_a_plugin_without_a_certificate(script: Script) -> None:
    error = failing(saying(script, "1|1|unix|/tmp/x|grpc|"), auto_mtls=True)

    assert type(error) is kernel.CertificateError
    assert "did not answer with a certificate" in str(error)


def test_a_certificate_that_is_none_is_refused(script: Script) -> None:
    error = failing(saying(script, f"1|1|unix|/tmp/x|grpc|{CERTIFICATE}"), auto_mtls=True)

    assert type(error) is kernel.CertificateError


MTLS = {"auto_mtls": True}
MUX = {"multiplex": True}


@pytest.mark.parametrize("mode", [{}, MTLS, MUX, MTLS | MUX], ids=["plain", "mtls", "mux", "both"])
def test_a_socket_path_that_is_too_long_is_refused(script: Script, mode: dict[str, bool]) -> None:
    certificate = generate().field if "auto_mtls" in mode else ""
    error = failing(saying(script, f"1|1|unix|/tmp/{'a' * 200}|grpc|{certificate}|true"), **mode)

    assert type(error) is kernel.HandshakeError
    assert "the path has 205 bytes" in str(error)
    assert "the folder that PLUGIN_UNIX_SOCKET_DIR names" in str(error)


@pytest.mark.parametrize("seconds", [math.inf, 1e10])
def test_a_plugin_may_have_all_the_time_in_the_world_to_start(start: Launch, seconds: float) -> None:
    assert start(start_timeout=seconds)("Echo", b"x") == b"x"


def test_no_number_is_no_time_to_start() -> None:
    with pytest.raises(kernel.StartTimeoutError, match="within nan s"):
        kernel.launch(["sleep", "60"], echo_plugin.HANDSHAKE, versions={1}, start_timeout=math.nan)


def test_a_megabyte_without_a_newline_is_refused_with_its_beginning(script: Script) -> None:
    error = failing(script("import sys, time\nsys.stdout.write('x' * 2**20)\nsys.stdout.flush()\ntime.sleep(60)"))

    assert type(error) is kernel.HandshakeError
    assert len(str(error)) < 1000


def test_a_slow_drip_ends_at_the_time_limit(script: Script) -> None:
    drip = "import sys, time\nwhile True:\n  sys.stdout.write('1')\n  sys.stdout.flush()\n  time.sleep(0.02)"
    error = failing(script(drip), start_timeout=0.5)

    assert type(error) is kernel.StartTimeoutError
    assert "timeout while waiting for plugin" in str(error)


def test_a_plugin_that_hangs_at_start_is_killed_at_the_time_limit_and_quoted(script: Script) -> None:
    command = script("import sys, time\nprint('waiting for the moon', file=sys.stderr, flush=True)\ntime.sleep(60)")
    error = failing(command, start_timeout=0.5)

    assert type(error) is kernel.StartTimeoutError
    assert error.stderr == ("waiting for the moon",)
    assert "waiting for the moon" in str(error)


def test_a_plugin_that_dies_at_start_is_quoted_with_its_exit_code(script: Script) -> None:
    error = failing(script("import sys\nprint('no licence', file=sys.stderr)\nsys.exit(7)"))

    assert isinstance(error, kernel.PluginExitedError)
    assert (error.exit_code, error.stderr) == (7, ("no licence",))
    assert "exited before we could connect: its exit code is 7" in str(error)
    assert "no licence" in str(error)


def test_a_plugin_that_is_killed_at_start_is_reported_with_the_signal(script: Script) -> None:
    error = failing(script("import os\nos.kill(os.getpid(), 11)"))

    assert isinstance(error, kernel.PluginExitedError)
    assert error.exit_code == -signal.SIGSEGV
    assert "it was killed by SIGSEGV" in str(error)


def test_an_author_whose_module_fails_to_import_is_shown_the_traceback(script: Script) -> None:
    command = script(
        "from doze_sdk.plugin import kernel\n"
        "def register(server, broker): import no_such_module\n"
        "kernel.serve(kernel.Handshake(cookie_key='DOZE_TEST_PLUGIN', cookie_value='5f2b'), versions={1: register})"
    )
    error = failing(command)

    assert isinstance(error, kernel.PluginExitedError)
    assert error.exit_code == 1
    assert "[ERROR] uncaught exception: ModuleNotFoundError: No module named 'no_such_module'" in error.stderr
    assert any(command[1] in line for line in error.stderr)


def test_a_plugin_that_dies_leaves_its_grandchild_the_pipes_and_is_reported_at_once(script: Script) -> None:
    code = "import subprocess, sys\nprint(subprocess.Popen(['sleep', '60']).pid, file=sys.stderr)\nsys.exit(3)"
    error = failing(script(code))
    os.kill(int(error.stderr[0]), signal.SIGKILL)

    assert isinstance(error, kernel.PluginExitedError)
    assert error.exit_code == 3


def test_a_plugin_that_closes_its_stdout_is_refused(script: Script) -> None:
    error = failing(script("import os, time\nos.close(1)\ntime.sleep(60)"))

    assert type(error) is kernel.HandshakeError
    assert "closed its stdout without announcing itself" in str(error)


def test_a_handshake_without_a_newline_counts_when_stdout_ends(script: Script) -> None:
    command = script("import os, time\nos.write(1, b'1|1|unix|/tmp/x|grpc|')\nos.close(1)\ntime.sleep(60)")

    with kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}) as plugin:
        assert plugin.version == 1


def test_a_program_that_does_not_exist_is_named() -> None:
    error = failing(["/no/such/plugin"])

    assert type(error) is kernel.CommandError
    assert str(error).startswith("cannot start plugin '/no/such/plugin': there is no such program")


def test_a_program_that_is_not_executable_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_text("#!/bin/sh\n")
    error = failing([str(path)])

    assert type(error) is kernel.CommandError
    assert "it is not executable by this user" in str(error)


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_bytes(b"\x7fNOT A PROGRAM")
    path.chmod(0o755)
    error = failing([str(path)])

    assert type(error) is kernel.CommandError
    assert "it is not a program for this machine" in str(error)


def test_a_program_whose_interpreter_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    error = failing([str(path)])

    assert type(error) is kernel.CommandError
    assert "the interpreter or loader that it names does not" in str(error)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_working_folder_that_does_not_exist_is_named(kind: type[str | Path]) -> None:
    error = failing(ECHO, cwd=kind("/no/such/folder"))

    assert type(error) is kernel.CommandError
    assert "the working folder '/no/such/folder' does not exist" in str(error)


@contextlib.contextmanager
def free_descriptors(number: int) -> Iterator[None]:
    """Leave this process as many descriptors to open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        for _ in range(number):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in held:
            os.close(descriptor)


def test_a_host_without_enough_descriptors_is_told_so_and_nothing_is_left() -> None:
    failing(["false"])  # all that is imported for it has been
    errors = []
    for number in range(8):
        with free_descriptors(number):
            errors.append(failing(["false"]))

    assert {type(error) for error in errors} == {kernel.CommandError}
    assert all("Too many open files; close some, or allow more (ulimit -n)" in str(error) for error in errors)


def test_variables_that_are_no_text_are_refused_and_nothing_is_left() -> None:
    error = failing(ECHO, env={"ANSWER": 42})

    assert type(error) is kernel.CommandError
    assert "expected str, bytes or os.PathLike object, not int" in str(error)


def test_an_interrupt_while_a_process_is_started_leaves_nothing(short_dir: Path) -> None:
    class Interrupted(dict[str, str]):
        def items(self) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernel.ProcessRunner(ECHO).start(Interrupted(A="b"), str(short_dir))


@pytest.mark.parametrize("command", ["plugin", b"plugin", [], Path("plugin"), None])
def test_a_command_must_be_a_list(command: object) -> None:
    with pytest.raises(kernel.CommandError, match="must be a list of the program and its arguments"):
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1})  # type: ignore[arg-type]


def test_a_host_without_versions_is_refused() -> None:
    assert "pass versions={1}" in str(failing(ECHO, versions=()))


def test_the_agreed_version_is_the_hosts_to_read(start: Launch) -> None:
    call = start("--versions", "1,2,3", versions={2, 1, 9})

    assert (call.plugin.version, call("Version")) == (2, b"2")


def test_a_plugin_of_another_version_is_refused() -> None:
    error = failing([*ECHO, "--versions", "4"], versions={1, 2})

    assert type(error) is kernel.IncompatibleVersionError
    assert "incompatible API version with plugin. Plugin version: 4, Client versions: [1, 2]" in str(error)


def test_a_plugin_sees_the_hosts_environment_and_what_is_added(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    variables = start(env={"ADDED": "2"})("Environment").decode().split("\0")

    assert {"OF_THE_HOST=1", "ADDED=2"} <= set(variables)


def test_a_plugin_can_be_given_nothing_of_the_hosts_environment(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    variables = start(inherit_env=False, env={"PATH": os.environ["PATH"]})("Environment").decode().split("\0")

    assert "OF_THE_HOST=1" not in variables


def test_a_nested_plugin_gets_nothing_that_was_meant_for_the_outer_one(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_CLIENT_CERT", "another host's")
    monkeypatch.setenv("PLUGIN_MULTIPLEX_GRPC", "true")
    monkeypatch.setenv("PLUGIN_UNIX_SOCKET_DIR", "/no/such/folder")
    monkeypatch.setenv("PLUGIN_UNIX_SOCKET_GROUP", "no-such-group")

    assert start()("Echo", b"x") == b"x"


def test_no_process_of_a_plugin_sees_what_the_host_said_to_it(start: Launch) -> None:
    variables = start(auto_mtls=True, multiplex=True)("Environment").decode().split("\0")

    assert [name for name in variables if name.startswith(("PLUGIN_", "DOZE_TEST_PLUGIN="))] == []


def test_messages_may_have_any_size_in_both_directions(start: Launch) -> None:
    message = os.urandom(1 << 20) * 50

    assert start()("Echo", message) == message


def test_a_proxy_in_the_environment_is_not_asked_for_a_plugin_on_tcp(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")

    assert start("--network", "tcp")("Echo", b"x") == b"x"


def test_what_a_plugin_logs_arrives_with_its_level_and_fields(start: Launch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "doze_sdk.plugin"):
        call = start()
        call.run("import logging; logging.getLogger('kv').warning('disk %d%% full', 91, extra={'disk': 'sda'})")
        until(lambda: any(r.name.endswith(".kv") for r in caplog.records), "the record")
    record = next(r for r in caplog.records if r.name.endswith(".kv"))

    assert (record.levelname, record.getMessage()) == ("WARNING", "disk 91% full")
    assert record.__dict__["fields"] == {"disk": "sda"}


def test_each_raw_line_of_stderr_can_be_had(start: Launch) -> None:
    lines: list[bytes] = []
    call = start(on_log_line=lines.append)
    call.run("import logging; logging.error('once')")
    until(lambda: lines, "the line")

    assert json.loads(lines[0])["@message"] == "once"


def test_a_function_for_lines_that_fails_does_not_stop_the_reading(
    start: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_line: bytes) -> None:
        raise RuntimeError("no room")

    call = start(on_log_line=fail)
    call.run("import logging\nfor number in range(2000): logging.error('x' * 500)")

    assert call("Echo", b"still here") == b"still here"


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> NoReturn:
        raise KeyError(record.msg)


FULL_PIPE = "for _ in range(300): os.write(2, b'x' * 999 + b'\\n')\n"


@pytest.fixture(params=["filter", "handler"])
def raising_logger(request: pytest.FixtureRequest) -> logging.Logger:
    logger = logging.Logger("theirs")  # noqa: LOG001  (one that nobody else has)
    if request.param == "filter":
        logger.addFilter(Raising().emit)
    else:
        logger.addHandler(Raising())
    return logger


def test_a_filter_or_handler_that_raises_does_not_stop_the_reading(
    script: Script, capsys: pytest.CaptureFixture[str], raising_logger: logging.Logger
) -> None:
    code = "import os\nos.write(2, b'first\\n')\nprint('1|1|unix|/tmp/x|grpc|', flush=True)\n"
    plugin = kernel.launch(script(code + FULL_PIPE), echo_plugin.HANDSHAKE, versions={1}, logger=raising_logger)
    ended = plugin.wait(PATIENCE)
    plugin.kill()

    assert (ended, plugin.exit_code) == (True, 0)
    assert "KeyError: 'first'" in capsys.readouterr().err


def test_a_filter_or_handler_that_raises_does_not_spare_a_frozen_plugin(
    start: Launch, capsys: pytest.CaptureFixture[str], raising_logger: logging.Logger
) -> None:
    plugin = start(logger=raising_logger).plugin
    assert plugin.pid is not None
    os.kill(plugin.pid, signal.SIGSTOP)
    plugin.kill()

    assert plugin.exit_code == -signal.SIGKILL
    assert "failed to exit gracefully" in capsys.readouterr().err


@pytest.mark.usefixtures("capsys")
def test_a_filter_or_handler_that_raises_beside_the_function_for_output_does_not_end_the_output(
    start: Launch, raising_logger: logging.Logger
) -> None:
    taken: list[bytes] = []

    def fail(data: bytes) -> NoReturn:
        taken.append(data)
        raise RuntimeError("no room")

    call = start(logger=raising_logger, on_stdout=fail)
    for number in range(3):
        call.run(f"import os; os.write(1, b'{number}')")
        until(lambda: len(taken) > number, "the output")  # noqa: B023  (it is called at once)

    assert taken == [b"0", b"1", b"2"]


def test_a_line_with_an_endless_number_does_not_stop_the_reading(script: Script) -> None:
    line = json.dumps({"@level": "info", "@message": "m", "@caller": "x:" + "9" * 5000})
    code = f"import os\nprint('1|1|unix|/tmp/x|grpc|', flush=True)\nos.write(2, b'{line}\\n')\n"
    plugin = kernel.launch(script(code + FULL_PIPE), echo_plugin.HANDSHAKE, versions={1})
    ended = plugin.wait(PATIENCE)
    plugin.kill()

    assert (ended, plugin.exit_code) == (True, 0)


def test_the_context_manager_kills_the_plugin() -> None:
    with kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}) as plugin:
        pid = plugin.pid

    assert pid is not None
    assert not alive(pid)
    assert (plugin.exited, plugin.exit_code) == (True, 0)


def test_a_killed_plugins_channel_is_closed_and_ping_says_so() -> None:
    with kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}) as plugin:
        plugin.ping()

    with pytest.raises(kernel.PluginError, match="does not answer"):
        plugin.ping()


def test_a_plugin_that_crashes_is_known_to_have_ended(start: Launch) -> None:
    call = start()
    with pytest.raises(grpc.RpcError):
        call.run("import os; os._exit(9)")

    assert call.plugin.wait(10)
    assert (call.plugin.exited, call.plugin.exit_code) == (True, 9)


def test_a_plugin_without_go_plugins_services_is_ended_all_the_same(script: Script) -> None:
    command = script(
        "import grpc, os, time\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "server = grpc.server(ThreadPoolExecutor(2))\npath = os.environ['PLUGIN_UNIX_SOCKET_DIR'] + '/bare'\n"
        "server.add_insecure_port('unix:' + path)\nserver.start()\n"
        "print(f'1|1|unix|{path}|grpc|', flush=True)\ntime.sleep(60)"
    )
    plugin = kernel.launch(command, echo_plugin.HANDSHAKE, versions={1})
    with pytest.raises(kernel.PluginError, match="UNIMPLEMENTED"):
        plugin.ping()
    plugin.kill()

    assert plugin.exit_code == -signal.SIGKILL


def test_a_program_on_path_is_found() -> None:
    with kernel.launch(["env", *ECHO], echo_plugin.HANDSHAKE, versions={1}) as plugin:
        plugin.ping()


def test_a_frozen_plugin_is_killed_in_bounded_time(start: Launch) -> None:
    call = start()
    assert call.plugin.pid is not None
    os.kill(call.plugin.pid, signal.SIGSTOP)
    call.plugin.kill()

    assert call.plugin.exit_code == -signal.SIGKILL


def test_whoever_reads_a_plugins_stderr_late_leaves_no_pipe_of_it(start: Launch) -> None:
    """The fixture that looks for leftovers judges."""
    go_on = threading.Event()
    caller = start(on_log_line=lambda _line: go_on.wait(PATIENCE))
    caller.run("import logging\nlogging.getLogger('late').warning('held')")

    caller.plugin.kill()
    go_on.set()
