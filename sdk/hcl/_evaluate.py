"""The evaluator: expressions and variables to values.

An expression always has a value: where something is wrong, a diagnostic says so and the value is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from ._number import Index as IndexNumber
from ._operators import SIGNATURES, OperationError, apply, apply_unary, equal, not_equal
from ._source import Range
from ._text import nearest, normalize, quote
from ._types import BOOL, DYNAMIC, NUMBER, STRING, Collection, ListOf, ObjectOf, SetOf, TupleOf, Type
from ._values import UNKNOWN, ListValue, MapValue, SetValue, Unknown, Value, is_null, type_of

if TYPE_CHECKING:
    from ._functions import Function

Diagnostics = list[Diagnostic]

_INCONSISTENT: Final = "Inconsistent conditional result types"
_BAD_INTERPOLATION: Final = "Invalid template interpolation value"
_BAD_CONDITION: Final = "Invalid 'for' condition"
_BAD_KEY: Final = "Invalid object key"
_BAD_ARGUMENT: Final = "Invalid function argument"
_BAD_EXPANSION: Final = "Invalid expanding argument value"
_BAD_CALL: Final = "Error in function call"
_USE_LOCALS: Final = (
    "Call the function in a locals block at the top of the file, where the host evaluates functions,"
    " and refer to the result as local.<name> here."
)


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


def _value(expression: Expression, scope: Scope) -> Value:
    return _EVALUATORS[type(expression)](expression, scope)


# Terms


def _constant(expression: Literal | StringLiteral, _: Scope) -> Value:
    return expression.value


def _parentheses(expression: Parentheses, scope: Scope) -> Value:
    return _value(expression.inner, scope)


def _unwrapped(expression: Unwrapped, scope: Scope) -> Value:
    return _value(expression.wrapped, scope)


def _element(expression: Element, scope: Scope) -> Value:
    return scope.elements.get(expression, UNKNOWN)


def _tuple(expression: TupleLiteral, scope: Scope) -> Value:
    return tuple([_value(item, scope) for item in expression.items])


def _template(expression: Template, scope: Scope) -> Value:
    texts: list[str] = []
    known = True
    mark = len(scope.diagnostics)
    for part in expression.parts:
        value = _value(part, scope)
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
    strings = _for(expression.strings, scope)
    if not isinstance(strings, tuple):
        return Unknown(STRING)
    texts = [text for text in strings if isinstance(text, str)]
    return normalize("".join(texts)) if len(texts) == len(strings) else Unknown(STRING)


def _object(expression: ObjectLiteral, scope: Scope) -> Value:
    result: dict[str, Value] = {}
    known = True
    for item in expression.items:
        if item.literal_key is not None:
            result[item.literal_key] = _value(item.value, scope)
            continue
        mark = len(scope.diagnostics)
        key = _object_key(item, scope)
        failed = len(scope.diagnostics) > mark
        value = _value(item.value, scope)
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
    return _value(item.key, scope)


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
    return _walk(_value(expression.origin, scope), expression.steps, scope)


def _index(expression: Index, scope: Scope) -> Value:
    collection = _value(expression.collection, scope)
    key = _value(expression.key, scope)
    try:
        return _access.index(collection, key)
    except _access.AccessError as error:
        bracket = Range(expression.source, expression.bracket, expression.end)
        return scope.error(error.summary, error.detail, bracket)


def _splat(expression: Splat, scope: Scope) -> Value:
    mark = len(scope.diagnostics)
    origin = _value(expression.origin, scope)
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
        results.append(_value(expression.each, scope))
    scope.elements.pop(expression.element, None)
    return results


def _splat_type(expression: Splat, origin_type: Type, scope: Scope) -> Type:
    """The type of a splat's result, found by applying it to unknown elements."""
    if isinstance(origin_type, TupleOf):
        values = _each(expression, map(Unknown, origin_type.elements), scope)
        return TupleOf(tuple(map(type_of, values)))
    assert isinstance(origin_type, ListOf | SetOf)
    return ListOf(type_of(_each(expression, [Unknown(origin_type.element)], scope)[0]))


# Operations


def _binary(expression: Binary, scope: Scope) -> Value:
    # A sum of a thousand terms is a tree a thousand deep on its left side, so that side is walked without recursion.
    spine = [expression]
    left = expression.left
    while type(left) is Binary:
        spine.append(left)
        left = left.left
    mark = len(scope.diagnostics)
    value = _value(left, scope)
    while spine:
        value = _apply(spine.pop(), value, mark, scope)
    return value


