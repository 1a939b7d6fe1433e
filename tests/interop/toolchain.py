"""Go, and what it builds for the interop tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD_LIMIT = 900.0
"""Seconds for the first build on a slow machine, download of the modules included."""


class MissingGoError(Exception):
    """There is no Go on this machine."""


class BuildError(Exception):
    """The Go programs could not be built."""


def go() -> str:
    """Path of the `go` command: on PATH, or where Go's own installer puts it."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate is not None and os.access(candidate, os.X_OK):
            return candidate
    raise MissingGoError("there is no go command on PATH nor in /usr/local/go/bin")


def build(target: Path, *, race: bool = True) -> Path:
    """Build the Go program of this folder into the folder *target*; return its path.

    With the race detector where cgo and a C compiler are at hand, without it elsewhere and for measurements.
    """
    command = go()
    program = target / "interop"
    detector = ["-race"] if race and _has_cgo(command) else []
    done = subprocess.run(
        [command, "build", *detector, "-o", program, "."],
        cwd=HERE,
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
