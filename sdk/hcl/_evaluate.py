"""The evaluator: expressions and variables to values.

An expression always has a value: where something is wrong, a diagnostic says so and the value is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from . import _access
from ._ast import (
    AttributeStep,
    Binary,
    Call,
    Conditional,
    Element,
    Expression,
    For,
    Index,
    Joined,
    Literal,
    ObjectItem,
    ObjectLiteral,
    Parentheses,
    RelativeTraversal,
    Splat,
    Step,
    StringLiteral,
    Template,
    Traversal,
    TupleLiteral,
    Unary,
    Unwrapped,
)
from ._convert import ConversionError, convert, unify
from ._diagnostics import Diagnostic, EvaluationError, in_source_order
from ._source import Range
from ._text import nearest, normalize, quote
from ._types import BOOL, DYNAMIC, NUMBER, STRING, Collection, ListOf, ObjectOf, SetOf, TupleOf, Type
from ._values import UNKNOWN, ListValue, MapValue, SetValue, Unknown, Value, is_null, type_of

if TYPE_CHECKING:
    from ._functions import Function

Diagnostics = list[Diagnostic]
Evaluators = dict[type[Expression], Callable[..., Value]]

_INCONSISTENT: Final = "Inconsistent conditional result types"
_BAD_INTERPOLATION: Final = "Invalid template interpolation value"


class Context:
    """What expressions may refer to: variables by root name and, if calls are allowed at all, functions by name."""

    __slots__ = ("functions", "variables")

    def __init__(
        self, variables: Mapping[str, Value] | None = None, functions: Mapping[str, Function] | None = None
    ) -> None:
        self.variables: Mapping[str, Value] = {} if variables is None else variables
        self.functions = functions


class Scope:
    """The variables in effect, and what was found wrong while they were."""

    __slots__ = ("diagnostics", "elements", "functions", "locals", "variables")

    def __init__(self, context: Context) -> None:
        self.variables = context.variables
        self.functions = context.functions
        self.locals: tuple[dict[str, Value], ...] = ()
        self.elements: dict[Element, Value] = {}
        self.diagnostics: Diagnostics = []

    def value(self, expression: Expression) -> Value:
        """The value of an expression."""
        try:
            return _EVALUATORS[type(expression)](expression, self)
        except RecursionError:
            detail = "The expression is nested too deep to be evaluated."
            self.locals, self.elements = (), {}
            return self.error("Nesting too deep", detail, expression.range)

    def error(
        self,
        summary: str,
        detail: str,
        subject: Range,
        context: Range | None = None,
        hint: str | None = None,
    ) -> Value:
        """Report a problem; the value of what has it is unknown."""
        self.diagnostics.append(Diagnostic(summary, detail, subject, context, hint=hint))
        return UNKNOWN


def evaluate_with_diagnostics(expression: Expression, context: Context) -> tuple[Value, Diagnostics]:
    """The value of an expression, and what is wrong with it, in the order of evaluation."""
    scope = Scope(context)
    return scope.value(expression), scope.diagnostics


def evaluate(expression: Expression, context: Context | None = None) -> Value:
    """The value of an expression. Raises EvaluationError with everything that is wrong with it."""
    value, diagnostics = evaluate_with_diagnostics(expression, context or Context())
    if diagnostics:
        raise EvaluationError(in_source_order(diagnostics))
    return value


def value_of(expression: Expression, scope: Scope) -> Value:
    """The value of a part of an expression."""
    return _EVALUATORS[type(expression)](expression, scope)


# Terms


def _constant(expression: Literal | StringLiteral, _: Scope) -> Value:
    return expression.value


def _parentheses(expression: Parentheses, scope: Scope) -> Value:
    return value_of(expression.inner, scope)


def _unwrapped(expression: Unwrapped, scope: Scope) -> Value:
    return value_of(expression.wrapped, scope)


def _element(expression: Element, scope: Scope) -> Value:
    return scope.elements.get(expression, UNKNOWN)


def _tuple(expression: TupleLiteral, scope: Scope) -> Value:
    return tuple([value_of(item, scope) for item in expression.items])


def _template(expression: Template, scope: Scope) -> Value:
    texts: list[str] = []
    known = True
    mark = len(scope.diagnostics)
    for part in expression.parts:
        value = value_of(part, scope)
        if type(value) is str:
            if len(scope.diagnostics) == mark:
                texts.append(value)
        elif is_null(value):
            detail = "The expression result is null. Cannot include a null value in a string template."
            scope.error(_BAD_INTERPOLATION, detail, part.range, expression.range)
        elif isinstance(value, Unknown):
            known = False
        else:
            try:
                text = str(convert(value, STRING))
                if len(scope.diagnostics) == mark:
                    texts.append(text)
            except ConversionError as error:
                detail = f"Cannot include the given value in a string template: {error}."
                scope.error(_BAD_INTERPOLATION, detail, part.range, expression.range)
    return normalize("".join(texts)) if known else Unknown(STRING, not_null=True)


def _joined(expression: Joined, scope: Scope) -> Value:
    strings = value_of(expression.strings, scope)
    if not isinstance(strings, tuple):
        return Unknown(STRING)
    texts = [text for text in strings if isinstance(text, str)]
    return normalize("".join(texts)) if len(texts) == len(strings) else Unknown(STRING)


def _object(expression: ObjectLiteral, scope: Scope) -> Value:
    result: dict[str, Value] = {}
    known = True
    for item in expression.items:
        if item.literal_key is not None:
            result[item.literal_key] = value_of(item.value, scope)
            continue
        mark = len(scope.diagnostics)
        key = _object_key(item, scope)
        failed = len(scope.diagnostics) > mark
        value = value_of(item.value, scope)
        if type(key) is not str and not failed:
            key = _key_text(key, item, scope)
        if type(key) is str and not failed:
            result[key] = value
        else:
            known = False
    return result if known else UNKNOWN


def _object_key(item: ObjectItem, scope: Scope) -> Value:
    if not item.in_parentheses and isinstance(item.key, Traversal):
        return scope.error(
            "Ambiguous attribute key",
            "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a"
            " literal name containing periods, wrap it in quotes to create a string literal.",
            item.key.range,
        )
    return value_of(item.key, scope)


def _key_text(key: Value, item: ObjectItem, scope: Scope) -> Value:
    if is_null(key):
        return scope.error("Null value as key", "Can't use a null value as a key.", item.value.range)
    try:
        return convert(key, STRING)
    except ConversionError as error:
        return scope.error("Incorrect key type", f"Can't use this value as a key: {error}.", item.key.range)


# Variables and what leads into their values


def _traversal(expression: Traversal, scope: Scope) -> Value:
    name = expression.name
    for frame in scope.locals:
        if name in frame:
            return _walk(frame[name], expression.steps, scope)
    value = scope.variables.get(name, UNKNOWN)
    if value is UNKNOWN and name not in scope.variables:
        return _unknown_variable(expression, scope)
    return _walk(value, expression.steps, scope)


def _unknown_variable(expression: Traversal, scope: Scope) -> Value:
    near = None
    for frame in (*scope.locals, scope.variables):
        near = near or nearest(expression.name, frame)
    suggestion = f" Did you mean {quote(near)}?" if near else ""
    detail = f"There is no variable named {quote(expression.name)}.{suggestion}"
    return scope.error("Unknown variable", detail, expression.name_range)


def _walk(value: Value, steps: Iterable[Step], scope: Scope) -> Value:
    for step in steps:
        if type(value) is dict and type(step) is AttributeStep:
            name = step.name
            if name in value:
                value = value[name]
                continue
        try:
            if isinstance(step, AttributeStep):
                value = _access.attribute(value, normalize(step.name))
            else:
                value = _access.index(value, step.key)
        except _access.AccessError as error:
            return scope.error(error.summary, error.detail, step.range)
    return value


def _relative(expression: RelativeTraversal, scope: Scope) -> Value:
    return _walk(value_of(expression.origin, scope), expression.steps, scope)


def _index(expression: Index, scope: Scope) -> Value:
    collection = value_of(expression.collection, scope)
    key = value_of(expression.key, scope)
    try:
        return _access.index(collection, key)
    except _access.AccessError as error:
        bracket = Range(expression.source, expression.bracket, expression.end)
        return scope.error(error.summary, error.detail, bracket)


def _splat(expression: Splat, scope: Scope) -> Value:
    mark = len(scope.diagnostics)
    origin = value_of(expression.origin, scope)
    if len(scope.diagnostics) > mark:
        return UNKNOWN
    origin_type = type_of(origin)
    is_sequence = isinstance(origin_type, TupleOf | ListOf | SetOf)
    if is_null(origin):
        if not is_sequence:
            return ()
        return scope.error(
            "Splat of null value",
            "Splat expressions (with the * symbol) cannot be applied to null sequences.",
            expression.origin.range,
            Range(expression.source, expression.origin.start, expression.marker_end),
        )
    if origin_type is DYNAMIC:
        return UNKNOWN
    if isinstance(origin, Unknown):
        if not is_sequence:
            _each(expression, [origin], scope)
            return UNKNOWN
        return Unknown(_splat_type(expression, origin_type, scope), not_null=origin.not_null)
    if not isinstance(origin, tuple | list):
        origin = (origin,)
    mark = len(scope.diagnostics)
    values = _each(expression, origin, scope)
    if len(scope.diagnostics) > mark:
        mark = len(scope.diagnostics)
        result_type = _splat_type(expression, type_of(origin), scope)
        del scope.diagnostics[mark:]  # the same ones again
        return Unknown(result_type)
    if not isinstance(origin_type, ListOf | SetOf):
        return tuple(values)
    if values:
        return ListValue(unify(map(type_of, values)) or DYNAMIC, values)
    result_type = _splat_type(expression, origin_type, scope)
    return ListValue(result_type.element if isinstance(result_type, ListOf) else DYNAMIC)


def _each(expression: Splat, values: Iterable[Value], scope: Scope) -> list[Value]:
    results = []
    for value in values:
        scope.elements[expression.element] = value
        results.append(value_of(expression.each, scope))
    scope.elements.pop(expression.element, None)
    return results


def _splat_type(expression: Splat, origin_type: Type, scope: Scope) -> Type:
    """The type of a splat's result, found by applying it to unknown elements."""
    if isinstance(origin_type, TupleOf):
        values = _each(expression, map(Unknown, origin_type.elements), scope)
        return TupleOf(tuple(map(type_of, values)))
    assert isinstance(origin_type, ListOf | SetOf)
    return ListOf(type_of(_each(expression, [Unknown(origin_type.element)], scope)[0]))


