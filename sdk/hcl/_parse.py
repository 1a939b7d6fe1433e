"""The parser: tokens to a syntax tree, going on after errors.

What it reports, and how it finds its way back after an error, follows the host, whose list of problems the user sees
for the same file. Once the parser has had to skip tokens to recover, problems that may only be echoes stay unreported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._ast import (
    Attribute,
    AttributeStep,
    Binary,
    Block,
    Body,
    Call,
    Conditional,
    Element,
    Expression,
    File,
    For,
    Index,
    IndexStep,
    Literal,
    ObjectItem,
    ObjectLiteral,
    Parentheses,
    RelativeTraversal,
    Splat,
    Step,
    StringLiteral,
    Template,
    Traversal,
    TupleLiteral,
    Unary,
    Unwrapped,
)
from ._diagnostics import Diagnostic, EvaluationError, ParseError, in_source_order
from ._number import number_literal
from ._scan import (
    CLOSE_HEREDOC,
    CLOSE_QUOTE,
    DIRECTIVE,
    END,
    IDENT,
    INTERPOLATION,
    NEWLINE,
    NUMBER,
    OPEN_HEREDOC,
    OPEN_QUOTE,
    QUOTED_TEXT,
    SEQUENCE_END,
    STRAYS,
    STRING,
    scan,
)
from ._source import Range, Source
from ._text import normalize, quote
from ._values import UNKNOWN, Value

if TYPE_CHECKING:
    from collections.abc import Callable

#: How deep blocks and expressions may nest. The host has no such limit. Reading a level takes up to five calls inside
#: one another here, of which Python allows 1,000, those of the caller included.
MAX_NESTING: Final = 150

_OPENER: Final = {
    "}": "{",
    "]": "[",
    ")": "(",
    CLOSE_QUOTE: OPEN_QUOTE,
    CLOSE_HEREDOC: OPEN_HEREDOC,
    SEQUENCE_END: INTERPOLATION,
}
_OPENERS: Final = frozenset({"{", "[", "(", OPEN_QUOTE, OPEN_HEREDOC, INTERPOLATION, DIRECTIVE})
_PRECEDENCE: Final = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_SIMPLE: Final = frozenset({STRING, IDENT, NUMBER})
#: What can follow an expression of one token and be no part of it.
_SIMPLE_ENDS: Final = frozenset({",", "]", "}", ")", "=", ":", "=>", SEQUENCE_END, END})
_KEYWORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}

_ITEM_REQUIRED: Final = "Argument or block definition required"
_ITEM_DETAIL: Final = "An argument or block definition is required here."
_EQUALS_DETAIL: Final = _ITEM_DETAIL + ' To set an argument, use the equals sign "=" to introduce the argument value.'
_UNCLOSED_DETAIL: Final = (
    "There is no closing brace for this block before the end of the file."
    " This may be caused by incorrect brace nesting elsewhere in this file."
)
_BAD_BLOCK: Final = "Invalid block definition"
_BAD_ONE_LINER: Final = "Invalid single-argument block definition"
_BAD_FOR: Final = "Invalid 'for' expression"
_BAD_STRING: Final = "Invalid string literal"
_NO_SEPARATOR: Final = "Missing key/value separator"
_SEPARATOR_DETAIL: Final = 'Expected an equals sign ("=") to mark the beginning of the attribute value.'
_UNTERMINATED_OBJECT: Final = "Unterminated object constructor expression"
_UNTERMINATED_OBJECT_DETAIL: Final = (
    "There is no corresponding closing brace before the end of the file."
    " This may be caused by incorrect brace nesting elsewhere in this file."
)
_LEGACY_INDEX: Final = "Invalid legacy index syntax"
_MISSING_NAME: Final = "An attribute name is required after a dot."


class _TooDeepError(Exception):
    """The nesting limit is exceeded; the argument is the offset at which it is."""


class Parser:
    """Reads one source. `newlines` says whether a line end is a token where the parser stands."""

    def __init__(self, source: Source) -> None:
        tokens = scan(source)
        self.source = source
        self.text = source.text
        self.kinds = tokens.kinds
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.at = 0
        self.last = 0
        self.newlines = True
        self.recovery = False
        self.depth = 0
        self.diagnostics: list[Diagnostic] = []
        if not STRAYS.isdisjoint(tokens.kinds):
            from ._strays import strays

            self.diagnostics += strays(source, tokens)
        self.stray_offsets = {diagnostic.subject.start for diagnostic in self.diagnostics}

    # Tokens

    def peek(self) -> str:
        """The kind of the next token."""
        at = self.at
        kinds = self.kinds
        if not self.newlines:
            while kinds[at] == NEWLINE:
                at += 1
            self.at = at
        return kinds[at]

    def read(self) -> int:
        """Take the next token; at the end of the file, stay there."""
        kind = self.peek()
        self.last = at = self.at
        if kind != END:
            self.at = at + 1
        return at

    def span(self, token: int) -> tuple[int, int]:
        """The range of a token as the host has it: of a whole string, the opening quote."""
        start = self.starts[token]
        return start, start + 1 if self.kinds[token] == STRING else self.ends[token]

    def peek_span(self) -> tuple[int, int]:
        """The range of the next token."""
        self.peek()
        return self.span(self.at)

    def word(self, token: int) -> str:
        """The text of a token."""
        return self.text[self.starts[token] : self.ends[token]]

    def at_keyword(self, keyword: str) -> bool:
        """Whether the next token is this word."""
        return self.peek() == IDENT and self.word(self.at) == keyword

    def error(
        self, summary: str, detail: str, subject: tuple[int, int], context: tuple[int, int] | None = None
    ) -> None:
        """Report a problem."""
        source = self.source
        whole = Range(source, *context) if context is not None else None
        # A token that fits nowhere has been reported as such; that it does not fit here either follows from that.
        follows = subject[0] in self.stray_offsets
        self.diagnostics.append(Diagnostic(summary, detail, Range(source, *subject), whole, follows=follows))

    def failed_since(self, mark: int) -> bool:
        """Whether the parser is recovering and anything was reported since there were `mark` problems."""
        return self.recovery and len(self.diagnostics) > mark

    def deeper(self) -> None:
        """Go down one level."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise _TooDeepError(self.starts[self.at])

    # Recovery

    def recover(self, closer: str) -> int:
        """Skip tokens up to and including the closer that matches an opener already read."""
        self.recovery = True
        opener = _OPENER.get(closer)
        nested = 0
        while True:
            token = self.read()
            kind = self.kinds[token]
            if kind == DIRECTIVE and closer == SEQUENCE_END:
                kind = INTERPOLATION
            if kind == opener:
                nested += 1
            elif kind == closer:
                if not nested:
                    return token
                nested -= 1
            elif kind == END:
                return token

    def recover_string(self, token: int, closer: str) -> tuple[int, int]:
        """Skip to the end of a template, a token inside which has been read; returns the range of its closer."""
        if self.kinds[token] == STRING and closer == CLOSE_QUOTE:
            self.recovery = True
            return self.ends[token] - 1, self.ends[token]
        return self.span(self.recover(closer))

    def recover_over(self, opener: str) -> int:
        """Skip to an opener, and on to the closer that matches it."""
        while self.kinds[self.read()] not in {opener, END}:
            pass
        return self.recover({"(": ")"}[opener])

    def recover_after_item(self) -> None:
        """Skip to the end of the line, or of the line on which everything opened on it is closed."""
        self.recovery = True
        opened: list[str] = []
        while True:
            kind = self.kinds[self.read()]
            if kind == END or (kind == NEWLINE and not opened):
                return
            if kind in _OPENERS:
                opened.append(kind)
            elif kind in _OPENER:
                matches = {INTERPOLATION, DIRECTIVE} if kind == SEQUENCE_END else {_OPENER[kind]}
                while opened and opened.pop() not in matches:
                    pass

    # Structure

    def body(self, closer: str) -> Body:
        """Read items up to the closer, which is `END` for a file."""
        source = self.source
        start, start_end = self.span(self.last) if self.at else (0, 0)
        attributes: dict[str, Attribute] = {}
        blocks: list[Block] = []
        while (kind := self.kinds[self.at]) != closer:
            if kind == NEWLINE:
                self.read()
            elif kind == IDENT:
                item = self._item()
                if type(item) is Attribute:
                    self._add_attribute(attributes, item)
                elif type(item) is Block:
                    blocks.append(item)
            else:
                self._unexpected_in_body(self.read(), (start, start_end))
                end = self.ends[self.last]
                self.recover(closer)
                return Body(source, start, end, attributes, blocks, start)
        end = self.ends[self.read()]
        return Body(source, start, end, attributes, blocks, start)

    def _add_attribute(self, attributes: dict[str, Attribute], attribute: Attribute) -> None:
        existing = attributes.setdefault(attribute.name, attribute)
        if existing is not attribute:
            self.error(
                "Attribute redefined",
                f"The argument {quote(attribute.name)} was already set at {existing.name_range}."
                " Each argument may be set only once.",
                (attribute.start, attribute.name_end),
            )

    def _unexpected_in_body(self, token: int, opened: tuple[int, int]) -> None:
        if self.recovery:
            return
        kind = self.kinds[token]
        if kind in {OPEN_QUOTE, STRING}:
            self.error("Invalid argument name", "Argument names must not be quoted.", self.span(token))
        elif kind == END:
            self.error(
                "Unclosed configuration block",
                _UNCLOSED_DETAIL,
                opened,
            )
        else:
            self.error(_ITEM_REQUIRED, _ITEM_DETAIL, self.span(token))

    def _item(self) -> Attribute | Block | None:
        ident = self.read()
        kind = self.kinds[self.at]
        if kind == "=":
            return self._attribute(ident, one_line=False)
        if kind in {"{", IDENT, STRING, OPEN_QUOTE}:
            return self._block(ident)
        self.error(_ITEM_REQUIRED, _EQUALS_DETAIL, self.span(ident))
        self.recover_after_item()
        return None

    def _attribute(self, ident: int, *, one_line: bool) -> Attribute:
        self.read()
        start = self.starts[ident]
        mark = len(self.diagnostics)
        expression = self.expression()
        end = self.ends[self.last]
        if self.failed_since(mark):
            self.recover_after_item()
        elif not one_line:
            kind = self.peek()
            if kind in {NEWLINE, END}:
                self.read()
            else:
                self._report_unfinished_argument(kind, start)
                self.recover_after_item()
        return Attribute(self.source, start, end, self.word(ident), self.ends[ident], expression)

    def _report_unfinished_argument(self, kind: str, start: int) -> None:
        if self.recovery:
            return
        summary, detail = "Missing newline after argument", "An argument definition must end with a newline."
        if kind == ",":
            summary = "Unexpected comma after argument"
            detail = "Argument definitions must be separated by newlines, not commas. " + detail
        span = self.peek_span()
        self.error(summary, detail, span, (start, span[1]))

    def _block(self, ident: int) -> Block:
        labels: list[str] = []
        spans: list[tuple[int, int]] = []
        while (kind := self.kinds[self.at]) != "{":
            if kind == STRING:
                token = self.read()
                labels.append(self.text[self.starts[token] + 1 : self.ends[token] - 1])
                spans.append((self.starts[token], self.ends[token]))
            elif kind == OPEN_QUOTE:
                label, span = self._quoted_label()
                labels.append(label)
                spans.append(span)
            elif kind == IDENT:
                token = self.read()
                labels.append(self.word(token))
                spans.append(self.span(token))
            else:
                return self._headless_block(ident, kind, labels, spans)
        block = Block(self.source, self.starts[ident], self.ends[ident], self.word(ident), labels, spans)
        block.open_brace = self.starts[self.read()]
        self.deeper()
        if self.kinds[self.at] in {NEWLINE, END, "}"}:
            block.body = self.body("}")
        else:
            block.body = self._one_line_body(block.start, block.open_brace)
        self.depth -= 1
        block.close_brace = self.starts[self.last]
        self._end_of_block(block)
        return block

    def _headless_block(self, ident: int, kind: str, labels: list[str], spans: list[tuple[int, int]]) -> Block:
        start = self.starts[ident]
        span = self.peek_span()
        if kind == "=":
            detail = 'The equals sign "=" indicates an argument definition, and must not be used when defining a block.'
            self.error(_BAD_BLOCK, detail, span, (start, span[1]))
        elif kind == NEWLINE:
            detail = (
                'A block definition must have block content delimited by "{" and "}",'
                " starting on the same line as the block header."
            )
            self.error(_BAD_BLOCK, detail, span, (start, span[1]))
        elif not self.recovery:
            detail = 'Either a quoted string block label or an opening brace ("{") is expected here.'
            self.error(_BAD_BLOCK, detail, span, (start, span[1]))
        self.recover_after_item()
        block = Block(self.source, start, self.ends[ident], self.word(ident), labels, spans)
        block.body = Body(self.source, start, self.ends[ident], {}, [], self.ends[ident])
        return block

    def _one_line_body(self, start: int, open_brace: int) -> Body:
        body = self._single_attribute(open_brace)
        kind = self.peek()
        if kind == "}":
            self.read()
            return body
        if kind == ",":
            detail = (
                "Single-line block syntax can include only one argument definition. To define multiple arguments,"
                " use the multi-line block syntax with one argument definition per line."
            )
            self.error(_BAD_ONE_LINER, detail, self.peek_span())
        elif kind == NEWLINE:
            detail = (
                "An argument definition on the same line as its containing block creates a single-line block"
                " definition, which must also be closed on the same line. Place the block's closing brace"
                " immediately after the argument definition."
            )
            self.error(_BAD_ONE_LINER, detail, self.peek_span())
        elif kind == END and not self.recovery:
            brace = (open_brace, open_brace + 1)
            self.error("Unclosed configuration block", _UNCLOSED_DETAIL, brace, (start, open_brace + 1))
        elif not self.recovery:
            detail = (
                "A single-line block definition must end with a closing brace immediately after its single"
                " argument definition."
            )
            self.error(_BAD_ONE_LINER, detail, self.peek_span())
        self.recover("}")
        return body

    def _single_attribute(self, open_brace: int) -> Body:
        source = self.source
        ident = self.read()
        start, end = self.span(ident)
        if self.kinds[ident] != IDENT:
            self.error(_ITEM_REQUIRED, _ITEM_DETAIL, (start, end))
            self.recover_after_item()
            return Body(source, open_brace, end, {}, [], open_brace)
        kind = self.peek()
        if kind == "=":
            attribute = self._attribute(ident, one_line=True)
            return Body(source, start, attribute.end, {attribute.name: attribute}, [], start)
        if kind in {"{", IDENT, STRING, OPEN_QUOTE}:
            self.error(
                "Argument definition required",
                "A single-line block definition can contain only a single argument. If you meant to define argument"
                f" {quote(self.word(ident))}, use an equals sign to assign it a value. To define a nested block, place"
                " it on a line of its own within its parent block.",
                (start, self.peek_span()[1]),
            )
        else:
            self.error(_ITEM_REQUIRED, _EQUALS_DETAIL, (start, end))
        self.recover_after_item()
        return Body(source, open_brace, end, {}, [], open_brace)

    def _end_of_block(self, block: Block) -> None:
        kind = self.peek()
        if kind in {NEWLINE, END}:
            self.read()
            return
        if not self.recovery:
            span = self.peek_span()
            detail = "A block definition must end with a newline."
            self.error("Missing newline after block definition", detail, span, (block.start, span[1]))
        self.recover_after_item()

    def _quoted_label(self) -> tuple[str, tuple[int, int]]:
        start = self.starts[self.read()]
        parts: list[str] = []
        while True:
            token = self.read()
            kind = self.kinds[token]
            span = self.span(token)
            if kind == CLOSE_QUOTE:
                break
            if kind == QUOTED_TEXT:
                parts.append(self.literal_text(token))
            elif kind in {INTERPOLATION, DIRECTIVE}:
                sign = "$" if kind == INTERPOLATION else "%"
                detail = (
                    "Template sequences are not allowed in this string. To include a literal"
                    f' "{sign}", double it (as "{sign}{sign}") to escape it.'
                )
                self.error(_BAD_STRING, detail, span, (start, span[1]))
                parts.append(sign + "{ ... }")
                self.recover(SEQUENCE_END)
            elif kind == END:
                detail = "Unable to find the closing quote mark before the end of the file."
                self.error("Unterminated string literal", detail, span, (start, span[1]))
                break
            else:
                self.error(_BAD_STRING, "This item is not valid in a string literal.", span, (start, span[1]))
                self.recover_string(token, CLOSE_QUOTE)
                break
        return "".join(parts), (start, span[1])

    # Expressions

    def expression(self) -> Expression:
        """Read an expression, a conditional at the outermost."""
        at = self.at
        kind = self.kinds[at]
        if kind in _SIMPLE:
            after = self.kinds[at + 1]
            if after in _SIMPLE_ENDS or (after == NEWLINE and self.newlines):
                self.last = at
                self.at = at + 1
                return self._simple(kind, at)
        self.deeper()
        mark = len(self.diagnostics)
        condition = self._operation(1)
        if self.peek() == "?" and not self.failed_since(mark):
            condition = self._conditional(condition)
        self.depth -= 1
        return condition

    def _conditional(self, condition: Expression) -> Expression:
        start = condition.start
        self.read()
        mark = len(self.diagnostics)
        yes = self.expression()
        if self.failed_since(mark):
            return condition
        if self.peek() != ":":
            span = self.peek_span()
            self.error(
                "Missing false expression in conditional",
                "The conditional operator (...?...:...) requires a false expression, delimited by a colon.",
                span,
                (start, span[1]),
            )
            return condition
        self.read()
        mark = len(self.diagnostics)
        no = self.expression()
        if self.failed_since(mark):
            return condition
        return Conditional(self.source, start, no.end, condition, yes, no)

    def _operation(self, minimum: int) -> Expression:
        mark = len(self.diagnostics)
        left = self._term()
        if self.peek() in {".", "["}:
            left = self._postfix(left)
        while True:
            operator = self.peek()
            precedence = _PRECEDENCE.get(operator, 0)
            if precedence < minimum or self.failed_since(mark):
                return left
            self.read()
            right = self._operation(precedence + 1)
            left = Binary(self.source, left, operator, right)

    def _operand(self) -> Expression:
        term = self._term()
        if self.peek() in {".", "["}:
            return self._postfix(term)
        return term

    def _term(self) -> Expression:
        kind = self.peek()
        if kind in _SIMPLE:
            token = self.read()
            if kind == IDENT and self.peek() in {"(", "::"}:
                return self._call(token)
            return self._simple(kind, token)
        if kind in _TERMS:
            return _TERMS[kind](self)
        token = self.at
        start, end = self.starts[token], self.ends[token]
        if not self.recovery:
            if kind == END:
                detail = "Expected the start of an expression, but found the end of the file."
                self.error("Missing expression", detail, self.span(token))
            else:
                detail = "Expected the start of an expression, but found an invalid expression token."
                self.error("Invalid expression", detail, self.span(token))
        self.recovery = True
        return Literal(self.source, start, end, UNKNOWN)

    def _simple(self, kind: str, token: int) -> Expression:
        """The expression that one token is."""
        start, end = self.starts[token], self.ends[token]
        if kind == STRING:
            return StringLiteral(self.source, start, end, normalize(self.text[start + 1 : end - 1]))
        if kind == NUMBER:
            return Literal(self.source, start, end, self._number_value(token))
        name = self.text[start:end]
        if name in _KEYWORDS:
            return Literal(self.source, start, end, _KEYWORDS[name])
        return Traversal(self.source, start, end, name)

    def _number_value(self, token: int) -> Value:
        value = number_literal(self.word(token))
        if value is not None:
            return value
        self.error("Invalid number literal", "Failed to recognize the value of this number literal.", self.span(token))
        return UNKNOWN

    def _unary(self) -> Expression:
        token = self.read()
        self.deeper()
        operand = self._operand()
        self.depth -= 1
        return Unary(self.source, self.starts[token], operand.end, self.kinds[token], operand)

    def _parentheses(self) -> Expression:
        start = self.starts[self.read()]
        outer, self.newlines = self.newlines, False
        mark = len(self.diagnostics)
        inner = self.expression()
        if len(self.diagnostics) > mark:
            self.recover(")")
            self.newlines = outer
            return inner
        if self.peek() != ")":
            span = self.peek_span()
            detail = "Expected a closing parenthesis to terminate the expression."
            self.error("Unbalanced parentheses", detail, span, (start, span[1]))
            self.recovery = True
        end = self.span(self.read())[1]
        self.newlines = outer
        return Parentheses(self.source, start, end, inner)

    def _template(self) -> Expression:
        from ._template import read_template

        token = self.read()
        start = self.starts[token]
        closer = CLOSE_QUOTE if self.kinds[token] == OPEN_QUOTE else CLOSE_HEREDOC
        flush = closer == CLOSE_HEREDOC and self.text.startswith("<<-", start)
        parts, unwrap = read_template(self, closer, flush=flush)
        end = self.ends[self.last]
        if unwrap:
            return Unwrapped(self.source, start, end, parts[0])
        only = parts[0]
        if closer == CLOSE_QUOTE and len(parts) == 1 and type(only) is Literal and type(only.value) is str:
            return StringLiteral(self.source, start, end, normalize(only.value))
        return Template(self.source, start, end, parts)

    def literal_text(self, token: int) -> str:
        """The value of a piece of literal text, whose escapes are checked here."""
        from ._template import unescape

        return unescape(self, token)

    def _call(self, ident: int) -> Expression:
        start = self.starts[ident]
        name = self.word(ident)
        name_end = self.ends[ident]
        token = self.read()
        while self.kinds[token] == "::":
            part = self.read()
            span = self.span(part)
            if self.kinds[part] != IDENT:
                detail = "Function scope resolution symbol :: must be followed by a function name in this scope."
                self.error("Missing function name", detail, span, (start, span[1]))
                self.recover_over("(")
                return Literal(self.source, start, span[1], UNKNOWN)
            name += "::" + self.word(part)
            name_end = span[1]
            token = self.read()
        if self.kinds[token] != "(":
            span = self.span(token)
            detail = "Function selector must be followed by an open parenthesis to begin the function call."
            self.error("Missing open parenthesis", detail, span, (start, span[1]))
            self.recover_over("(")
            return Literal(self.source, start, span[1], UNKNOWN)
        outer, self.newlines = self.newlines, False
        arguments, expand, close = self._arguments(start, token)
        self.newlines = outer
        end = self.span(close)[1]
        return Call(self.source, start, end, name, name_end, self.starts[token], arguments, expand)

    def _arguments(self, start: int, opened: int) -> tuple[list[Expression], bool, int]:
        arguments: list[Expression] = []
        while self.peek() != ")":
            mark = len(self.diagnostics)
            arguments.append(self.expression())
            if self.failed_since(mark):
                return arguments, False, self.recover(")")
            separator = self.read()
            kind = self.kinds[separator]
            span = self.span(separator)
            if kind == ")":
                return arguments, False, separator
            if kind == "...":
                if self.peek() == ")":
                    return arguments, True, self.read()
                if not self.recovery:
                    detail = (
                        "An expanded function argument (with ...) must be immediately followed by closing parentheses."
                    )
                    self.error("Missing closing parenthesis", detail, span, (start, span[1]))
                return arguments, True, self.recover(")")
            if kind == END:
                detail = (
                    "There is no closing parenthesis for this function call before the end of the file."
                    " This may be caused by incorrect parenthesis nesting elsewhere in this file."
                )
                self.error("Unterminated function call", detail, (start, self.ends[opened]))
                return arguments, False, self.recover(")")
            if kind != ",":
                detail = "A comma is required to separate each function argument from the next."
                self.error("Missing argument separator", detail, span, (start, span[1]))
                return arguments, False, self.recover(")")
        return arguments, False, self.read()

    # Postfix operators

    def _postfix(self, origin: Expression) -> Expression:
        result = origin
        while True:
            kind = self.peek()
            if kind == ".":
                result = self._after_dot(result, self.read())
            elif kind == "[":
                result = self._after_bracket(result, self.read())
            else:
                return result

    def _after_dot(self, origin: Expression, dot: int) -> Expression:
        kind = self.peek()
        if kind == IDENT:
            name = self.read()
            step = AttributeStep(self.source, self.starts[dot], self.ends[name], self.word(name))
            return self._step(origin, step)
        if kind == NUMBER:
            return self._step(origin, self._legacy_index(dot, self.at, ""))
        if kind == "*":
            return self._attribute_splat(origin, dot)
        self.error("Invalid attribute name", _MISSING_NAME, self.peek_span())
        self.recovery = True
        return origin

    def _legacy_index(self, dot: int, culprit: int, instead: str) -> IndexStep:
        token = self.read()
        text = self.word(token)
        if "." in text:
            first, _, second = text.partition(".")
            detail = (
                "When using the legacy index syntax, chaining two indexes together is not permitted."
                f" Use the proper index syntax{instead} instead, like [{first}][{second}]."
            )
            self.error(_LEGACY_INDEX, detail, self.span(culprit))
            return IndexStep(self.source, self.starts[dot], self.ends[token], UNKNOWN)
        return IndexStep(self.source, self.starts[dot], self.ends[token], self._number_value(token))

    def _attribute_splat(self, origin: Expression, dot: int) -> Expression:
        star = self.read()
        element = Element(self.source, self.starts[dot], self.ends[star])
        steps: list[Step] = []
        while self.peek() == ".":
            inner_dot = self.read()
            kind = self.peek()
            if kind == NUMBER:
                steps.append(self._legacy_index(inner_dot, star, " with a full splat expression [*]"))
            elif kind == IDENT:
                name = self.read()
                steps.append(AttributeStep(self.source, self.starts[inner_dot], self.ends[name], self.word(name)))
            else:
                if not self.recovery:
                    if kind == "*":
                        detail = "A splat expression (*) cannot be used inside another attribute-only splat expression."
                        self.error("Nested splat expression not allowed", detail, self.peek_span())
                    else:
                        self.error("Invalid attribute name", _MISSING_NAME, self.span(star))
                self.recovery = True
                return origin
        end = steps[-1].end if steps else element.end
        each: Expression = element
        if steps:
            each = RelativeTraversal(self.source, steps[0].start, end, element, steps)
        return Splat(self.source, origin.start, end, origin, each, element)

    def _after_bracket(self, origin: Expression, bracket: int) -> Expression:
        if self.peek() == "*":
            return self._full_splat(origin, bracket)
        start = self.starts[bracket]
        outer, self.newlines = self.newlines, False
        mark = len(self.diagnostics)
        key = self.expression()
        if self.failed_since(mark):
            close = self.recover("]")
        else:
            close = self.read()
            if self.kinds[close] != "]" and not self.recovery:
                # The host points at the token where it has recovered, not at the one in the wrong place.
                close = self.recover("]")
                detail = 'The index operator must end with a closing bracket ("]").'
                self.error("Missing close bracket on index", detail, self.span(close))
        self.newlines = outer
        end = self.span(close)[1]
        if type(key) is Literal or type(key) is StringLiteral:
            return self._step(origin, IndexStep(self.source, start, end, key.value))
        return Index(self.source, origin.start, end, origin, key, start)

    def _full_splat(self, origin: Expression, bracket: int) -> Expression:
        self.read()
        close = self.read()
        if self.kinds[close] != "]" and not self.recovery:
            close = self.recover("]")  # and the host points there
            detail = 'The star for a full splat operator must be immediately followed by a closing bracket ("]").'
            self.error("Missing close bracket on splat index", detail, self.span(close))
        element = Element(self.source, self.starts[bracket], self.span(close)[1])
        each = self._postfix(element)
        return Splat(self.source, origin.start, each.end, origin, each, element)

    def _step(self, origin: Expression, step: Step) -> Expression:
        if type(origin) is Traversal or type(origin) is RelativeTraversal:
            origin.steps.append(step)
            origin.end = step.end
            return origin
        return RelativeTraversal(self.source, origin.start, step.end, origin, [step])

    # Collections

    def _tuple(self) -> Expression:
        opened = self.read()
        outer, self.newlines = self.newlines, False
        if self.at_keyword("for"):
            result = self._for(opened)
        else:
            items: list[Expression] = []
            close = self._tuple_items(opened, items)
            result = TupleLiteral(self.source, self.starts[opened], self.span(close)[1], items)
        self.newlines = outer
        return result

    def _tuple_items(self, opened: int, items: list[Expression]) -> int:
        while self.peek() != "]":
            mark = len(self.diagnostics)
            items.append(self.expression())
            if self.failed_since(mark):
                return self.recover("]")
            kind = self.peek()
            if kind == "]":
                break
            if kind != ",":
                if not self.recovery:
                    span = self.peek_span()
                    if kind == END:
                        detail = (
                            "There is no corresponding closing bracket before the end of the file."
                            " This may be caused by incorrect bracket nesting elsewhere in this file."
                        )
                        self.error("Unterminated tuple constructor expression", detail, self.span(opened))
                    else:
                        detail = "Expected a comma to mark the beginning of the next item."
                        self.error("Missing item separator", detail, span, (self.starts[opened], span[1]))
                return self.recover("]")
            self.read()
        return self.read()

    def _object(self) -> Expression:
        opened = self.read()
        outer = self.newlines
        if self._for_follows():
            self.newlines = False
            result = self._for(opened)
        else:
            self.newlines = True
            items: list[ObjectItem] = []
            close = self._object_items(opened, items)
            result = ObjectLiteral(self.source, self.starts[opened], self.span(close)[1], items)
        self.newlines = outer
        return result

    def _for_follows(self) -> bool:
        at = self.at
        while self.kinds[at] == NEWLINE:
            at += 1
        return self.kinds[at] == IDENT and self.word(at) == "for"

    def _object_items(self, opened: int, items: list[ObjectItem]) -> int:
        while (kind := self.peek()) != "}":
            if kind == NEWLINE:
                self.read()
                continue
            in_parentheses = kind == "("
            mark = len(self.diagnostics)
            key = self.expression()
            if self.failed_since(mark):
                return self.recover("}")
            kind = self.peek()
            if kind not in {"=", ":"}:
                self._report_missing_separator(kind, opened)
                return self.recover("}")
            self.read()
            mark = len(self.diagnostics)
            value = self.expression()
            if self.failed_since(mark):
                return self.recover("}")
            items.append(ObjectItem(key, in_parentheses, value))
            kind = self.peek()
            if kind == "}":
                break
            if kind not in {",", NEWLINE}:
                self._report_unfinished_object(kind, opened)
                return self.recover("}")
            self.read()
        return self.read()

    def _report_missing_separator(self, kind: str, opened: int) -> None:
        if self.recovery:
            return
        if kind == END:
            self.error(_UNTERMINATED_OBJECT, _UNTERMINATED_OBJECT_DETAIL, self.span(opened))
            return
        summary, detail = _NO_SEPARATOR, _SEPARATOR_DETAIL
        if kind in {NEWLINE, ","}:
            summary = "Missing attribute value"
            detail = 'Expected an attribute value, introduced by an equals sign ("=").'
        elif kind == IDENT:
            detail += (
                " If you intended to given an attribute name containing periods or spaces,"
                " write the name in quotes to create a string literal."
            )
        span = self.peek_span()
        self.error(summary, detail, span, (self.starts[opened], span[1]))

    def _report_unfinished_object(self, kind: str, opened: int) -> None:
        if self.recovery:
            return
        if kind == END:
            self.error(_UNTERMINATED_OBJECT, _UNTERMINATED_OBJECT_DETAIL, self.span(opened))
            return
        span = self.peek_span()
        detail = "Expected a newline or comma to mark the beginning of the next attribute."
        self.error("Missing attribute separator", detail, span, (self.starts[opened], span[1]))

    def _for(self, opened: int) -> Expression:
        start = self.starts[opened]
        closer = "]" if self.kinds[opened] == "[" else "}"
        self.read()

        def give_up(detail: str = "") -> Expression:
            if detail and not self.recovery:
                span = self.peek_span()
                self.error(_BAD_FOR, detail, span, (start, span[1]))
            close = self.recover(closer)
            return Literal(self.source, start, self.span(close)[1], UNKNOWN)

        if self.peek() != IDENT:
            return give_up("For expression requires variable name after 'for'.")
        key_name, value_name = None, self.word(self.read())
        if self.peek() == ",":
            self.read()
            if self.peek() != IDENT:
                return give_up("For expression requires value variable name after comma.")
            key_name, value_name = value_name, self.word(self.read())
        if not self.at_keyword("in"):
            return give_up("For expression requires the 'in' keyword after its name declarations.")
        self.read()
        mark = len(self.diagnostics)
        collection = self.expression()
        if self.failed_since(mark):
            return give_up()
        if self.peek() != ":":
            return give_up("For expression requires a colon after the collection expression.")
        self.read()
        mark = len(self.diagnostics)
        value = self.expression()
        key = None
        if self.peek() == "=>":
            self.read()
            key, value = value, self.expression()
        if self.failed_since(mark):
            return give_up()
        result = For(self.source, start, start, start + 1, key_name, value_name, collection, value)
        result.key = key
        return self._end_of_for(result, closer, give_up)

    def _end_of_for(self, result: For, closer: str, give_up: Callable[[], Expression]) -> Expression:
        ellipsis = None
        if self.peek() == "...":
            ellipsis = self.span(self.read())
        if self.at_keyword("if"):
            self.read()
            mark = len(self.diagnostics)
            result.condition = self.expression()
            if self.failed_since(mark):
                return give_up()
        if self.peek() == closer:
            close = self.read()
        else:
            if not self.recovery:
                span = self.peek_span()
                detail = "Extra characters after the end of the 'for' expression."
                self.error(_BAD_FOR, detail, span, (result.start, span[1]))
            close = self.recover(closer)
        result.end = self.span(close)[1]
        result.group = ellipsis is not None
        whole = (result.start, result.end)
        if closer == "]":
            if result.key is not None:
                span = (result.key.start, result.key.end)
                self.error(_BAD_FOR, "Key expression is not valid when building a tuple.", span, whole)
            if ellipsis is not None:
                detail = "Grouping ellipsis (...) cannot be used when building a tuple."
                self.error(_BAD_FOR, detail, ellipsis, whole)
        elif result.key is None:
            span = (result.value.start, result.value.end)
            self.error(_BAD_FOR, "Key expression is required when building an object.", span, whole)
        return result


