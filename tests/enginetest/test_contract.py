"""`violations`: each way to break the contract is found, by a sentence of its own, and all of them at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from doze_sdk.enginetest import _contract, violations

ROOT = Path(__file__).parents[2]


def found(flaw: str, **options: str) -> list[str]:
    command = [sys.executable, "-m", "tests.modules.flawed"]
    return violations(command, cwd=ROOT, env={**os.environ, "FLAW": flaw}, **options)


def started(module: str) -> list[str]:
    return violations([sys.executable, "-m", f"tests.modules.{module}"], cwd=ROOT)


@pytest.mark.parametrize("module", ["everything", "greeter"])
def test_a_module_that_keeps_the_contract_has_no_violation(module: str) -> None:
    assert started(module) == []


def test_a_driver_that_keeps_the_contract_has_no_violation() -> None:
    assert found("Sound", name="flawed") == []


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("PrintsWhileServing", ["stdout: the module printed 'asked for the socket'", "use logging"]),
        ("UndescribedArgument", ["describe: argument 'words' has no description"]),
        ("RaisingPage", ["describe: ", "RuntimeError: the page is blank", "flawed/drivers.py:"]),
        ("VersionsOfAVersionless", ["describe: a versionless driver names no versions, got 1"]),
        ("WrongLabel", ["example: ", 'block flawed "two" not found']),
        (
            "BrokenExample",
            ['An argument named "wrods" is not expected here. Did you mean "words"?', "example.hcl:3,3-8"],
        ),
        ("UnparsableExample", ["example: ", "example.hcl:1,"]),
        ("ExampleWithoutPort", ["example: the block has no `port`"]),
        ("PrunerWithoutInventory", ["capabilities: pruner without inventory: "]),
        ("InventoryWithoutConverger", ["capabilities: inventory without converger: "]),
        ("InventoryWithoutPruner", ["capabilities: inventory without pruner: "]),
        ("HealthWithoutLifecycle", ["capabilities: health without lifecycle: "]),
        ("NoSocket", ["backend_socket: there is none"]),
        ("OwnAddress", ["conn_string: ", "'example.doze:7001' is not in 'flawed://localhost'"]),
        ("NamesFolders", ["objects: they depend on more than name, type, version and spec", '"/d/a"']),
        ("NeedsFolders", ["data-dir-is-not-known-here/no such file of the tests", "flawed/drivers.py:"]),
        ("UnorderedObjects", ["objects: they differ in another process (PYTHONHASHSEED="]),
        ("TakesEverything", ["decode: an unknown argument is accepted"]),
        ("RefusesWithoutAPlace", ["decode: an unknown argument is refused without its name and position: unknown: "]),
        ("DescribesAStranger", ["describe: argument 'stranger' is described, and refused as unknown"]),
        ("UnorderedSpec", ["spec: the example decodes to other bytes in another process (PYTHONHASHSEED="]),
    ],
)
def test_a_flaw_is_the_one_violation_found(flaw: str, words: list[str]) -> None:
    (violation,) = [text for text in found(flaw) if not text.startswith("describe: argument 'wrods' of the example")]

    assert [word for word in words if word not in violation] == [], violation


def test_every_empty_field_of_the_description_is_named() -> None:
    assert found("IncompletePage") == ["describe: tagline is empty", "describe: category is empty"]


def test_an_argument_of_the_example_that_the_description_lacks_is_named() -> None:
    assert found("ForgottenArgument") == [
        "describe: argument 'words' of the example is not described",
        "describe: argument 'others' is described, and refused as unknown",
    ]


def test_a_type_other_than_the_projects_name_is_named() -> None:
    assert found("Sound", name="other") == ["type: the driver's type is 'flawed', [tool.doze] name is 'other'"]


def test_a_module_with_many_flaws_hears_of_all_of_them() -> None:
    violations = found("Hopeless", name="other")
    beginnings = [
        "type: the driver's type",
        "capabilities: inventory without converger",
        "capabilities: health without lifecycle",
        "capabilities: inventory without pruner",
        "backend_socket: there is none",
        "describe: title is empty",
        "describe: a versionless driver",
        "describe: argument 'stranger' has no description",
        "describe: argument 'words' of the example is not described",
        "describe: argument 'stranger' is described, and refused",
        "conn_string: ",
        "objects: they depend on more",
        "objects: they differ",
        "stdout: the module printed 'noise'",
    ]

    assert len(violations) == len(beginnings), violations
    assert [start for start, text in zip(beginnings, violations, strict=True) if not text.startswith(start)] == []


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("prints_before_serving", ["'loading config'", "nothing may print to stdout"]),
        (
            "dies_at_start",
            [
                "exited before we could connect",
                "its exit code is 1",
                "the licence server is down",
                "by hand to see more",
            ],
        ),
        ("speaks_version_2", ["Plugin version: 2, Client versions: [1]", "the host is this doze-sdk"]),
        ("cannot_import", ["cannot be imported", "nothing_of_that_name", "cannot_import/driver.py:3"]),
        ("lacks_methods", ["lacks", "plan()", "provision()"]),
        ("no_such_module", ["No module named tests.modules.no_such_module"]),
    ],
)
def test_a_module_that_does_not_start_has_one_violation_that_says_why(module: str, words: list[str]) -> None:
    (violation,) = started(module)

    assert [word for word in words if word not in violation] == [], violation


def test_a_module_that_hangs_at_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_contract, "START_BUDGET", 1.0)

    (violation,) = started("hangs_at_start")

    assert violation.startswith("the module did not announce itself within 1 s")
