"""The module project of a folder: its `[tool.doze]` table, and how to start its plugin."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from ..engine import name_problem
from ._errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_KEYS = ("name", "namespace", "entry", "interpreter", "minors", "triples", "size-budget", "channels", "publish", "keys")
# One source each, and it is not this table.
_ELSEWHERE = {
    "version": "it is [project] version",
    "engines": "they are the majors of the description's versions",
    "protocol": "it is the SDK's",
}
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
_ENTRY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)


class Module(NamedTuple):
    """A module project.

    Attributes:
        root: the folder of its pyproject.toml.
        entry: ``package.module:Class``.

    """

    root: Path
    name: str
    namespace: str
    entry: str

    @property
    def command(self) -> list[str]:
        """The plugin's program and arguments; `environment` makes it find the package."""
        return [sys.executable, "-m", self.entry.partition(":")[0].partition(".")[0]]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, in which the project's own sources come first."""
        own = [str(folder) for folder in (self.root / "src", self.root) if folder.is_dir()]
        inherited = os.environ.get("PYTHONPATH")
        return {**os.environ, "PYTHONPATH": os.pathsep.join(own + ([inherited] if inherited else []))}

    @property
    def example(self) -> Path:
        """The config that `modtool dev` serves unless another one is named."""
        return self.root / "examples" / "doze.hcl"

    def sources(self) -> Iterator[Path]:
        """Yield the files whose change matters to a running plugin: those of its package."""
        package = self.entry.partition(":")[0].partition(".")[0]
        for parent in (self.root / "src", self.root):
            for file in (parent / package).rglob("*"):
                if "__pycache__" not in file.parts and file.is_file():
                    yield file


def plugin_command(text: str) -> list[str]:
    """Return the program and the arguments that ``--plugin`` names.

    Raises:
        UsageError: it names none, or its quotes do not match.

    """
    import shlex

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--plugin {text!r}: {error}; quote it as for a shell") from None
    if not words:
        raise UsageError("--plugin names no program; give it as for a shell, such as 'python -m httpd'")
    return words


def find_module(folder: Path) -> Module:
    """Return the module project that *folder* belongs to.

    Raises:
        UsageError: there is none, or its table is wrong; every violation is named.

    """
    for root in (folder, *folder.absolute().parents):
        file = root / "pyproject.toml"
        if file.is_file() and (table := _table(file)) is not None:
            problems = [f"{file}: [tool.doze] {problem}" for problem in _problems(table)]
            if problems:
                raise UsageError("\n".join(problems))
            texts = {key: str(table[key]) for key in ("name", "namespace", "entry")}
            return Module(root=root.absolute(), **texts)
    raise UsageError(
        f"{folder.absolute()} belongs to no module: no pyproject.toml with a [tool.doze] table here or above; "
        "`modtool new NAME` makes a project, --plugin names a command"
    )


def _table(file: Path) -> Mapping[str, object] | None:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}") from None
    except OSError as error:
        raise UsageError(f"reading {file}: {error.strerror}") from None
    tool = data.get("tool")
    table = tool.get("doze") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{file}: tool.doze: expected a table, got {table!r}")
    return table


def _problems(table: Mapping[str, object]) -> Iterator[str]:
    for key in table:
        if key in _ELSEWHERE:
            yield f"{key}: not settable here, {_ELSEWHERE[key]}"
        elif key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            yield f'{key}: unknown key "{key}"' + (f' (did you mean "{close[0]}"?)' if close else "")
    for key in ("name", "namespace", "entry"):
        value = table.get(key)
        if value is None:
            yield f"{key}: missing"
        elif not isinstance(value, str):
            yield f"{key}: expected a text, got {value!r}"
        elif problem := _value_problem(key, value):
            yield f"{key}: {problem}"


def _value_problem(key: str, value: str) -> str:
    if key == "name":
        return name_problem(value)
    if key == "namespace":
        return "" if _NAMESPACE.fullmatch(value) else f'expected [a-z0-9][a-z0-9-]*, got "{value}"'
    return "" if _ENTRY.fullmatch(value) else f'expected "package.module:Class", got "{value}"'
