"""Reaching into values: attributes by name, elements by key."""

from __future__ import annotations

from typing import Final

from ._convert import ConversionError, convert
from ._number import Fraction, Infinity, sign_of
from ._text import quote
from ._types import BOOL, DYNAMIC, NUMBER, STRING, ListOf, MapOf, ObjectOf, SetOf, TupleOf, Type
from ._values import UNKNOWN, MapValue, Unknown, Value, is_null, type_of

_NO_ELEMENT: Final = "The given key does not identify an element in this collection value"
_BAD_INDEX: Final = "Invalid index"
_NO_ATTRIBUTE: Final = "Unsupported attribute"


class AccessError(Exception):
    """There is no such attribute or element."""

    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(detail)
        self.summary = summary
        self.detail = detail


def attribute(value: Value, name: str) -> Value:
    """The attribute of an object, or the element of a map. Raises AccessError."""
    if is_null(value):
        detail = "This value is null, so it does not have any attributes."
        raise AccessError("Attempt to get attribute from null value", detail)
    kind = type_of(value)
    if isinstance(kind, ObjectOf):
        if name not in kind.attributes:
            raise AccessError(_NO_ATTRIBUTE, f"This object does not have an attribute named {quote(name)}.")
        return value[name] if isinstance(value, dict) else Unknown(kind.attributes[name])
    if isinstance(kind, MapOf):
        if not isinstance(value, dict):
            return Unknown(kind.element)
        if name not in value:
            detail = f"This map does not have an element with the key {quote(name)}."
            raise AccessError("Missing map element", detail)
        return value[name]
    if kind is DYNAMIC:
        return UNKNOWN
    raise AccessError(_NO_ATTRIBUTE, _no_attributes(kind, name))


def _no_attributes(kind: Type, name: str) -> str:
    if isinstance(kind, ListOf) and isinstance(kind.element, ObjectOf):
        what = f"attribute {quote(name)}" if name in kind.element.attributes else "an attribute"
        return (
            f"Can't access attributes on a list of objects. Did you mean to access {what} for a specific element of"
            " the list, or across all elements of the list?"
        )
    if isinstance(kind, SetOf) and isinstance(kind.element, ObjectOf):
        return (
            "Can't access attributes on a set of objects. Did you mean to access an attribute across all elements of"
            " the set?"
        )
    if kind is STRING or kind is NUMBER or kind is BOOL:
        return f"Can't access attributes on a primitive-typed value ({kind.name})."
    return "This value does not have any attributes."


def index(value: Value, key: Value) -> Value:
    """The element of a collection. Raises AccessError."""
    if is_null(value):
        detail = "This value is null, so it does not have any indices."
        raise AccessError("Attempt to index null value", detail)
    if is_null(key):
        raise AccessError(_BAD_INDEX, "Can't use a null value as an indexing key.")
    kind, key_type = type_of(value), type_of(key)
    if kind is DYNAMIC or key_type is DYNAMIC:
        return UNKNOWN
    if isinstance(kind, ListOf | TupleOf):
        return _at(value, kind, _key(key, NUMBER))
    if isinstance(kind, MapOf):
        return _in_map(value, kind, _key(key, STRING))
    if isinstance(kind, ObjectOf):
        return _in_object(value, kind, _key(key, STRING), by_number=key_type is NUMBER)
    if isinstance(kind, SetOf):
        detail = (
            "Elements of a set are identified only by their value and don't have any separate index or key to select"
            " with, so it's only possible to perform operations across all elements of the set."
        )
        raise AccessError(_BAD_INDEX, detail)
    raise AccessError(_BAD_INDEX, "This value does not have any indices.")


def _key(key: Value, wanted: Type) -> Value:
    try:
        return convert(key, wanted)
    except ConversionError as error:
        raise AccessError(_BAD_INDEX, f"{_NO_ELEMENT}: {error}.") from None


def _at(value: Value, kind: ListOf | TupleOf, key: Value) -> Value:
    if isinstance(key, Unknown):
        return UNKNOWN if isinstance(kind, TupleOf) else Unknown(kind.element)
    if isinstance(value, Unknown) and isinstance(kind, ListOf):
        return Unknown(kind.element)
    parts = value if isinstance(value, tuple | list) else tuple(map(Unknown, kind.elements))  # type: ignore[union-attr] # a list of unknown length was dealt with
    if isinstance(key, int) and 0 <= key < len(parts):
        return parts[key]
    raise AccessError(_BAD_INDEX, _NO_ELEMENT + _why_not(key, len(parts)))


def _why_not(key: Value, length: int) -> str:
    assert isinstance(key, int | Fraction | Infinity)
    if sign_of(key) < 0:
        return ": a negative number is not a valid index for a sequence."
    if isinstance(key, Fraction):
        return ": indexing a sequence requires a whole number, but the given index has a fractional part."
    # Of the indexes behind the end, the host explains the first alone.
    if key != length:
        return "."
    if not length:
        return ": the collection has no elements."
    return ": the given index is greater than or equal to the length of the collection."


def _in_map(value: Value, kind: MapOf, key: Value) -> Value:
    if isinstance(key, Unknown) or not isinstance(value, MapValue):
        return Unknown(kind.element)
    if isinstance(key, str) and key in value:
        return value[key]
    raise AccessError(_BAD_INDEX, _NO_ELEMENT + ".")


def _in_object(value: Value, kind: ObjectOf, key: Value, *, by_number: bool) -> Value:
    if isinstance(key, Unknown) or not isinstance(value, dict):
        return UNKNOWN
    if isinstance(key, str) and key in kind.attributes:
        return value[key]
    advice = " An object only supports looking up attributes by name, not by numeric index." if by_number else ""
    raise AccessError(_BAD_INDEX, f"{_NO_ELEMENT}.{advice}")
