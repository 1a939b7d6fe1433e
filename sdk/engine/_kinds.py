"""What an argument of a config block may be, and all that follows from it.

A kind knows the HCL type that the source's value is converted to, how that becomes the value of the field, and how
both are documented.
"""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from ._annotations import unwrapped
from ._errors import DurationError

if TYPE_CHECKING:
    from typing import Protocol

    from ..hcl import ValueType

    class Place(Protocol):
        """Where in the source a value stands."""

        @property
        def base_dir(self) -> Path: ...
        def at(self, key: str | int) -> Place: ...
        def refuse(self, detail: str, hint: str | None = None) -> None: ...


class Kind:
    """The kind of an argument.

    Attributes:
        direct: whether the decoded HCL value is the value of the field.

    """

    __slots__ = ()
    direct = True

    @property
    def text(self) -> str:
        """The kind as documentation names it."""
        raise NotImplementedError

    def hcl(self) -> ValueType:
        """Return the type that HCL converts to."""
        raise NotImplementedError

    def suits(self, value: object) -> bool:
        """Tell whether *value* is one of this kind."""
        raise NotImplementedError

    def convert(self, raw: object, place: Place) -> object:
        """Make the field's value from HCL's; what is wrong with it is reported to *place*."""
        raise NotImplementedError

    def plain(self, value: object) -> object:
        """Return *value* as JSON has it."""
        return value

    def json_schema(self) -> dict[str, object]:
        """Return the JSON Schema of the plain value."""
        raise NotImplementedError


class Scalar(Kind):
    """A text, a whole number or a truth value: the field takes what HCL gives."""

    __slots__ = ("_json", "_text", "type")

    def __init__(self, type: type, text: str, json: str) -> None:  # noqa: A002 - what it is
        self.type = type
        self._text = text
        self._json = json

    @property
    def text(self) -> str:
        return self._text

    def hcl(self) -> ValueType:
        from ..hcl import BOOL, INT, STRING

        known: dict[type, ValueType] = {str: STRING, bool: BOOL, int: INT}
        return known[self.type]

    def suits(self, value: object) -> bool:
        return type(value) is self.type

    def json_schema(self) -> dict[str, object]:
        return {"type": self._json}


class Number(Kind):
    """A number with a fraction."""

    __slots__ = ()
    direct = False

    @property
    def text(self) -> str:
        return "number"

    def hcl(self) -> ValueType:
        from ..hcl import FLOAT

        return FLOAT

    def suits(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    def convert(self, raw: object, place: Place) -> object:
        if isinstance(raw, float) and not math.isfinite(raw):
            place.refuse("a finite number is required")
        return raw

    def json_schema(self) -> dict[str, object]:
        return {"type": "number"}


class _Text(Kind):
    """What stands in the source as a text and becomes something else."""

    __slots__ = ()
    direct = False

    def hcl(self) -> ValueType:
        from ..hcl import STRING

        return STRING


class Duration(_Text):
    """A duration in Go's grammar."""

    __slots__ = ()

    @property
    def text(self) -> str:
        return "duration"

    def suits(self, value: object) -> bool:
        return isinstance(value, timedelta)

    def convert(self, raw: object, place: Place) -> object:
        from ._duration import parse_duration

        try:
            return parse_duration(str(raw))
        except DurationError as error:
            place.refuse(str(error), 'a duration is a number with a unit, such as "90s", "1h30m" or "500ms"')
            return None

    def plain(self, value: object) -> object:
        from ._duration import format_duration

        return format_duration(value) if isinstance(value, timedelta) else value

    def json_schema(self) -> dict[str, object]:
        number = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
        return {"type": "string", "pattern": rf"^[-+]?(0|({number}(ns|us|µs|μs|ms|s|m|h))+)$"}


class FilePath(_Text):
    """A path, relative to the folder of the config file."""

    __slots__ = ()

    @property
    def text(self) -> str:
        return "path"

    def suits(self, value: object) -> bool:
        return isinstance(value, Path)

    def convert(self, raw: object, place: Place) -> object:
        text = str(raw)
        if not text or "\0" in text:
            place.refuse("a path is required, got an empty text" if not text else "a path holds no NUL character")
        return place.base_dir / text

    def plain(self, value: object) -> object:
        return value.as_posix() if isinstance(value, Path) else value

    def json_schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1}


