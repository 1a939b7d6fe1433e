"""The form in which a decoded block crosses the wire: canonical JSON with a format tag.

The host keeps the bytes for each instance, sends them with its calls and takes a change of them for a change of the
config. So they are the same in every process and under every hash seed, never empty, and they do not contain the name
of the config file, which differs between the command line and the daemon.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import math
from datetime import timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from ._annotations import admits_none, spelling, union_members, unwrapped
from ._config import Declaration
from ._errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG = "doze-spec"
_FORMAT = 1
_SUPPORTED = (
    "str, bool, int, float, None, Path, timedelta, Literal, Enum, list[…], tuple[…], dict[str, …], Mapping[str, …], "
    "dataclasses and config classes of these, and '| None' with any of them"
)
T = TypeVar("T")


def encode_spec(spec: object) -> bytes:
    """Return the bytes of *spec*: a config class's object, a dataclass's, or None.

    Raises:
        SpecError: a part of it has no serialised form, or is not of its declared type.

    """
    codec = _checked(type(spec))
    try:
        document = {_TAG: _FORMAT, "value": codec.encode(spec)}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except _Unfit as unfit:
        raise SpecError(f"serialising the spec: {unfit.at(type(spec).__qualname__)}") from None
    except RecursionError:
        raise SpecError(
            f"serialising the spec: the {type(spec).__qualname__} is nested too deep, or contains itself"
        ) from None
    except (OverflowError, ValueError) as error:  # a number beyond float, or of more digits than Python writes
        raise SpecError(f"serialising the spec: {type(spec).__qualname__}: {error}") from None


def decode_spec(spec_type: type | None, data: bytes, *, missing: object = None) -> object:
    """Return the spec that *data* holds, or *missing* if this release of the module cannot read it.

    The bytes may come from another release: keys that *spec_type* does not know are ignored, keys that are not there
    take its defaults. Where there is no default, or a value does not suit, *data* holds no spec.

    Args:
        spec_type: the config class or dataclass; None for specs that are always None.
        data: what `encode_spec` returned.
        missing: what stands for "no spec", where None is a spec.

    Raises:
        SpecError: *spec_type* itself cannot be serialised.

    """
    codec = _checked(spec_type)
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or document.get(_TAG) != _FORMAT or "value" not in document:
            return missing
        return codec.decode(document["value"])
    except (_Unfit, ValueError, RecursionError):
        return missing


def check_spec_type(spec_type: type | None) -> None:
    """Refuse a type of which `encode_spec` and `decode_spec` could not carry every object.

    Raises:
        SpecError: names the field and what is supported.

    """
    _checked(spec_type)


def _checked(spec_type: type | None) -> _Codec:
    if spec_type is None:
        return _NULL
    known = _codecs.get(spec_type)
    if known is not None and (known is _NULL or isinstance(known, _Record)):
        return known
    name = spelling(spec_type)
    if not _is_record(spec_type):
        raise SpecError(f"the spec type {name} cannot be serialised: expected a dataclass or a config class")
    compiler = _Compiler()
    try:
        codec = compiler.codec(spec_type)
    except _Unfit as unfit:
        raise SpecError(f"the spec type {name} cannot be serialised: {unfit.at(name)}") from None
    _codecs.update(compiler.known)
    return codec


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """A value or a type that does not fit; the trail to it grows as the exception passes outward."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trail: list[str] = []

    def at(self, root: str) -> str:
        return f"{root}{''.join(reversed(self.trail))}: {self.reason}"

    @classmethod
    def expected(cls, what: str, got: object) -> _Unfit:
        return cls(f"expected {what}, got {got!r}")


class _Codec:
    """Both directions for one type: plain JSON values on one side, the type's values on the other."""

    __slots__ = ()

    def encode(self, value: object) -> object:
        raise NotImplementedError

    def decode(self, value: object) -> object:
        raise NotImplementedError


