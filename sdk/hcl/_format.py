"""The host's `format` and `formatlist`."""

from __future__ import annotations

import json
import re
from typing import Final

from ._convert import ConversionError, convert
from ._function_errors import ArgumentError, FunctionError
from ._json import to_json
from ._number import Fraction, Infinity, Number, digits_of, format_number, sign_of
from ._text import normalize
from ._types import BOOL, NUMBER, STRING, Type
from ._values import ListValue, Value, is_null

_VERB: Final = re.compile(
    r"%(?P<flags>[+\-# 0]*)(?P<width>[0-9]*)(?:\.(?P<precision>[0-9]*))?(?:\[(?P<index>[0-9]+)\])?(?P<verb>[A-Za-z%])"
)


class _Verb:
    """One verb of a format string."""

    def __init__(self, found: re.Match[str]) -> None:
        self.text = found[0]
        self.at = found.start()
        self.flags = found["flags"]
        self.width = int(found["width"] or 0)
        self.precision = None if found["precision"] is None else int(found["precision"] or 0)
        self.index = found["index"]
        self.letter = found["verb"]

    def error(self, reason: str) -> FunctionError:
        return FunctionError(f'unsupported value for "{self.text}" at {self.at}: {reason}')

    def pad(self, text: str, *, numeric: bool = False) -> str:
        missing = self.width - len(text)
        if missing <= 0:
            return text
        if "-" in self.flags:
            return text + " " * missing
        if "0" in self.flags and numeric:
            sign = text[:1] if text[:1] in {"+", "-", " "} else ""
            return sign + "0" * missing + text[len(sign) :]
        return " " * missing + text

    def signed(self, negative: bool, digits: str) -> str:  # noqa: FBT001 - the sign, plainly
        sign = "-" if negative else "+" if "+" in self.flags else " " if " " in self.flags else ""
        return self.pad(sign + digits, numeric=True)


def format_(text: str, *arguments: Value) -> Value:
    parts: list[str] = []
    following, highest, at = 0, 0, 0
    while at < len(text):
        percent = text.find("%", at)
        if percent < 0:
            parts.append(text[at:])
            break
        parts.append(text[at:percent])
        found = _VERB.match(text, percent)
        if found is None:
            raise _malformed(text, percent)
        at = found.end()
        verb = _Verb(found)
        if verb.letter == "%":
            parts.append("%")
            continue
        index = int(verb.index) if verb.index else following + 1
        if not 0 < index <= len(arguments):
            raise FunctionError(
                f'not enough arguments for "{verb.text}" at {percent}: need index {index} but have'
                f" {len(arguments)} total"
            )
        following, highest = index, max(highest, index)
        parts.append(_formatted(verb, arguments[index - 1]))
    if highest < len(arguments):
        used = f"only {highest} used by format string" if highest else "no verbs in format string"
        raise ArgumentError(highest + 1, f"too many arguments; {used}")
    return normalize("".join(parts))


def _malformed(text: str, percent: int) -> FunctionError:
    at = percent + 1
    while at < len(text) and text[at] in "+-# 0123456789.[]":
        at += 1
    if at >= len(text):
        return FunctionError(f"invalid format string starting at offset {at}")
    return FunctionError(f"unrecognized format character '{text[at]}' at offset {at}")


def _formatted(verb: _Verb, value: Value) -> str:
    letter = verb.letter
    if letter == "v":
        return _default(verb, value)
    if letter in "sq":
        text = str(_converted(verb, value, STRING))
        if verb.precision is not None:
            text = text[: verb.precision]
        return verb.pad(json.dumps(text, ensure_ascii=False) if letter == "q" else text)
    if letter == "t":
        return verb.pad("true" if _converted(verb, value, BOOL) else "false")
    if letter in "dboxX":
        number = _converted(verb, value, NUMBER)
        if not isinstance(number, int):
            raise verb.error("an integer is required")
        return verb.signed(number < 0, _whole(verb, abs(number)))
    if letter in "eEfFgG":
        number = _converted(verb, value, NUMBER)
        assert isinstance(number, int | Fraction | Infinity)
        return verb.signed(sign_of(number) < 0, _real(verb, number))
    raise FunctionError(f"unsupported format verb '{letter}' in \"{verb.text}\" at offset {verb.at}")


