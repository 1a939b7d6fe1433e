"""The scanner: text to tokens, in three parallel lists.

A token's kind is its own text for punctuation and operators, and one of the names below for everything else. Comments
leave no token, but the line end that a line comment swallows stands as a newline token that spans the comment. A
quoted string without escapes and sequences, which is nearly every string, is one `string` token.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._source import Source

IDENT: Final = "ident"
NUMBER: Final = "number"
NEWLINE: Final = "newline"
STRING: Final = "string"  # opening quote, literal text and closing quote at once
OPEN_QUOTE: Final = "open quote"
CLOSE_QUOTE: Final = "close quote"
QUOTED_TEXT: Final = "quoted text"
QUOTED_NEWLINE: Final = "newline in quotes"
OPEN_HEREDOC: Final = "open heredoc"
CLOSE_HEREDOC: Final = "close heredoc"
HEREDOC_TEXT: Final = "heredoc text"
INTERPOLATION: Final = "interpolation"  # ${ or ${~
DIRECTIVE: Final = "directive"  # %{ or %{~
SEQUENCE_END: Final = "sequence end"  # } or ~} that ends one of the two
INVALID: Final = "invalid"
BAD_UTF8: Final = "bad utf-8"
END: Final = "end of file"

#: The kinds that no rule of the grammar takes.
STRAYS: Final = frozenset({*"&|~^'`;", QUOTED_NEWLINE, INVALID, BAD_UTF8})

# What Go's `unicode.IsSpace` holds; `str.strip()` without arguments takes the ASCII separators U+001C to U+001F too.
SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004"
    "\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)

# Bytes that are no UTF-8 stand as lone surrogates; no other text holds any.
_BAD: Final = r"\ud800-\udfff"
_NUMBER: Final = r"[0-9](?:(?:[0-9.]|[eE][+-]?[0-9])*(?:[0-9]|[eE][+-]?[0-9]))?"
_OPERATOR: Final = r"==|=>|!=|>=|<=|&&|\|\||\.\.\.|::|~\}|[=.,\[\](){}<>!?:+\-*/%&|^~;'`]"
_SEQUENCE: Final = (
    r"|(?P<interpolation>\$\{~?)"
    r"|(?P<directive>%\{~?)"
    r"|(?P<escape>\$\$\{~?|%%\{~?|[$%](?!\Z))"
)


# Patterns are compiled when the first file needs them: compiling takes longer than importing this module.


@cache
def _code_pattern(*, ascii_only: bool) -> re.Pattern[str]:
    """Code, outside of quotes and heredocs. Spaces match nothing, and are what a search skips."""
    first, rest, bad = "[A-Za-z_]", "[A-Za-z0-9_-]", ""
    if not ascii_only:
        # A superset of Unicode's identifiers: each one that is not ASCII is then cut to what the standard allows.
        first, rest, bad = "[A-Za-z_\x80-\U0010ffff]", "[A-Za-z0-9_\\-\x80-\U0010ffff]", _BAD
    return re.compile(
        rf"(?P<ident>{first}{rest}*)"
        r"|(?P<newline>\r?\n)"
        rf'|(?P<string>"[^"\\$%\r\n{bad}]*")'
        r"|(?P<comment>(?:#|//)[^\n]*\n?)"
        r"|(?P<inline>/\*)"
        rf"|(?P<number>{_NUMBER})"
        rf"|(?P<heredoc><<-?{first}{rest}*\r?\n)"
        rf"|(?P<operator>{_OPERATOR})"
        r'|(?P<quote>")'
        r"|(?P<other>[^ \t\n])"
    )


@cache
def _quoted_pattern(*, ascii_only: bool) -> re.Pattern[str]:
    bad = "" if ascii_only else _BAD
    return re.compile(
        rf'(?P<text>(?:[^"$%\\\r\n{bad}]|\\[^\r\n{bad}])+)'
        + _SEQUENCE
        + r'|(?P<close>")|(?P<newline>[\r\n]+)|(?P<other>.)'
    )


@cache
def _heredoc_pattern(*, ascii_only: bool) -> re.Pattern[str]:
    bad = "" if ascii_only else _BAD
    return re.compile(rf"(?P<text>[^$%\r\n{bad}]+(?:\r?\n)?|\r?\n)" + _SEQUENCE + r"|(?P<stuck>\r)|(?P<other>.)")


class Tokens:
    """All tokens of a source, the last one always `END`."""

    __slots__ = ("ends", "kinds", "starts")

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, kind: str, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)


def scan(source: Source) -> Tokens:
    """Cut a source into tokens. Nothing is an error here: what fits nowhere is an `INVALID` token."""
    tokens = _Scanner(source).run()
    if not source.is_ascii:
        source.boundaries = sorted(_boundaries(tokens))
    return tokens


def _boundaries(tokens: Tokens) -> set[int]:
    boundaries = {*tokens.starts, *tokens.ends}
    for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True):
        if kind == STRING:
            boundaries |= {start + 1, end - 1}
    return boundaries


class _Heredoc:
    __slots__ = ("line_start", "marker")

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.line_start = True


class _Scanner:
    def __init__(self, source: Source) -> None:
        self.text = source.text
        self.is_ascii = source.is_ascii
        self.tokens = Tokens()
        #: The templates that the position is inside of: None for a quoted one.
        self.templates: list[_Heredoc | None] = []
        #: For each sequence that the position is inside of, how many braces were open when it began.
        self.sequences: list[int] = []
        self.braces = 0
        self.more_comment_ends = True

    def run(self) -> Tokens:
        at, end = 0, len(self.text)
        in_template = False
        while at < end:
            if not in_template:
                at, in_template = self._code(at)
            elif self.templates[-1] is None:
                at, in_template = self._quoted(at)
            else:
                at, in_template = self._heredoc(at, self.templates[-1])
        self.tokens.add(END, end, end)
        return self.tokens

    # Each of the three below scans for as long as its pattern fits the text, and returns where to go on, and whether a
    # template's text follows there.

    def _code(self, at: int) -> tuple[int, bool]:  # noqa: PLR0915 - one branch for each kind of token, in the loop that all time goes into
        kinds, starts, ends = self.tokens.kinds, self.tokens.starts, self.tokens.ends
        text = self.text
        for found in _code_pattern(ascii_only=self.is_ascii).finditer(text, at):
            kind = found.lastgroup
            start, at = found.span()
            if kind == "ident":
                if not self.is_ascii:
                    end = self._identifier(start, at)
                    if end < at:
                        return end, False
            elif kind == "operator":
                kind = text[start:at]
                if kind == "{":
                    self.braces += 1
                elif kind == "}":
                    self.braces -= 1
                    if self.sequences and self.sequences[-1] == self.braces + 1:
                        self.tokens.add(SEQUENCE_END, start, at)
                        self.sequences.pop()
                        return at, True
                elif kind == "~}":
                    self.braces -= 1
                    self.tokens.add(SEQUENCE_END, start, at)
                    if self.sequences and self.sequences[-1] == self.braces + 1:
                        self.sequences.pop()
                        return at, True
                    continue
            elif kind == "comment":
                if text[at - 1] != "\n":
                    continue
                kind = NEWLINE
            elif kind == "inline":
                return self._inline_comment(start), False
            elif kind == "quote":
                self.tokens.add(OPEN_QUOTE, start, at)
                self.templates.append(None)
                return at, True
            elif kind == "heredoc":
                if self._begin_heredoc(start, at):
                    return at, True
                self.tokens.add("<", start, start + 1)
                return start + 1, False
            elif kind == "other":
                self._stray(start)
                continue
            kinds.append(kind)  # type: ignore[arg-type] # every alternative of the pattern is a named group
            starts.append(start)
            ends.append(at)
        return len(text), False

    def _quoted(self, at: int) -> tuple[int, bool]:
        add = self.tokens.add
        match = _quoted_pattern(ascii_only=self.is_ascii).match
        while found := match(self.text, at):
            kind = found.lastgroup
            start, at = found.span()
            if kind in {"text", "escape"}:
                add(QUOTED_TEXT, start, at)
            elif kind == "close":
                add(CLOSE_QUOTE, start, at)
                self.templates.pop()
                return at, False
            elif kind == "newline":
                add(QUOTED_NEWLINE, start, at)
            elif kind == "other":
                self._stray(start)
            else:
                self._begin_sequence(kind == "interpolation", start, at)
                return at, False
        return at, True

    def _heredoc(self, at: int, heredoc: _Heredoc) -> tuple[int, bool]:
        add = self.tokens.add
        text = self.text
        match = _heredoc_pattern(ascii_only=self.is_ascii).match
        while found := match(text, at):
            kind = found.lastgroup
            start, at = found.span()
            if kind == "text":
                ends_line = text[at - 1] == "\n"
                if ends_line and heredoc.line_start and text[start:at].strip(SPACES) == heredoc.marker:
                    return self._end_heredoc(start, at), False
                add(HEREDOC_TEXT, start, at)
                heredoc.line_start = ends_line
            elif kind == "escape":
                add(HEREDOC_TEXT, start, at)
                heredoc.line_start = False
            elif kind == "stuck":  # Go's scanner gives up at a carriage return without its newline
                add(INVALID, start, len(text))
                return len(text), True
            elif kind == "other":
                self._stray(start)
                heredoc.line_start = False
            else:
                self._begin_sequence(kind == "interpolation", start, at)
                heredoc.line_start = False
                return at, False
        return at, True

    def _begin_sequence(self, interpolation: bool, start: int, end: int) -> None:  # noqa: FBT001 - one of two kinds
        self.tokens.add(INTERPOLATION if interpolation else DIRECTIVE, start, end)
        self.braces += 1
        self.sequences.append(self.braces)

    def _begin_heredoc(self, start: int, end: int) -> bool:
        marker = self.text[start:end].rstrip("\r\n").removeprefix("<<").removeprefix("-")
        if not marker.isascii():
            from ._unicode import identifier_length

            if identifier_length(marker) != len(marker):
                return False
        self.tokens.add(OPEN_HEREDOC, start, end)
        self.templates.append(_Heredoc(marker))
        return True

    def _end_heredoc(self, start: int, end: int) -> int:
        stop = end - 2 if self.text.endswith("\r\n", start, end) else end - 1
        self.tokens.add(CLOSE_HEREDOC, start, stop)
        self.tokens.add(NEWLINE, stop, end)
        self.templates.pop()
        return end

    def _inline_comment(self, start: int) -> int:
        # Without the flag, every `/*` of a file in which none is closed would search to its end.
        stop = self.text.find("*/", start + 2) if self.more_comment_ends else -1
        if stop >= 0:
            return stop + 2
        self.more_comment_ends = False
        self.tokens.add("/", start, start + 1)
        return start + 1

    def _identifier(self, start: int, end: int) -> int:
        """Where a word ends by the standard; if that is not where it was taken to end, its token has been added."""
        word = self.text[start:end]
        if word.isascii():
            return end
        from ._unicode import identifier_length

        length = identifier_length(word)
        if length == len(word):
            return end
        if not length:
            self._stray(start)
            return start + 1
        self.tokens.add(IDENT, start, start + length)
        return start + length

    def _stray(self, start: int) -> None:
        bad = "\ud800" <= self.text[start] <= "\udfff"
        self.tokens.add(BAD_UTF8 if bad else INVALID, start, start + 1)
