"""A new module from the template."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ._answers import defaults, problems
from ._errors import ModtoolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

LICENCES = ("Apache-2.0", "MIT", "Proprietary")

_INSTALLED = Path(__file__).parent / "template"
_CHECKOUT = Path(__file__).resolve().parents[2]


def template_folder() -> Path:
    """Return the template: in a wheel it lies in this package, in a checkout beside the resolved ``sdk``."""
    for folder in (_INSTALLED, _CHECKOUT / "template"):
        if (folder / "cookiecutter.json").is_file():
            return folder
    raise ModtoolError(f"the template is in neither {_INSTALLED} nor {_CHECKOUT / 'template'}: install doze-sdk again")


def new_project(
    name: str,
    *,
    namespace: str | None = None,
    description: str | None = None,
    author: str | None = None,
    licence: str = LICENCES[0],
    output: Path | None = None,
) -> Path:
    """Make the project of a new module and return its folder, *output*/*name*.

    Args:
        name: the engine type, ``[a-z][a-z0-9_]*``.
        namespace: under which the module is published; None takes the template's default, as below.
        description: one line.
        author: one line.
        licence: one of `LICENCES`.
        output: an existing folder; None is the current one.

    Raises:
        UsageError: an answer that cannot become a module (all of them are named), or a folder in the way.
        ModtoolError: the project could not be written.

    """
    template = template_folder()
    suggested = defaults(template)
    answers = {
        "name": name,
        "namespace": suggested["namespace"] if namespace is None else namespace,
        "description": suggested["description"] if description is None else description,
        "author": default_author(name) if author is None else author,
    }
    refused = problems(answers)
    if licence not in LICENCES:
        refused.append(f"licence: expected one of {', '.join(LICENCES)}, got {licence!r}")
    if refused:
        raise UsageError("\n".join(refused))
    project = (output or Path()).resolve() / name
    check_free(project)
    _bake(template, project, {**answers, "licence": licence})
    return project


def default_author(name: str) -> str:
    """Return the author whom the template names when nobody does."""
    return defaults(template_folder())["author"].replace("{{ cookiecutter.name }}", name)


def check_free(project: Path) -> None:
    """Raise UsageError unless *project* can be made."""
    if os.path.lexists(project):
        raise UsageError(f"{project} already exists; remove it, or choose another folder with --output")
    if not project.parent.is_dir():
        raise UsageError(f"{project.parent} is no folder; create it, or choose another one with --output")


def _bake(template: Path, project: Path, answers: Mapping[str, str]) -> None:
    from cookiecutter.exceptions import CookiecutterException
    from cookiecutter.main import cookiecutter

    try:
        # Beside the project, so that one rename puts all of it in place or nothing.
        with tempfile.TemporaryDirectory(prefix=".modtool-new-", dir=project.parent) as scratch:
            # pip compiles the template's sources like any other, and cookiecutter copies what it finds. The folder's
            # name is also the key of cookiecutter's replay file.
            copy = Path(scratch, "doze-python-module")
            shutil.copytree(template, copy, ignore=shutil.ignore_patterns("__pycache__"))
            baked = cookiecutter(
                str(copy),
                no_input=True,
                extra_context=_context(project, answers),
                output_dir=str(Path(scratch, "out")),
                config_file=str(_private_config(Path(scratch))),
                accept_hooks=False,  # they check and repair what cannot be wrong here
            )
            Path(baked).rename(project)
    except (CookiecutterException, OSError) as error:
        raise ModtoolError(f"making {project}: {error}") from error


def _context(project: Path, answers: Mapping[str, str]) -> dict[str, str]:
    context = {question: _unrendered(answer) for question, answer in answers.items()}
    context["licence"] = answers["licence"]  # a choice is compared before it is rendered
    context["_sdk"] = "index" if _INSTALLED.is_dir() else os.path.relpath(_CHECKOUT, project)
    context["_sdk_version"] = importlib.metadata.version("doze-sdk")
    return context


def _unrendered(text: str) -> str:
    """Return the Jinja expression of *text*: cookiecutter renders answers, and these are what they are."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{{ "{escaped}" }}}}'


def _private_config(scratch: Path) -> Path:
    """Write a cookiecutter configuration that keeps it out of the user's home."""
    config = scratch / "config.yaml"
    folders = {name: str(scratch / name) for name in ("cookiecutters_dir", "replay_dir")}
    config.write_text("".join(f'{name}: "{folder}"\n' for name, folder in folders.items()), encoding="utf-8")
    return config
