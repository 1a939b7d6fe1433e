"""What keeps a text from being JSON, in the words of the host.

The host reads token by token, and each text, number or literal as a value of its own: what stands between two tokens is
judged by what came before, and what ends too soon inside a token is another error than what ends between two.
"""

from __future__ import annotations

import re
from typing import Final

from ._text import quote

_BETWEEN_TOKENS, _IN_A_TOKEN = "EOF", "unexpected EOF"
_AT_VALUE: Final = " looking for beginning of value"
# What the host says of a character that may not stand at a place, by what is due there. An object may end at once.
_WORDS: Final = {
    "value": _AT_VALUE,
    "first element": _AT_VALUE,
    "element": _AT_VALUE,
    "member": _AT_VALUE,
    "comma of array": " after array element",
    "first key": "",
    "key": " looking for beginning of object key string",
    "colon": " after object key",
    "comma of object": " after object key:value pair",
}
_AFTER_VALUE: Final = {"first element": "comma of array", "element": "comma of array", "member": "comma of object"}
_VALUES: Final = frozenset({"value", *_AFTER_VALUE})
_CLOSERS: Final = {
    "]": {"first element", "comma of array"},
    "}": {"first key", "comma of object"},
}
_PUNCTUATION: Final = {
    (":", "colon"): "member",
    (",", "comma of array"): "element",
    (",", "comma of object"): "key",
}
_OPENERS: Final = {"[": "first element", "{": "first key"}

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_TEXT: Final = re.compile(r'"(?:[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_DIGITS: Final = re.compile(r"[0-9]*")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]{0,4}")


class JSONSyntaxError(Exception):
    """A text is no JSON; the words are the host's."""


def check_json(text: str) -> None:
    """Read one JSON value and what follows it. Raises JSONSyntaxError.

    The host stops at a bracket that closes nothing, and takes what was before it.
    """
    # The host names the byte that it cannot read, as if it were a character.
    source = text.encode("utf-8", "surrogatepass").decode("latin-1")
    due, place = "value", 0
    enclosing: list[str] = []
    while due:
        place = _skipped(source, place)
        if place == len(source):
            raise JSONSyntaxError(_BETWEEN_TOKENS)
        character = source[place]
        following = _PUNCTUATION.get((character, due))
        if following is not None:
            due = following
            place += 1
        elif character in _OPENERS and due in _VALUES:
            enclosing.append(due)
            due = _OPENERS[character]
            place += 1
        elif due in _CLOSERS.get(character, ()):
            due = _AFTER_VALUE.get(enclosing.pop(), "")
            place += 1
        elif character == '"' and due in {"first key", "key"}:
            place = _text_end(source, place)
            due = "colon"
        elif character not in ",:]}" and due in _VALUES:
            place = _scalar_end(source, place)
            due = _AFTER_VALUE.get(due, "")
        else:
            raise _unexpected(character, _WORDS[due])
    if source[_skipped(source, place) :][:1] not in {"", "]", "}"}:
        raise JSONSyntaxError("extraneous data after JSON object")


def _skipped(source: str, place: int) -> int:
    space = _SPACE.match(source, place)
    return space.end() if space else place


def _unexpected(character: str, where: str) -> JSONSyntaxError:
    shown = {"'": "\\'", '"': '"'}.get(character) or quote(character)[1:-1]
    return JSONSyntaxError(f"invalid character '{shown}'{where}")


def _require(source: str, place: int, allowed: str, where: str) -> None:
    if place == len(source):
        raise JSONSyntaxError(_IN_A_TOKEN)
    if source[place] not in allowed:
        raise _unexpected(source[place], where)


def _scalar_end(source: str, place: int) -> int:
    character = source[place]
    if character == '"':
        return _text_end(source, place)
    if character in "-0123456789":
        return _number_end(source, place)
    for literal in ("true", "false", "null"):
        if character == literal[0]:
            for offset, expected in enumerate(literal):
                _require(source, place + offset, expected, f" in literal {literal} (expecting '{expected}')")
            return place + len(literal)
    raise _unexpected(character, _AT_VALUE)


def _text_end(source: str, place: int) -> int:
    sound = _TEXT.match(source, place)
    end = sound.end() if sound else place
    if source.startswith("\\u", end):
        digits = _HEXADECIMAL.match(source, end + 2)
        _require(source, digits.end() if digits else end, "", " in \\u hexadecimal character escape")
    elif source.startswith("\\", end):
        _require(source, end + 1, "", " in string escape code")
    _require(source, end, '"', " in string literal")
    return end + 1


def _number_end(source: str, place: int) -> int:
    if source[place] == "-":
        place += 1
        _require(source, place, "0123456789", " in numeric literal")
    place = place + 1 if source[place] == "0" else _digits_end(source, place)
    if source.startswith(".", place):
        _require(source, place + 1, "0123456789", " after decimal point in numeric literal")
        place = _digits_end(source, place + 1)
    if source.startswith(("e", "E"), place):
        place += 2 if source.startswith(("+", "-"), place + 1) else 1
        _require(source, place, "0123456789", " in exponent of numeric literal")
        place = _digits_end(source, place)
    return place


def _digits_end(source: str, place: int) -> int:
    digits = _DIGITS.match(source, place)
    return digits.end() if digits else place