# Conditionals


def _conditional(expression: Conditional, scope: Scope) -> Value:
    outer = scope.diagnostics
    of_yes: Diagnostics = []
    scope.diagnostics = of_yes
    yes = value_of(expression.yes, scope)
    of_no: Diagnostics = []
    scope.diagnostics = of_no
    no = value_of(expression.no, scope)
    scope.diagnostics = outer
    result_type = _common_type(yes, no)
    if result_type is None:
        described = _describe_difference(type_of(yes), type_of(no))
        detail = f"The true and false result expressions must have consistent types. {described}"
        arms = Range(expression.source, expression.yes.start, expression.no.end)
        return scope.error(_INCONSISTENT, detail, arms, expression.range)
    condition = value_of(expression.condition, scope)
    where = expression.condition.range
    if is_null(condition):
        detail = "The condition value is null. Conditions must either be true or false."
        scope.error("Null condition", detail, where, expression.range)
        return Unknown(result_type)
    if isinstance(condition, Unknown):
        return _undecided(yes, no, result_type)
    try:
        chosen = convert(condition, BOOL)
    except ConversionError:
        detail = "The condition expression must be of type bool."
        scope.error("Incorrect condition type", detail, where, expression.range)
        return Unknown(result_type)
    arm, value, own = (expression.yes, yes, of_yes) if chosen else (expression.no, no, of_no)
    scope.diagnostics += own
    try:
        return convert(value, result_type)
    except ConversionError as error:
        detail = f"The {'true' if chosen else 'false'} result value has the wrong type: {error}."
        scope.error(_INCONSISTENT, detail, arm.range, expression.range)
        return Unknown(result_type)


