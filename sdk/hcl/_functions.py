"""Functions: what a call needs to know about them, and the table of those that the host has.

`env` is left out on purpose: its value differs between the command line and the daemon, so that a block decoded in both
would differ too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _collections, _format, _json, _numeric, _strings
from ._convert import ConversionError, convert, mismatch
from ._function_errors import ArgumentError, FunctionError
from ._types import BOOL, DYNAMIC, NUMBER, STRING, ListOf, MapOf, SetOf, Type
from ._values import UNKNOWN, Unknown, Value, is_null, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["HOST_FUNCTIONS", "ArgumentError", "Function", "FunctionError", "Parameter"]


class Parameter:
    """A parameter: arguments are converted to its type, and are not null unless it says so.

    Attributes:
        null: whether it takes null.
        untyped: whether it takes what has no type yet, such as a mere `null`; otherwise the call's result is unknown.
            It does if it takes null and nothing else is said.

    """

    __slots__ = ("name", "null", "type", "untyped")

    def __init__(
        self,
        name: str,
        type: Type = DYNAMIC,  # noqa: A002 - what it is
        *,
        null: bool = False,
        untyped: bool | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.null = null
        self.untyped = null if untyped is None else untyped


class Function:
    """A function that expressions may call.

    `body` gets the converted arguments, all of them known, and returns a value. It raises ArgumentError for an argument
    that does not suit, and FunctionError if there is no result.
    """

    __slots__ = ("body", "parameters", "rest")

    # The values that a body takes are those that its parameters' types convert to.
    def __init__(
        self, parameters: Sequence[Parameter], body: Callable[..., Value], rest: Parameter | None = None
    ) -> None:
        self.parameters = tuple(parameters)
        self.body = body
        self.rest = rest

    def parameter(self, place: int) -> Parameter:
        """The parameter that the argument at a place, from 0, is for."""
        if place < len(self.parameters) or self.rest is None:
            return self.parameters[place]
        return self.rest

    def __call__(self, arguments: Sequence[Value]) -> Value:
        """Call the function with converted arguments. Raises FunctionError."""
        for place, argument in enumerate(arguments):
            if not is_null(argument) and not isinstance(argument, Unknown):
                continue
            parameter = self.parameter(place)
            if is_null(argument) and not parameter.null:
                raise ArgumentError(place, "argument must not be null")
            if not parameter.untyped and type_of(argument) is DYNAMIC:
                return UNKNOWN
        if any(isinstance(argument, Unknown) for argument in arguments):
            return UNKNOWN
        return self.body(*arguments)


def _conversion(wanted: Type) -> Function:
    from ._convert import constraint_name

    def body(value: Value) -> Value:
        given = type_of(value)
        if mismatch(given, wanted) is not None:
            raise ArgumentError(0, f"cannot convert {given.name} to {constraint_name(wanted)}")
        try:
            return convert(value, wanted)
        except ConversionError as error:
            raise FunctionError(str(error)) from None

    return Function([Parameter("v", null=True)], body)


_TYPES: Final[dict[str, Type]] = {"s": STRING, "n": NUMBER, "l": ListOf(STRING), "d": ListOf(DYNAMIC), "v": DYNAMIC}


def _function(body: Callable[..., Value], *parameters: str, rest: str = "", null: bool = False) -> Function:
    """A function whose parameters are written as `name:kind`, the kind as in `_TYPES`."""

    def parameter(written: str) -> Parameter:
        name, _, kind = written.partition(":")
        return Parameter(name, _TYPES[kind], null=null)

    return Function([parameter(written) for written in parameters], body, parameter(rest) if rest else None)


#: The functions of the host, `env` excepted, by name.
HOST_FUNCTIONS: Final[dict[str, Function]] = {
    # strings
    "upper": _function(_strings.upper, "str:s"),
    "lower": _function(_strings.lower, "str:s"),
    "title": _function(_strings.title, "str:s"),
    "trim": _function(_strings.trim, "str:s", "cutset:s"),
    "trimspace": _function(_strings.trimspace, "str:s"),
    "trimprefix": _function(_strings.trimprefix, "str:s", "prefix:s"),
    "trimsuffix": _function(_strings.trimsuffix, "str:s", "suffix:s"),
    "replace": _function(_strings.replace, "str:s", "substr:s", "replace:s"),
    "split": _function(_strings.split, "separator:s", "str:s"),
    "join": _function(_strings.join, "separator:s", rest="lists:l"),
    "format": Function([Parameter("format", STRING)], _format.format_, Parameter("args", null=True)),
    "formatlist": Function([Parameter("format", STRING)], _format.formatlist, Parameter("args", null=True)),
    "regex": _function(_strings.regex, "pattern:s", "string:s"),
    "substr": _function(_strings.substr, "str:s", "offset:n", "length:n"),
    "strlen": _function(_strings.strlen, "str:s"),
    "chomp": _function(_strings.chomp, "str:s"),
    "indent": _function(_strings.indent, "spaces:n", "str:s"),
    # collections
    "concat": _function(_collections.concat, rest="seqs:v"),
    "length": _function(_collections.length, "collection:v"),
    "contains": Function([Parameter("list"), Parameter("value", null=True, untyped=False)], _collections.contains),
    "keys": _function(_collections.keys, "inputMap:v"),
    "values": _function(_collections.values, "mapping:v"),
    "lookup": _function(_collections.lookup, "inputMap:v", "key:s", "default:v"),
    "merge": _function(_collections.merge, rest="maps:v", null=True),
    "flatten": _function(_collections.flatten, "list:v"),
    "distinct": _function(_collections.distinct, "list:d"),
    "sort": _function(_collections.sort, "list:l"),
    "reverse": _function(_collections.reverse, "list:v"),
    "slice": _function(_collections.slice_, "list:v", "start_index:n", "end_index:n"),
    "element": _function(_collections.element, "list:v", "index:n"),
    "coalesce": _function(_collections.coalesce, rest="vals:v", null=True),
    "range": _function(_numeric.range_, rest="params:n"),
    # numbers
    "abs": _function(_numeric.absolute, "num:n"),
    "ceil": _function(_numeric.ceil, "num:n"),
    "floor": _function(_numeric.floor, "num:n"),
    "max": _function(_numeric.greatest, rest="numbers:n"),
    "min": _function(_numeric.least, rest="numbers:n"),
    "parseint": _function(_numeric.parseint, "number:v", "base:n"),
    # encodings
    "jsonencode": _function(_json.to_json, "val:v", null=True),
    "jsondecode": _function(_json.decode_json, "str:s"),
    "csvdecode": _function(_strings.csvdecode, "str:s"),
    # conversions
    "toset": _conversion(SetOf(DYNAMIC)),
    "tolist": _conversion(ListOf(DYNAMIC)),
    "tomap": _conversion(MapOf(DYNAMIC)),
    "tostring": _conversion(STRING),
    "tonumber": _conversion(NUMBER),
    "tobool": _conversion(BOOL),
}