class Enumeration(Kind):
    """One of some texts or whole numbers."""

    __slots__ = ("base", "values")
    direct = False

    def __init__(self, values: tuple[object, ...], base: Kind) -> None:
        self.values = values
        self.base = base

    @property
    def text(self) -> str:
        return " | ".join(hcl_literal(value) for value in self.values)

    def hcl(self) -> ValueType:
        return self.base.hcl()

    def suits(self, value: object) -> bool:
        return self.base.suits(value) and value in self.values

    def convert(self, raw: object, place: Place) -> object:
        if raw not in self.values:
            known = ", ".join(hcl_literal(value) for value in self.values)
            place.refuse(f"{hcl_literal(raw)} is not one of {known}.{self._near_miss(raw)}")
        return raw

    def _near_miss(self, raw: object) -> str:
        from difflib import get_close_matches

        folded = {str(value).casefold(): value for value in self.values}
        close = get_close_matches(str(raw).casefold(), folded, n=1)
        return f" Did you mean {hcl_literal(folded[close[0]])}?" if close else ""

    def json_schema(self) -> dict[str, object]:
        return {"enum": list(self.values)}


class ListOf(Kind):
    """A list."""

    __slots__ = ("direct", "element")

    def __init__(self, element: Kind) -> None:
        self.element = element
        self.direct = element.direct

    @property
    def text(self) -> str:
        return f"list of {_grouped(self.element)}"

    def hcl(self) -> ValueType:
        from ..hcl import ListType

        return ListType(self.element.hcl())

    def suits(self, value: object) -> bool:
        return isinstance(value, list) and all(map(self.element.suits, value))

    def convert(self, raw: object, place: Place) -> object:
        if not isinstance(raw, list) or self.direct:
            return raw
        return [self.element.convert(item, place.at(index)) for index, item in enumerate(raw)]

    def plain(self, value: object) -> object:
        return [self.element.plain(item) for item in value] if isinstance(value, list) else value

    def json_schema(self) -> dict[str, object]:
        return {"type": "array", "items": self.element.json_schema()}


class MapOf(Kind):
    """A map with text keys."""

    __slots__ = ("direct", "element")

    def __init__(self, element: Kind) -> None:
        self.element = element
        self.direct = element.direct

    @property
    def text(self) -> str:
        return f"map of {_grouped(self.element)}"

    def hcl(self) -> ValueType:
        from ..hcl import MapType

        return MapType(self.element.hcl())

    def suits(self, value: object) -> bool:
        return isinstance(value, dict) and all(
            isinstance(key, str) and self.element.suits(item) for key, item in value.items()
        )

    def convert(self, raw: object, place: Place) -> object:
        if not isinstance(raw, dict) or self.direct:
            return raw
        return {key: self.element.convert(item, place.at(key)) for key, item in raw.items()}

    def plain(self, value: object) -> object:
        return {key: self.element.plain(item) for key, item in value.items()} if isinstance(value, dict) else value

    def json_schema(self) -> dict[str, object]:
        return {"type": "object", "additionalProperties": self.element.json_schema()}


TEXT = Scalar(str, "string", "string")
TRUTH = Scalar(bool, "bool", "boolean")
WHOLE = Scalar(int, "int", "integer")

_KINDS: dict[object, Kind] = {
    str: TEXT,
    bool: TRUTH,
    int: WHOLE,
    float: Number(),
    timedelta: Duration(),
    Path: FilePath(),
}


def kind_of(annotation: object) -> Kind | None:
    """Return the kind that a type without None stands for, or None if an argument cannot have that type."""
    try:
        known = _KINDS.get(annotation)
    except TypeError:  # a type with an unhashable Literal or metadata
        return None
    if known is None:
        known = _compound(unwrapped(annotation))
        if known is not None:
            _KINDS[annotation] = known
    return known


def _compound(annotation: object) -> Kind | None:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _enumeration(arguments)
    if origin is list and len(arguments) == 1:
        element = kind_of(arguments[0])
        return element and ListOf(element)
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        element = kind_of(arguments[1])
        return element and MapOf(element)
    return _KINDS.get(annotation)


def _enumeration(values: tuple[object, ...]) -> Kind | None:
    for base in (TEXT, WHOLE):
        if values and all(map(base.suits, values)):
            return Enumeration(values, base)
    return None


def _grouped(element: Kind) -> str:
    return f"({element.text})" if isinstance(element, Enumeration) else element.text


def hcl_literal(value: object) -> str:
    """Return *value*, which is plain, as a user writes it in HCL."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return hcl_text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(hcl_literal, value)) + "]"
    if isinstance(value, dict):
        pairs = [f"{_key(str(key))} = {hcl_literal(item)}" for key, item in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    return str(value)


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else hcl_text(key)


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def hcl_text(text: str) -> str:
    """Return *text* as a quoted HCL text."""
    escaped = "".join(
        _ESCAPES.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
        for c in text
    )
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'
