"""What the operators compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _number
from ._number import Fraction, Infinity, NotANumberError, Number
from ._types import BOOL, NUMBER, Type
from ._values import Unknown, Value, is_null, is_wholly_known, type_of

if TYPE_CHECKING:
    from collections.abc import Callable


class OperationError(Exception):
    """An operation has no result; the text completes `error during operation: `."""


UNKNOWN_BOOL: Final = Unknown(BOOL, not_null=True)


def equal(left: Value, right: Value) -> Value:
    """Whether two values are of one type and equal: a bool, unknown where the values do not decide it."""
    left_null, right_null = is_null(left), is_null(right)
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return _equal_unknown(left, right)
    if left_null or right_null:
        return left_null and right_null
    kind = type(left)
    if kind is type(right) and (kind is str or kind is int or kind is bool):
        return left == right
    left_type, right_type = type_of(left), type_of(right)
    if left_type != right_type and not (is_wholly_known(left) and is_wholly_known(right)):
        return UNKNOWN_BOOL
    return left_type == right_type and _equal_parts(left, right)


def _equal_unknown(left: Value, right: Value) -> Value:
    if isinstance(left, Unknown) and isinstance(right, Unknown):
        return UNKNOWN_BOOL
    unknown, known = (left, right) if isinstance(left, Unknown) else (right, left)
    assert isinstance(unknown, Unknown)
    if is_null(known):
        return False if unknown.not_null else UNKNOWN_BOOL
    if unknown.type.has_dynamic or type_of(known) == unknown.type:
        return UNKNOWN_BOOL
    return False


def _equal_parts(left: Value, right: Value) -> Value:
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return False
        pairs = [(left[key], right[key]) for key in sorted(left)]
    elif isinstance(left, tuple | list) and isinstance(right, tuple | list):
        if len(left) != len(right):
            return False
        pairs = list(zip(left, right, strict=True))
    else:
        return left == right
    for one, other in pairs:
        result = equal(one, other)
        if result is not True:
            return result
    return True


def not_equal(left: Value, right: Value) -> Value:
    """The opposite of `equal`."""
    result = equal(left, right)
    return result if isinstance(result, Unknown) else not result


def modulo(left: Number, right: Number) -> Number:
    """The remainder of the division, with the sign of the left operand."""
    if isinstance(left, Infinity) or isinstance(right, Infinity):
        raise NotANumberError("modulo of infinity")
    if not _number.sign_of(right):
        return left
    quotient = _number.divide(left, right)
    assert not isinstance(quotient, Infinity)
    whole = _number.truncate(quotient)
    return _number.subtract(left, _number.multiply(whole, right))


def _divide(left: Number, right: Number) -> Number:
    try:
        return _number.divide(left, right)
    except NotANumberError:
        raise OperationError("can't divide zero by zero or infinity by infinity") from None


def _modulo(left: Number, right: Number) -> Number:
    try:
        return modulo(left, right)
    except NotANumberError:
        raise OperationError("can't use modulo with zero and infinity") from None


def _add(left: Number, right: Number) -> Number:
    try:
        return _number.add(left, right)
    except NotANumberError:
        raise OperationError("can't compute sum of opposing infinities") from None


def _subtract(left: Number, right: Number) -> Number:
    try:
        return _number.subtract(left, right)
    except NotANumberError:
        raise OperationError("can't subtract infinity from itself") from None


def _multiply(left: Number, right: Number) -> Number:
    try:
        return _number.multiply(left, right)
    except NotANumberError:
        raise OperationError("can't multiply zero by infinity") from None


ARITHMETIC: Final[dict[str, Callable[[Number, Number], Number]]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
}
COMPARISON: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
#: The types of the operands and of the result of each operator but the two of equality.
SIGNATURES: Final[dict[str, tuple[Type, Type]]] = {
    **dict.fromkeys(ARITHMETIC, (NUMBER, NUMBER)),
    **dict.fromkeys(COMPARISON, (NUMBER, BOOL)),
    "&&": (BOOL, BOOL),
    "||": (BOOL, BOOL),
}


def apply(operator: str, left: Value, right: Value) -> Value:
    """Apply a binary operator to operands of its types. Raises OperationError."""
    if is_null(left) or is_null(right):
        raise OperationError("argument must not be null")
    result_type = SIGNATURES[operator][1]
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Unknown(result_type, not_null=True)
    if operator == "&&":
        return left is True and right is True
    if operator == "||":
        return left is True or right is True
    assert isinstance(left, int | Fraction | Infinity)
    assert isinstance(right, int | Fraction | Infinity)
    if operator in COMPARISON:
        return COMPARISON[operator](_number.compare(left, right))
    return ARITHMETIC[operator](left, right)


def apply_unary(operator: str, operand: Value) -> Value:
    """Apply `-` or `!` to an operand of its type. Raises OperationError."""
    if is_null(operand):
        raise OperationError("argument must not be null")
    if isinstance(operand, Unknown):
        return Unknown(operand.type, not_null=True)
    if operator == "!":
        return operand is not True
    assert isinstance(operand, int | Fraction | Infinity)
    return _number.negate(operand)
