"""What a driver's methods return, where it is not what the contract says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from doze_sdk.engine import (
    Action,
    ConnString,
    DriverError,
    Object,
    Ready,
    Resource,
    RestartSpec,
    SpawnPlan,
    SpawnSpec,
    Toolchain,
    check_returned,
)
from tests.modules.everything.driver import Everything


def plan(**fields: object) -> SpawnPlan:
    return SpawnPlan.single(SpawnSpec(**{"name": "server", "bin": "/bin/true", **fields}))


LOOP: list[object] = []
LOOP.append(LOOP)

WRONG: list[tuple[str, object, str]] = [
    ("resolve", None, "resolve() returned a wrong value: expected a Toolchain, got None"),
    ("resolve", Toolchain(engine="x", full=16), "resolve().full: expected a text, got 16"),
    ("resolve", Toolchain(engine="x", bin_dir="/bin"), "resolve().bin_dir: expected a Path, got '/bin'"),
    (
        "resolve",
        Toolchain(engine="x", tools={"ctl": None}),
        "resolve().tools['ctl']: expected a Path, got None",
    ),
    ("provisioned", None, "provisioned() returned a wrong value: expected True or False, got None"),
    ("provisioned", ["file"], "provisioned() returned a wrong value: expected True or False, got ['file']"),
    ("plan", [plan()], "plan() returned a wrong value: expected a SpawnPlan, got"),
    ("plan", SpawnPlan(()), "plan().specs: a plan has at least one process"),
    ("plan", SpawnPlan((*plan().specs, *plan().specs)), "plan().specs: 2 processes are named 'server'"),
    ("plan", plan(name=""), "plan().specs[0].name: expected a text that is not empty, got ''"),
    ("plan", plan(bin=None), "plan().specs[0].bin: expected a text, got None"),
    ("plan", plan(args="--flag"), "plan().specs[0].args: expected a list or tuple, got '--flag'"),
    ("plan", plan(args=("a", Path("/x"))), "plan().specs[0].args[1]: expected a text, got"),
    ("plan", plan(args=("\udcff",)), "plan().specs[0].args[0]: expected a text that UTF-8 can hold, got '\\udcff'"),
    ("plan", plan(dir="rel"), "plan().specs[0].dir: expected a Path, got 'rel'"),
    ("plan", plan(env={"A": "b"}), "plan().specs[0].env: expected a list or tuple, got {'A': 'b'}"),
    ("plan", plan(env=("A",)), "plan().specs[0].env[0]: expected a text NAME=value, got 'A'"),
    ("plan", plan(hooks="true"), "plan().specs[0].hooks: expected a list or tuple, got 'true'"),
    ("plan", plan(ready="/x"), "plan().specs[0].ready: expected a Ready, got '/x'"),
    (
        "plan",
        plan(ready=Ready(kind="socket", target=Path("/x"))),
        "plan().specs[0].ready.target: expected a text, got",
    ),
    ("backend_socket", "/x", "backend_socket() returned a wrong value: expected a Path, got '/x'"),
    ("conn_string", None, "conn_string() returned a wrong value: expected a ConnString, got None"),
    ("conn_string", ("A", "b"), "conn_string() returned a wrong value: expected a ConnString, got ('A', 'b')"),
    ("conn_string", ConnString(url=None), "conn_string().url: expected a text, got None"),
    ("objects", None, "objects() returned a wrong value: expected a list or tuple, got None"),
    ("objects", (item for item in "a"), "objects() returned a wrong value: expected a list or tuple, got <generator"),
    ("objects", [("role", "x")], "objects()[0]: expected an Object, got ('role', 'x')"),
    ("objects", [Object(kind="role", name="x", hash=1)], "objects()[0].hash: expected a text, got 1"),
    ("attributes", None, "attributes() returned a wrong value: expected a mapping, got None"),
    ("attributes", {1: 2}, "attributes(), a key: expected a text, got 1"),
    ("attributes", {"a": {1: 2}}, "attributes()['a'], a key: expected a text, got 1"),
    ("attributes", {"a": [float("nan")]}, "attributes()['a'][0]: expected a finite number, got nan"),
    ("attributes", {"a": 1 << 600}, "attributes()['a']: expected a whole number of at most 512 bits, got one of 601"),
    ("attributes", {"a": Path("/x")}, "attributes()['a']: expected None, a truth value"),
    ("attributes", {"a": timedelta(1)}, "attributes()['a']: expected None, a truth value"),
    ("attributes", {"a": LOOP}, "attributes(): it is nested too deep, or contains itself"),
    ("backend_url", None, "backend_url() returned a wrong value: expected a text, got None"),
    ("supervised", None, "supervised() returned a wrong value: expected True or False, got None"),
    ("restart_policy", "always", "restart_policy() returned a wrong value: expected a RestartSpec, got 'always'"),
    ("advertised_addr", ("h", 1), "advertised_addr() returned a wrong value: expected a text, got ('h', 1)"),
    ("resources", [Resource(kind="a", name="b", info={"x": 1})], "resources()[0].info['x']: expected a text, got 1"),
    ("actions", [Action(id=1, label="x")], "actions()[0].id: expected a text, got 1"),
    ("run", 3, "run() returned a wrong value: expected a text, got 3"),
    ("describe", None, "describe() returned a wrong value: expected a Description, got None"),
]


@pytest.mark.parametrize(("method", "value", "problem"), WRONG, ids=[problem for _, _, problem in WRONG])
def test_a_wrong_value_is_told_by_method_and_part(method: str, value: object, problem: str) -> None:
    with pytest.raises(DriverError) as caught:
        check_returned(Everything(), method, value)

    assert str(caught.value).startswith(problem)


def test_the_file_and_line_of_the_method_are_told() -> None:
    with pytest.raises(DriverError) as caught:
        check_returned(Everything(), "conn_string", None)

    line = Everything.conn_string.__code__.co_firstlineno
    assert str(caught.value).endswith(f"tests/modules/everything/driver.py:{line})")


def test_all_wrong_parts_are_told_at_once() -> None:
    with pytest.raises(DriverError) as caught:
        check_returned(Everything(), "plan", plan(args="a", env="b", hooks="c"))

    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("resolve", Toolchain(engine="x", bin_dir=Path("/bin"), tools={"ctl": Path("/ctl")})),
        ("plan", SpawnPlan([plan(args=["-v"], env=["A="], bin=Path("/bin/true")).specs[0]])),
        ("backend_socket", None),
        ("conn_string", ConnString()),
        ("objects", [Object(kind="role", name="ö")]),
        ("attributes", {"a": [None, True, 1, 0.5, "x", {"b": (1,)}]}),
        ("restart_policy", RestartSpec()),
        ("advertised_addr", None),
        ("describe", Everything().describe()),
    ],
)
def test_what_the_contract_allows_passes(method: str, value: object) -> None:
    check_returned(Everything(), method, value)
