"""Evaluating operators: arithmetic, comparison, logic."""

from __future__ import annotations

from typing import Final

from ._ast import Binary, Expression, Unary
from ._convert import ConversionError, convert
from ._evaluate import Evaluators, Scope, value_of
from ._operators import SIGNATURES, OperationError, apply, apply_unary, equal, not_equal
from ._types import BOOL, NUMBER, Type
from ._values import Unknown, Value


def _binary(expression: Binary, scope: Scope) -> Value:
    # A sum of a thousand terms is a tree a thousand deep on its left side, so that side is walked without recursion.
    spine = [expression]
    left = expression.left
    while type(left) is Binary:
        spine.append(left)
        left = left.left
    mark = len(scope.diagnostics)
    value = value_of(left, scope)
    while spine:
        value = _apply(spine.pop(), value, mark, scope)
    return value


def _apply(expression: Binary, left: Value, mark: int, scope: Scope) -> Value:
    """Apply an operator; what was reported since the mark belongs to its left operand."""
    operator = expression.operator
    if operator in {"==", "!="}:
        right = value_of(expression.right, scope)
        if len(scope.diagnostics) > mark:
            return Unknown(BOOL)
        return equal(left, right) if operator == "==" else not_equal(left, right)
    operand_type, result_type = SIGNATURES[operator]
    if operand_type is BOOL:
        return _logic(expression, left, mark, scope)
    left = _operand(expression, expression.left, left, operand_type, "left", scope)
    right = value_of(expression.right, scope)
    right = _operand(expression, expression.right, right, operand_type, "right", scope)
    if len(scope.diagnostics) > mark:
        return Unknown(result_type)
    return _result(expression, left, right, scope)


def _logic(expression: Binary, left: Value, mark: int, scope: Scope) -> Value:
    diagnostics = scope.diagnostics
    of_left = diagnostics[mark:]
    right = value_of(expression.right, scope)
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
    value = value_of(expression.operand, scope)
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


EVALUATORS: Final[Evaluators] = {Binary: _binary, Unary: _unary}