def _converted(verb: _Verb, value: Value, wanted: Type) -> Value:
    if is_null(value):
        raise verb.error("null value cannot be formatted")
    try:
        return convert(value, wanted)
    except ConversionError as error:
        raise verb.error(str(error)) from None


def _default(verb: _Verb, value: Value) -> str:
    if "#" in verb.flags or is_null(value) or isinstance(value, dict | tuple | list):
        return verb.pad(to_json(value))
    if isinstance(value, str):
        return verb.pad(value)
    if isinstance(value, bool):
        return verb.pad("true" if value else "false")
    assert isinstance(value, int | Fraction | Infinity)
    verb.letter = "g"
    return verb.signed(sign_of(value) < 0, _real(verb, value))


def _whole(verb: _Verb, number: int) -> str:
    if verb.letter == "d":
        return digits_of(number)
    prefix = {"o": "0", "b": "0b", "x": "0x", "X": "0X"}[verb.letter] if "#" in verb.flags else ""
    return prefix + format(number, verb.letter)


# Real numbers: the digits come from the exact value, rounded half to even


def _real(verb: _Verb, number: Number) -> str:
    if isinstance(number, Infinity):
        return "Inf"
    letter = verb.letter.lower()
    if letter == "f":
        return _fixed(number, 6 if verb.precision is None else verb.precision)
    digits, point = _digits(number)
    if letter == "g":
        shortest = verb.precision is None
        wanted = max(verb.precision or 0, 1)
        if not shortest:
            digits, point = _round(digits, point, wanted)
        # Go's %g of a shortest number prefers the exponent from 21 digits on.
        limit = max(len(digits), 21) if shortest else wanted
        if -4 < point <= limit:
            return _place(digits.rstrip("0") or "0", point)
        text = _scientific(digits.rstrip("0") or "0", point)
    else:
        places = 6 if verb.precision is None else verb.precision
        digits, point = _round(digits, point, places + 1)
        text = _scientific(digits.ljust(places + 1, "0"), point)
    return text.upper() if verb.letter.isupper() else text


def _digits(number: int | Fraction) -> tuple[str, int]:
    """The shortest digits of a number without its sign, and the place of the decimal point in them."""
    text = format_number(number).lstrip("-")
    before, _, after = text.partition(".")
    digits = (before + after).lstrip("0")
    point = len(before) - (len(before + after) - len(digits))
    return (digits.rstrip("0"), point) if digits else ("0", 1)


def _round(digits: str, point: int, count: int) -> tuple[str, int]:
    if len(digits) <= count:
        return digits, point
    kept, rest = int(digits[:count] or "0"), digits[count:]
    half = "5".ljust(len(rest), "0")
    if rest > half or (rest == half and kept % 2):
        kept += 1
    text = str(kept)
    return (text[:count], point + 1) if len(text) > count else (text.rjust(count, "0"), point)


def _place(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def _scientific(digits: str, point: int) -> str:
    exponent = point - 1
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _fixed(number: int | Fraction, places: int) -> str:
    if isinstance(number, int):
        whole, fraction = digits_of(abs(number)), "0" * places
        return f"{whole}.{fraction}" if places else whole
    scaled = abs(number.mantissa) * 10**places
    shift = -number.exponent
    quotient, rest = scaled >> shift, scaled & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    if rest > half or (rest == half and quotient & 1):
        quotient += 1
    digits = digits_of(quotient).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def formatlist(text: str, *arguments: Value) -> Value:
    lists = [(place, value) for place, value in enumerate(arguments) if isinstance(value, tuple | list)]
    for place, value in lists:
        if len(value) != len(lists[0][1]):
            raise ArgumentError(
                place + 1,
                f"argument {place + 1} has length {len(value)}, which is inconsistent with argument"
                f" {lists[0][0] + 1} of length {len(lists[0][1])}",
            )
    results: list[Value] = []
    for turn in range(len(lists[0][1]) if lists else 1):
        row = [value[turn] if isinstance(value, tuple | list) else value for value in arguments]
        try:
            results.append(format_(text, *row))
        except ArgumentError:
            raise
        except FunctionError as error:
            raise FunctionError(f"error on format iteration {turn}: {error}") from None
    return ListValue(STRING, results)
