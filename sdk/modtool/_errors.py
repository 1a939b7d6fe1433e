"""What goes wrong in the tool, by its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._problems import Problem


class ModtoolError(Exception):
    """The thing that was looked at or made is wrong: exit code 1. The text is for the person at the terminal."""

    __module__ = "doze_sdk.modtool"


class ConfigError(ModtoolError):
    """A config that cannot be served; the text has every problem, in source order."""

    __module__ = "doze_sdk.modtool"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n\n".join(problem.text for problem in self.problems))


class UsageError(ModtoolError):
    """The command line or a configuration is wrong, and nothing was done: exit code 2."""

    __module__ = "doze_sdk.modtool"


def is_expected(error: Exception) -> bool:
    """Whether *error* is one of the SDK's, whose text is a sentence; others are defects.

    Each package of the SDK derives its errors from one base, so their home tells.
    """
    package = __package__.partition(".")[0] + "."
    return any(kind.__module__.startswith(package) for kind in type(error).__mro__)


def text_of(error: Exception) -> str:
    """Return what a person is told of an expected error: problems of a config with the lines that have them."""
    from ..hcl import HCLError, render

    text = (isinstance(error, HCLError) and render(error.diagnostics)) or str(error)
    return "\n".join([text, *getattr(error, "__notes__", ())])
