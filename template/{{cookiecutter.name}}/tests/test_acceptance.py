"""The example under a real doze, which DOZE_BIN names."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
{% from "literals.jinja" import import_from with context %}
{{ import_from("driver", "Driver") }}

pytestmark = pytest.mark.acceptance

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Sockets lie below DOZE_HOME and a socket's path may have 107 bytes, so pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="dz", dir="/tmp") as folder:
        monkeypatch.setenv("DOZE_HOME", f"{folder}/home")
        plugin = Path(sys.executable).parent / f"{Driver.type}-plugin"
        monkeypatch.setenv(f"DOZE_{Driver.type.upper()}_PLUGIN", str(plugin))
        monkeypatch.setenv("NO_COLOR", "1")
        Path(folder, "home").mkdir()
        yield Path(shutil.copytree(EXAMPLES, Path(folder, "p")))


def doze(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("DOZE_BIN")
    if not program:
        pytest.skip("DOZE_BIN names no doze program")
    return subprocess.run([program, *arguments], cwd=project, capture_output=True, text=True, timeout=120, check=False)


def test_doze_runs_the_example(project: Path) -> None:
    started = doze(project, "up")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=30) as response:
            assert b"It works." in response.read()
    finally:
        doze(project, "down")


def test_doze_shows_where_a_bad_block_is_bad(project: Path) -> None:
    config = project / "doze.hcl"
    config.write_text(config.read_text().replace("root =", "roots ="))
    linted = doze(project, "lint")
    assert linted.returncode == 1
    assert "roots" in linted.stdout + linted.stderr
