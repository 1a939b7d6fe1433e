"""Durations as doze configs spell them: Go's grammar and Go's words, such as ``1h30m`` or ``500ms``."""

from __future__ import annotations

import re
from datetime import timedelta

from ._errors import DurationError

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*)(\.?)([0-9]*)([^0-9.]*)", re.ASCII)
_LIMIT = 1 << 63  # of a count of nanoseconds; reachable with a minus sign only


def parse_duration(text: str) -> timedelta:
    """Read a duration: an optional sign, then numbers with units (``ns us µs ms s m h``), or ``0``.

    The range is Go's, 64 bits of nanoseconds. A `timedelta` counts microseconds; what is below one is cut off, as Go
    cuts what is below a nanosecond.

    Raises:
        DurationError: with the words of Go's `time.ParseDuration`.

    """
    negative = text.startswith("-")
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    nanoseconds = 0 if unsigned == "0" else _sum(unsigned, text)
    if nanoseconds > _LIMIT - (not negative):
        raise _invalid(text)
    microseconds = nanoseconds // 1000
    return timedelta(microseconds=-microseconds if negative else microseconds)


def _sum(unsigned: str, text: str) -> int:
    total = at = 0
    while at < len(unsigned) or not at:
        part = _PART.match(unsigned, at)
        if part is None or not (part[1] or part[3]):
            raise _invalid(text)
        total += _nanoseconds(part, text)
        if total > _LIMIT:
            raise _invalid(text)
        at = part.end()
    return total


def _nanoseconds(part: re.Match[str], text: str) -> int:
    whole, _, fraction, unit = part.groups()
    # A number of 30 digits is out of range whatever its unit; int() of thousands of digits would raise.
    if len(whole.lstrip("0")) > 30 or int(whole[-30:] or "0") > _LIMIT:
        raise _invalid(text)
    if not unit:
        raise DurationError(f"time: missing unit in duration {_quoted(text)}")
    if unit not in _NANOSECONDS:
        raise DurationError(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
    scale = _NANOSECONDS[unit]
    return int(whole[-30:] or "0") * scale + _fraction(fraction, scale)


def _fraction(digits: str, scale: int) -> int:
    # Go works in float64 with the digits that fit 63 bits, and the result must be Go's to the nanosecond.
    value, divisor = 0, 1.0
    for digit in digits:
        if value > (_LIMIT - 1) // 10 or value * 10 + int(digit) > _LIMIT:
            break
        value = value * 10 + int(digit)
        divisor *= 10
    return int(float(value) * (scale / divisor))


def _invalid(text: str) -> DurationError:
    return DurationError(f"time: invalid duration {_quoted(text)}")


def _quoted(text: str) -> str:
    """Quote as Go's time package does: bytes that are not printable ASCII in hexadecimal."""
    body = "".join(
        f"\\x{byte:02x}" if byte >= 0x80 or byte < 0x20 else "\\" * (byte in b'"\\') + chr(byte)
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{body}"'


def format_duration(duration: timedelta) -> str:
    """Return the shortest usual spelling, which `parse_duration` reads back: ``168h``, ``1m30s``, ``1.5s``, ``0s``."""
    microseconds = duration // timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    if microseconds < 10**6:
        return sign + _below_a_second(microseconds)
    minutes, rest = divmod(microseconds, 60 * 10**6)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 10**6}.{rest % 10**6:06d}".rstrip("0").rstrip(".")
    parts = ((str(hours), "h"), (str(minutes), "m"), (seconds, "s"))
    return sign + "".join(number + unit for number, unit in parts if number != "0")


def _below_a_second(microseconds: int) -> str:
    if microseconds == 0:
        return "0s"
    if microseconds < 1000:
        return f"{microseconds}us"
    return f"{microseconds // 1000}.{microseconds % 1000:03d}".rstrip("0").rstrip(".") + "ms"
