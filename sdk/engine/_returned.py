"""What a driver's methods return, checked before it is used.

Protobuf takes None for an empty text and a text for a list of its characters, and what it refuses it refuses without a
word on which method returned it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

from ._errors import DriverError

if TYPE_CHECKING:
    from ._driver import Driver
    from ._values import S

Check: TypeAlias = Callable[[str, object], Iterator[str]]

# Of the language's numbers.
_PRECISION = 512


def check_returned(driver: Driver[S], method: str, value: object) -> None:
    """Check that *value*, which *driver*'s *method* returned, is what the contract says.

    Raises:
        DriverError: a line for each part of it that is not, with the file and line of the method.

    """
    try:
        problems = list(_CHECKS[method]("", value))
    except RecursionError:
        problems = [": it is nested too deep, or contains itself"]
    if problems:
        place = _place(driver, method)
        raise DriverError("\n".join(f"{method}(){problem}{place}" for problem in problems))


def _place(driver: object, method: str) -> str:
    from inspect import unwrap

    code = getattr(unwrap(getattr(type(driver), method)), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def _unlike(where: str, what: str, value: object) -> str:
    shown = repr(value)
    return f"{where or ' returned a wrong value'}: expected {what}, got {shown if len(shown) < 200 else type(value)}"


def _text(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield _unlike(where, "a text", value)
    elif not value.isascii() and not _is_unicode(value):
        yield _unlike(where, "a text that UTF-8 can hold", value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(where: str, value: object) -> Iterator[str]:
    if value == "":
        yield _unlike(where, "a text that is not empty", value)
    else:
        yield from _text(where, value)


def _path(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, PurePath):
        yield _unlike(where, "a Path", value)
    else:
        yield from _text(where, str(value))


def _program(where: str, value: object) -> Iterator[str]:
    yield from _name(where, str(value) if isinstance(value, PurePath) else value)


def _truth(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _unlike(where, "True or False", value)


def _whole(where: str, value: object) -> Iterator[str]:
    if type(value) is not int:
        yield _unlike(where, "a whole number", value)


def _variable(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, str) or value.find("=") < 1:
        yield _unlike(where, "a text NAME=value", value)
    else:
        yield from _text(where, value)


def _value(where: str, value: object) -> Iterator[str]:
    """Check a value that becomes one of the language."""
    if isinstance(value, str):
        yield from _text(where, value)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _value(f"{where}[{index}]", item)
    elif isinstance(value, Mapping):
        yield from _mapping(_value)(where, value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _unlike(where, "a finite number", value)
    elif isinstance(value, int) and value.bit_length() > _PRECISION:
        yield f"{where}: expected a whole number of at most {_PRECISION} bits, got one of {value.bit_length()}"
    elif not (value is None or isinstance(value, bool | int | float)):
        yield _unlike(where, "None, a truth value, a number, a text, or a list or mapping of these", value)


def _optional(check: Check) -> Check:
    def checked(where: str, value: object) -> Iterator[str]:
        if value is not None:
            yield from check(where, value)

    return checked


def _series(check: Check) -> Check:
    def checked(where: str, value: object) -> Iterator[str]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            yield _unlike(where, "a list or tuple", value)
            return
        for index, item in enumerate(value):
            yield from check(f"{where}[{index}]", item)

    return checked


def _mapping(check: Check) -> Check:
    def checked(where: str, value: object) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield _unlike(where, "a mapping", value)
            return
        for key, item in value.items():
            yield from _text(f"{where}, a key", key)
            yield from check(f"{where}[{key!r}]", item)

    return checked


def _record(kind: str, /, **checks: Check) -> Check:
    """Check an object of the class of this package that is named *kind*: when there is one, its module is loaded."""

    def checked(where: str, value: object) -> Iterator[str]:
        if not isinstance(value, getattr(sys.modules[__package__], kind)):
            yield _unlike(where, f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}", value)
            return
        for name, check in checks.items():
            yield from check(f"{where}.{name}", getattr(value, name))

    return checked


def _plan(where: str, value: object) -> Iterator[str]:
    problems = list(_PLAN(where, value))
    yield from problems
    if problems:
        return
    names = [spec.name for spec in getattr(value, "specs", ())]
    if not names:
        yield f"{where}.specs: a plan has at least one process"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}.specs: {names.count(name)} processes are named {name!r}; the host would start the last alone"


_READY = _record("Ready", target=_text)
_SPAWN = _record(
    "SpawnSpec",
    name=_name,
    bin=_program,
    args=_series(_text),
    dir=_optional(_path),
    env=_series(_variable),
    tree=_truth,
    after=_series(_text),
    ready=_optional(_READY),
    hooks=_series(_text),
)
_PLAN = _record("SpawnPlan", specs=_series(_SPAWN))
_ARGUMENTS = _series(
    _record("ConfigArg", name=_text, type=_text, default=_text, desc=_text, required=_truth, since=_text, until=_text)
)
_CHECKS: dict[str, Check] = {
    "resolve": _record("Toolchain", engine=_text, full=_text, bin_dir=_optional(_path), tools=_mapping(_path)),
    "provisioned": _truth,
    "plan": _plan,
    "backend_socket": _optional(_path),
    "conn_string": _record("ConnString", env_var=_text, url=_text),
    "objects": _series(_record("Object", kind=_text, name=_text, hash=_text)),
    "attributes": _mapping(_value),
    "backend_url": _text,
    "supervised": _truth,
    "restart_policy": _record("RestartSpec"),
    "advertised_addr": _optional(_text),
    "resources": _series(_record("Resource", kind=_text, name=_text, status=_text, info=_mapping(_text))),
    "actions": _series(
        _record("Action", id=_text, label=_text, kind=_text, destructive=_truth, input_hint=_text),
    ),
    "run": _text,
    "describe": _record(
        "Description",
        title=_text,
        tagline=_text,
        category=_text,
        description=_text,
        port=_whole,
        versions=_series(_name),
        example=_text,
        example_label=_text,
        config=_ARGUMENTS,
        blocks=_series(_record("ConfigBlock", name=_text, label=_text, desc=_text, args=_ARGUMENTS)),
        homepage=_text,
        source=_text,
    ),
}