def _apply(expression: Binary, left: Value, mark: int, scope: Scope) -> Value:
    """Apply an operator; what was reported since the mark belongs to its left operand."""
    operator = expression.operator
    if operator in {"==", "!="}:
        right = _value(expression.right, scope)
        if len(scope.diagnostics) > mark:
            return Unknown(BOOL)
        return equal(left, right) if operator == "==" else not_equal(left, right)
    operand_type, result_type = SIGNATURES[operator]
    if operand_type is BOOL:
        return _logic(expression, left, mark, scope)
    left = _operand(expression, expression.left, left, operand_type, "left", scope)
    right = _value(expression.right, scope)
    right = _operand(expression, expression.right, right, operand_type, "right", scope)
    if len(scope.diagnostics) > mark:
        return Unknown(result_type)
    return _result(expression, left, right, scope)


def _logic(expression: Binary, left: Value, mark: int, scope: Scope) -> Value:
    diagnostics = scope.diagnostics
    of_left = diagnostics[mark:]
    right = _value(expression.right, scope)
    of_right = diagnostics[mark + len(of_left) :]
    evaluated = len(diagnostics)
    left = _operand(expression, expression.left, left, BOOL, "left", scope)
    right = _operand(expression, expression.right, right, BOOL, "right", scope)
    if len(diagnostics) == evaluated:
        controlling = expression.operator == "||"
        # A null decides as false does.
        for value, own in ((left, of_left), (right, of_right)):
            if not isinstance(value, Unknown) and (value is True) == controlling:
                diagnostics[mark:] = own
                return controlling
    if len(diagnostics) > mark:
        return Unknown(BOOL)
    return _result(expression, left, right, scope)


def _operand(expression: Binary, operand: Expression, value: Value, wanted: Type, side: str, scope: Scope) -> Value:
    try:
        return convert(value, wanted)
    except ConversionError as error:
        detail = f"Unsuitable value for {side} operand: {error}."
        scope.error("Invalid operand", detail, operand.range, expression.range)
        return Unknown(wanted)


def _result(expression: Binary, left: Value, right: Value, scope: Scope) -> Value:
    try:
        return apply(expression.operator, left, right)
    except OperationError as error:
        scope.error("Operation failed", f"Error during operation: {error}.", expression.range)
        return Unknown(SIGNATURES[expression.operator][1])


def _unary(expression: Unary, scope: Scope) -> Value:
    wanted = BOOL if expression.operator == "!" else NUMBER
    mark = len(scope.diagnostics)
    value = _value(expression.operand, scope)
    try:
        value = convert(value, wanted)
    except ConversionError as error:
        detail = f"Unsuitable value for unary operand: {error}."
        scope.error("Invalid operand", detail, expression.operand.range, expression.range)
    if len(scope.diagnostics) > mark:
        return Unknown(wanted)
    try:
        return apply_unary(expression.operator, value)
    except OperationError as error:
        scope.error("Operation failed", f"Error during operation: {error}.", expression.range)
        return Unknown(wanted)


# Conditionals


def _conditional(expression: Conditional, scope: Scope) -> Value:
    outer = scope.diagnostics
    of_yes: Diagnostics = []
    scope.diagnostics = of_yes
    yes = _value(expression.yes, scope)
    of_no: Diagnostics = []
    scope.diagnostics = of_no
    no = _value(expression.no, scope)
    scope.diagnostics = outer
    result_type = _common_type(yes, no)
    if result_type is None:
        described = _describe_difference(type_of(yes), type_of(no))
        detail = f"The true and false result expressions must have consistent types. {described}"
        arms = Range(expression.source, expression.yes.start, expression.no.end)
        return scope.error(_INCONSISTENT, detail, arms, expression.range)
    condition = _value(expression.condition, scope)
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


# For


def _for(expression: For, scope: Scope) -> Value:
    collection = _value(expression.collection, scope)
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
    value = _value(expression.condition, scope)
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
    value = _value(expression.condition, scope)
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
    values = [_value(expression.value, scope) for _ in turns(known)]
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
        value = _value(expression.value, scope)
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
    key = _value(expression.key, scope)
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


# Calls


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
    value = _value(last, scope)
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
        value = _value(argument, scope) if given is None and not expression.expand else given
        if given is None and expression.expand and argument is not expression.arguments[-1]:
            value = _value(argument, scope)
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


_EVALUATORS: Final[dict[type[Expression], Callable[..., Value]]] = {
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
    Call: _call,
    Unary: _unary,
    Binary: _binary,
    Conditional: _conditional,
    TupleLiteral: _tuple,
    ObjectLiteral: _object,
    For: _for,
}
