r"""Go's regular expressions (RE2) in terms of Python's, as far as "does it match this line" goes.

The host compiles a `log_line` probe with Go's `regexp`. What Python would read differently is translated: `\d`, `\w`,
`\s`, `\b` are ASCII; `$` is the end of the text; `\z`, `\Q...\E`, `\x{...}`, octal escapes, POSIX classes,
`(?<name>...)`, `(?U)` and flags in the middle of a group exist; `x{,3}` is plain text. What Go refuses is refused, with
its reason: back references, look-around, possessive repeats, repeats above 1000. Captures and greediness do not change
whether a line matches and are dropped. Two things are valid in Go and refused here: Unicode classes (`\pL`,
`\p{Greek}`), of which Python has no table, and a repeat directly behind a flag group (`a(?i)*`).

Go needs linear time for any expression; Python needs exponential time for some, such as ``(a+)+$``.
"""

from __future__ import annotations

import re

_LAST = 0x10FFFF
_Ranges = list[tuple[int, int]]
_Sets = list[tuple[bool, _Ranges]]
"""A union of sets; True stands for a complement, which has to stay one: (?i) widens a set before it is negated."""

_PERL: dict[str, _Ranges] = {
    "d": [(0x30, 0x39)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "s": [(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)],
}
_POSIX: dict[str, _Ranges] = {
    "alnum": [(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
    "alpha": [(0x41, 0x5A), (0x61, 0x7A)],
    "ascii": [(0x00, 0x7F)],
    "blank": [(0x09, 0x09), (0x20, 0x20)],
    "cntrl": [(0x00, 0x1F), (0x7F, 0x7F)],
    "digit": [(0x30, 0x39)],
    "graph": [(0x21, 0x7E)],
    "lower": [(0x61, 0x7A)],
    "print": [(0x20, 0x7E)],
    "punct": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    "space": [(0x09, 0x0D), (0x20, 0x20)],
    "upper": [(0x41, 0x5A)],
    "word": _PERL["w"],
    "xdigit": [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
}
_CONTROL = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_ASSERTIONS = {"A": r"(?:\A)", "z": r"(?:\Z)", "b": r"(?a:\b)", "B": r"(?!(?a:\b))"}

_REPEAT = re.compile(r"[*+?]|\{(\d+)(,(\d*))?\}", re.ASCII)
_GROUP = re.compile(r"\(\?P?<(\w+)>", re.ASCII)
_FLAGS = re.compile(r"\(\?([imsU]*(?:-[imsU]+)?)([:)])")
_MOST_REPEATS = 1000


class ExpressionError(ValueError):
    """Why Go would not compile the expression, or why it cannot be translated."""


def compile_re2(expression: str) -> re.Pattern[str]:
    """Return a pattern whose `search` finds something in a line exactly if Go's `MatchString` does.

    Raises:
        ExpressionError: Go refuses the expression, or Python cannot express it.

    """
    python = _Translation(expression).python()
    try:
        return re.compile(python)
    except (re.error, OverflowError, RecursionError) as error:
        raise ExpressionError(str(error)) from error


class _Translation:
    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0
        self._out: list[str] = []
        # Per open group the flag groups opened inside it: flags hold to the end of the group, across every `|`.
        self._flags: list[list[str]] = [[]]
        self._names: set[str] = set()
        self._repeatable = False

    def python(self) -> str:
        while self._at < len(self._text):
            self._next()
        if len(self._flags) > 1:
            raise ExpressionError(f"missing closing ): `{self._text}`")
        return "".join(self._out) + ")" * len(self._flags[0])

    def _next(self) -> None:
        char = self._text[self._at]
        repeat = _REPEAT.match(self._text, self._at)
        if repeat is not None:
            self._repeat(repeat)
        elif char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char == "|":
            self._at += 1
            opened = self._flags[-1]
            self._emit(")" * len(opened) + "|" + "".join(opened), repeatable=False)
        elif char == "[":
            self._emit(self._class())
        elif char == "\\":
            self._escape()
        else:
            self._at += 1
            # Lines hold no line break, so (?m) does not change what the anchors mean.
            self._emit({"^": r"(?:\A)", "$": r"(?:\Z)", ".": "."}.get(char) or re.escape(char))

    def _emit(self, python: str, *, repeatable: bool = True) -> None:
        self._out.append(python)
        self._repeatable = repeatable

    def _repeat(self, match: re.Match[str]) -> None:
        low, _, high = match.groups()
        if low is not None:
            numbers = [int(low), int(high) if high else int(low)]
            if max(numbers) > _MOST_REPEATS or (high and numbers[1] < numbers[0]):
                raise ExpressionError(f"invalid repeat count: `{match[0]}`")
        if not self._repeatable:
            raise ExpressionError(f"missing argument to repetition operator: `{match[0]}`")
        self._at = match.end()
        if self._text.startswith("?", self._at):
            self._at += 1
        again = _REPEAT.match(self._text, self._at)
        if again is not None:
            raise ExpressionError(f"invalid nested repetition operator: `{self._text[match.start() : again.end()]}`")
        self._emit(match[0], repeatable=False)

    def _open(self) -> None:
        if not self._text.startswith("(?", self._at):
            self._at += 1
        elif named := _GROUP.match(self._text, self._at):
            if named[1] in self._names:
                raise ExpressionError(f"duplicate capture group name: `{named[1]}`")
            self._names.add(named[1])
            self._at = named.end()
        elif flags := _FLAGS.match(self._text, self._at):
            self._at = flags.end()
            wrapper = f"(?{_python_flags(flags[1])}:"
            if flags[2] == ")":
                self._flags[-1].append(wrapper)
                self._emit(wrapper, repeatable=False)
                return
            self._flags.append([])
            self._emit(wrapper, repeatable=False)
            return
        else:
            raise ExpressionError(f"invalid or unsupported Perl syntax: `{self._text[self._at : self._at + 4]}`")
        self._flags.append([])
        self._emit("(?:", repeatable=False)

    def _close(self) -> None:
        self._at += 1
        if len(self._flags) == 1:
            raise ExpressionError(f"unexpected ): `{self._text}`")
        self._emit(")" * (len(self._flags.pop()) + 1))

    def _escape(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if following in _ASSERTIONS and following:
            self._at += 2
            self._emit(_ASSERTIONS[following])
        elif following == "Q":
            quoted, _, _ = self._text[self._at + 2 :].partition(r"\E")
            self._at = min(len(self._text), self._at + 2 + len(quoted) + 2)
            for char in quoted:
                self._emit(re.escape(char))
        elif sets := self._perl_class():
            self._emit(_union(sets))
        else:
            code = self._escaped_char()
            self._emit(_union([(False, [(code, code)])]))

    def _perl_class(self) -> _Sets:
        name = self._text[self._at + 1 : self._at + 2]
        if name in ("p", "P"):
            raise ExpressionError(
                f"the Unicode class `{self._text[self._at : self._at + 12]}…` cannot be evaluated here; write a range"
            )
        if not name or name.lower() not in _PERL:
            return []
        self._at += 2
        return [(name.isupper(), _PERL[name.lower()])]

    def _escaped_char(self) -> int:
        """Read an escape that stands for one character, and return its code point."""
        if hexadecimal := re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))").match(self._text, self._at):
            code = int(hexadecimal[1] or hexadecimal[2], 16)
            if code <= _LAST:
                self._at = hexadecimal.end()
                return code
        elif octal := re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})").match(self._text, self._at):
            self._at = octal.end()
            return int(octal[1], 8)
        else:
            char = self._text[self._at + 1 : self._at + 2]
            if char in _CONTROL:
                self._at += 2
                return _CONTROL[char]
            if char.isascii() and char and not char.isalnum():
                self._at += 2
                return ord(char)
        if self._at + 1 == len(self._text):
            raise ExpressionError("trailing backslash at end of expression")
        raise ExpressionError(f"invalid escape sequence: `{self._text[self._at : self._at + 2]}`")

    def _class(self) -> str:
        begin = self._at
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        characters: _Ranges = []
        sets: _Sets = []
        first = True
        while first or not self._text.startswith("]", self._at):
            first = False
            if self._at >= len(self._text):
                raise ExpressionError(f"missing closing ]: `{self._text[begin:]}`")
            named = self._posix_class() or (self._perl_class() if self._text[self._at] == "\\" else [])
            sets += named
            if not named:
                characters.append(self._class_range())
        self._at += 1
        if not sets:
            return _union([(negated, characters)])
        union = _union([*sets, (False, characters)] if characters else sets)
        return f"(?:(?!{union})(?s:.))" if negated else union

    def _posix_class(self) -> _Sets:
        end = self._text.find(":]", self._at + 2)
        if not self._text.startswith("[:", self._at) or end < 0:
            return []
        name = self._text[self._at + 2 : end]
        ranges = _POSIX.get(name.removeprefix("^"))
        if ranges is None:
            raise ExpressionError(f"invalid character class range: `[:{name}:]`")
        self._at = end + 2
        return [(name.startswith("^"), ranges)]

    def _class_range(self) -> tuple[int, int]:
        begin = self._at
        low = high = self._class_char()
        if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
            self._at += 1
            high = self._class_char()
        if high < low:
            raise ExpressionError(f"invalid character class range: `{self._text[begin : self._at]}`")
        return low, high

    def _class_char(self) -> int:
        if self._at >= len(self._text):
            raise ExpressionError(f"missing closing ]: `{self._text}`")
        if self._text[self._at] == "\\":
            return self._escaped_char()
        self._at += 1
        return ord(self._text[self._at - 1])


def _python_flags(flags: str) -> str:
    on, _, off = flags.partition("-")
    on, off = ("".join(sorted({flag for flag in part if flag in "is"})) for part in (on, off))
    return on + (f"-{off}" if off else "")


def _union(sets: _Sets) -> str:
    texts = [
        f"[{'^' * negated}" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"
        for negated, ranges in sets
    ]
    return texts[0] if len(texts) == 1 else f"(?:{'|'.join(texts)})"
