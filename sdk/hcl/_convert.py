"""Conversions between types, and finding one type for several: cty's rules.

A conversion is decided from types first, so that a message about the shape of a value comes before one about any part
of its content; then the content is converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._number import Fraction, Infinity, format_number, parse_number
from ._text import quote
from ._types import BOOL, DYNAMIC, NUMBER, STRING, Collection, ListOf, MapOf, ObjectOf, SetOf, TupleOf, Type
from ._values import ListValue, MapValue, Null, SetValue, Unknown, Value, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class ConversionError(Exception):
    """A value has no counterpart of the wanted type; the text completes `unsuitable value: `."""


def convert(value: Value, wanted: Type) -> Value:
    """Convert a value to a type, or raise ConversionError."""
    if wanted is DYNAMIC:
        return value
    simple = _PRIMITIVE.get((type(value), wanted))
    if simple is not None:
        return simple(value)
    if type(value) is tuple and type(wanted) is ListOf:
        converters = [_PRIMITIVE.get((type(part), wanted.element)) for part in value]
        if None not in converters:  # no element is of a wrong shape, which would have to be said first
            return ListValue(wanted.element, [to(part) for to, part in zip(converters, value, strict=True) if to])
    elif type(value) is dict and type(wanted) is MapOf:
        converters = [_PRIMITIVE.get((type(part), wanted.element)) for part in value.values()]
        if None not in converters:
            pairs = zip(converters, value.items(), strict=True)
            return MapValue(wanted.element, {key: to(part) for to, (key, part) in pairs if to})
    given = type_of(value)
    if given == wanted:
        return value
    problem = mismatch(given, wanted)
    if problem is not None:
        raise ConversionError(problem)
    return _convert(value, given, wanted)


def _convert(value: Value, given: Type, wanted: Type) -> Value:
    """Convert a value whose type has been found convertible."""
    if wanted is DYNAMIC or given == wanted:
        return value
    if value is None or isinstance(value, Null):
        return Null(_settled(given, wanted))
    if isinstance(value, Unknown):
        return Unknown(_settled(given, wanted), not_null=value.not_null)
    if isinstance(wanted, MapOf) and isinstance(value, dict):
        return _to_map(value, wanted)
    if isinstance(wanted, ObjectOf) and isinstance(value, dict):
        return _to_object(value, wanted)
    if isinstance(wanted, ListOf | SetOf) and isinstance(value, tuple | list):
        return _to_sequence(value, given, wanted)
    if isinstance(wanted, TupleOf) and isinstance(value, tuple):
        pairs = zip(value, wanted.elements, strict=True)
        return tuple(_convert(element, type_of(element), type_) for element, type_ in pairs)
    return _PRIMITIVE[type(value), wanted](value)


def _settled(given: Type, wanted: Type) -> Type:
    """The wanted type with what it leaves open taken from the given one."""
    if wanted is DYNAMIC:
        return given
    if isinstance(wanted, Collection) and wanted.has_dynamic:
        if isinstance(given, Collection):
            return type(wanted)(_settled(given.element, wanted.element))
        common = unify(_parts(given))
        if common is not None:
            return type(wanted)(_settled(common, wanted.element))
    return wanted


def _parts(structural: Type) -> tuple[Type, ...]:
    if isinstance(structural, TupleOf):
        return structural.elements
    return tuple(structural.attributes.values()) if isinstance(structural, ObjectOf) else ()


def _element_type(given: Type, wanted: Collection) -> Type:
    """The element type of a result; if it is left open, one that all elements can have."""
    if wanted.element is not DYNAMIC:
        return wanted.element
    if isinstance(given, Collection):
        return given.element
    return unify(_parts(given)) or DYNAMIC


def _to_sequence(value: Sequence[Value], given: Type, wanted: Collection) -> Value:
    element = _element_type(given, wanted)
    converted = [_convert(part, type_of(part), element) for part in value]
    if element.has_dynamic and converted:
        element = unify(map(type_of, converted)) or element
        converted = [_convert(part, type_of(part), element) for part in converted]
    if isinstance(wanted, ListOf):
        return ListValue(element, converted)
    return make_set(element, converted)


def _to_map(value: dict[str, Value], wanted: MapOf) -> Value:
    element = _element_type(type_of(value), wanted)
    converted = {key: _convert(part, type_of(part), element) for key, part in value.items()}
    if element.has_dynamic and converted:
        element = unify(map(type_of, converted.values())) or element
        converted = {key: _convert(part, type_of(part), element) for key, part in converted.items()}
    return MapValue(element, converted)


def _to_object(value: dict[str, Value], wanted: ObjectOf) -> Value:
    missing = sorted(wanted.attributes.keys() - value.keys())
    if missing:
        raise ConversionError(f"map element {quote(missing[0])} is required" if isinstance(value, MapValue) else "")
    return {name: _convert(value[name], type_of(value[name]), type_) for name, type_ in wanted.attributes.items()}


def make_set(element: Type, values: Iterable[Value]) -> SetValue:
    """A set: each value once, in the order in which the host goes through a set."""
    distinct: list[Value] = []
    seen: set[object] = set()
    for value in values:
        key = identity(value)
        if key not in seen:
            seen.add(key)
            distinct.append(value)
    if element is STRING:
        distinct.sort(key=_string_order)
    elif element is NUMBER:
        from functools import cmp_to_key

        from ._number import compare

        distinct.sort(key=cmp_to_key(compare))  # type: ignore[arg-type] # all numbers
    elif element is BOOL:
        distinct.sort(key=lambda value: value is True)
    return SetValue(element, distinct)


def _string_order(value: Value) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""


def identity(value: Value) -> object:
    """Something hashable that is equal exactly for values of one type that are equal."""
    if isinstance(value, dict):
        return ("{", tuple(sorted((key, identity(part)) for key, part in value.items())))
    if isinstance(value, tuple | list):
        return ("[", tuple(map(identity, value)))
    if value is None or isinstance(value, Null):
        return ("null",)
    return (type_of(value).name, format_number(value) if _is_number(value) else value)  # type: ignore[arg-type] # a number


def _is_number(value: Value) -> bool:
    return isinstance(value, int | Fraction | Infinity) and not isinstance(value, bool)


# Primitive conversions


def _same(value: Value) -> Value:
    return value


def _bool_to_string(value: Value) -> Value:
    return "true" if value else "false"


def _number_to_string(value: Value) -> Value:
    return format_number(value)  # type: ignore[arg-type] # chosen by type


def _string_to_number(value: Value) -> Value:
    number = parse_number(value) if isinstance(value, str) else None
    if number is None:
        raise ConversionError("a number is required")
    return number


_BOOLS: Final = {"true": True, "1": True, "false": False, "0": False}


def _string_to_bool(value: Value) -> Value:
    text = value if isinstance(value, str) else ""
    if text in _BOOLS:
        return _BOOLS[text]
    if text in {"True", "TRUE", "False", "FALSE"}:
        raise ConversionError(f'a bool is required; to convert from string, use lowercase "{text.lower()}"')
    raise ConversionError("a bool is required")


_PRIMITIVE: Final[dict[tuple[type, Type], Callable[[Value], Value]]] = {
    (str, STRING): _same,
    (bool, BOOL): _same,
    (bool, STRING): _bool_to_string,
    (str, NUMBER): _string_to_number,
    (str, BOOL): _string_to_bool,
}


def _register_numbers() -> None:
    from ._number import Index

    for kind in (int, Index, Fraction, Infinity):
        _PRIMITIVE[kind, NUMBER] = _same
        _PRIMITIVE[kind, STRING] = _number_to_string


_register_numbers()


# Which conversions there are

_PRIMITIVE_PAIRS: Final = frozenset({(NUMBER, STRING), (BOOL, STRING), (STRING, NUMBER), (STRING, BOOL)})


def mismatch(given: Type, wanted: Type) -> str | None:
    """Why no value of one type converts to another; None if some do."""
    if given == wanted or DYNAMIC in (given, wanted) or (given, wanted) in _PRIMITIVE_PAIRS:
        return None
    if isinstance(wanted, ObjectOf):
        if isinstance(given, ObjectOf):
            return _object_mismatch(given, wanted)
        if isinstance(given, MapOf):
            fits = all(mismatch(given.element, attribute) is None for attribute in wanted.attributes.values())
            return None if fits else _required(given, wanted)
    elif isinstance(wanted, TupleOf):
        if isinstance(given, TupleOf) and len(given.elements) == len(wanted.elements):
            pairs = zip(given.elements, wanted.elements, strict=True)
            if all(mismatch(one, other) is None for one, other in pairs):
                return None
    elif isinstance(wanted, Collection):
        if isinstance(given, Collection):
            return _collection_mismatch(given, wanted)
        if isinstance(given, TupleOf | ObjectOf):
            return _structure_mismatch(given, wanted)
    return _required(given, wanted)


def constraint_name(type_: Type) -> str:
    """What a message calls a type that is asked for."""
    if isinstance(type_, Collection):
        inner = "any single type" if type_.element is DYNAMIC else constraint_name(type_.element)
        return f"{type_.kind} of {inner}"
    return "any type" if type_ is DYNAMIC else type_.name


def _required(given: Type, wanted: Type) -> str:
    return f"{wanted.name} required, but have {given.name}"


def _collection_mismatch(given: Collection, wanted: Collection) -> str | None:
    if isinstance(given, MapOf) != isinstance(wanted, MapOf):
        return f"{constraint_name(wanted)} required"
    inner = mismatch(given.element, wanted.element)
    return None if inner is None else f"incorrect {wanted.kind} element type: {inner}"


def _structure_mismatch(given: TupleOf | ObjectOf, wanted: Collection) -> str | None:
    if isinstance(given, ObjectOf) != isinstance(wanted, MapOf):
        if wanted.element is DYNAMIC and not isinstance(wanted, MapOf) and isinstance(given, TupleOf):
            return f"all {wanted.kind} elements must have the same type"
        return f"{constraint_name(wanted)} required"
    parts = _parts(given)
    if wanted.element is DYNAMIC:
        common = unify(parts)
        undecided = common is DYNAMIC and isinstance(given, TupleOf) and set(parts) != {DYNAMIC}
        if not parts or not (common is None or undecided):
            return None
        return f"all {wanted.kind} elements must have the same type"
    if isinstance(given, TupleOf):
        named = [(str(index), part) for index, part in enumerate(parts)]
    else:
        named = [(quote(name), given.attributes[name]) for name in sorted(given.attributes)]
    for name, part in named:
        inner = mismatch(part, wanted.element)
        if inner is not None:
            return f"element {name}: {inner}"
    return None


def _object_mismatch(given: ObjectOf, wanted: ObjectOf) -> str | None:
    missing = sorted(wanted.attributes.keys() - given.attributes.keys())
    if len(missing) == 1:
        return f"attribute {quote(missing[0])} is required"
    if len(missing) == 2:
        return f"attributes {quote(missing[0])} and {quote(missing[1])} are required"
    if missing:
        return f"attributes {', '.join(map(quote, missing[:-1]))}, and {quote(missing[-1])} are required"
    for name in sorted(wanted.attributes):
        inner = mismatch(given.attributes[name], wanted.attributes[name])
        if inner is not None:
            return f"attribute {quote(name)}: {inner}"
    return None


# Unification


def unify(types: Iterable[Type]) -> Type | None:
    """One type that all the given ones convert to, if there is one; of several, the one that loses least."""
    all_types = tuple(types)
    if not all_types:
        return None
    first = all_types[0]
    if all(other == first for other in all_types):
        return first
    concrete = [type_ for type_ in all_types if type_ is not DYNAMIC]
    kinds = {type(type_) for type_ in concrete}
    dynamic = len(concrete) < len(all_types)
    if kinds <= {TupleOf} or kinds <= {ObjectOf} or (len(kinds) == 1 and issubclass(next(iter(kinds)), Collection)):
        return DYNAMIC if dynamic else _unify_alike(concrete)
    for kind, structure in ((MapOf, ObjectOf), (ListOf, TupleOf), (SetOf, TupleOf)):
        if kinds == {kind, structure}:
            common = _unify_mixed(kind, concrete)
            if common is not None:
                return common
    if {TupleOf, ObjectOf} <= kinds:
        return None
    return _most_general(all_types)


def _unify_alike(types: list[Type]) -> Type | None:
    first = types[0]
    if isinstance(first, Collection):
        element = unify(type_.element for type_ in types if isinstance(type_, Collection))
        return None if element is None else type(first)(element)
    if isinstance(first, TupleOf):
        tuples = [type_.elements for type_ in types if isinstance(type_, TupleOf)]
        if len({len(elements) for elements in tuples}) > 1:
            return _unify_to(ListOf, types)
        across = [unify(elements) for elements in zip(*tuples, strict=True)]
        if None in across:
            return None
        return TupleOf(tuple(type_ for type_ in across if type_ is not None))
    objects = [type_.attributes for type_ in types if isinstance(type_, ObjectOf)]
    names = objects[0].keys()
    if any(attributes.keys() != names for attributes in objects):
        return _unify_to(MapOf, types)
    unified = {name: unify(attributes[name] for attributes in objects) for name in names}
    if None in unified.values():
        return None
    return ObjectOf({name: type_ for name, type_ in unified.items() if type_ is not None})


def _unify_to(kind: type[Collection], types: list[Type]) -> Type | None:
    """A collection whose elements all parts of several structures convert to."""
    return _collect(kind, unify(part for type_ in types for part in _parts(type_)), types)


def _collect(kind: type[Collection], element: Type | None, types: list[Type]) -> Type | None:
    if element is None:
        return None
    result = kind(element)
    return result if all(mismatch(type_, result) is None for type_ in types) else None


def _unify_mixed(kind: type[Collection], types: list[Type]) -> Type | None:
    """A collection for collections and structures together: each structure is made a collection first."""
    elements: list[Type | None] = []
    for type_ in types:
        if isinstance(type_, Collection):
            elements.append(type_.element)
        elif _parts(type_):
            elements.append(unify(_parts(type_)))
    if None in elements:
        return None
    return _collect(kind, unify(element for element in elements if element is not None), types)


def _most_general(types: tuple[Type, ...]) -> Type | None:
    for wanted in sorted(types, key=lambda type_: (type_ is DYNAMIC, type_ is not STRING)):
        if all(mismatch(type_, wanted) is None for type_ in types):
            return wanted
    return None
