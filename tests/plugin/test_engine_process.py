"""A module as a real process, launched and asked over gRPC."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doze_sdk.engine import (
    DecodeRequest,
    Dep,
    Endpoint,
    Instance,
    Lock,
    LockEntry,
    NoMirror,
    Object,
    Pin,
    Platform,
    SpawnPlan,
    Toolchain,
    Version,
    capabilities,
    decode,
    encode_spec,
)
from doze_sdk.plugin import RemoteDriver, RemoteError, kernel, launch
from tests.modules.everything.driver import EXAMPLE, Everything

ROOT = Path(__file__).parents[2]
PLATFORM = Platform(os="linux", arch="amd64", triple="x86_64-unknown-linux-gnu")
TOOLCHAIN = Toolchain(engine="everything", full="2.0.1", bin_dir=Path("/opt/2.0.1/bin"), tools={"ctl": Path("/c")})
ENDPOINT = Endpoint(tcp_addr="127.0.0.1:7000", backend=Path("/tmp/s.5432"))


def module(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.modules.{name}"]


def run(name: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DOZE_HOME": str(home)}
    return subprocess.run(
        [*module(name), *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def plugin(short_dir: Path) -> Iterator[RemoteDriver]:
    with launch(module("everything"), cwd=ROOT, env={"DOZE_HOME": str(short_dir)}) as driver:
        yield driver


def request(text: str = EXAMPLE, **fields: object) -> DecodeRequest:
    known = {"block_type": "everything", "block_label": "all", "base_dir": Path("/base"), "version": Version("2")}
    return DecodeRequest(file=text.encode(), filename="doze.hcl", **{**known, **fields})


def pair(plugin: RemoteDriver, data: Path) -> tuple[Instance[bytes], Instance[object]]:
    """The same instance for the plugin and for a driver in this process."""
    fields = {
        "name": "all",
        "type": "everything",
        "version": Version("2"),
        "data_dir": data,
        "socket_dir": Path("/tmp/sock"),
        "port": 5432,
        "endpoint": ENDPOINT,
        "deps": {"d": Dep(name="d", engine="x", url="x://")},
    }
    spec = decode(Everything(), request())
    return Instance(spec=plugin.decode(request()), **fields), Instance(spec=spec, **fields)


# -- every call, compared with the same driver in this process


def test_a_plugin_advertises_what_its_driver_offers(plugin: RemoteDriver) -> None:
    assert capabilities(plugin) == capabilities(Everything())
    assert plugin.type == "everything"


def test_a_block_decodes_to_the_same_bytes_over_grpc(plugin: RemoteDriver) -> None:
    assert plugin.decode(request()) == encode_spec(decode(Everything(), request()))


def test_resolve_carries_the_lock_there_and_back(plugin: RemoteDriver) -> None:
    entries = [LockEntry(engine="everything", spec="2", pin=Pin(resolved="2.9", hashes={"other": "sha256:11"}))]
    ours, theirs = Lock(entries), Lock(entries)

    expected = Everything().resolve(Version("2"), PLATFORM, ours, NoMirror())

    assert plugin.resolve(Version("2"), PLATFORM, theirs, NoMirror()) == expected
    assert theirs.recorded == ours.recorded


def test_boot_calls_have_the_same_effects_and_answers(plugin: RemoteDriver, tmp_path: Path) -> None:
    driver = Everything()
    here, there = tmp_path / "here", tmp_path / "there"
    remote, _ = pair(plugin, there)
    _, local = pair(plugin, here)
    removed = [Object(kind="item", name="gone", hash="h")]
    for subject, instance in ((plugin, remote), (driver, local)):
        subject.provision(instance, TOOLCHAIN)
        subject.pre_start(instance)
        subject.converge(instance, TOOLCHAIN, ENDPOINT)
        subject.post_start(instance)
        subject.prune(instance, TOOLCHAIN, ENDPOINT, removed)
        subject.pre_stop(instance)

    files = [{file.name: file.read_text() for file in folder.iterdir()} for folder in (here, there)]

    assert files[0] == files[1]
    assert plugin.provisioned(there) is driver.provisioned(here) is True
    assert plugin.provisioned(tmp_path / "nothing") is driver.provisioned(tmp_path / "nothing") is False


def test_a_plan_crosses_whole_but_for_the_plugins_own_variables(plugin: RemoteDriver, tmp_path: Path) -> None:
    remote, local = pair(plugin, tmp_path)
    expected = Everything().plan(local, TOOLCHAIN)

    plan = plugin.plan(remote, TOOLCHAIN)

    assert [spec.env for spec in plan.specs] == [(), ("GREETING=hello",)]
    assert _comparable(plan) == _comparable(expected)


def _comparable(plan: SpawnPlan) -> list[tuple[object, ...]]:
    return [(s.name, str(s.bin), s.args, s.dir, s.tree, s.after, s.ready, s.hooks) for s in plan.specs]


def test_templates_are_made_and_cloned_in_the_plugin(plugin: RemoteDriver, tmp_path: Path) -> None:
    plugin.ensure_template(TOOLCHAIN, tmp_path / "template")
    plugin.clone_template(tmp_path / "template", tmp_path / "data")

    assert (tmp_path / "data" / "greeting").read_text() == "2.0.1"


def test_calls_about_a_running_instance_give_the_same_answers(plugin: RemoteDriver, tmp_path: Path) -> None:
    driver = Everything()
    remote, local = pair(plugin, tmp_path)

    assert plugin.backend_socket(Path("/s"), 5432) == driver.backend_socket(Path("/s"), 5432)
    assert plugin.conn_string(remote, ENDPOINT) == driver.conn_string(local, ENDPOINT)
    assert plugin.attributes(remote, ENDPOINT) == driver.attributes(local, ENDPOINT)
    assert plugin.backend_url(remote) == driver.backend_url(local)
    assert plugin.supervised(remote) is driver.supervised(local)
    assert plugin.restart_policy(remote) == driver.restart_policy(local)
    assert plugin.advertised_addr(remote) == driver.advertised_addr(local)
    assert plugin.objects(remote) == driver.objects(local)
    assert plugin.resources(remote, ENDPOINT) == driver.resources(local, ENDPOINT)
    assert plugin.actions() == driver.actions()
    assert plugin.run(remote, ENDPOINT, "drop", "one", "old") == driver.run(local, ENDPOINT, "drop", "one", "old")
    plugin.check_health(remote)
    assert plugin.wire_addr().is_socket()


# -- errors


def test_a_wrong_block_is_refused_with_every_problem_and_its_line(plugin: RemoteDriver) -> None:
    text = EXAMPLE.replace('greeting = "hello"', 'greting = "hello"\n  sick = []')

    with pytest.raises(RemoteError) as caught:
        plugin.decode(request(text))

    message = str(caught.value)
    assert 'doze.hcl:4,3-10: Unsupported argument; An argument named "greting" is not expected here.' in message
    assert 'Did you mean "greeting"?' in message
    assert "doze.hcl:5,10-11: Unsuitable value type; Unsuitable value: string required, but have tuple" in message
    assert "sick = []" in message, "the source line is shown"


def test_a_driver_that_raises_tells_its_message_and_the_authors_line_and_goes_on(plugin: RemoteDriver) -> None:
    remote, _ = pair(plugin, Path("/nonexistent"))

    with pytest.raises(RemoteError) as caught:
        plugin.converge(remote, TOOLCHAIN, ENDPOINT)

    line = next(n for n, text in enumerate(_driver_lines(), 1) if '"converged").write_text' in text)
    assert "FileNotFoundError" in str(caught.value)
    assert f"tests/modules/everything/driver.py:{line}" in str(caught.value)
    assert plugin.actions(), "the plugin goes on serving"


def _driver_lines() -> list[str]:
    return (ROOT / "tests" / "modules" / "everything" / "driver.py").read_text().splitlines()


def test_the_traceback_of_a_driver_goes_to_the_log_file(plugin: RemoteDriver, short_dir: Path) -> None:
    remote, _ = pair(plugin, Path("/nonexistent"))
    with pytest.raises(RemoteError):
        plugin.converge(remote, TOOLCHAIN, ENDPOINT)

    text = "".join(file.read_text() for file in (short_dir / "logs").iterdir())

    assert "Traceback (most recent call last)" in text
    assert "in converge" in text


def test_a_drivers_exception_is_a_record_in_the_hosts_log(
    plugin: RemoteDriver, caplog: pytest.LogCaptureFixture
) -> None:
    remote, _ = pair(plugin, Path("/nonexistent"))
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError):
        plugin.converge(remote, TOOLCHAIN, ENDPOINT)
    plugin.close()

    assert any(record.levelno == logging.ERROR and "Converge failed" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cannot_import", ["cannot be imported", "nothing_of_that_name", "cannot_import/driver.py:3"]),
        ("lacks_methods", ["lacks", "plan()", "provision()"]),
    ],
)
def test_a_driver_that_cannot_be_loaded_is_served_with_its_real_error(
    name: str, words: list[str], short_dir: Path
) -> None:
    with launch(module(name), cwd=ROOT, env={"DOZE_HOME": str(short_dir)}) as driver:
        with pytest.raises(RemoteError) as caught:
            driver.decode(request())

        assert [word for word in words if word not in str(caught.value)] == []
        assert driver.advertised == {"versionless"}, "the host would ask for a version before it asks for the error"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("prints_before_serving", kernel.HandshakeError, ["loading config", "stdout"]),
        ("dies_at_start", kernel.PluginExitedError, ["the licence server is down", "exit code"]),
        ("speaks_version_2", kernel.IncompatibleVersionError, ["2", "version"]),
    ],
)
def test_each_way_to_fail_at_start_has_its_own_sentence(
    name: str, error: type[Exception], words: list[str], short_dir: Path
) -> None:
    with pytest.raises(error) as caught:
        launch(module(name), cwd=ROOT, env={"DOZE_HOME": str(short_dir)})

    assert [word for word in words if word not in str(caught.value)] == []


def test_a_plugin_that_hangs_at_start_is_given_up_and_ended(short_dir: Path) -> None:
    with pytest.raises(kernel.StartTimeoutError):
        launch(module("hangs_at_start"), cwd=ROOT, start_timeout=1, env={"DOZE_HOME": str(short_dir)})

    assert not any(_environment(process).count(f"DOZE_HOME={short_dir}") for process in Path("/proc").glob("[0-9]*"))


SILENT = """
import grpc, threading
from doze_sdk.plugin import HANDSHAKE, PROTOCOL_VERSION, kernel

