"""Text as the host treats it: normal form, quotation, near misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def normalize(text: str) -> str:
    """A string value in Unicode's normal form C."""
    if text.isascii():
        return text
    from unicodedata import is_normalized, normalize as to_form

    return text if is_normalized("NFC", text) else to_form("NFC", text)


def quote(text: str) -> str:
    """A string in double quotes, escaped as Go's `%q` does it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def near_miss(given: str, candidates: Iterable[str]) -> str | None:
    """The first candidate that fewer than three edits turn the given name into."""
    for candidate in candidates:
        if abs(len(candidate) - len(given)) < 3 and _distance(given, candidate) < 3:
            return candidate
    return None


def nearest(given: str, candidates: Iterable[str]) -> str | None:
    """The candidate that the fewest edits turn the given name into, if fewer than three do."""
    near = [
        (_distance(given, candidate), candidate) for candidate in candidates if abs(len(candidate) - len(given)) < 3
    ]
    distance, candidate = min(near, default=(3, ""))
    return candidate if distance < 3 else None


def _distance(left: str, right: str) -> int:
    previous = list(range(len(right) + 1))
    for row, character in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            substitution = previous[column - 1] + (character != other)
            current.append(min(substitution, previous[column] + 1, current[-1] + 1))
        if min(current) >= 3:
            return 3
        previous = current
    return previous[-1]
