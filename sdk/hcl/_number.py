"""Numbers at the host's precision: binary, with a mantissa of 512 bits, rounded half to even.

A whole number is an `int`, whatever its size; a `Fraction` is any other finite one. What the host computes from its own
64-bit integers it keeps at 64 bits: the indexes of a `for` and the results of some functions are `Index` values.
"""

from __future__ import annotations

import re
from typing import Final

#: Bits of a number that was written or sent.
PRECISION: Final = 512
#: Bits of a number that the host made from one of its integers.
INDEX_PRECISION: Final = 64

# Numbers beyond are infinite, or zero. The host's range is far wider, but the decimal text of such a number alone
# would take minutes.
_MAX_EXPONENT: Final = 4_000_000
_MAX_DECIMAL_EXPONENT: Final = 100_000

# CPython refuses to convert longer texts in one step (sys.get_int_max_str_digits).
_CHUNK: Final = 4000


class Fraction:
    """A number that is not whole: `mantissa` (odd) times two to the power of `exponent` (negative)."""

    __slots__ = ("exponent", "mantissa", "precision")

    def __init__(self, mantissa: int, exponent: int, precision: int = PRECISION) -> None:
        self.mantissa = mantissa
        self.exponent = exponent
        self.precision = precision

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fraction) and self.mantissa == other.mantissa and self.exponent == other.exponent

    def __hash__(self) -> int:
        return hash((self.mantissa, self.exponent))

    def __repr__(self) -> str:
        return f"Fraction({format_number(self)})"

    def __float__(self) -> float:
        return _to_float(self)


class Infinity:
    """Positive or negative infinity."""

    __slots__ = ("sign",)

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Infinity) and self.sign == other.sign

    def __hash__(self) -> int:
        return hash((Infinity, self.sign))

    def __repr__(self) -> str:
        return "Infinity" if self.sign > 0 else "-Infinity"


class Index(int):
    """A whole number of 64 bits of precision."""

    __slots__ = ()


Number = int | Fraction | Infinity


class NotANumberError(ArithmeticError):
    """An operation on infinities and zero that has no result."""


# Making numbers


def make(mantissa: int, exponent: int, precision: int = PRECISION) -> Number:
    """The number nearest to `mantissa` times two to the power of `exponent`."""
    excess = mantissa.bit_length() - precision
    if excess > 0:
        mantissa = _round(mantissa, excess)
        exponent += excess
    if not mantissa:
        return 0
    zeros = (mantissa & -mantissa).bit_length() - 1
    mantissa >>= zeros
    exponent += zeros
    if exponent >= 0:
        if exponent > _MAX_EXPONENT:
            return Infinity(1 if mantissa > 0 else -1)
        whole = mantissa << exponent
        return whole if precision == PRECISION else Index(whole)
    if exponent < -_MAX_EXPONENT:
        return 0
    return Fraction(mantissa, exponent, precision)


def _round(mantissa: int, bits: int) -> int:
    negative = mantissa < 0
    mantissa = abs(mantissa)
    half = 1 << (bits - 1)
    rest = mantissa & ((1 << bits) - 1)
    mantissa >>= bits
    if rest > half or (rest == half and mantissa & 1):
        mantissa += 1
    return -mantissa if negative else mantissa


