"""Templates: the text, interpolations and directives inside quotes and heredocs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ._ast import Conditional, Expression, For, Joined, Literal, Template
from ._scan import (
    CLOSE_QUOTE,
    DIRECTIVE,
    END,
    HEREDOC_TEXT,
    IDENT,
    INTERPOLATION,
    OPEN_QUOTE,
    QUOTED_TEXT,
    SEQUENCE_END,
    SPACES,
    STRING,
)
from ._source import Range
from ._text import near_miss, quote
from ._values import UNKNOWN

if TYPE_CHECKING:
    from ._parse import Parser

_UNBALANCED: Final = "The control directives within this template are unbalanced."
_BAD_FOR: Final = "Invalid 'for' directive"
_UNCLOSED: Final = "Unclosed template interpolation sequence"
_EXTRA: Final = "Extra characters after interpolation expression"
_KEYWORDS: Final = ("if", "for", "else", "endif", "endfor")


# Literal text

_ESCAPE: Final = re.compile(r"\\(?:u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<other>.))", re.DOTALL)
_SIMPLE_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_WRONG_HEX: Final = re.compile(r"[0-9a-fA-F]{0,8}")


def unescape(parser: Parser, token: int) -> str:
    """The value of a token of literal text, with its escapes resolved."""
    text = parser.word(token)
    if text[:3] in {"$${", "%%{"}:
        return text[1:]
    if parser.kinds[token] != QUOTED_TEXT or "\\" not in text:
        return text
    start = parser.starts[token]

    def resolve(found: re.Match[str]) -> str:
        digits = found["short"] or found["long"]
        if digits:
            code = int(digits, 16)
            if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
                return chr(code)
            detail = f"Cannot encode character U+{code:04x} in UTF-8."
            parser.error("Invalid escape sequence", detail, (start + found.start(), start + found.end()))
            return found[0]
        letter = found["other"]
        if letter in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[letter]
        at = start + found.start()
        if letter in "uU":
            wrong = _WRONG_HEX.match(text, found.end())
            end = min(found.end() + (3 if letter == "u" else 7), wrong.end() if wrong else found.end())
            count = "four" if letter == "u" else "eight"
            detail = f"The \\{letter} escape sequence must be followed by {count} hexadecimal digits."
            parser.error("Invalid escape sequence", detail, (at, start + end))
        else:
            detail = f"The symbol {quote(letter)} is not a valid escape sequence selector."
            parser.error("Invalid escape sequence", detail, (at, at + 2))
        return found[0]

    return _ESCAPE.sub(resolve, text)


# Parts: what stands between the delimiters, in order, directives not yet matched with their ends


class _Part:
    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class _Text(_Part):
    __slots__ = ("value",)

    def __init__(self, start: int, end: int, value: str) -> None:
        super().__init__(start, end)
        self.value = value


class _Interpolation(_Part):
    __slots__ = ("expression",)

    def __init__(self, start: int, end: int, expression: Expression) -> None:
        super().__init__(start, end)
        self.expression = expression


class _If(_Part):
    __slots__ = ("condition",)

    def __init__(self, start: int, end: int, condition: Expression) -> None:
        super().__init__(start, end)
        self.condition = condition


class _For(_Part):
    __slots__ = ("collection", "key_name", "value_name")

    def __init__(self, start: int, end: int, key_name: str | None, value_name: str, collection: Expression) -> None:
        super().__init__(start, end)
        self.key_name = key_name
        self.value_name = value_name
        self.collection = collection


class _Clause(_Part):
    """An `else`, `endif` or `endfor`."""

    __slots__ = ("keyword",)

    def __init__(self, start: int, end: int, keyword: str) -> None:
        super().__init__(start, end)
        self.keyword = keyword


class _End(_Part):
    __slots__ = ()


def read_template(parser: Parser, closer: str, *, flush: bool) -> tuple[list[Expression], bool]:
    """Read a template up to and including its closer.

    Returns its parts, never none, and whether it is one interpolation alone, which stands for its own value.
    """
    parts = _Reader(parser, closer).run()
    if flush:
        _flush(parts)
    parts = _meld(parts)
    unwrap = len(parts) == 2 and type(parts[0]) is _Interpolation
    return _Tree(parser, parts).run(), unwrap


class _Reader:
    """Reads the tokens of one template."""

    def __init__(self, parser: Parser, closer: str) -> None:
        self.parser = parser
        self.closer = closer
        self.parts: list[_Part] = []
        self.start, self.start_end = parser.span(parser.at)

    def run(self) -> list[_Part]:
        parser, parts = self.parser, self.parts
        trim_left = False
        end = (0, 0)
        while not end[1]:
            token = parser.read()
            kind = parser.kinds[token]
            if kind in {QUOTED_TEXT, HEREDOC_TEXT}:
                text = parser.literal_text(token)
                if trim_left:
                    text = text.lstrip(SPACES)
                parts.append(_Text(parser.starts[token], parser.ends[token], text))
                trim_left = False
            elif kind in {INTERPOLATION, DIRECTIVE}:
                self._trim_before(token)
                outer, parser.newlines = parser.newlines, False
                parser.deeper()
                trim_left = self._interpolation(token) if kind == INTERPOLATION else self._directive(token)
                parser.depth -= 1
                parser.newlines = outer
            else:
                end = self._finish(token)
        if not parts:
            parts.append(_Text(end[1], end[1], ""))  # the host places it behind the closer
        parts.append(_End(*end))
        return parts

    def _finish(self, token: int) -> tuple[int, int]:
        parser = self.parser
        span = parser.span(token)
        if parser.kinds[token] == self.closer:
            return span
        if not parser.recovery:
            detail = "No closing marker was found for the string."
            parser.error("Unterminated template string", detail, span, (self.start, span[1]))
        return parser.recover_string(token, self.closer)

    def _trim_before(self, token: int) -> None:
        if self.parser.word(token).endswith("~") and self.parts:
            before = self.parts[-1]
            if type(before) is _Text:
                before.value = before.value.rstrip(SPACES)

    def _interpolation(self, token: int) -> bool:
        parser = self.parser
        expression = parser.expression()
        kind = parser.peek()
        end = parser.peek_span()[1]
        trim = False
        if kind == SEQUENCE_END:
            trim = parser.word(parser.read()) == "~}"
        else:
            self._report_unclosed(kind)
            parser.recover(SEQUENCE_END)
        self.parts.append(_Interpolation(parser.starts[token], end, expression))
        return trim

    def _report_unclosed(self, kind: str) -> None:
        parser = self.parser
        if parser.recovery:
            return
        opened = (self.start, self.start_end)
        span = parser.peek_span()
        context = (self.start, span[1])
        if kind == END:
            detail = (
                "There is no closing brace for this interpolation sequence before the end of the file."
                " This might be caused by incorrect nesting inside the given expression."
            )
            parser.error(_UNCLOSED, detail, opened)
        elif kind == ":":
            detail = (
                "Template interpolation doesn't expect a colon at this location. Did you intend this to be a literal"
                " sequence to be processed as part of another language? If so, you can escape it by starting with"
                ' "$${" instead of just "${".'
            )
            parser.error(_EXTRA, detail, span, context)
        elif kind in {CLOSE_QUOTE, OPEN_QUOTE, STRING} and self.closer == CLOSE_QUOTE:
            detail = (
                "There is no closing brace for this interpolation sequence before the end of the quoted template."
                " This might be caused by incorrect nesting inside the given expression."
            )
            parser.error(_UNCLOSED, detail, opened)
        else:
            detail = (
                "Expected a closing brace to end the interpolation expression, but found extra characters.\n\n"
                "This can happen when you include interpolation syntax for another language, such as shell scripting,"
                " but forget to escape the interpolation start token. If this is an embedded sequence for another"
                ' language, escape it by starting with "$${" instead of just "${".'
            )
            parser.error(_EXTRA, detail, span, context)

    def _directive(self, token: int) -> bool:
        parser = self.parser
        start = parser.starts[token]
        if parser.peek() != IDENT:
            span = parser.peek_span()
            detail = 'A template directive keyword ("if", "for", etc) is expected at the beginning of a %{ sequence.'
            return self._give_up("Invalid template directive", detail, span, (start, span[1]))
        keyword_token = parser.read()
        keyword = parser.word(keyword_token)
        if keyword == "if":
            condition = parser.expression()
            self.parts.append(_If(start, parser.peek_span()[1], condition))
        elif keyword == "for":
            if not self._for(start):
                return False
        elif keyword in _KEYWORDS:
            self.parts.append(_Clause(start, parser.peek_span()[1], keyword))
        else:
            near = near_miss(keyword, _KEYWORDS)
            suggestion = f" Did you mean {quote(near)}?" if near else ""
            detail = f"{quote(keyword)} is not a valid template control keyword.{suggestion}"
            span = parser.span(keyword_token)
            return self._give_up("Invalid template control keyword", detail, span, (start, span[1]))
        if parser.peek() == SEQUENCE_END:
            return parser.word(parser.read()) == "~}"
        span = parser.peek_span()
        detail = "Expected a closing brace to end the sequence, but found extra characters."
        return self._give_up(f"Extra characters in {keyword} marker", detail, span, (self.start, span[1]))

    def _for(self, start: int) -> bool:
        parser = self.parser
        if parser.peek() != IDENT:
            detail = "For directive requires variable name after 'for'."
            return self._give_up(_BAD_FOR, detail, parser.peek_span())
        key_name, value_name = None, parser.word(parser.read())
        if parser.peek() == ",":
            parser.read()
            if parser.peek() != IDENT:
                detail = "For directive requires value variable name after comma."
                return self._give_up(_BAD_FOR, detail, parser.peek_span())
            key_name, value_name = value_name, parser.word(parser.read())
        if not parser.at_keyword("in"):
            detail = "For directive requires 'in' keyword after names."
            return self._give_up(_BAD_FOR, detail, parser.peek_span())
        parser.read()
        collection = parser.expression()
        self.parts.append(_For(start, parser.peek_span()[1], key_name, value_name, collection))
        return True

    def _give_up(
        self, summary: str, detail: str, subject: tuple[int, int], context: tuple[int, int] | None = None
    ) -> bool:
        parser = self.parser
        if not parser.recovery:
            parser.error(summary, detail, subject, context)
        parser.recover(SEQUENCE_END)
        return False


def _flush(parts: list[_Part]) -> None:
    """Take the least indentation of all lines from each of them, as `<<-` asks for."""
    least: int | None = None
    indented: list[tuple[_Text, int]] = []
    at_line_start = True
    for part in parts:
        if at_line_start:
            at_line_start = False
            if type(part) is _End:
                break
            spaces: int | None = 0
            if type(part) is _Text:
                spaces = _indentation(part.value)
                if spaces is not None:
                    indented.append((part, spaces))
            if spaces is not None and (least is None or spaces < least):
                least = spaces
        if type(part) is _Text and part.value.endswith("\n"):
            at_line_start = True
    for text, _ in indented:
        removed = _cut(text.value, least or 0)
        text.value = text.value[removed:]
        text.start += removed


def _indentation(text: str) -> int | None:
    """The spaces that a text begins with, in grapheme clusters; None for a blank line."""
    rest = text.lstrip(SPACES)
    if not rest and text.endswith("\n"):
        return None
    return _clusters(text[: len(text) - len(rest)])


def _clusters(spaces: str) -> int:
    return len(spaces) - spaces.count("\r\n")


def _cut(text: str, count: int) -> int:
    at = 0
    for _ in range(count):
        at += 2 if text.startswith("\r\n", at) else 1
    return min(at, len(text))


def _meld(parts: list[_Part]) -> list[_Part]:
    """Join neighbouring texts."""
    melded: list[_Part] = []
    run: list[_Text] = []
    for part in parts:
        if type(part) is _Text:
            run.append(part)
            continue
        if run:
            melded.append(_Text(run[0].start, run[-1].end, "".join(text.value for text in run)))
            run = []
        melded.append(part)
    return melded


class _Tree:
    """Matches directives with their ends, and makes expressions of the parts."""

    def __init__(self, parser: Parser, parts: list[_Part]) -> None:
        self.parser = parser
        self.source = parser.source
        self.parts = parts
        self.at = 0

    def run(self) -> list[Expression]:
        expressions: list[Expression] = []
        while type(self.parts[self.at]) is not _End:
            expressions.append(self._next())
        return expressions

    def _error(self, summary: str, detail: str, part: _Part) -> Expression:
        self.parser.error(summary, detail, (part.start, part.end))
        return Literal(self.source, part.start, part.end, UNKNOWN)

    def _next(self) -> Expression:
        part = self.parts[self.at]
        self.at += 1
        if type(part) is _Text:
            return Literal(self.source, part.start, part.end, part.value)
        if type(part) is _Interpolation:
            return part.expression
        if isinstance(part, _If | _For):
            self.parser.deeper()
            nested = self._conditional(part) if isinstance(part, _If) else self._loop(part)
            self.parser.depth -= 1
            return nested
        assert type(part) is _Clause
        return self._error(f"Unexpected {part.keyword} directive", _UNBALANCED, part)

    def _conditional(self, opened: _If) -> Expression:
        yes: list[Expression] = []
        no: list[Expression] | None = None
        while True:
            part = self.parts[self.at]
            if type(part) is _End:
                return self._unended("if", opened, part)
            if type(part) is not _Clause:
                (yes if no is None else no).append(self._next())
                continue
            self.at += 1
            where = Range(self.source, opened.start, opened.end)
            if part.keyword == "endif":
                break
            if part.keyword == "else":
                if no is not None:
                    detail = f"Already in the else clause for the if started at {where}."
                    return self._error("Unexpected else directive", detail, part)
                no = []
                continue
            detail = f"Expecting an endif directive for the if started at {where}."
            return self._error(f"Unexpected {part.keyword} directive", detail, part)
        return Conditional(
            self.source,
            opened.start,
            part.end,
            opened.condition,
            self._branch(yes, opened.end),
            self._branch(no or [], part.start),
        )

    def _branch(self, parts: list[Expression], empty_at: int) -> Template:
        parts = parts or [Literal(self.source, empty_at, empty_at, "")]
        return Template(self.source, parts[0].start, parts[-1].end, parts)

    def _loop(self, opened: _For) -> Expression:
        content: list[Expression] = []
        while True:
            part = self.parts[self.at]
            if type(part) is _End:
                return self._unended("for", opened, part)
            if type(part) is not _Clause:
                content.append(self._next())
                continue
            self.at += 1
            if part.keyword == "endfor":
                break
            if part.keyword == "else":
                detail = "An else clause is not expected for a for directive."
            else:
                where = Range(self.source, opened.start, opened.end)
                detail = f"Expecting an endfor directive corresponding to the for directive at {where}."
            return self._error(f"Unexpected {part.keyword} directive", detail, part)
        body = self._branch(content, opened.end)
        loop = For(
            self.source,
            opened.start,
            part.end,
            opened.end,
            opened.key_name,
            opened.value_name,
            opened.collection,
            body,
        )
        return Joined(loop)

    def _unended(self, keyword: str, opened: _Part, end: _Part) -> Expression:
        where = Range(self.source, opened.start, opened.end)
        detail = f"The {keyword} directive at {where} is missing its corresponding end{keyword} directive."
        return self._error("Unexpected end of template", detail, end)
