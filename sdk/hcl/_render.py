"""Diagnostics for people: what is wrong, where, the line itself with a marker, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._diagnostics import Diagnostic
    from ._source import Range

# A minified file has lines that no terminal shows; of such a line, the part around the marker is enough.
_WIDTH = 160


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Describe every diagnostic that does not merely follow from another one.

    Each begins with the line that Go prints, `FILE:LINE,COLUMN-END: SUMMARY; DETAIL`; below stand the source line with
    the subject underlined, and the hint.
    """
    return "\n\n".join(_one(diagnostic) for diagnostic in diagnostics if not diagnostic.follows)


def _one(diagnostic: Diagnostic) -> str:
    subject = diagnostic.subject
    lines = [str(diagnostic), *_excerpt(subject)]
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(lines)


def _excerpt(subject: Range) -> list[str]:
    source = subject.source
    start, end = source.line_span(subject.start)
    at = min(subject.start, end)
    shown_from = max(start, at - _WIDTH // 2)
    shown_to = min(end, shown_from + _WIDTH)
    if not source.text[shown_from:shown_to].strip():
        return []
    before = source.text[shown_from:at]
    marked = source.text[at : min(subject.end, shown_to)]
    number = str(subject.start_pos.line)
    # A tab in front of the marker stays one, so that both lines are indented alike.
    indent = "".join("\t" if character == "\t" else " " * _width(character) for character in before)
    carets = "^" * max(1, sum(map(_width, marked)))
    return [
        f"  {number} | {_printable(source.text[shown_from:shown_to])}",
        f"  {' ' * len(number)} | {indent}{carets}",
    ]


def _width(character: str) -> int:
    """How many places a character takes in a terminal."""
    if character.isascii():
        return 1
    from unicodedata import combining, east_asian_width

    if combining(character) or character in "\u200b\u200d\ufe0f":
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() or character == "\t" else "\ufffd" for character in text)
