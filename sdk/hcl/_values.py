"""Values, as native Python objects.

| cty | Python |
|---|---|
| string, bool | `str` in normal form C, `bool` |
| number | `int`, or a `Fraction` or `Infinity` of `_number` |
| tuple, object | `tuple`, `dict` |
| list, map, set | `ListValue`, `MapValue`, `SetValue`, which know their element type |
| null | `None` if of no type, else a `Null` |
| unknown | `Unknown`: what evaluation failed to produce |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Union

from ._number import Fraction, Infinity
from ._types import BOOL, DYNAMIC, NUMBER, STRING, ListOf, MapOf, ObjectOf, SetOf, TupleOf, Type


class Null:
    """A null of a type."""

    __slots__ = ("type",)

    def __init__(self, type: Type) -> None:  # noqa: A002 - what it is
        self.type = type

    def __repr__(self) -> str:
        return f"Null({self.type.name})"


class Unknown:
    """A value that evaluation failed to produce, of a type. `not_null` if it is known to be no null."""

    __slots__ = ("not_null", "type")

    def __init__(self, type: Type, *, not_null: bool = False) -> None:  # noqa: A002 - what it is
        self.type = type
        self.not_null = not_null

    def __repr__(self) -> str:
        return f"Unknown({self.type.name})"


UNKNOWN: Final = Unknown(DYNAMIC)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Value = Union[  # noqa: UP007 - a union with forward references in it
        str,
        bool,
        int,
        Fraction,
        Infinity,
        tuple["Value", ...],
        dict[str, "Value"],
        "ListValue",
        "MapValue",
        "SetValue",
        None,
        Null,
        Unknown,
    ]
else:  # what the name stands for matters to type checkers alone, and takes long to build
    Value = object


class ListValue(list["Value"]):
    """A list: elements of one type."""

    __slots__ = ("element",)

    def __init__(self, element: Type, values: Iterable[Value] = ()) -> None:
        super().__init__(values)
        self.element = element


class MapValue(dict[str, "Value"]):
    """A map: string keys, and values of one type."""

    __slots__ = ("element",)

    def __init__(self, element: Type, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        super().__init__(values)
        self.element = element


class SetValue(list["Value"]):
    """A set: distinct elements of one type, in cty's order."""

    __slots__ = ("element",)

    def __init__(self, element: Type, values: Iterable[Value] = ()) -> None:
        super().__init__(values)
        self.element = element


def type_of(value: Value) -> Type:
    """The type of a value."""
    known = _SIMPLE.get(type(value))
    if known is not None:
        return known
    if isinstance(value, ListValue):
        return ListOf(value.element)
    if isinstance(value, MapValue):
        return MapOf(value.element)
    if isinstance(value, SetValue):
        return SetOf(value.element)
    if isinstance(value, tuple):
        return TupleOf(tuple(map(type_of, value)))
    if isinstance(value, dict):
        return ObjectOf({name: type_of(attribute) for name, attribute in value.items()})
    if isinstance(value, Null | Unknown):
        return value.type
    return NUMBER


_SIMPLE: Final[dict[type, Type]] = {
    str: STRING,
    bool: BOOL,
    int: NUMBER,
    Fraction: NUMBER,
    Infinity: NUMBER,
    type(None): DYNAMIC,
}


def is_null(value: Value) -> bool:
    """Whether a value is null."""
    return value is None or type(value) is Null


def is_wholly_known(value: Value) -> bool:
    """Whether no part of a value is unknown."""
    kind = type(value)
    if kind is Unknown:
        return False
    if isinstance(value, dict):
        return all(map(is_wholly_known, value.values()))
    if isinstance(value, tuple | list):
        return all(map(is_wholly_known, value))
    return True