def _common_type(yes: Value, no: Value) -> Type | None:
    if yes is None:
        return type_of(no)
    if no is None:
        return type_of(yes)
    if type(yes) is type(no) and type(yes) in {str, bool, int}:
        return type_of(yes)
    if any(isinstance(arm, Unknown) and arm.type is DYNAMIC for arm in (yes, no)):
        return DYNAMIC
    return unify((type_of(yes), type_of(no)))


def _undecided(yes: Value, no: Value, result_type: Type) -> Value:
    """What is known although the condition is not: two equal numbers, two nulls, two empty collections."""
    collections = isinstance(yes, ListValue | SetValue | MapValue) and isinstance(no, ListValue | SetValue | MapValue)
    try:
        yes, no = convert(yes, result_type), convert(no, result_type)
    except ConversionError:
        return Unknown(result_type)
    if is_null(yes) and is_null(no):
        return yes
    if is_null(yes) or is_null(no):
        return Unknown(result_type)
    if isinstance(yes, Unknown) or isinstance(no, Unknown):
        known = [not isinstance(value, Unknown) or value.not_null for value in (yes, no)]
        return Unknown(result_type, not_null=all(known))
    from ._operators import equal

    if (collections and not yes and not no) or (result_type is NUMBER and equal(yes, no) is True):
        return yes
    return Unknown(result_type, not_null=True)


