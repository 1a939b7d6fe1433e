"""The host's functions on numbers."""

from __future__ import annotations

import string
from functools import reduce
from typing import TYPE_CHECKING, Final

from . import _number
from ._function_errors import ArgumentError, FunctionError
from ._number import Fraction, Infinity, Number
from ._text import quote
from ._types import NUMBER
from ._values import ListValue, Value, type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANGE_LIMIT: Final = 1024
_DIGITS: Final = string.digits + string.ascii_lowercase + string.ascii_uppercase


def absolute(number: Number) -> Value:
    return _number.negate(number) if _number.sign_of(number) < 0 else number


def floor(number: Number) -> Value:
    if isinstance(number, Fraction):
        return number.mantissa >> -number.exponent
    return number


def ceil(number: Number) -> Value:
    if isinstance(number, Fraction):
        return -(-number.mantissa >> -number.exponent)
    return number


def greatest(*numbers: Number) -> Value:
    return reduce(lambda left, right: right if _number.compare(right, left) > 0 else left, _some(numbers))


def least(*numbers: Number) -> Value:
    return reduce(lambda left, right: right if _number.compare(right, left) < 0 else left, _some(numbers))


def _some(numbers: Sequence[Number]) -> Sequence[Number]:
    if not numbers:
        raise FunctionError("must pass at least one number")
    return numbers


def range_(*parameters: Number) -> Value:
    if not 1 <= len(parameters) <= 3:
        raise FunctionError("must have one, two, or three arguments")
    start, end = (0, parameters[0]) if len(parameters) == 1 else parameters[:2]
    falling = _number.compare(end, start) < 0
    step = parameters[2] if len(parameters) == 3 else (-1 if falling else 1)
    direction = _number.sign_of(step)
    if falling and direction > 0:
        raise ArgumentError(1, "end must be greater than start when step is positive")
    if direction < 0 and _number.compare(end, start) > 0:
        raise ArgumentError(1, "end must be less than start when step is negative")
    values: list[Value] = []
    while _number.compare(start, end) * (direction or 1) < 0:
        if len(values) >= _RANGE_LIMIT:
            raise FunctionError(
                "more than 1024 values were generated; either decrease the difference between start and end or use a"
                " smaller step"
            )
        values.append(start)
        start = _number.add(start, step)
    return ListValue(NUMBER, values)


def parseint(text: Value, base: Number) -> Value:
    if not isinstance(text, str):
        raise ArgumentError(0, f"first argument must be a string, not {type_of(text).name}")
    if not isinstance(base, int) or not 2 <= base <= 62:
        raise ArgumentError(1, "base must be a whole number between 2 and 62 inclusive")
    digits = text[1:] if text[:1] in {"+", "-"} else text
    value = 0
    for digit in digits if base > 36 else digits.lower():
        place = _DIGITS.find(digit)
        if not 0 <= place < base:
            digits = ""
            break
        value = value * base + place
    if not digits:
        raise ArgumentError(0, f"cannot parse {quote(text)} as a base {base} integer")
    return -value if text.startswith("-") else value


def is_whole(number: Number) -> bool:
    """Whether a number has no fractional part."""
    return not isinstance(number, Fraction | Infinity)
