r"""Go's regular expressions (RE2) in terms of Python's.

What Python would read differently is translated: `\d`, `\w`, `\s`, `\b` are ASCII; `$` is the end of the text; `\z`,
`\Q...\E`, `\x{...}`, octal escapes, POSIX classes, `(?<name>...)`, `(?U)` and flags in the middle of a group exist;
`x{,3}` is plain text. What Go refuses is refused, in its words: back references, look-around, possessive repeats,
repeats above 1000. Unicode classes (`\pL`, `\p{Greek}`) are valid in Go and refused here: Python has no table of them.

Go needs linear time for any expression; Python needs exponential time for some, such as ``(a+)+$``. A group that is
repeated and matches nothing the last time, as in ``(a*)*``, holds what it matched before in Go, and nothing here.
"""

from __future__ import annotations

import re

from ._diagnostics import HCLError

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
_ASSERTIONS = {"A": r"(?:\A)", "z": r"(?:\Z)", "b": r"(?a:\b)", "B": r"(?:(?!(?a:\b)))"}

_REPEAT = re.compile(r"[*+?]|\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\}", re.ASCII)
_NAMED = re.compile(r"\(\?P?<(?=.)", re.DOTALL)
_NAME = re.compile(r"\w+", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]*")
_UNICODE_CLASSES = frozenset("CLMNPSZ")
_MOST_REPEATS = 1000


class RE2Error(HCLError):
    """Why Go would not compile the expression, or why it cannot be translated.

    Attributes:
        reason: in Go's words.
        part: of the expression that it is about.

    """

    __module__ = "doze_sdk.hcl"

    def __init__(self, reason: str, part: str) -> None:
        super().__init__(f"{reason}: `{part}`")
        self.reason = reason
        self.part = part


class Expression:
    """A compiled expression.

    Attributes:
        names: of the capture groups in their order, None for one that has no name.

    """

    __slots__ = ("_pattern", "names")

    def __init__(self, pattern: re.Pattern[str], names: tuple[str | None, ...]) -> None:
        self._pattern = pattern
        self.names = names

    def search(self, text: str) -> re.Match[str] | None:
        """Find the leftmost match; its groups are those of `names`."""
        return self._pattern.search(text)


def compile_re2(expression: str) -> Expression:
    """Return what finds in a text what Go's expression finds.

    Raises:
        RE2Error: Go refuses the expression, or Python cannot express it.

    """
    translation = _Translation(expression)
    python = translation.python()
    try:
        return Expression(re.compile(python), tuple(translation.names))
    except RecursionError as error:
        raise RE2Error("expression nests too deeply", expression) from error
    except (re.error, OverflowError) as error:
        raise RE2Error(str(error), expression) from error


class _Group:
    """A group that is open: where it began in the output, and which flags hold to its end, across every `|`."""

    __slots__ = ("begin", "flags", "multiline", "ungreedy", "weight")

    def __init__(self, begin: int, outer: _Group | None = None) -> None:
        self.begin = begin
        self.flags: list[str] = []
        self.multiline: bool = outer is not None and outer.multiline
        self.ungreedy: bool = outer is not None and outer.ungreedy
        self.weight = 1