def _describe_difference(yes: Type, no: Type) -> str:
    if isinstance(yes, ObjectOf) and isinstance(no, ObjectOf):
        described = _describe_objects(yes, no)
        if described:
            return described
    if isinstance(yes, TupleOf) and isinstance(no, TupleOf):
        if len(yes.elements) != len(no.elements):
            return (
                f"The 'true' tuple has length {len(yes.elements)}, but the 'false' tuple has length {len(no.elements)}."
            )
        for index, (one, other) in enumerate(zip(yes.elements, no.elements, strict=True)):
            if one != other:
                return f"Type mismatch for tuple element {index}: {_describe_difference(one, other)}"
    if isinstance(yes, Collection) and isinstance(no, Collection) and yes.kind == no.kind:
        one, other = yes.element, no.element
        if type(one) is type(other) and isinstance(one, ObjectOf | TupleOf):
            return f"Mismatched {yes.kind} element types: {_describe_difference(one, other)}"
    if yes.name == no.name:
        return (
            "At least one deeply-nested attribute or element is not compatible across both the 'true' and the"
            " 'false' value."
        )
    return f"The 'true' value is {yes.name}, but the 'false' value is {no.name}."


def _describe_objects(yes: ObjectOf, no: ObjectOf) -> str:
    for name in sorted(yes.attributes):
        if name not in no.attributes:
            return f"The 'true' value includes object attribute {quote(name)}, which is absent in the 'false' value."
        one, other = yes.attributes[name], no.attributes[name]
        if one != other:
            return f"Type mismatch for object attribute {quote(name)}: {_describe_difference(one, other)}"
    for name in sorted(no.attributes):
        if name not in yes.attributes:
            return f"The 'false' value includes object attribute {quote(name)}, which is absent in the 'true' value."
    return ""


# Kinds of their own


def _load(expression: Expression, scope: Scope) -> Value:
    """Evaluate the first expression of a kind that many files have none of, so that its module is not there yet."""
    _EVALUATORS.update(import_module(_LATER[type(expression)], __package__).EVALUATORS)
    return value_of(expression, scope)


_LATER: Final[dict[type[Expression], str]] = {
    Unary: "._operations",
    Binary: "._operations",
    Call: "._call",
    For: "._for",
}
_EVALUATORS: Final[Evaluators] = {
    Literal: _constant,
    StringLiteral: _constant,
    Template: _template,
    Unwrapped: _unwrapped,
    Joined: _joined,
    Parentheses: _parentheses,
    Traversal: _traversal,
    RelativeTraversal: _relative,
    Index: _index,
    Element: _element,
    Splat: _splat,
    Conditional: _conditional,
    TupleLiteral: _tuple,
    ObjectLiteral: _object,
    **dict.fromkeys(_LATER, _load),
}
