"""Go, and what it builds for the interop tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = 24
"""Minor version of the Go that go.mod names."""
BUILD_LIMIT = 900.0
"""Seconds for the first build on a slow machine, download of the modules included."""


class MissingGoError(Exception):
    """There is no Go on this machine that can build the programs of this folder."""


class BuildError(Exception):
    """The Go programs could not be built."""


def go() -> str:
    """Path of the `go` command: on PATH, or where Go's own installer puts it."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate is not None and os.access(candidate, os.X_OK):
            _check_version(candidate)
            return candidate
    raise MissingGoError("there is no go command on PATH nor in /usr/local/go/bin")


def _check_version(command: str) -> None:
    # Newer releases answer for the one that go.mod asks for, or fail if they may not fetch it.
    done = subprocess.run([command, "version"], cwd=HERE, capture_output=True, text=True, check=False)
    found = re.search(r"go1\.(\d+)", done.stdout)
    if done.returncode or found is None or int(found[1]) < OLDEST:
        said = (done.stdout + done.stderr).strip()
        raise MissingGoError(f"{command} is too old, Go 1.{OLDEST} is needed; it says: {said}")


def build(target: Path, *, race: bool = True, cgo: bool = True) -> Path:
    """Build the Go program of this folder into the folder *target*; return its path.

    With the race detector where cgo and a C compiler are at hand, without it elsewhere and for measurements; without
    *cgo* it needs no shared library.
    """
    command = go()
    program = target / "interop"
    detector = ["-race"] if race and _has_cgo(command) else []
    done = subprocess.run(
        [command, "build", *detector, "-o", program, "."],
        cwd=HERE,
        env={**os.environ, **({} if cgo else {"CGO_ENABLED": "0"})},
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"go build in {HERE} failed with exit code {done.returncode}:\n{done.stderr}")
    return program


def _has_cgo(command: str) -> bool:
    settings = subprocess.run([command, "env", "CGO_ENABLED", "CC"], capture_output=True, text=True, check=True)
    enabled, compiler = settings.stdout.splitlines()[:2]
    return enabled == "1" and shutil.which(compiler.split()[0]) is not None
