"""Engine versions as a config declares them, and the gates on them."""

from __future__ import annotations

import re

from ._errors import VersionError

# What Go's strconv.Atoi takes: an optional sign and ASCII digits, up to 64 bits.
_ATOI = r"[+-]?0*[0-9]{1,19}"
_INT64 = range(-(2**63), 2**63)

BUILTIN = "builtin"
"""The version that the host sends for an engine without versions (`Versionless`)."""


class Version(str):
    """A declared engine version: the text of `version = …`, for instance ``16``, ``17.3`` or ``builtin``.

    It is an engine version, never a module version.
    """

    __slots__ = ()

    @property
    def is_exact(self) -> bool:
        """Whether the text names more than a major, that is, contains a dot."""
        return "." in self

    @property
    def major(self) -> str:
        """The text before the first dot; the whole text when it has none or starts with one."""
        head, _, _ = self.partition(".")
        return head or str(self)

    @property
    def major_number(self) -> int | None:
        """The major as a number, or None when it is not one of 64 bits (``builtin``, the empty text)."""
        if not re.fullmatch(_ATOI, self.major, re.ASCII):
            return None
        sign, digits = self.major[0] if self.major[0] in "+-" else "", self.major.lstrip("+-").lstrip("0")
        number = int(f"{sign}{digits or 0}")
        return number if number in _INT64 else None


def exact_dots(dots: int) -> ExactDots:
    """Return the test "has at least *dots* dots", which tells an exact version from a line of versions.

    PostgreSQL is exact with one dot (16.4), Valkey with two (8.0.1).
    """
    return ExactDots(dots)


class ExactDots:
    """Callable: whether a version text has at least `dots` dots."""

    __slots__ = ("dots",)

    def __init__(self, dots: int) -> None:
        self.dots = dots

    def __call__(self, spec: str) -> bool:
        return spec.count(".") >= self.dots

    def __repr__(self) -> str:
        return f"exact_dots({self.dots})"


def require_version(version: str, minimum: int, what: str) -> None:
    """Refuse *what* when the declared major is below *minimum*; a version that is no number passes.

    Raises:
        VersionError: ``<what> requires engine version >= <minimum> (declared <version>)``, the host's own words.

    """
    number = Version(version).major_number
    if number is not None and number < minimum:
        raise VersionError(f"{what} requires engine version >= {minimum} (declared {version})")


def require_version_below(version: str, maximum: int, what: str) -> None:
    """Refuse *what* when the declared major is *maximum* or higher; a version that is no number passes.

    Raises:
        VersionError: ``<what> was removed in engine version <maximum> (declared <version>)``, the host's own words.

    """
    number = Version(version).major_number
    if number is not None and number >= maximum:
        raise VersionError(f"{what} was removed in engine version {maximum} (declared {version})")
