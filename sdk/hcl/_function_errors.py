"""Why a function call has no result."""

from __future__ import annotations


class FunctionError(Exception):
    """A call has no result; the text completes `Call to function "x" failed: `."""


class ArgumentError(FunctionError):
    """An argument does not suit; `place` counts from 0."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place