# The terms that more than one token makes up, by the token that they begin with.
_TERMS: Final = {
    "(": Parser._parentheses,  # noqa: SLF001 - this module's own
    "[": Parser._tuple,  # noqa: SLF001 - this module's own
    "{": Parser._object,  # noqa: SLF001 - this module's own
    "-": Parser._unary,  # noqa: SLF001 - this module's own
    "!": Parser._unary,  # noqa: SLF001 - this module's own
    OPEN_QUOTE: Parser._template,  # noqa: SLF001 - this module's own
    OPEN_HEREDOC: Parser._template,  # noqa: SLF001 - this module's own
}


# Entrances

_last: tuple[str, str | bytes, File] | None = None


def parse(content: str | bytes, *, filename: str) -> File:
    """Parse a file.

    The last file is remembered: a host that decodes the instances of one file one by one has it parsed once. Raises
    ParseError with every problem that there is.
    """
    global _last  # noqa: PLW0603 - a cache of one entry, replaced as a whole
    last = _last
    if last is not None and last[0] == filename and last[1] == content and type(last[1]) is type(content):
        return last[2]
    file, diagnostics = parse_with_diagnostics(Source(filename, content))
    if diagnostics:
        raise ParseError(diagnostics)
    _last = (filename, content, file)
    return file


