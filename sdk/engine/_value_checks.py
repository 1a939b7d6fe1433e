"""What the host cannot be told, refused where the value is made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ._errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INT32_MAX = 2**31 - 1
_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)  # what the wire holds, in nanoseconds


def duration_problems(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with a duration that the host is told."""
    if not isinstance(value, timedelta):
        yield f"{name}: expected a timedelta, got {value!r}"
    elif not timedelta(0) <= value <= _LONGEST:
        yield f"{name}: expected a duration from 0 to 292 years, got {value}"


def count_problems(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with a count that the host is told."""
    if type(value) is not int or not 0 <= value <= INT32_MAX:
        yield f"{name}: expected a whole number from 0 to {INT32_MAX}, got {value!r}"


def choice_problems(name: str, value: object, choices: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with one of a few words: the host takes any and then does nothing."""
    if value not in choices:
        yield f"{name}: expected one of {', '.join(choices)}, got {value!r}"


def refuse(owner: str, problems: Iterable[str]) -> None:
    """Raise all *problems* at once, at the line that made the value.

    Raises:
        DriverError: there are some.

    """
    lines = [f"{owner}: {problem}" for problem in problems]
    if lines:
        raise DriverError("\n".join(lines))
