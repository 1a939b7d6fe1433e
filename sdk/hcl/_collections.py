"""The host's functions on collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._convert import ConversionError, convert, identity, mismatch, unify
from ._function_errors import ArgumentError, FunctionError
from ._number import Index, Number
from ._operators import equal
from ._strings import whole
from ._types import STRING, ListOf
from ._values import ListValue, MapValue, SetValue, Unknown, Value, is_null, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def concat(*sequences: Value) -> Value:
    if not sequences:
        raise FunctionError("at least one argument is required")
    parts: list[Value] = []
    for place, sequence in enumerate(sequences):
        if not isinstance(sequence, tuple | list) or isinstance(sequence, SetValue):
            raise ArgumentError(place, f"all arguments must be lists or tuples; got {type_of(sequence).name}")
        parts += sequence
    if not all(isinstance(sequence, ListValue) for sequence in sequences):
        return tuple(parts)
    common = unify(map(type_of, sequences))
    if isinstance(common, ListOf):
        return ListValue(common.element, [convert(part, common.element) for part in parts])
    return tuple(parts)


def length(collection: Value) -> Value:
    if isinstance(collection, tuple | list | MapValue):
        return Index(len(collection))
    raise FunctionError("collection must be a list, a map or a tuple")


def contains(values: Value, wanted: Value) -> Value:
    if not isinstance(values, tuple | list):
        raise FunctionError("argument must be list, tuple, or set")
    undecided: Value = False
    for value in values:
        result = equal(value, wanted)
        if result is True:
            return True
        if isinstance(result, Unknown):
            undecided = result
    return undecided


def _bytewise(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _ordered(mapping: dict[str, Value]) -> list[str]:
    return sorted(mapping, key=_bytewise)


def keys(mapping: Value) -> Value:
    if not isinstance(mapping, dict):
        raise ArgumentError(0, "must have map or object type")
    names = _ordered(mapping)
    return ListValue(STRING, names) if isinstance(mapping, MapValue) else tuple(names)


def values(mapping: Value) -> Value:
    if not isinstance(mapping, dict):
        raise ArgumentError(0, "values() requires a map as the first argument")
    parts = [mapping[name] for name in _ordered(mapping)]
    return ListValue(mapping.element, parts) if isinstance(mapping, MapValue) else tuple(parts)


def lookup(mapping: Value, key: str, default: Value) -> Value:
    if not isinstance(mapping, dict):
        raise ArgumentError(0, "lookup() requires a map as the first argument")
    if isinstance(mapping, MapValue) and mapping.element != type_of(default):
        raise ArgumentError(2, "the default value must have the same type as the map elements")
    return mapping.get(key, default)


def merge(*mappings: Value) -> Value:
    merged: dict[str, Value] = {}
    given = []
    for mapping in mappings:
        if isinstance(mapping, dict):
            given.append(mapping)
            merged.update(mapping)
        elif not is_null(mapping):
            raise FunctionError(f'arguments must be maps or objects, got "{type_of(mapping).name}"')
    maps = [mapping for mapping in given if isinstance(mapping, MapValue)]
    if maps and len(maps) == len(given) and all(mapping.element == maps[0].element for mapping in maps):
        return MapValue(maps[0].element, merged)
    return merged


def flatten(values_: Value) -> Value:
    if not isinstance(values_, tuple | list):
        raise FunctionError("can only flatten lists, sets and tuples")
    return tuple(_flat(values_))


def _flat(values_: tuple[Value, ...] | list[Value]) -> Iterator[Value]:
    for value in values_:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value


def distinct(values_: ListValue) -> Value:
    seen: set[object] = set()
    result = ListValue(values_.element)
    for value in values_:
        key = identity(value)
        if key not in seen:
            seen.add(key)
            result.append(value)
    return result


def sort(texts: ListValue) -> Value:
    for index, text in enumerate(texts):
        if is_null(text):
            raise FunctionError(f"given list element {index} is null; a null string cannot be sorted")
    return ListValue(STRING, sorted(texts, key=lambda text: _bytewise(str(text))))


def reverse(values_: Value) -> Value:
    if isinstance(values_, tuple):
        return values_[::-1]
    if isinstance(values_, ListValue | SetValue):
        return ListValue(values_.element, values_[::-1])
    raise ArgumentError(0, f"can only reverse list or tuple values, not {type_of(values_).name}")


def slice_(values_: Value, start: Number, end: Number) -> Value:
    if isinstance(values_, SetValue):
        raise ArgumentError(
            0,
            "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the ordering"
            " of the result is not important",
        )
    if not isinstance(values_, tuple | ListValue):
        raise ArgumentError(0, "must be a list or tuple value")
    first, last = whole(start, 1, "invalid start index: "), whole(end, 2, "invalid end index: ")
    if first < 0:
        raise ArgumentError(1, "start index must not be less than zero")
    if first > len(values_):
        raise ArgumentError(1, "start index must not be greater than the length of the list")
    if last < 0:
        raise ArgumentError(2, "end index must not be less than zero")
    if last > len(values_):
        raise ArgumentError(2, "end index must not be greater than the length of the list")
    if first > last:
        raise ArgumentError(1, "start index must not be greater than end index")
    part = values_[first:last]
    return part if isinstance(part, tuple) else ListValue(values_.element, part)  # type: ignore[union-attr] # a list


def element(values_: Value, index: Number) -> Value:
    if not isinstance(values_, tuple | ListValue):
        raise FunctionError(f"cannot read elements from {type_of(values_).name}")
    place = whole(index, None, "invalid index: ")
    if not values_:
        raise FunctionError("cannot use element function with an empty list")
    return values_[place % len(values_)]


def coalesce(*values_: Value) -> Value:
    common = unify(map(type_of, values_))
    if common is None or any(mismatch(type_of(value), common) is not None for value in values_):
        raise FunctionError("all arguments must have the same type")
    for value in values_:
        if not is_null(value):
            try:
                return convert(value, common)
            except ConversionError as error:
                raise FunctionError(str(error)) from None
    raise FunctionError("no non-null arguments")