def answer(request, context):
    threading.Event().wait()

def register(server, broker):
    methods = {"Type": grpc.unary_unary_rpc_method_handler(answer)} if %r else {}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("dozeplugin.v1.Engine", methods),))

kernel.serve(HANDSHAKE, versions={PROTOCOL_VERSION: register})
"""


@pytest.mark.parametrize(("has_type", "code"), [(True, "DEADLINE_EXCEEDED"), (False, "UNIMPLEMENTED")])
def test_a_plugin_that_never_names_its_engine_is_given_up_and_ended(
    has_type: bool, code: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_dir))
    with pytest.raises(kernel.PluginError, match=f"does not name its engine type: {code}"):
        launch([sys.executable, "-c", SILENT % has_type], start_timeout=3)

    assert list(short_dir.iterdir()) == []


def test_a_plugin_may_have_all_the_time_in_the_world(short_dir: Path) -> None:
    env = {"DOZE_HOME": str(short_dir)}
    with launch(module("everything"), cwd=ROOT, env=env, start_timeout=float("inf")) as driver:
        assert driver.type == "everything"


def test_a_call_after_the_plugin_was_closed_says_so(short_dir: Path) -> None:
    with launch(module("everything"), cwd=ROOT, env={"DOZE_HOME": str(short_dir)}) as driver:
        pass

    with pytest.raises(RemoteError, match="cannot call WireAddr: the plugin has been closed"):
        driver.wire_addr()


def test_what_goes_wrong_while_the_plugin_starts_leaves_nothing_open(short_dir: Path) -> None:
    def fail() -> None:
        raise RuntimeError("no such import")

    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(RuntimeError):
        launch(module("everything"), cwd=ROOT, env={"DOZE_HOME": str(short_dir)}, meanwhile=fail)

    assert set(Path("/proc/self/fd").iterdir()) <= before


def _environment(process: Path) -> list[str]:
    try:
        return (process / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []  # gone, or somebody else's


# -- by hand


def test_a_module_run_by_hand_says_what_it_is_and_loads_nothing_heavy(short_dir: Path) -> None:
    code = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('tests.modules.everything', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n    print(end.code, sorted({'grpc', 'google.protobuf', 'logging', "
        "'tests.modules.everything.driver', 'doze_sdk.engine', 'doze_sdk.hcl'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr.startswith("This binary is a plugin. These are not meant to be executed directly.\n")
    assert done.stdout == "1 []\n"


def test_a_hidden_mode_runs_instead_with_its_own_exit_code(short_dir: Path) -> None:
    done = run("everything", "__exit", "a", "b", home=short_dir)

    assert (done.returncode, done.stdout) == (7, "left a b\n")


def test_describe_prints_the_description_with_the_table_of_the_config_class(short_dir: Path) -> None:
    done = run("everything", "__describe", home=short_dir)
    description = json.loads(done.stdout)

    assert done.returncode == 0
    assert description["Versions"] == ["2", "3"]
    assert [argument["Name"] for argument in description["Config"]] == ["greeting", "sick"]
    assert description["Blocks"][0]["Label"] == "name"


def test_describe_of_a_driver_that_cannot_be_imported_names_the_error_and_exits_with_1(short_dir: Path) -> None:
    done = run("cannot_import", "__describe", home=short_dir)

    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing_of_that_name" in done.stderr


def test_the_description_crosses_as_the_driver_wrote_it(plugin: RemoteDriver) -> None:
    description = plugin.describe()

    assert description.title == Everything().describe().title
    assert description.example == EXAMPLE
