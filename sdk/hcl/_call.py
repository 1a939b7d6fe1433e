"""Evaluating function calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._ast import Call, Expression
from ._convert import ConversionError, convert
from ._evaluate import Evaluators, Scope, value_of
from ._source import Range
from ._text import nearest, quote
from ._types import DYNAMIC, ListOf, SetOf, TupleOf
from ._values import UNKNOWN, Value, is_null, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._functions import Function

_BAD_ARGUMENT: Final = "Invalid function argument"
_BAD_EXPANSION: Final = "Invalid expanding argument value"
_BAD_CALL: Final = "Error in function call"
_USE_LOCALS: Final = (
    "Call the function in a locals block at the top of the file, where the host evaluates functions,"
    " and refer to the result as local.<name> here."
)


def _call(expression: Call, scope: Scope) -> Value:
    whole = expression.range
    if scope.functions is None:
        detail = "Functions may not be called here."
        return scope.error("Function calls not allowed", detail, whole, hint=_USE_LOCALS)
    function = scope.functions.get(expression.name)
    if function is None:
        return _unknown_function(expression, scope)
    mark = len(scope.diagnostics)
    arguments: list[tuple[Expression, Value | None]] = [(argument, None) for argument in expression.arguments]
    if expression.expand:
        expanded = _expand(expression, scope)
        if expanded is None:
            return UNKNOWN
        arguments[-1:] = [(expression.arguments[-1], value) for value in expanded]
    return _checked_call(expression, function, arguments, mark, scope)


def _unknown_function(expression: Call, scope: Scope) -> Value:
    assert scope.functions is not None
    namespace, _, name = expression.name.rpartition("::")
    if namespace:
        detail = f"There are no functions in namespace {quote(namespace + '::')}."
    else:
        near = nearest(name, scope.functions)
        suggestion = f" Did you mean {quote(near)}?" if near else ""
        detail = f"There is no function named {quote(name)}.{suggestion}"
    return scope.error("Call to unknown function", detail, expression.name_range, expression.range)


def _expand(expression: Call, scope: Scope) -> Iterable[Value] | None:
    """The values that the last argument stands for; None if they are not known, or after a problem."""
    last = expression.arguments[-1]
    mark = len(scope.diagnostics)
    value = value_of(last, scope)
    if len(scope.diagnostics) > mark:
        return None
    kind = type_of(value)
    if is_null(value) and (kind is DYNAMIC or isinstance(kind, TupleOf | ListOf | SetOf)):
        detail = "The expanding argument (indicated by ...) must not be null."
        scope.error(_BAD_EXPANSION, detail, last.range, expression.range)
        return None
    if isinstance(value, tuple | list):
        return value
    if kind is not DYNAMIC and not isinstance(kind, TupleOf | ListOf | SetOf):
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        scope.error(_BAD_EXPANSION, detail, last.range, expression.range)
    return None


def _checked_call(
    expression: Call,
    function: Function,
    arguments: list[tuple[Expression, Value | None]],
    mark: int,
    scope: Scope,
) -> Value:
    whole = expression.range
    name = quote(expression.name)
    parameters = function.parameters
    if len(arguments) < len(parameters):
        least = " at least" if function.rest is not None else ""
        detail = (
            f"Function {name} expects{least} {len(parameters)} argument(s)."
            f" Missing value for {quote(parameters[len(arguments)].name)}."
        )
        closing = Range(expression.source, expression.end - 1, expression.end)
        return scope.error("Not enough function arguments", detail, closing, whole)
    if function.rest is None and len(arguments) > len(parameters):
        detail = f"Function {name} expects only {len(parameters)} argument(s)."
        extra = arguments[len(parameters)][0].subject
        return scope.error("Too many function arguments", detail, extra, whole)
    values = []
    for place, (argument, given) in enumerate(arguments):
        parameter = parameters[place] if place < len(parameters) else function.rest
        assert parameter is not None
        value = value_of(argument, scope) if given is None and not expression.expand else given
        if given is None and expression.expand and argument is not expression.arguments[-1]:
            value = value_of(argument, scope)
        try:
            value = convert(value, parameter.type)
        except ConversionError as error:
            detail = f"Invalid value for {quote(parameter.name)} parameter: {error}."
            scope.error(_BAD_ARGUMENT, detail, argument.subject, whole)
        values.append(value)
    if len(scope.diagnostics) > mark:
        return UNKNOWN
    return _run(expression, function, [argument for argument, _ in arguments], values, scope)


def _run(expression: Call, function: Function, arguments: list[Expression], values: list[Value], scope: Scope) -> Value:
    from ._function_errors import ArgumentError, FunctionError

    whole = expression.range
    try:
        return function(values)
    except ArgumentError as error:
        parameter = function.parameter(error.place)
        detail = f"Invalid value for {quote(parameter.name)} parameter: {error}."
        return scope.error(_BAD_ARGUMENT, detail, arguments[error.place].subject, whole)
    except FunctionError as error:
        detail = f"Call to function {quote(expression.name)} failed: {error}."
        return scope.error(_BAD_CALL, detail, expression.subject, whole)


EVALUATORS: Final[Evaluators] = {Call: _call}