def _quotient(dividend: int, divisor: int, exponent: int, precision: int) -> Number:
    """`dividend / divisor`, times two to the power of `exponent`."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    negative = dividend < 0
    dividend = abs(dividend)
    shift = max(precision + 2 + divisor.bit_length() - dividend.bit_length(), 0)
    quotient, rest = divmod(dividend << shift, divisor)
    # One more bit stands for all that follow: it tells a tie from more than a tie.
    quotient = quotient << 1 | (rest != 0)
    return make(-quotient if negative else quotient, exponent - shift - 1, precision)


# Text

_LITERAL: Final = r"([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?\Z"
_TEXT: Final = r"([+-]?)(?:([0-9]*)\.?([0-9]*)(?:([eEpP])([+-]?[0-9]+))?|([Ii]nf))\Z"


def number_literal(text: str) -> Number | None:
    """The value of a numeric literal; None if the text is none, or Go refuses its exponent."""
    if len(text) < 150 and text.isdigit() and text.isascii():
        return int(text)
    found = re.match(_LITERAL, text)
    if found is None:
        return None
    whole, fraction, exponent = found.groups("")
    power = _power(exponent)
    return None if power is None else _from_decimal(1, whole + fraction, power - len(fraction))


def parse_number(text: str) -> Number | None:
    """The number that a string stands for, by the rules for converting strings; None if it stands for none."""
    if len(text) < 150 and text.isdigit() and text.isascii():
        return int(text)
    found = re.match(_TEXT, text)
    if found is None:
        return None
    sign = -1 if found[1] == "-" else 1
    if found[6]:
        return Infinity(sign)
    whole, fraction, mark, exponent = found[2], found[3], found[4], found[5]
    if not whole and not fraction:
        return None
    power = _power(exponent or "")
    if power is None:
        return None
    if mark is not None and mark in "pP":
        digits = int_of(whole + fraction) * sign
        if digits and abs(power) > _MAX_EXPONENT:
            return _beyond(digits, power - len(fraction))
        return _quotient(digits, 10 ** len(fraction), power, PRECISION) if digits else 0
    return _from_decimal(sign, whole + fraction, power - len(fraction))


def _power(exponent: str) -> int | None:
    """An exponent; None if 64 bits do not hold it."""
    digits = exponent.lstrip("+-").lstrip("0")
    value = int(digits[:20] or "0")
    if exponent[:1] == "-":
        value = -value
    return value if -(1 << 63) <= value < 1 << 63 else None


def _from_decimal(sign: int, digits: str, exponent: int) -> Number | None:
    mantissa = int_of(digits) * sign
    if not mantissa:
        return 0
    if abs(exponent) > _MAX_DECIMAL_EXPONENT + len(digits):
        return _beyond(mantissa, exponent)
    if exponent >= 0:
        return make(mantissa * 10**exponent, 0)
    return _quotient(mantissa, 10**-exponent, 0, PRECISION)


def _beyond(mantissa: int, exponent: int) -> Number | None:
    """What stands for a number that is too large or too small to be worked with here; None if Go refuses it.

    Go looks at the binary exponent alone, before it applies the power of five: 32 bits.
    """
    if not -(1 << 31) <= mantissa.bit_length() + exponent < 1 << 31:
        return None
    return 0 if exponent < 0 else Infinity(-1 if mantissa < 0 else 1)


def int_of(digits: str) -> int:
    """The whole number that any count of decimal digits stands for."""
    if len(digits) <= _CHUNK:
        return int(digits or "0")
    half = len(digits) // 2
    weight: int = 10**half
    return int_of(digits[:-half]) * weight + int_of(digits[-half:])


def digits_of(number: int) -> str:
    """The decimal digits of a whole number that is not negative."""
    if number.bit_length() <= 3 * _CHUNK:
        return str(number)
    half = number.bit_length() * 3 // 20  # about half of the digits
    high, low = divmod(number, 10**half)
    return digits_of(high) + digits_of(low).rjust(half, "0")


def format_number(number: Number) -> str:
    """The shortest decimal text that reads back as the number, without an exponent."""
    if isinstance(number, Infinity):
        return "+Inf" if number.sign > 0 else "-Inf"
    if isinstance(number, int):
        precision = precision_of(number)
        if number.bit_length() <= precision:
            return int.__repr__(number)
        mantissa, exponent = abs(number), 0
    else:
        mantissa, exponent, precision = abs(number.mantissa), number.exponent, number.precision
    negative = number < 0 if isinstance(number, int) else number.mantissa < 0
    digits, point = _shortest(mantissa, exponent, precision)
    return ("-" if negative else "") + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return digits[:point] + "." + digits[point:]


def _decimal(mantissa: int, exponent: int) -> tuple[str, int]:
    """All digits of a number without the zeros at the end, and the place of the decimal point in them."""
    digits = digits_of(mantissa << exponent if exponent >= 0 else mantissa * 5**-exponent)
    return digits.rstrip("0"), len(digits) + min(exponent, 0)


def _shortest(mantissa: int, exponent: int, precision: int) -> tuple[str, int]:
    # In units of half the distance to the neighbouring numbers, all that is nearer to this number than to another one
    # lies between one less and one more.
    shift = mantissa.bit_length() - (precision + 1)
    if shift > 0:  # a whole number whose lower bits are zero
        mantissa >>= shift
    else:
        mantissa <<= -shift
    exponent += shift
    exact, point = _decimal(mantissa, exponent)
    lower, _ = _decimal(mantissa - 1, exponent)
    upper, _ = _decimal(mantissa + 1, exponent)
    ends_count = not mantissa & 2
    for place, digit in enumerate(exact):
        low = lower[place] if place < len(lower) else "0"
        high = upper[place] if place < len(upper) else "0"
        down = low != digit or (ends_count and place + 1 == len(lower))
        up = digit != high and (ends_count or int(digit) + 1 < int(high) or place + 1 < len(upper))
        if down and up:
            up = _rounds_up(exact, place + 1)
        if up:
            return _next_up(exact[: place + 1], point)
        if down:
            return exact[: place + 1].rstrip("0"), point
    return exact, point


def _rounds_up(digits: str, count: int) -> bool:
    if count >= len(digits):
        return False
    if digits[count] == "5" and count + 1 == len(digits):  # a tie goes to the even digit
        return int(digits[count - 1]) % 2 == 1
    return digits[count] >= "5"


def _next_up(digits: str, point: int) -> tuple[str, int]:
    kept = digits.rstrip("9")
    if not kept:
        return "1", point + 1
    return kept[:-1] + str(int(kept[-1]) + 1), point


# Arithmetic


def precision_of(number: Number) -> int:
    """How many bits of mantissa a number is kept with."""
    if type(number) is int:
        return PRECISION
    if isinstance(number, Index):
        return INDEX_PRECISION
    return number.precision if isinstance(number, Fraction) else PRECISION


def _parts(number: int | Fraction) -> tuple[int, int]:
    return (int(number), 0) if isinstance(number, int) else (number.mantissa, number.exponent)


def sign_of(number: Number) -> int:
    """-1, 0 or 1."""
    if isinstance(number, Infinity):
        return number.sign
    mantissa = number if isinstance(number, int) else number.mantissa
    return (mantissa > 0) - (mantissa < 0)


def negate(number: Number) -> Number:
    """The number with the other sign."""
    if isinstance(number, Infinity):
        return Infinity(-number.sign)
    if isinstance(number, Fraction):
        return Fraction(-number.mantissa, number.exponent, number.precision)
    return Index(-number) if isinstance(number, Index) else -number


def add(left: Number, right: Number) -> Number:
    """The sum. Raises NotANumberError for infinities of different signs."""
    if isinstance(left, Infinity) or isinstance(right, Infinity):
        if isinstance(left, Infinity) and isinstance(right, Infinity) and left.sign != right.sign:
            raise NotANumberError("addition of infinities with opposite signs")
        return left if isinstance(left, Infinity) else right
    mantissa, exponent = _parts(left)
    other, other_exponent = _parts(right)
    lowest = min(exponent, other_exponent)
    total = (mantissa << (exponent - lowest)) + (other << (other_exponent - lowest))
    return make(total, lowest, max(precision_of(left), precision_of(right)))


def subtract(left: Number, right: Number) -> Number:
    """The difference. Raises NotANumberError for infinities of the same sign."""
    return add(left, negate(right))


def multiply(left: Number, right: Number) -> Number:
    """The product. Raises NotANumberError for zero times infinity."""
    if isinstance(left, Infinity) or isinstance(right, Infinity):
        sign = sign_of(left) * sign_of(right)
        if not sign:
            raise NotANumberError("multiplication of zero with infinity")
        return Infinity(sign)
    mantissa, exponent = _parts(left)
    other, other_exponent = _parts(right)
    return make(mantissa * other, exponent + other_exponent, max(precision_of(left), precision_of(right)))


def divide(left: Number, right: Number) -> Number:
    """The quotient. Raises NotANumberError for zero by zero and infinity by infinity."""
    if isinstance(right, Infinity):
        if isinstance(left, Infinity):
            raise NotANumberError("division of infinity by infinity")
        return 0
    if isinstance(left, Infinity):
        return Infinity(left.sign * (sign_of(right) or 1))
    if not sign_of(right):
        if not sign_of(left):
            raise NotANumberError("division of zero by zero")
        return Infinity(sign_of(left))
    dividend, exponent = _parts(left)
    divisor, other_exponent = _parts(right)
    return _quotient(dividend, divisor, exponent - other_exponent, max(precision_of(left), precision_of(right)))


def truncate(number: int | Fraction) -> int:
    """The whole part."""
    if isinstance(number, int):
        return int(number)
    whole = abs(number.mantissa) >> -number.exponent
    return -whole if number.mantissa < 0 else whole


def compare(left: Number, right: Number) -> int:
    """-1, 0 or 1 as the left number is less than, equal to or greater than the right one."""
    if isinstance(left, Infinity) or isinstance(right, Infinity):
        low = left.sign * 2 if isinstance(left, Infinity) else 0
        high = right.sign * 2 if isinstance(right, Infinity) else 0
        return (low > high) - (low < high)
    mantissa, exponent = _parts(left)
    other, other_exponent = _parts(right)
    lowest = min(exponent, other_exponent)
    mantissa <<= exponent - lowest
    other <<= other_exponent - lowest
    return (mantissa > other) - (mantissa < other)


def _to_float(number: Fraction) -> float:
    # Whole-number division rounds correctly, and to subnormals too; out of range is an OverflowError.
    return number.mantissa / (1 << -number.exponent)
