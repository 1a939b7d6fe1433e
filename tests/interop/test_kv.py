"""The key/value example, with either half in either language."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Workshop

EXAMPLE = Path(__file__).parents[2] / "examples" / "kv"
LANGUAGES = ["go", "python"]


@pytest.mark.parametrize("plugin", LANGUAGES)
@pytest.mark.parametrize("host", LANGUAGES)
def test_what_one_host_puts_another_one_gets(
    workshop: Workshop, go_program: Path, tmp_path: Path, host: str, plugin: str
):
    hosts = {"go": [str(go_program), "kv-host"], "python": [sys.executable, "-m", "kv.host"]}
    plugins = {"go": f"{go_program} kv-plugin", "python": f"{sys.executable} -m kv.plugin"}

    def run(host: str, plugin: str, *arguments: str) -> bytes:
        environment = {**os.environ, "KV_PLUGIN": plugins[plugin], "PYTHONPATH": str(EXAMPLE)}
        command = [*hosts[host], *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    other = {"go": "python", "python": "go"}
    assert run(host, plugin, "put", "greeting", "hällo wörld") == b""
    assert run(other[host], other[plugin], "get", "greeting") == "hällo wörld\n".encode()


def test_the_examples_own_tests_pass(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "kv")],
        cwd=EXAMPLE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
