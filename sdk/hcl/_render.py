"""Diagnostics for people: what is wrong, where, the line itself with a marker, and what to do."""

from __future__ import annotations

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
    start, end = subject.start_pos, subject.end_pos
    text = subject.source.line_text(start.line)
    if not text.strip():
        return []
    before, marked = _halves(subject, text)
    if end.line > start.line:
        marked = text[len(before) :]
    cut = max(0, len(before) - _WIDTH // 2)
    shown = text[cut : cut + _WIDTH]
    number = str(start.line)
    # A tab in front of the marker stays one, so that both lines are indented alike.
    indent = "".join("\t" if character == "\t" else " " * _width(character) for character in before[cut:])
    carets = "^" * max(1, min(sum(map(_width, marked)), _WIDTH - len(before) + cut))
    return [f"  {number} | {_printable(shown)}", f"  {' ' * len(number)} | {indent}{carets}"]


def _halves(subject: Range, text: str) -> tuple[str, str]:
    """The part of the subject's first line in front of it, and the part of it on that line."""
    source = subject.source
    line_start = source.text.rfind("\n", 0, subject.start) + 1
    column = subject.start - line_start
    return text[:column], text[column : subject.end - line_start]


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
