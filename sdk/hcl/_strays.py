"""Tokens that no rule of the grammar takes."""

from __future__ import annotations

from typing import Final

from ._diagnostics import Diagnostic
from ._scan import BAD_UTF8, CLOSE_QUOTE, QUOTED_NEWLINE, STRAYS, Tokens
from ._source import Range, Source

_BITWISE: Final = {
    "&": ' Did you mean boolean AND ("&&")?',
    "|": ' Did you mean boolean OR ("||")?',
    "~": ' Did you mean boolean NOT ("!")?',
    "^": "",
}
_CHARACTERS: Final = {
    "'": 'Single quotes are not valid. Use double quotes (") to enclose strings.',
    "`": 'The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax, like "<<EOT".',
    ";": 'The ";" character is not valid. Use newlines to separate arguments and blocks, and commas to separate items'
    " in collection values.",
}
_CURLY_QUOTE: Final = (
    '"Curly quotes" are not valid here. These can sometimes be inadvertently introduced when sharing code via'
    ' documents or discussion forums. It might help to replace the character with a "straight quote".'
)
_NEWLINE: Final = (
    "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape to"
    ' represent a newline character or use the "heredoc" multi-line template syntax.'
)
_ENCODING: Final = "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is selected in your editor."


def strays(source: Source, tokens: Tokens) -> list[Diagnostic]:
    """What is wrong with the tokens on their own."""
    report = _Report(source, tokens)
    for token, kind in enumerate(tokens.kinds):
        if kind in STRAYS:
            report.look_at(token, kind)
        elif kind == CLOSE_QUOTE:
            report.in_broken_string = False
    return report.diagnostics


class _Report:
    def __init__(self, source: Source, tokens: Tokens) -> None:
        self.source = source
        self.tokens = tokens
        self.diagnostics: list[Diagnostic] = []
        self.counts: dict[str, int] = {}
        self.in_broken_string = False

    def look_at(self, token: int, kind: str) -> None:
        if kind in _BITWISE:
            if self.seen("bitwise") < 4:
                self.add("Unsupported operator", "Bitwise operators are not supported." + _BITWISE[kind], token)
        elif kind in {"'", "`"}:
            # The second of a pair is taken for the end of the same string.
            if self.seen(kind) in {0, 2}:
                self.add("Invalid character", _CHARACTERS[kind], token)
        elif kind == ";":
            if not self.seen(kind):
                self.add("Invalid character", _CHARACTERS[kind], token)
        elif kind == QUOTED_NEWLINE:
            self.add("Invalid multi-line string", _NEWLINE, token, follows=self.in_broken_string)
            self.in_broken_string = True
        elif kind == BAD_UTF8:
            if not self.seen(kind):
                self.add("Invalid character encoding", _ENCODING, token)
        elif self.source.text[self.tokens.starts[token]] in "\u201c\u201d":
            self.add("Invalid character", _CURLY_QUOTE, token)
        else:
            self.add("Invalid character", "This character is not used within the language.", token)

    def seen(self, kind: str) -> int:
        """How often a kind has come before; the host reports the first few of most."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind] - 1

    def add(self, summary: str, detail: str, token: int, *, follows: bool = False) -> None:
        where = Range(self.source, self.tokens.starts[token], self.tokens.ends[token])
        self.diagnostics.append(Diagnostic(summary, detail, where, follows=follows))
