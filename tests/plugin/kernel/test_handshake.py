"""What a plugin says before it serves, and what it loads until then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel
from tests.plugin.kernel.conftest import ECHO, PATIENCE, plugin_environment

if TYPE_CHECKING:
    from collections.abc import Callable

BY_HAND = """\
This binary is a plugin. These are not meant to be executed directly.
Please execute the program that consumes these plugins, which will
load any plugins automatically
"""
MISCONFIGURED = """\
Misconfigured ServeConfig given to serve this plugin: no magic cookie
key or value was set. Please notify the plugin author and report
this as a bug.
"""
LOADED = """
import sys
from doze_sdk.plugin import kernel
before = set(sys.modules)
try:
    kernel.serve(kernel.Handshake(cookie_key="NO_SUCH_COOKIE", cookie_value="x"), versions={1: "no.such:module"})
finally:
    print(*sorted(set(sys.modules) - before))
"""


def first_line(*arguments: str, **variables: str) -> str:
    """Start the echo plugin as a host of another make would; return the line that it announces itself with."""
    with subprocess.Popen(
        [*ECHO, *arguments],
        env=plugin_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=PATIENCE)
        return line


def test_a_plugin_run_by_hand_says_so_in_go_plugins_words_and_exits_with_1() -> None:
    result = subprocess.run(ECHO, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (1, "", BY_HAND)


def test_another_hosts_cookie_is_as_good_as_none() -> None:
    environment = plugin_environment(DOZE_TEST_PLUGIN="something else")
    result = subprocess.run(ECHO, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (result.returncode, result.stderr) == (1, BY_HAND)


@pytest.mark.parametrize("cookie", ["cookie_key='', cookie_value='x'", "cookie_key='X', cookie_value=''"])
def test_a_handshake_without_a_cookie_is_the_authors_mistake(script: Callable[[str], list[str]], cookie: str) -> None:
    command = script(
        f"from doze_sdk.plugin import kernel\nkernel.serve(kernel.Handshake({cookie}), versions={{1: 'a:b'}})"
    )
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (result.returncode, result.stderr) == (1, MISCONFIGURED)


def test_nothing_but_the_handshake_is_loaded_before_the_cookie_was_seen(script: Callable[[str], list[str]]) -> None:
    result = subprocess.run(script(LOADED), capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert result.stdout.split() == ["doze_sdk.plugin.kernel._handshake", "doze_sdk.plugin.kernel._serve"]


def test_importing_the_package_loads_none_of_its_modules() -> None:
    code = "import sys, doze_sdk.plugin.kernel; print(*[m for m in sys.modules if 'kernel._' in m or m == 'grpc'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert result.stdout == "\n"


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(kernel, name) is not None for name in kernel.__all__)
    assert dir(kernel) == kernel.__all__


def test_a_plain_announcement_has_six_fields() -> None:
    fields = first_line().removesuffix("\n").split("|")

    assert fields == ["1", "1", "unix", fields[3], "grpc", ""]


@pytest.mark.parametrize(
    ("value", "field"), [("true", "true"), ("1", "true"), ("false", "false"), ("nonsense", "false")]
)
def test_the_seventh_field_answers_a_host_that_names_multiplexing(value: str, field: str) -> None:
    assert first_line(PLUGIN_MULTIPLEX_GRPC=value).rstrip().split("|")[6:] == [field]


@pytest.mark.parametrize(
    ("own", "offered", "agreed"),
    [
        ("1", "1", "1"),
        ("1,2,3", "2,1,7", "2"),
        ("2,3", "3,2", "3"),
        ("2,3", "7", "2"),  # none in common: the lowest, and the host reports it
        ("2,3", "", "2"),  # a host of 2018
        ("2,3", "x,,3, ", "3"),
        ("1,10", "1_0,1", "1"),  # numbers as Go's Atoi reads them
        ("1,5", " 5,1", "1"),
        ("1,3", "\N{ARABIC-INDIC DIGIT THREE},1", "1"),
        ("1,2", "+2,1", "2"),
    ],
)
def test_the_highest_common_version_is_served_or_else_the_lowest(own: str, offered: str, agreed: str) -> None:
    assert first_line("--versions", own, PLUGIN_PROTOCOL_VERSIONS=offered).split("|")[1] == agreed


def test_a_module_that_prints_while_it_is_registered_does_not_break_the_handshake(
    script: Callable[[str], list[str]],
) -> None:
    command = script(
        "import os\nfrom doze_sdk.plugin import kernel\n"
        "def register(server, broker):\n    print('noise', flush=True); os.system('echo noise')\n"
        "kernel.serve(kernel.Handshake(cookie_key='DOZE_TEST_PLUGIN', cookie_value='5f2b'), versions={1: register})"
    )
    handshake = kernel.Handshake(cookie_key="DOZE_TEST_PLUGIN", cookie_value="5f2b")

    with kernel.launch(command, handshake, versions={1}) as plugin:
        plugin.ping()


def test_a_registration_given_by_its_place_is_imported_after_the_cookie(
    script: Callable[[str], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "lazy_contract.py").write_text("def register(server, broker): pass\n")
    command = script(
        "from doze_sdk.plugin import kernel\n"
        "kernel.serve(kernel.Handshake(cookie_key='K', cookie_value='v'), versions={1: 'lazy_contract:register'})"
    )

    with kernel.launch(command, kernel.Handshake(cookie_key="K", cookie_value="v"), versions={1}) as plugin:
        plugin.ping()


def test_the_sockets_folder_that_the_host_names_is_used_and_left_empty(short_dir: Path) -> None:
    folder = str(short_dir)

    assert first_line(PLUGIN_UNIX_SOCKET_DIR=folder).split("|")[3].startswith(f"{folder}/plugin")
    assert list(short_dir.iterdir()) == []


def test_the_group_that_the_host_names_may_connect() -> None:
    others = {1} if os.geteuid() == 0 else set(os.getgroups()) - {os.getegid()}
    if not others:
        pytest.skip("this account is in one group alone, to which its files belong anyway")
    group = min(others)
    with subprocess.Popen(
        ECHO, env=plugin_environment(PLUGIN_UNIX_SOCKET_GROUP=str(group)), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        path = process.stdout.readline().split("|")[3]
        status = Path(path).stat()
        process.terminate()

    assert (status.st_gid, oct(status.st_mode & 0o777)) == (group, "0o660")


def test_nobody_else_may_connect_unless_the_host_names_a_group() -> None:
    with subprocess.Popen(ECHO, env=plugin_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = process.stdout.readline().split("|")[3]
        socket, folder = Path(path).stat(), Path(path).parent.stat()
        process.terminate()

    assert (oct(socket.st_mode & 0o777), oct(folder.st_mode & 0o777)) == ("0o700", "0o700")


def test_a_tcp_plugin_takes_a_port_of_the_range_that_is_free() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fields = first_line("--network", "tcp", PLUGIN_MIN_PORT=str(port), PLUGIN_MAX_PORT=str(port + 20)).split("|")

    assert fields[2] == "tcp"
    assert port < int(fields[3].removeprefix("127.0.0.1:")) <= port + 20


@pytest.mark.parametrize("multiplex", ["false", "true"])
def test_a_port_on_which_a_connection_has_just_ended_is_free(multiplex: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            listener.accept()[0].close()  # whoever closes first keeps the port in TIME_WAIT
    port = str(address[1])
    variables = {"PLUGIN_MIN_PORT": port, "PLUGIN_MAX_PORT": port, "PLUGIN_MULTIPLEX_GRPC": multiplex}

    assert first_line("--network", "tcp", **variables).split("|")[3] == f"127.0.0.1:{port}"


REFUSED = [
    ({"PLUGIN_MIN_PORT": "x"}, "--network tcp", "PLUGIN_MIN_PORT is 'x', not a number"),
    ({"PLUGIN_MIN_PORT": "1_0"}, "--network tcp", "PLUGIN_MIN_PORT is '1_0', not a number"),
    ({"PLUGIN_MAX_PORT": " 10"}, "--network tcp", "PLUGIN_MAX_PORT is ' 10', not a number"),
    ({"PLUGIN_UNIX_SOCKET_GROUP": "\N{FULLWIDTH DIGIT ZERO}"}, "", "there is no such group on this machine"),
    ({"PLUGIN_MIN_PORT": "9", "PLUGIN_MAX_PORT": "8"}, "--network tcp", "is no range of ports"),
    ({"PLUGIN_MIN_PORT": "70000", "PLUGIN_MAX_PORT": "70001"}, "--network tcp", "is no range of ports"),
    ({}, "--network pigeon", "the network must be 'unix' or 'tcp', got 'pigeon'"),
    ({"PLUGIN_UNIX_SOCKET_DIR": "/no/such/folder"}, "", "the folder does not exist"),
    ({"PLUGIN_UNIX_SOCKET_DIR": "/" + "x" * 120}, "", "a unix socket's path may have 107"),
    ({"PLUGIN_UNIX_SOCKET_GROUP": "no-such-group"}, "", "there is no such group on this machine"),
    ({"PLUGIN_UNIX_SOCKET_GROUP": "99999999999"}, "", "a group's number is at most 4294967294"),
    ({"PLUGIN_CLIENT_CERT": "nonsense"}, "", "expected a PEM certificate"),
]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("versions={}", "no version of the contract was given"),
        ("versions={1: None}", "versions has 1: None; expected a number and a function"),
        ("versions={'1': print}", "versions has '1': <built-in function print>; expected a number"),
        ("versions={1: lambda *_: None}, max_workers=0", "max_workers=0: calls need at least one thread"),
        ("versions={1: print}, log_level='BOGUS'", "log_level='BOGUS' is no level of logging"),
        ("versions={1: print}, log_level=1.5", "log_level=1.5 is no level of logging"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_log_record_and_exit_code_1(
    script: Callable[[str], list[str]], settings: str, words: str
) -> None:
    command = script(
        "from doze_sdk.plugin import kernel\n"
        f"kernel.serve(kernel.Handshake(cookie_key='DOZE_TEST_PLUGIN', cookie_value='5f2b'), {settings})"
    )
    result = subprocess.run(
        command, env=plugin_environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    record = kernel.parse_log_line(result.stderr.strip().encode())

    assert (result.returncode, result.stdout, record.levelname) == (1, "", "ERROR")
    assert words in record.getMessage()


@pytest.mark.parametrize(("variables", "arguments", "words"), REFUSED)
def test_variables_that_cannot_be_served_are_refused_with_a_log_record_and_exit_code_1(
    variables: dict[str, str], arguments: str, words: str
) -> None:
    command = [*ECHO, *arguments.split()]
    environment = plugin_environment(**variables)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    record = kernel.parse_log_line(result.stderr.strip().encode())

    assert (result.returncode, result.stdout, record.levelname) == (1, "", "ERROR")
    assert words in record.getMessage()
