"""A module made from the template, under a real doze."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from doze_sdk.modtool import new_project

DOZE = os.environ.get("DOZE_BIN", "")
LIMIT = 60  # seconds for anything; what hangs must not hang the suite

pytestmark = pytest.mark.skipif(not DOZE, reason="DOZE_BIN is not set: name a doze binary to run the module under it")


@dataclass(frozen=True)
class Stack:
    """A folder with a config, the module that it uses, and doze's home."""

    folder: Path
    home: Path
    launcher: Path
    port: int

    def doze(self, *arguments: str, code: int | None = 0) -> str:
        env = {**os.environ, "DOZE_HOME": str(self.home), "DOZE_HELLO_PLUGIN": str(self.launcher), "NO_COLOR": "1"}
        done = subprocess.run(
            [DOZE, *arguments],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def configure(self, *arguments: str) -> None:
        body = "\n  ".join([f"port = {self.port}", *arguments])
        (self.folder / "doze.hcl").write_text(f'hello "site" {{\n  {body}\n}}\n')

    def get(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=LIMIT) as answer:
            return str(answer.read().decode())

    def processes(self, *words: str) -> list[int]:
        """The processes of this stack's module whose command line has all the words."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
                environment = (process / "environ").read_bytes()
            except OSError:
                continue  # gone, or somebody else's
            mine = f"DOZE_HOME={self.home}".encode() in environment and b"hello_plugin" in command
            if mine and all(word.encode() in command for word in words):
                found.append(int(process.name))
        return found


@pytest.fixture
def stack(short_dir: Path) -> Iterator[Stack]:
    project = new_project("hello", output=short_dir)
    launcher = short_dir / "hello-plugin"
    launcher.write_text(f'#!/bin/sh\nexport PYTHONPATH={project / "src"}\nexec {sys.executable} -m hello_plugin "$@"\n')
    launcher.chmod(0o755)
    folder = short_dir / "s"
    (folder / "one").mkdir(parents=True)
    (folder / "two").mkdir()
    (folder / "one" / "index.html").write_text("one")
    (folder / "two" / "index.html").write_text("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Stack(folder, short_dir / "h", launcher, port)
    made.configure('root = "one"')
    yield made
    made.doze("down", code=None)
    shutil.rmtree(short_dir / "h", ignore_errors=True)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def test_lint_passes_a_good_config_and_writes_nothing(stack: Stack) -> None:
    assert "valid" in stack.doze("lint")


def test_lint_shows_every_problem_of_a_bad_config_with_its_line(stack: Stack) -> None:
    stack.configure('rot = "one"', "listing = []")

    said = stack.doze("lint", code=1)

    assert 'Missing required argument; The argument "root" is required, but no definition was found.' in said
    assert (
        'doze.hcl:3,3-6: Unsupported argument; An argument named "rot" is not expected here. Did you mean "root"?'
        in said
    )
    assert "doze.hcl:4,13-14: Unsuitable value type; Unsuitable value: bool required, but have tuple" in said
    assert "listing = []" in said


def test_up_boots_the_engine_and_a_client_gets_the_page(stack: Stack) -> None:
    assert "awake" in stack.doze("up")
    assert stack.get() == "one"


def test_a_client_wakes_a_sleeping_engine(stack: Stack) -> None:
    stack.doze("run", "--", "true")

    assert stack.processes("__serve") == []
    assert stack.get() == "one"


def test_status_and_env_tell_the_url(stack: Stack) -> None:
    stack.doze("up")
    url = f"http://127.0.0.1:{stack.port}"

    assert json.loads(stack.doze("status", "--json"))["services"][0]["url"] == url
    assert json.loads(stack.doze("env", "--json"))[0] == {
        "service": "site",
        "engine": "hello",
        "var": "HELLO_URL",
        "value": url,
    }


def test_a_plugin_that_crashes_is_launched_again_for_the_next_client(stack: Stack) -> None:
    stack.doze("up")
    (engine,) = stack.processes("__serve")
    (plugin,) = set(stack.processes()) - {engine}
    os.kill(plugin, signal.SIGKILL)
    until(lambda: plugin not in stack.processes())

    until(lambda: _answers(stack))

    assert set(stack.processes()) - set(stack.processes("__serve")) not in ({plugin}, set())


def _answers(stack: Stack) -> bool:
    try:
        return stack.get() == "one"
    except (OSError, urllib.error.URLError):
        return False  # the host resets clients until it has seen that the plugin is gone


def test_sync_takes_over_a_changed_config(stack: Stack) -> None:
    stack.doze("up")
    stack.doze("down")
    stack.configure('root = "two"')
    stack.doze("sync", "--auto-approve")
    stack.doze("up")

    assert stack.get() == "two"


def test_down_leaves_no_process_and_no_socket(stack: Stack) -> None:
    stack.doze("up")
    stack.get()
    stack.doze("down")

    until(lambda: stack.processes() == [])
    assert [path for path in stack.home.rglob("*") if path.is_socket()] == []


def test_a_driver_that_cannot_be_imported_tells_its_real_error_under_the_host(stack: Stack) -> None:
    driver = next((stack.launcher.parent / "hello" / "src").rglob("driver.py"))
    driver.write_text("import no_such_library\n" + driver.read_text())

    said = stack.doze("lint", code=1)

    assert "No module named 'no_such_library'" in said
    assert "hello_plugin/driver.py:1" in said


def test_a_driver_that_raises_tells_its_message_and_line_and_the_module_goes_on(stack: Stack) -> None:
    stack.configure('root = "nowhere"')

    said = stack.doze("up", code=1)

    assert "nowhere" in said
    assert "driver.py:" in said
    assert "valid" in stack.doze("lint")
