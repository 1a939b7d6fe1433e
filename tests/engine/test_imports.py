"""What an import loads: every command of the host starts every plugin, so this is part of the interface."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from doze_sdk import engine

# Costly, and never needed to define or serve a driver.
HEAVY = {
    "argparse",
    "asyncio",
    "concurrent.futures",
    "ctypes",
    "cryptography",
    "decimal",
    "doze_sdk.hcl",
    "doze_sdk.plugin",
    "email",
    "google",
    "grpc",
    "hashlib",
    "http",
    "json",
    "logging",
    "multiprocessing",
    "pickle",
    "pytest",
    "random",
    "secrets",
    "selectors",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "urllib.request",
    "uuid",
    "xml",
    "yaml",
    "zipfile",
}

LIGHT = "dataclasses, enum, pathlib, re, datetime, typing"


def loaded(program: str, *, after: str = "pass") -> set[str]:
    """The modules that *program* loads in a fresh interpreter in which *after* has run."""
    script = (
        "import sys\n"
        "sys.path[:] = sys.argv[1:]\n"
        f"{after}\n"
        "before = set(sys.modules)\n"
        f"{program}\n"
        "names = sorted(set(sys.modules) - before)\n"
        "import json\n"
        "print(json.dumps(names))\n"
    )
    # -I and -S: neither the environment nor a site package loads anything first.
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *PATHS], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(run.stdout))


PATHS = [entry for entry in sys.path if entry]


def test_importing_the_package_loads_its_loader_alone() -> None:
    assert loaded("import doze_sdk.engine", after="import importlib") == {
        "__future__",
        "doze_sdk",
        "doze_sdk._lazy",
        "doze_sdk.engine",
    }


@pytest.mark.parametrize(
    "name", ["Driver", "Config", "Instance", "SpawnPlan", "Ready", "Converger", "Description", "Object", "resolve_via"]
)
def test_what_a_driver_is_made_of_loads_light_modules_alone(name: str) -> None:
    more = loaded(f"from doze_sdk.engine import {name}", after=f"import importlib, {LIGHT}")
    foreign = {module for module in more if not module.startswith("doze_sdk")}
    assert foreign <= {"__future__", "math"}
    assert not any(module.startswith(("doze_sdk.hcl", "doze_sdk.plugin")) for module in more)


def test_touching_the_driver_loads_the_contract_alone() -> None:
    more = loaded("from doze_sdk.engine import Driver", after=f"import importlib, {LIGHT}")
    assert {module for module in more if module.startswith("doze_sdk.engine.")} == {
        "doze_sdk.engine._driver",
        "doze_sdk.engine._errors",
        "doze_sdk.engine._names",
        "doze_sdk.engine._value",
        "doze_sdk.engine._values",
        "doze_sdk.engine._version",
    }


@pytest.mark.parametrize("name", ["Driver", "Config", "Converger", "capabilities", "exact_dots", "Lock"])
def test_nothing_heavy_is_loaded_from_a_bare_interpreter(name: str) -> None:
    assert loaded(f"from doze_sdk.engine import {name}") & HEAVY == set()


def test_every_public_name_can_be_loaded_and_is_listed() -> None:
    assert dir(engine) == sorted(engine.__all__)
    for name in engine.__all__:
        assert getattr(engine, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'doze_sdk\.engine' has no attribute 'Drivr'"):
        engine.Drivr  # noqa: B018 - the access is the test


@pytest.mark.parametrize("name", [name for name in engine.__all__ if name.endswith("Error")])
def test_errors_show_the_public_package(name: str) -> None:
    kind = getattr(engine, name)
    assert issubclass(kind, engine.EngineError)
    assert kind.__module__ == "doze_sdk.engine"
