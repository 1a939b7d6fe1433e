import dataclasses
import pickle
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from doze_sdk.engine import (
    NO_DATA_DIR,
    NO_SOCKET_DIR,
    Action,
    ConnString,
    Dep,
    DriverError,
    Endpoint,
    Instance,
    Object,
    Pin,
    Platform,
    Ready,
    Resource,
    RestartSpec,
    SpawnPlan,
    SpawnSpec,
    Toolchain,
    ToolchainError,
    Version,
)


@pytest.mark.parametrize(
    "value",
    [
        Instance(name="a", type="x", spec=None),
        Endpoint(),
        Dep(name="a", engine="x"),
        ConnString(),
        Platform(os="linux", arch="amd64", triple="x86_64-unknown-linux-gnu"),
        Toolchain(engine="x"),
        Ready(kind="tcp", target="x"),
        SpawnSpec(name="a", bin="b"),
        SpawnPlan(()),
        Pin(resolved="1"),
        RestartSpec(),
        Object(kind="a", name="b"),
        Resource(kind="a", name="b"),
        Action(id="a", label="b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_cannot_be_changed_and_has_no_room_for_more(value: object) -> None:
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "changed")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("folder", [NO_DATA_DIR, NO_SOCKET_DIR])
def test_a_folder_that_is_not_known_cannot_be_touched(folder: Path) -> None:
    with pytest.raises(NotADirectoryError):
        (folder / "x").write_text("x")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        folder.mkdir(parents=True)
    assert not folder.exists()


def test_an_instance_that_is_only_decoded_has_no_folders() -> None:
    instance = Instance(name="a", type="x", spec=None)
    assert (instance.data_dir, instance.socket_dir) == (NO_DATA_DIR, NO_SOCKET_DIR)
    assert (instance.version, instance.port, instance.deps) == ("builtin", 0, {})
    assert isinstance(instance.version, Version)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1:5432", 5432),
        ("app.stack.doze:80", 80),
        ("[::1]:6379", 6379),
        ("", None),
        ("localhost", None),
        ("a:", None),
        ("a:b", None),
        ("a:\u0661", None),
        ("a:-1", None),
    ],
)
def test_the_port_of_an_endpoint_is_behind_the_last_colon(address: str, port: int | None) -> None:
    assert Endpoint(tcp_addr=address).port == port


def test_a_tool_is_found_in_the_table_of_tools_first() -> None:
    toolchain = Toolchain(engine="x", bin_dir=Path("/opt/bin"), tools={"ctl": Path("/elsewhere/ctl")})
    assert toolchain.path("ctl") == Path("/elsewhere/ctl")
    assert toolchain.path("server") == Path("/opt/bin/server")


def test_a_toolchain_without_folder_names_the_tool_that_it_lacks() -> None:
    with pytest.raises(ToolchainError, match=r"the toolchain x 1\.2 has no folder of executables to find 'ctl' in"):
        Toolchain(engine="x", full="1.2").path("ctl")


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("Linux", "x86_64", ("linux", "amd64", "x86_64-unknown-linux-gnu")),
        ("Linux", "aarch64", ("linux", "arm64", "aarch64-unknown-linux-gnu")),
        ("Darwin", "arm64", ("darwin", "arm64", "aarch64-apple-darwin")),
    ],
)
def test_the_host_platform_has_gos_names_and_a_triple(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, platform: tuple[str, str, str]
) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(sysname=system, machine=machine))
    host = Platform.host()
    assert (host.os, host.arch, host.triple) == platform


def test_a_machine_without_a_triple_is_an_error_that_lists_those_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(sysname="Linux", machine="riscv64"))
    with pytest.raises(ToolchainError, match=r"doze does not run on Linux riscv64; known: x86_64-unknown-linux-gnu, "):
        Platform.host()


def test_readiness_is_probed_often_for_thirty_seconds() -> None:
    ready = Ready(kind="socket", target="/s")
    assert ready.interval == timedelta(milliseconds=50)
    assert ready.interval * ready.retries == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("interval", "retries"),
    [
        (timedelta(milliseconds=20), 1500),
        (timedelta(seconds=7), 5),
        (timedelta(minutes=1), 1),
        (timedelta(0), 30),
    ],
)
def test_the_number_of_probes_follows_from_the_interval(interval: timedelta, retries: int) -> None:
    assert Ready(kind="tcp", target="x", interval=interval).retries == retries


def test_a_given_number_of_probes_stays() -> None:
    assert Ready(kind="tcp", target="x", retries=3).retries == 3


def test_a_plan_of_one_process() -> None:
    spec = SpawnSpec(name="server", bin="/bin/x")
    assert SpawnPlan.single(spec).specs == (spec,)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "htpp"}, "kind: expected one of http, tcp, exec, log_line, socket, got 'htpp'"),
        ({"interval": timedelta(seconds=-1)}, "interval: expected a duration from 0 to 292 years"),
        ({"interval": 0.05}, "interval: expected a timedelta, got 0.05"),
        ({"timeout": timedelta.max}, "timeout: expected a duration from 0 to 292 years"),
        ({"retries": -1}, "retries: expected a whole number from 0 to 2147483647, got -1"),
        ({"retries": 2**31}, "retries: expected a whole number from 0 to 2147483647"),
    ],
)
def test_a_readiness_that_the_wire_cannot_carry_is_refused_where_it_is_made(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(DriverError, match=f"^Ready: {re.escape(problem)}"):
        Ready(**{"kind": "tcp", "target": "127.0.0.1:1", **fields})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"policy": "on-failure"}, "policy: expected one of no, on_failure, always, got 'on-failure'"),
        ({"backoff": timedelta(seconds=-1)}, "backoff: expected a duration from 0 to 292 years"),
        ({"backoff": 5}, "backoff: expected a timedelta, got 5"),
        ({"max_retries": 2**31}, "max_retries: expected a whole number from 0 to 2147483647"),
        ({"max_retries": -1}, "max_retries: expected a whole number from 0 to 2147483647, got -1"),
    ],
)
def test_a_restart_policy_that_the_wire_cannot_carry_is_refused_where_it_is_made(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(DriverError, match=f"^RestartSpec: {re.escape(problem)}"):
        RestartSpec(**fields)


def test_all_that_is_wrong_with_a_readiness_is_told_at_once() -> None:
    with pytest.raises(DriverError) as caught:
        Ready(kind="tcp", target="", timeout=timedelta(-1), retries=-1)

    assert str(caught.value).count("Ready: ") == 2


def test_values_compare_and_hash_by_their_type_and_content() -> None:
    assert Endpoint(tcp_addr="h:1") == Endpoint(tcp_addr="h:1")
    assert Endpoint(tcp_addr="h:1") != Endpoint(tcp_addr="h:2")
    assert ConnString() != Endpoint()
    assert {Dep(name="a", engine="x"), Dep(name="a", engine="x")} == {Dep(name="a", engine="x")}


def test_values_are_shown_as_the_call_that_makes_them() -> None:
    assert repr(ConnString(env_var="URL", url="x://")) == "ConnString(env_var='URL', url='x://')"


def test_values_can_be_copied_with_changes_taken_apart_and_pickled() -> None:
    plan = SpawnPlan.single(SpawnSpec(name="a", bin="b", ready=Ready(kind="tcp", target="h:1")))
    assert dataclasses.replace(plan.specs[0], name="c").name == "c"
    assert dataclasses.asdict(plan)["specs"][0]["ready"]["target"] == "h:1"
    assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301 - our own bytes
