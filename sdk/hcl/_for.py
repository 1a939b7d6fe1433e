"""Evaluating `for` expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ._ast import For
from ._convert import ConversionError, convert
from ._evaluate import Evaluators, Scope, value_of
from ._number import Index as IndexNumber
from ._text import quote
from ._types import BOOL, DYNAMIC, STRING, Collection, ObjectOf, TupleOf
from ._values import UNKNOWN, SetValue, Unknown, Value, is_null, type_of

_BAD_CONDITION: Final = "Invalid 'for' condition"
_BAD_KEY: Final = "Invalid object key"


def _for(expression: For, scope: Scope) -> Value:
    collection = value_of(expression.collection, scope)
    where, whole = expression.collection.range, expression.range
    if is_null(collection):
        detail = "A null value cannot be used as the collection in a 'for' expression."
        return scope.error("Iteration over null value", detail, where, whole)
    if isinstance(collection, Unknown) and collection.type is DYNAMIC:
        return UNKNOWN
    kind = type_of(collection)
    if not isinstance(kind, TupleOf | ObjectOf | Collection):
        detail = f"A value of type {kind.name} cannot be used as the collection in a 'for' expression."
        return scope.error("Iteration over non-iterable value", detail, where, whole)
    frame: dict[str, Value] = {}
    outer = scope.locals
    scope.locals = (frame, *outer)
    try:
        if expression.condition is not None and not _condition_works(expression, frame, scope):
            return UNKNOWN
        if isinstance(collection, Unknown):
            return UNKNOWN
        turns = _turns(expression, _pairs(collection), frame, scope)
        return (
            _build_tuple(expression, turns, scope)
            if expression.key is None
            else _build_object(expression, turns, scope)
        )
    finally:
        scope.locals = outer


def _pairs(collection: Value) -> Iterator[tuple[Value, Value]]:
    if isinstance(collection, dict):
        for key in sorted(collection, key=_bytewise):
            yield key, collection[key]
    elif isinstance(collection, SetValue):
        for value in collection:
            yield value, value
    elif isinstance(collection, tuple | list):
        for index, value in enumerate(collection):
            yield IndexNumber(index), value


def _bytewise(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _condition_works(expression: For, frame: dict[str, Value], scope: Scope) -> bool:
    """Try the condition with unknown variables, so that one of a wrong type is reported once and not for each turn."""
    assert expression.condition is not None
    _bind(expression, frame, UNKNOWN, UNKNOWN)
    mark = len(scope.diagnostics)
    value = value_of(expression.condition, scope)
    failed = len(scope.diagnostics) > mark
    if is_null(value):
        detail = "The value of the 'if' clause must not be null."
        scope.error("Condition is null", detail, expression.condition.range, expression.range)
        return False
    try:
        convert(value, BOOL)
    except ConversionError as error:
        detail = f"The 'if' clause value is invalid: {error}."
        scope.error(_BAD_CONDITION, detail, expression.condition.range, expression.range)
        return False
    return not failed


def _bind(expression: For, frame: dict[str, Value], key: Value, value: Value) -> None:
    if expression.key_name is not None:
        frame[expression.key_name] = key
    frame[expression.value_name] = value


class _Known:
    """Whether the result of a `for` is still known; once it is not, further problems of the same kind are echoes."""

    __slots__ = ("so_far",)

    def __init__(self) -> None:
        self.so_far = True


Turns = Callable[[_Known], Iterator[None]]


def _turns(expression: For, pairs: Iterator[tuple[Value, Value]], frame: dict[str, Value], scope: Scope) -> Turns:
    """Bind the variables of each turn that the condition lets through."""

    def turns(known: _Known) -> Iterator[None]:
        for key, value in pairs:
            _bind(expression, frame, key, value)
            if expression.condition is None or _included(expression, known, scope):
                yield

    return turns


def _included(expression: For, known: _Known, scope: Scope) -> bool:
    assert expression.condition is not None
    value = value_of(expression.condition, scope)
    problem = None
    if is_null(value):
        problem = "The value of the 'if' clause must not be null."
    else:
        try:
            value = convert(value, BOOL)
        except ConversionError as error:
            problem = f"The 'if' clause value is invalid: {error}."
    if problem is not None and known.so_far:
        scope.error(_BAD_CONDITION, problem, expression.condition.range, expression.range)
    if problem is not None or isinstance(value, Unknown):
        known.so_far = False
        return False
    return value is True


def _build_tuple(expression: For, turns: Turns, scope: Scope) -> Value:
    known = _Known()
    values = [value_of(expression.value, scope) for _ in turns(known)]
    return tuple(values) if known.so_far else UNKNOWN


def _build_object(expression: For, turns: Turns, scope: Scope) -> Value:
    assert expression.key is not None
    known = _Known()
    result: dict[str, Value] = {}
    groups: dict[str, list[Value]] = {}
    for _ in turns(known):
        key = _for_key(expression, known, scope)
        if type(key) is not str:
            known.so_far = False
            continue
        value = value_of(expression.value, scope)
        if expression.group:
            groups.setdefault(key, []).append(value)
        elif key in result:
            detail = (
                f"Two different items produced the key {quote(key)} in this 'for' expression. If duplicates are"
                " expected, use the ellipsis (...) after the value expression to enable grouping by key."
            )
            scope.error("Duplicate object key", detail, expression.key.range, expression.range)
        else:
            result[key] = value
    if not known.so_far:
        return UNKNOWN
    return {key: tuple(values) for key, values in groups.items()} if expression.group else result


def _for_key(expression: For, known: _Known, scope: Scope) -> Value:
    assert expression.key is not None
    key = value_of(expression.key, scope)
    if is_null(key):
        problem = "Key expression in 'for' expression must not produce a null value."
    elif isinstance(key, Unknown):
        return key
    else:
        try:
            return convert(key, STRING)
        except ConversionError as error:
            problem = f"The key expression produced an invalid result: {error}."
    if known.so_far:
        scope.error(_BAD_KEY, problem, expression.key.range, expression.range)
    return UNKNOWN


EVALUATORS: Final[Evaluators] = {For: _for}
