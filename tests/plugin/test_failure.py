"""Whatever an author's method raises reaches the caller as a sentence with a place, and the plugin goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doze_sdk.engine import Instance, encode_spec
from doze_sdk.plugin import RemoteDriver, RemoteError, launch
from tests.modules.everything.driver import Settings

ROOT = Path(__file__).parents[2]
DRIVER = """\
import asyncio
import sys

from doze_sdk.engine import EngineError
from tests.modules.everything.driver import Everything


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


def noted():
    error = ValueError("no such role")
    error.add_note("roles are listed in the block")
    return error


ERRORS = {
    "exit": lambda: SystemExit("leaving"),
    "interrupt": lambda: KeyboardInterrupt(),
    "cancelled": lambda: asyncio.CancelledError(),
    "nothing": lambda: EngineError(""),
    "surrogate": lambda: OSError("cannot read \\udcff"),
    "unprintable": lambda: Unprintable(),
    "noted": noted,
    "group": lambda: ExceptionGroup("two are wrong", [ValueError("one"), KeyError("two")]),
    "long": lambda: RuntimeError("head " + "é" * 100_000 + " tail"),
}


class Failing(Everything):
    def backend_url(self, instance):
        raise ERRORS[instance.spec.greeting]()  # here
"""
LINE = next(number for number, text in enumerate(DRIVER.splitlines(), 1) if text.endswith("# here"))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteDriver]:
    folder = tmp_path_factory.mktemp("failing")
    (folder / "failing.py").write_text(DRIVER)
    (folder / "start.py").write_text('from doze_sdk.plugin import serve\n\nserve("failing:Failing")\n')
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {"DOZE_HOME": str(folder / "home"), "PYTHONPATH": path}
    with launch([sys.executable, folder / "start.py"], env=env) as driver:
        yield driver


def raised(plugin: RemoteDriver, which: str) -> str:
    spec = encode_spec(Settings(greeting=which, item=[]))
    with pytest.raises(RemoteError) as caught:
        plugin.backend_url(Instance(name="x", type="everything", spec=spec))
    return str(caught.value)


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("exit", "SystemExit: leaving"),
        ("interrupt", "KeyboardInterrupt"),
        ("cancelled", "CancelledError"),
        ("nothing", "EngineError"),
        ("surrogate", "OSError: cannot read \\udcff"),
        ("unprintable", "Unprintable: (its text cannot be had: ValueError)"),
    ],
)
def test_whatever_is_raised_is_told_with_its_place(plugin: RemoteDriver, which: str, said: str) -> None:
    message = raised(plugin, which)

    assert message.startswith(f"{said} (")
    assert message.endswith(f"failing.py:{LINE})")
    assert plugin.actions(), "the plugin goes on serving"


def test_the_notes_of_an_error_are_told(plugin: RemoteDriver) -> None:
    assert raised(plugin, "noted").splitlines()[1:] == ["roles are listed in the block"]


def test_each_error_of_a_group_is_told(plugin: RemoteDriver) -> None:
    assert raised(plugin, "group").splitlines()[1:] == ["ValueError: one", "KeyError: 'two'"]


def test_of_a_long_text_both_ends_and_the_place_arrive(plugin: RemoteDriver) -> None:
    message = raised(plugin, "long")

    assert message.startswith("RuntimeError: head éé")
    assert message.endswith(f"failing.py:{LINE})")
    assert "é tail (" in message
    assert 29_000 < len(message.encode()) < 31_000