def parse_with_diagnostics(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """Parse a file; what could be read of a broken one, and every problem in source order."""
    parser = Parser(source)
    try:
        body = parser.body(END)
    except (_TooDeepError, RecursionError) as error:
        parser.diagnostics.append(_too_deep(parser, error))
        body = Body(source, 0, 0, {}, [], 0)
    return File(source, body), in_source_order(parser.diagnostics)


def parse_expression(content: str | bytes, *, filename: str = "expression") -> Expression:
    """Parse an expression that is a source of its own. Raises EvaluationError."""
    expression, diagnostics = expression_with_diagnostics(Source(filename, content))
    if diagnostics:
        raise EvaluationError(diagnostics)
    return expression


def expression_with_diagnostics(source: Source) -> tuple[Expression, tuple[Diagnostic, ...]]:
    """Parse an expression that is a source of its own; line ends in it count for nothing."""
    parser = Parser(source)
    parser.newlines = False
    try:
        expression = parser.expression()
        if parser.peek() != END and not parser.recovery:
            detail = "An expression was successfully parsed, but extra characters were found after it."
            parser.error("Extra characters after expression", detail, parser.peek_span())
    except (_TooDeepError, RecursionError) as error:
        parser.diagnostics.append(_too_deep(parser, error))
        expression = Literal(source, 0, 0, UNKNOWN)
    return expression, in_source_order(parser.diagnostics)


def _too_deep(parser: Parser, error: Exception) -> Diagnostic:
    at = error.args[0] if isinstance(error, _TooDeepError) else parser.starts[parser.at]
    return Diagnostic(
        "Nesting too deep",
        f"Blocks and expressions may be nested at most {MAX_NESTING} levels deep.",
        Range(parser.source, at, min(at + 1, len(parser.text))),
    )