class _Translation:
    def __init__(self, expression: str) -> None:
        self.names: list[str | None] = []
        self._text = expression
        self._last_posix = expression.rfind(":]")
        self._at = 0
        self._out: list[str] = []
        self._groups = [_Group(0)]
        #: Where in the output that stands which a repeat would be about, and how often at most it is repeated inside.
        self._atom: tuple[int, int] | None = None
        self._weight = 1
        self._is_repeated = False
        #: Where the repeat began that the next one would be stacked on.
        self._repeat_from: int | None = None

    def python(self) -> str:
        while self._at < len(self._text):
            self._next()
        if len(self._groups) > 1:
            raise RE2Error("missing closing )", self._text)
        return "".join(self._out) + ")" * len(self._groups[0].flags)

    def _next(self) -> None:
        char = self._text[self._at]
        repeat = _REPEAT.match(self._text, self._at)
        if repeat is not None:
            self._repeat(repeat)
            return
        self._repeat_from = None
        if char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char == "|":
            self._at += 1
            opened = self._groups[-1].flags
            self._out.append(")" * len(opened) + "|" + "".join(opened))
            self._atom = None
        elif char == "[":
            self._emit(self._class())
        elif char == "\\":
            self._escape()
        else:
            self._at += 1
            self._emit(self._literal(char))

    def _literal(self, char: str) -> str:
        if char == ".":
            return char
        if char in "^$" and self._groups[-1].multiline:
            return f"(?m:{char})"
        return {"^": r"(?:\A)", "$": r"(?:\Z)"}.get(char) or re.escape(char)

    def _emit(self, python: str) -> None:
        self._out.append(python)
        self._ends_atom(len(self._out) - 1, 1)

    def _ends_atom(self, begin: int, weight: int) -> None:
        self._atom = begin, len(self._out)
        self._weight = weight
        self._is_repeated = False
        self._groups[-1].weight = max(self._groups[-1].weight, weight)

    def _repeat(self, match: re.Match[str]) -> None:
        least, limited, most = match.groups()
        begin = match.start()
        counts = [int(count) for count in (least, most) if count]
        if counts and (max(counts) > _MOST_REPEATS or counts[0] > counts[-1]):
            raise RE2Error("invalid repeat count", match[0])
        self._at = match.end()
        lazy = self._text.startswith("?", self._at)
        self._at += lazy
        written = self._text[begin : self._at]
        if self._repeat_from is not None:
            raise RE2Error("invalid nested repetition operator", self._text[self._repeat_from : self._at])
        if self._atom is None:
            raise RE2Error("missing argument to repetition operator", written)
        weight = self._weight
        if counts:
            unlimited = bool(limited) and not most
            weight = 1 if counts[-1] == 0 and not unlimited else max(counts[-1], 1) * weight
            if counts[-1] > 1 and weight > _MOST_REPEATS:
                raise RE2Error("invalid repeat count", written)
        start, end = self._atom
        atom = "".join(self._out[start:end])
        if self._is_repeated:  # by a repeat in front of a flag group
            atom = f"(?:{atom})"
        self._out[start:end] = [atom + match[0] + "?" * (lazy != self._groups[-1].ungreedy)]
        self._atom = start, start + 1
        self._weight = weight
        self._groups[-1].weight = max(self._groups[-1].weight, weight)
        self._is_repeated = True
        self._repeat_from = begin

    def _open(self) -> None:
        if not self._text.startswith("(?", self._at):
            self._at += 1
            self._begin_group("(")
            self.names.append(None)
        elif named := _NAMED.match(self._text, self._at):
            end = self._text.find(">", self._at)
            name = self._text[named.end() : end]
            if end < 0 or not _NAME.fullmatch(name):
                raise RE2Error("invalid named capture", self._text[self._at : end + 1 or None])
            self._at = end + 1
            self._begin_group("(")
            self.names.append(name)
        else:
            self._open_flags()

    def _begin_group(self, opening: str) -> None:
        self._groups.append(_Group(len(self._out), self._groups[-1]))
        self._out.append(opening)
        self._atom = None

    def _open_flags(self) -> None:
        begin = self._at
        self._at += 2
        flags: dict[str, bool] = {}
        negated = False
        complete = True  # a minus sign wants a flag behind it
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char in "imsU":
                flags[char] = not negated
                complete = True
            elif char == "-" and not negated:
                negated, complete = True, False
            elif char in ":)" and complete:
                self._set_flags(flags, of_group=char == ":")
                return
            else:
                break
        raise RE2Error("invalid or unsupported Perl syntax", self._text[begin : self._at])

    def _set_flags(self, flags: dict[str, bool], *, of_group: bool) -> None:
        on = "".join(flag for flag in "is" if flags.get(flag))
        off = "".join(flag for flag in "is" if flags.get(flag) is False)
        opening = f"(?{on}{'-' + off if off else ''}:"
        if of_group:
            self._begin_group(opening)
        elif on or off:
            self._groups[-1].flags.append(opening)
            self._out.append(opening)
        group = self._groups[-1]
        group.multiline = flags.get("m", group.multiline)
        group.ungreedy = flags.get("U", group.ungreedy)

    def _close(self) -> None:
        self._at += 1
        if len(self._groups) == 1:
            raise RE2Error("unexpected )", self._text)
        group = self._groups.pop()
        self._out.append(")" * (len(group.flags) + 1))
        self._ends_atom(group.begin, group.weight)

    def _escape(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if following in _ASSERTIONS:
            self._at += 2
            self._emit(_ASSERTIONS[following])
        elif following == "Q":
            end = self._text.find(r"\E", self._at + 2)
            quoted = self._text[self._at + 2 : end if end >= 0 else None]
            self._at = end + 2 if end >= 0 else len(self._text)
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
            raise self._unicode_class()
        if not name or name.lower() not in _PERL:
            return []
        self._at += 2
        return [(name.isupper(), _PERL[name.lower()])]

    def _unicode_class(self) -> RE2Error:
        rest = self._text[self._at :]
        written = re.match(r"\\[pP](\{[^}]*\}?|.?)", rest, re.DOTALL)
        part = written[0] if written else rest
        # Whether Go knows the name of a class in braces cannot be told without its tables.
        is_known = part.endswith("}") or part[2:] in _UNICODE_CLASSES
        reason = "Unicode classes are not supported here, only ranges" if is_known else "invalid character class range"
        return RE2Error(reason, part)

    def _escaped_char(self) -> int:
        """Read an escape that stands for one character, and return its code point."""
        begin = self._at
        self._at += 2
        char = self._text[begin + 1 : begin + 2]
        if not char:
            raise RE2Error("trailing backslash at end of expression", "")
        octal = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}").match(self._text, begin + 1)
        if octal is not None:
            self._at = octal.end()
            return int(octal[0], 8)
        if char == "x":
            return self._hexadecimal(begin)
        if char in _CONTROL:
            return _CONTROL[char]
        if char.isascii() and not char.isalnum():
            return ord(char)
        raise RE2Error("invalid escape sequence", self._text[begin : self._at])

    def _hexadecimal(self, begin: int) -> int:
        if not self._text.startswith("{", self._at):
            digits = self._text[self._at : self._at + 2]
            self._at += len(digits)
            if len(digits) == 2 and _HEXADECIMAL.fullmatch(digits):
                return int(digits, 16)
            raise RE2Error("invalid escape sequence", self._text[begin : self._at])
        code = 0
        for place in range(self._at + 1, len(self._text)):
            char = self._text[place]
            if char == "}" and place > self._at + 1:
                self._at = place + 1
                return code
            if char not in "0123456789abcdefABCDEF" or (code := code * 16 + int(char, 16)) > _LAST:
                raise RE2Error("invalid escape sequence", self._text[begin : place + 1])
        raise RE2Error("invalid escape sequence", self._text[begin:])

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
                raise RE2Error("missing closing ]", self._text[begin:])
            named = self._posix_class() or (self._perl_class() if self._text[self._at] == "\\" else [])
            sets += named
            if not named:
                characters.append(self._class_range(begin))
        self._at += 1
        if not sets:
            return _union([(negated, characters)])
        union = _union([*sets, (False, characters)] if characters else sets)
        return f"(?:(?!{union})(?s:.))" if negated else union

    def _posix_class(self) -> _Sets:
        if not self._text.startswith("[:", self._at) or self._last_posix < self._at + 2:
            return []
        end = self._text.index(":]", self._at + 2)
        name = self._text[self._at + 2 : end]
        ranges = _POSIX.get(name.removeprefix("^"))
        if ranges is None:
            raise RE2Error("invalid character class range", f"[:{name}:]")
        self._at = end + 2
        return [(name.startswith("^"), ranges)]

    def _class_range(self, whole: int) -> tuple[int, int]:
        begin = self._at
        low = high = self._class_char(whole)
        if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in {"", "]"}:
            self._at += 1
            high = self._class_char(whole)
        if high < low:
            raise RE2Error("invalid character class range", self._text[begin : self._at])
        return low, high

    def _class_char(self, whole: int) -> int:
        if self._at >= len(self._text):
            raise RE2Error("missing closing ]", self._text[whole:])
        if self._text[self._at] == "\\":
            return self._escaped_char()
        self._at += 1
        return ord(self._text[self._at - 1])


def _union(sets: _Sets) -> str:
    texts = [
        f"[{'^' * negated}" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"
        for negated, ranges in sets
    ]
    return texts[0] if len(texts) == 1 else f"(?:{'|'.join(texts)})"
