"""What can be wrong with a source, and the errors that carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._source import Range


class Diagnostic:
    """One problem, with the words and the range that Go reports for it."""

    __slots__ = ("context", "detail", "follows", "hint", "subject", "summary")

    def __init__(
        self,
        summary: str,
        detail: str,
        subject: Range,
        context: Range | None = None,
        follows: bool = False,  # noqa: FBT001, FBT002 - one of many fields, given by keyword
        hint: str | None = None,
    ) -> None:
        self.summary = summary
        self.detail = detail
        #: What the problem is about.
        self.subject = subject
        #: The larger construct around the subject, if it helps to see it.
        self.context = context
        #: True if the problem is only the echo of another one in the same list, such as an unusable value that is
        #: unusable because evaluating it failed. The renderer for people leaves it out.
        self.follows = follows
        #: A sentence about what to do, which Go does not print.
        self.hint = hint

    def __repr__(self) -> str:
        return f"<Diagnostic {self}>"

    def __str__(self) -> str:
        """`RANGE: SUMMARY; DETAIL`, the form of Go's `Diagnostic.Error()`."""
        return f"{self.subject}: {self.summary}; {self.detail}"


def plain(diagnostics: Iterable[Diagnostic]) -> str:
    """All diagnostics, one per line, in Go's words."""
    return "\n".join(map(str, diagnostics))


def abridged(diagnostics: tuple[Diagnostic, ...]) -> str:
    """The first diagnostic and the number of the others: the form of Go's `Diagnostics.Error()`."""
    if not diagnostics:
        return "no diagnostics"
    if len(diagnostics) == 1:
        return str(diagnostics[0])
    return f"{diagnostics[0]}, and {len(diagnostics) - 1} other diagnostic(s)"


def in_source_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort by position; diagnostics at the same place keep the order in which they were found.

    One that follows from others comes after all that is wrong inside its context, where they are.
    """
    return tuple(sorted(diagnostics, key=_place))


def _place(diagnostic: Diagnostic) -> int:
    if diagnostic.follows and diagnostic.context is not None:
        return diagnostic.context.end
    return diagnostic.subject.start


class HCLError(Exception):
    """The base of all errors of this package.

    The text is what a Go plugin would answer; `diagnostics` holds every problem, in source order.
    """

    __module__ = "doze_sdk.hcl"

    #: What Go puts in front of the diagnostics at this stage.
    stage = ""

    def __init__(self, message: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics

    def rendered(self) -> str:
        """The text for people: every diagnostic with its source line, behind the stage that failed."""
        from ._render import render

        return self.stage + render(self.diagnostics) if self.diagnostics else str(self)


class ParseError(HCLError):
    """The file is not valid HCL."""

    __module__ = "doze_sdk.hcl"
    stage = "parsing config: "

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(self.stage + plain(diagnostics), diagnostics)


class BlockSelectionError(HCLError):
    """A block of the wanted type has no label, or more than one."""

    __module__ = "doze_sdk.hcl"
    stage = "reading config blocks: "

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(self.stage + abridged(diagnostics), diagnostics)


class BlockNotFoundError(HCLError):
    """The file has no block of the wanted type with the wanted label."""

    __module__ = "doze_sdk.hcl"

    def __init__(self, block_type: str, label: str) -> None:
        super().__init__(f'block {block_type} "{label}" not found in source')


class VariablesError(HCLError):
    """A variable is not a JSON value."""

    __module__ = "doze_sdk.hcl"


class EvaluationError(HCLError):
    """An expression has no value."""

    __module__ = "doze_sdk.hcl"

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(plain(diagnostics), diagnostics)
