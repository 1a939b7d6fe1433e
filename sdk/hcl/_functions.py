"""Functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._types import Type
from ._values import Value


class FunctionError(Exception):
    """A call has no result; the text completes `call to function "x" failed: `."""


class ArgumentError(FunctionError):
    """An argument does not suit; `place` counts from 0."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class Parameter:
    """A parameter of a function."""

    __slots__ = ("name", "null", "type", "unknown")

    def __init__(self, name: str, type: Type, *, null: bool = False, unknown: bool = False) -> None:  # noqa: A002 - what it is
        self.name = name
        self.type = type
        self.null = null
        self.unknown = unknown


class Function:
    """A function."""

    def __init__(self, parameters: Sequence[Parameter], rest: Parameter | None, body: Callable[..., Value]) -> None:
        self.parameters = tuple(parameters)
        self.rest = rest
        self.body = body

    def parameter(self, place: int) -> Parameter:
        if place < len(self.parameters):
            return self.parameters[place]
        assert self.rest is not None
        return self.rest

    def __call__(self, arguments: Sequence[Value]) -> Value:
        return self.body(*arguments)