class _Same(_Codec):
    """A type that JSON has: texts, whole numbers, truth values, null."""

    __slots__ = ("type",)

    def __init__(self, type: type) -> None:  # noqa: A002 - what it is
        self.type = type

    def encode(self, value: object) -> object:
        if type(value) is self.type:
            return value
        if isinstance(value, str) and self.type is str:  # a `Version`, say
            return str.__str__(value)
        raise _Unfit.expected(self.type.__name__, value)

    def decode(self, value: object) -> object:
        if type(value) is not self.type:
            raise _Unfit.expected(self.type.__name__, value)
        return value


class _Float(_Codec):
    __slots__ = ()

    def encode(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _Unfit.expected("a finite number", value)
        return float(value)

    decode = encode


class _Converted(_Codec, Generic[T]):
    """A type with a plain form of its own."""

    __slots__ = ("from_plain", "plain", "to_plain", "type")

    def __init__(
        self,
        type: type[T],  # noqa: A002 - what it is
        plain: type,
        to_plain: Callable[[T], object],
        from_plain: Callable[..., T],
    ) -> None:
        self.type = type
        self.plain = plain
        self.to_plain = to_plain
        self.from_plain = from_plain

    def encode(self, value: object) -> object:
        if not isinstance(value, self.type):
            raise _Unfit.expected(self.type.__name__, value)
        return self.to_plain(value)

    def decode(self, value: object) -> object:
        if type(value) is not self.plain:
            raise _Unfit.expected(self.plain.__name__, value)
        try:
            return self.from_plain(value)
        except (KeyError, ValueError, OverflowError) as error:
            raise _Unfit(str(error)) from None


class _OneOf(_Codec):
    """Certain values (`Literal`), or values of several types that JSON tells apart."""

    __slots__ = ("admits", "what")

    def __init__(self, what: str, admits: Callable[[object], bool]) -> None:
        self.what = what
        self.admits = admits

    def encode(self, value: object) -> object:
        if not self.admits(value):
            raise _Unfit.expected(self.what, value)
        return value

    decode = encode


class _Optional(_Codec):
    __slots__ = ("inner",)

    def __init__(self, inner: _Codec) -> None:
        self.inner = inner

    def encode(self, value: object) -> object:
        return None if value is None else self.inner.encode(value)

    def decode(self, value: object) -> object:
        return None if value is None else self.inner.decode(value)


class _Series(_Codec):
    """A list, or a tuple of any length."""

    __slots__ = ("element", "type")

    def __init__(self, type: type[list[object] | tuple[object, ...]], element: _Codec) -> None:  # noqa: A002 - what it is
        self.type = type
        self.element = element

    def encode(self, value: object) -> object:
        if not isinstance(value, self.type):
            raise _Unfit.expected(f"a {self.type.__name__}", value)
        return _each(value, self.element.encode)

    def decode(self, value: object) -> object:
        if not isinstance(value, list):
            raise _Unfit.expected("a list", value)
        return self.type(_each(value, self.element.decode))


class _Fixed(_Codec):
    """A tuple of a certain length."""

    __slots__ = ("elements",)

    def __init__(self, elements: tuple[_Codec, ...]) -> None:
        self.elements = elements

    def encode(self, value: object) -> object:
        return self._mapped(value, tuple, [element.encode for element in self.elements])

    def decode(self, value: object) -> object:
        return tuple(self._mapped(value, list, [element.decode for element in self.elements]))

    def _mapped(self, value: object, kind: type, steps: list[Callable[[object], object]]) -> list[object]:
        if not isinstance(value, kind) or not isinstance(value, list | tuple) or len(value) != len(steps):
            raise _Unfit.expected(f"a {kind.__name__} of {len(steps)}", value)
        remaining = iter(steps)
        return _each(value, lambda item: next(remaining)(item))  # noqa: PLW0108 - each item has a step of its own


class _Mapping(_Codec):
    __slots__ = ("element", "type")

    def __init__(self, type: type, element: _Codec) -> None:  # noqa: A002 - what it is
        self.type = type
        self.element = element

    def encode(self, value: object) -> object:
        if not isinstance(value, self.type) or not isinstance(value, collections.abc.Mapping):
            raise _Unfit.expected("a mapping", value)
        plain: dict[str, object] = {}
        key: object = None
        try:
            for key, item in value.items():
                if type(key) is not str:
                    raise _Unfit.expected("text keys", key)
                plain[key] = self.element.encode(item)
        except _Unfit as unfit:
            unfit.trail.append(f"[{key!r}]")
            raise
        return plain

    def decode(self, value: object) -> object:
        if not isinstance(value, dict):
            raise _Unfit.expected("a mapping", value)
        return {key: self.element.decode(item) for key, item in value.items()}


def _each(values: list[object] | tuple[object, ...], step: Callable[[object], object]) -> list[object]:
    done: list[object] = []
    try:
        for item in values:
            done.append(step(item))  # noqa: PERF401 - its length tells where it ended
    except _Unfit as unfit:
        unfit.trail.append(f"[{len(done)}]")
        raise
    return done


class _Record(_Codec):
    """A dataclass or config class; `members` is filled once its fields' codecs are known, which may include its own."""

    __slots__ = ("members", "required", "type")

    def __init__(self, type: type) -> None:  # noqa: A002 - what it is
        self.type = type
        self.members: dict[str, tuple[str, _Codec]] = {}  # by key: name in Python, codec
        self.required: frozenset[str] = frozenset()

    def encode(self, value: object) -> object:
        if type(value) is not self.type:
            raise _Unfit.expected(self.type.__qualname__, value)
        plain: dict[str, object] = {}
        name = ""
        try:
            for key, (name, codec) in self.members.items():  # noqa: B007 - the handler names where it ended
                plain[key] = codec.encode(getattr(value, name))
        except _Unfit as unfit:
            unfit.trail.append(f".{name}")
            raise
        return plain

    def decode(self, value: object) -> object:
        if not isinstance(value, dict):
            raise _Unfit.expected("a mapping", value)
        if not self.required <= value.keys():
            raise _Unfit(f"lacks {', '.join(sorted(self.required - value.keys()))}")
        given = {name: codec.decode(value[key]) for key, (name, codec) in self.members.items() if key in value}
        try:
            return self.type(**given)
        except Exception as error:  # noqa: BLE001 - the author's __post_init__ may refuse what another release wrote
            raise _Unfit(f"cannot be made again: {error}") from error


_TEXT = _Same(str)
_NULL = _Same(type(None))
_JSON_TYPES = (str, bool, int, float, type(None))
_codecs: dict[object, _Codec] = {
    str: _TEXT,
    bool: _Same(bool),
    int: _Same(int),
    float: _Float(),
    type(None): _NULL,
    None: _NULL,
    timedelta: _Converted(
        timedelta, int, lambda value: value // timedelta(microseconds=1), lambda plain: timedelta(microseconds=plain)
    ),
    Path: _Converted(Path, str, str, Path),
}


def _is_record(annotation: object) -> bool:
    return isinstance(annotation, type) and (
        issubclass(annotation, Declaration) or dataclasses.is_dataclass(annotation)
    )


class _Compiler:
    """Finds the codecs of a type and of all that it is made of.

    What it finds is for all to use only when everything was found: a record that refers to itself is known before its
    members are.
    """

    def __init__(self) -> None:
        self.known = dict(_codecs)

    def codec(self, annotation: object) -> _Codec:
        try:
            known = self.known.get(annotation)
        except TypeError:  # unhashable
            raise _unsupported(annotation) from None
        if known is None:
            known = self._record(annotation) if isinstance(annotation, type) else None
            known = known or self._compound(unwrapped(annotation))
            self.known[annotation] = known
        return known

    def _compound(self, annotation: object) -> _Codec:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return _literal(arguments)
        if origin is list and arguments:
            return _Series(list, self.codec(arguments[0]))
        if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
            return _Series(tuple, self.codec(arguments[0]))
        if origin is tuple and annotation is not tuple:
            return _Fixed(tuple(map(self.codec, arguments)))
        if origin in {dict, collections.abc.Mapping} and arguments[:1] == (str,):
            return _Mapping(dict if origin is dict else collections.abc.Mapping, self.codec(arguments[1]))
        members = union_members(annotation)
        if members != (annotation,):
            return _Optional(self.codec(members[0])) if len(members) == 1 else _union(annotation, members)
        known = self.known.get(annotation) if isinstance(annotation, type) else None
        return known or _class(annotation)

    def _record(self, kind: type) -> _Codec | None:
        if not _is_record(kind):
            return None
        record = self.known[kind] = _Record(kind)
        members = _config_members(kind) if issubclass(kind, Declaration) else _dataclass_members(kind)
        for key, name, annotation, required in members:
            try:
                record.members[key] = (name, self.codec(annotation))
            except _Unfit as unfit:
                unfit.trail.append(f".{name}")
                raise
            if required:
                record.required |= {key}
        return record


def _class(kind: object) -> _Codec:
    if not isinstance(kind, type):
        raise _unsupported(kind)
    if issubclass(kind, Enum):
        return _Converted(kind, str, lambda member: member.name, kind.__getitem__)
    if issubclass(kind, PurePath):
        return _Converted(kind, str, str, kind)
    if issubclass(kind, str):
        return _Converted(kind, str, str.__str__, kind)
    raise _unsupported(kind)


def _unsupported(annotation: object) -> _Unfit:
    hints: dict[object, str] = {set: "list", frozenset: "tuple", collections.abc.Sequence: "list or tuple"}
    hints |= {dict: "dict[str, …]", list: "list[…]", tuple: "tuple[…]"}
    origin = get_origin(annotation) or annotation
    hint = f"; use {hints[origin]}" if isinstance(origin, type) and origin in hints else ""
    return _Unfit(f"{spelling(annotation)} has no serialised form{hint}; supported are {_SUPPORTED}")


def _literal(values: tuple[object, ...]) -> _Codec:
    if not all(type(value) in _JSON_TYPES for value in values):
        raise _Unfit(f"{Literal[values]} has members that JSON does not have; use texts and whole numbers")
    pairs = {(type(value), value) for value in values}
    return _OneOf("one of " + ", ".join(map(repr, values)), lambda value: (type(value), value) in pairs)


def _union(annotation: object, members: tuple[object, ...]) -> _Codec:
    if not all(member in _JSON_TYPES for member in members):
        raise _Unfit(f"{spelling(annotation)} is ambiguous in JSON; use one type, with '| None' if need be")
    kinds = {*members, type(None)} if admits_none(annotation) else {*members}
    return _OneOf(
        spelling(annotation),
        lambda value: type(value) in kinds and not (isinstance(value, float) and not math.isfinite(value)),
    )


_Member = tuple[str, str, object, bool]  # key in JSON, name in Python, type, whether it has no default


def _config_members(kind: type[Declaration]) -> list[_Member]:
    fields = kind._plan.fields  # noqa: SLF001 - the package's own attribute
    return [(field.hcl, field.name, field.annotation, field.required) for field in fields]


def _dataclass_members(kind: type) -> list[_Member]:
    fields = [field for field in dataclasses.fields(kind) if field.init]
    _check_constructor(kind, {field.name for field in fields})
    try:
        types = get_type_hints(kind, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise _Unfit(
            f"a type cannot be evaluated: {error}; define or import it at module level, outside of 'if TYPE_CHECKING'"
        ) from None
    none = dataclasses.MISSING
    return [
        (field.name, field.name, types[field.name], field.default is none and field.default_factory is none)
        for field in fields
    ]


def _check_constructor(kind: type, names: set[str]) -> None:
    """Refuse a class whose objects cannot be made again from its fields, such as one with an `InitVar`."""
    import inspect

    parameters = inspect.signature(kind).parameters.values()
    variadic = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    named = {parameter.name: parameter for parameter in parameters if parameter.kind not in variadic}
    alien = [name for name, parameter in named.items() if name not in names and parameter.default is parameter.empty]
    if alien:
        raise _Unfit(f"its constructor requires {', '.join(alien)}, which is no field")
    if names - named.keys() and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise _Unfit(f"its constructor does not take the fields {', '.join(sorted(names - named.keys()))}")
