"""Values from and to JSON, the way the host sends them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn, cast

from ._diagnostics import VariablesError
from ._function_errors import FunctionError
from ._number import Fraction, Infinity, Number, format_number, number_literal
from ._text import normalize, quote
from ._values import Null, SetValue, Unknown, Value, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def variables_from_json(variables: Mapping[str, str | bytes]) -> dict[str, Value]:
    """The values of variables, each sent as JSON: arrays are tuples, objects are objects, numbers are exact.

    Raises VariablesError, naming the variable, if one of them is no JSON.
    """
    return {name: from_json(content, f"variable {name!r}") for name, content in variables.items()}


def from_json(content: str | bytes, what: str = "value") -> Value:
    """The value that a JSON text stands for. Raises VariablesError."""
    try:
        return _value(_DECODER.decode(content if isinstance(content, str) else content.decode()))
    except (ValueError, RecursionError) as error:
        raise VariablesError(f"{what} is not JSON: {error}") from None


def _value(loaded: object) -> Value:
    kind = type(loaded)
    if kind is str:
        return _text(cast("str", loaded))
    if kind is dict:
        members = cast("dict[str, object]", loaded)
        return {_text(key): _value(member) for key, member in members.items()}
    if kind is list:
        return tuple(map(_value, cast("list[object]", loaded)))
    return cast("Value", loaded)


def _text(loaded: str) -> str:
    if loaded.isascii():
        return loaded
    # The host reads an escaped surrogate that has no other half as a character that cannot be read.
    return normalize(_SURROGATE.sub("\ufffd", loaded))


_SURROGATE = re.compile("[\ud800-\udfff]")


def _number(text: str) -> Number:
    number = number_literal(text.lstrip("-"))
    if number is None:
        raise ValueError(f"number {text} is out of range")
    if not text.startswith("-"):
        return number
    from ._number import negate

    return negate(number)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_refuse)


def decode_json(text: str) -> Value:
    """The host's `jsondecode`."""
    from ._json_syntax import JSONSyntaxError, check_json

    duplicates: list[str] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, member in pairs:
            if key in result and type_of(_value(result[key])) != type_of(_value(member)):
                duplicates.append(key)
            result[key] = member
        return result

    decoder = json.JSONDecoder(
        parse_int=_number, parse_float=_number, parse_constant=_refuse, object_pairs_hook=members
    )
    try:
        check_json(text)
        loaded, _ = decoder.raw_decode(text.lstrip(" \t\r\n"))
        value = _value(loaded)
    except JSONSyntaxError as error:
        raise FunctionError(str(error)) from None
    except RecursionError:
        raise FunctionError("the value is nested too deeply") from None
    except ValueError:  # of a sound text, a number that is out of range
        raise FunctionError("a number is required") from None
    if duplicates:
        raise FunctionError(f"duplicate {quote(duplicates[0])} property in JSON object")
    return value


def to_json(value: Value) -> str:
    """The JSON text of a value: no spaces, keys in order, numbers in full, `<`, `>` and `&` escaped.

    Raises ValueError if any part of the value is unknown.
    """
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, Null):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Fraction | Infinity):
        return format_number(value)
    if isinstance(value, dict):
        members = (f"{_string(key)}:{to_json(value[key])}" for key in sorted(value, key=_bytewise))
        return "{" + ",".join(members) + "}"
    if isinstance(value, tuple | list | SetValue):
        return "[" + ",".join(map(to_json, value)) + "]"
    assert isinstance(value, Unknown)
    raise ValueError("value is not known")


def _bytewise(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _string(text: str) -> str:
    encoded = json.dumps(text, ensure_ascii=False)
    for character, escape in _HTML.items():
        encoded = encoded.replace(character, escape)
    return encoded


# What Go's encoder escapes and Python's does not.
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\x7f"}
