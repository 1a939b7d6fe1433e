"""What is wrong with a config, by what `modtool dev` evaluates and by the plugin, in one list without repetitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..hcl import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..hcl import Diagnostic, Range


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A place and what is wrong there; the text names the place itself and shows the line."""

    line: int
    column: int
    text: str


def of_diagnostics(diagnostics: Iterable[Diagnostic]) -> Iterator[Problem]:
    """Yield a problem for each diagnostic that does not merely follow from another one."""
    for diagnostic in diagnostics:
        if text := render([diagnostic]):
            place = diagnostic.subject.start_pos
            yield Problem(place.line, place.column, text)


def of_answer(text: str, filename: str, block: Range) -> Iterator[Problem]:
    """Take a plugin's answer apart into its problems; what names no place gets that of the block's header."""
    place = re.compile(rf"{re.escape(filename)}:(\d+),(\d+)")
    for part in re.split(rf"\n\n(?={place.pattern.replace('(', '(?:')})", text):
        if match := place.match(part):
            yield Problem(int(match[1]), int(match[2]), part)
        else:
            start = block.start_pos
            yield Problem(start.line, start.column, f"{block}: {part}")
