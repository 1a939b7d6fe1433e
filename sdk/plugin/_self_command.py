"""The command that starts a module again, for modules that are their own engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import DriverError
from . import _serve
from ._entry import runnable_package

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec


def self_command(*arguments: str, package: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the program and arguments that start this module again with *arguments*, for a plan's `bin` and `args`.

    In a served plugin that is the command by which the host started it, whatever it was: a console script,
    ``python -m``, a zip archive, a frozen program. It works from any folder and, since the host starts a plan's
    processes in its own environment, it sets the PYTHONPATH that a launcher had set. Elsewhere, for instance in a test
    that runs the driver in process, it is ``python -m <package>``.

    Args:
        package: the module's package, usually ``__package__``.

    Raises:
        DriverError: this process is not the module, and no package was named.

    """
    path = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]  # noqa: PTH100 - `..` may lead through a link
    command, folder = _command(package)
    if folder and folder not in path:
        path.insert(0, folder)
    if path:
        command = ["/usr/bin/env", f"PYTHONPATH={os.pathsep.join(path)}", *command]
    return command[0], (*command[1:], *arguments)


def _command(package: str | None) -> tuple[Sequence[str], str]:
    """Return the command without arguments, and the folder that it needs in Python's path besides PYTHONPATH."""
    if _serve.script is None:
        return [sys.executable, "-m", _package(package)], ""
    if getattr(sys, "frozen", False):
        return [sys.executable], ""
    main = sys.modules["__main__"].__spec__
    # A folder or an archive with a `__main__` is started by its path; its module is found nowhere else.
    if main is not None and main.name != "__main__":
        return [sys.executable, "-m", main.name.removesuffix(".__main__")], _start_folder(main)
    if _is_program(_serve.script):
        return [_serve.script], ""
    return [sys.executable, _serve.script], ""


def _start_folder(main: ModuleSpec) -> str:
    """Return the folder in which Python was started, if ``-m`` found the module there."""
    if sys.flags.safe_path or main.origin is None:
        return ""
    top = str(Path(main.origin).parents[main.name.count(".")])
    return top if top == sys.path[0] else ""


def _is_program(script: str) -> bool:
    if not (os.path.isfile(script) and os.access(script, os.X_OK)):  # noqa: PTH113 - as the text that it is
        return False
    with open(script, "rb") as file:  # noqa: PTH123 - see above
        return file.read(2) == b"#!"


def _package(package: str | None) -> str:
    if not package:
        raise DriverError(
            "self_command(): this process is not the module; name its package: self_command(…, package=__package__)"
        )
    return runnable_package(package)
