"""What a body may hold: the schema that decoding is strict about."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from . import _types
from ._diagnostics import HCLError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._types import Type


class SchemaError(HCLError):
    """A schema that cannot work, such as two fields of the same name."""

    __module__ = "doze_sdk.hcl"


class ValueType:
    """The type that an argument is converted to. Its text is how Go names it, e.g. `list of string`."""

    __slots__ = ("cty",)

    #: The type in HCL's own system that a value is converted to first.
    cty: Type

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<{self}>"


class StringType(ValueType):
    """Decoded to `str`."""

    __slots__ = ()

    def __init__(self) -> None:
        self.cty = _types.STRING

    def __str__(self) -> str:
        return "string"


class BoolType(ValueType):
    """Decoded to `bool`."""

    __slots__ = ()

    def __init__(self) -> None:
        self.cty = _types.BOOL

    def __str__(self) -> str:
        return "bool"


class FloatType(ValueType):
    """Decoded to `float`, rounded to the nearest."""

    __slots__ = ()

    def __init__(self) -> None:
        self.cty = _types.NUMBER

    def __str__(self) -> str:
        return "number"


class IntType(ValueType):
    """Decoded to `int`; a fraction, or a number outside the signed range of `bits`, is refused."""

    __slots__ = ("bits",)

    def __init__(self, bits: int = 64) -> None:
        self.bits = bits
        self.cty = _types.NUMBER

    def __str__(self) -> str:
        return "number"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntType) and self.bits == other.bits

    def __hash__(self) -> int:
        return hash(self.bits)

    def __repr__(self) -> str:
        return f"<int{self.bits}>"

    @property
    def minimum(self) -> int:
        """The least number that fits."""
        return -(1 << (self.bits - 1))

    @property
    def maximum(self) -> int:
        """The greatest number that fits."""
        return (1 << (self.bits - 1)) - 1


class ListType(ValueType):
    """Decoded to `list`; `null` gives None, which is not the empty list."""

    __slots__ = ("element",)

    def __init__(self, element: ValueType) -> None:
        self.element = element
        self.cty = _types.ListOf(element.cty)

    def __str__(self) -> str:
        return f"list of {self.element}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListType) and self.element == other.element

    def __hash__(self) -> int:
        return hash((ListType, self.element))


class MapType(ValueType):
    """Decoded to `dict` with keys in ascending order; `null` gives None, which is not the empty map."""

    __slots__ = ("element",)

    def __init__(self, element: ValueType) -> None:
        self.element = element
        self.cty = _types.MapOf(element.cty)

    def __str__(self) -> str:
        return f"map of {self.element}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapType) and self.element == other.element

    def __hash__(self) -> int:
        return hash((MapType, self.element))


STRING = StringType()
BOOL = BoolType()
INT = IntType()
FLOAT = FloatType()


class AttributeSchema:
    """An argument of a body.

    `nullable` means that `null` is as good as leaving the argument out. Lists and maps accept `null` in any case.
    """

    __slots__ = ("name", "nullable", "required", "type")

    def __init__(self, name: str, type: ValueType, *, required: bool = True, nullable: bool = False) -> None:  # noqa: A002 - the field's name in HCL's own vocabulary
        self.name = name
        self.type = type
        self.required = required
        self.nullable = nullable

    def __repr__(self) -> str:
        return f"AttributeSchema({self.name!r}, {self.type!r}, required={self.required}, nullable={self.nullable})"


class Repeat:
    """How often a nested block may occur: one of the three values below.

    Every plugin makes this class when it starts, and an `Enum` takes ten times as long.
    """

    __slots__ = ("_name",)

    #: Any number of times.
    REPEATED: ClassVar[Repeat]
    #: At most once.
    OPTIONAL: ClassVar[Repeat]
    #: Exactly once.
    REQUIRED: ClassVar[Repeat]

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"Repeat.{self._name}"


Repeat.REPEATED = Repeat("REPEATED")
Repeat.OPTIONAL = Repeat("OPTIONAL")
Repeat.REQUIRED = Repeat("REQUIRED")


class BlockSchema:
    """A nested block of a body; the labels are part of the schema of its body."""

    __slots__ = ("name", "repeat", "schema")

    def __init__(self, name: str, schema: Schema, *, repeat: Repeat = Repeat.REPEATED) -> None:
        self.name = name
        self.schema = schema
        self.repeat = repeat

    def __repr__(self) -> str:
        return f"BlockSchema({self.name!r}, {self.schema!r}, repeat={self.repeat})"


class Schema:
    """A body: its arguments and nested blocks, and the names of the labels of the block that it belongs to.

    Raises SchemaError if two labels, or two members that are arguments or blocks, share a name.
    """

    __slots__ = ("attributes", "blocks", "labels", "required")

    EMPTY: ClassVar[Schema]

    def __init__(
        self,
        attributes: Iterable[AttributeSchema] = (),
        blocks: Iterable[BlockSchema] = (),
        labels: Iterable[str] = (),
    ) -> None:
        # Sorted by name: the order in which Go reports what is missing and looks for near misses.
        in_order = sorted(attributes, key=lambda attribute: attribute.name)
        blocks = list(blocks)
        labels = tuple(labels)
        _refuse_twins([attribute.name for attribute in in_order] + [block.name for block in blocks], "member")
        _refuse_twins(labels, "label")
        self.attributes = {attribute.name: attribute for attribute in in_order}
        self.blocks = {block.name: block for block in sorted(blocks, key=lambda block: block.name)}
        self.labels = labels
        self.required = tuple(attribute.name for attribute in in_order if attribute.required)

    def __repr__(self) -> str:
        return f"Schema({list(self.attributes)}, blocks={list(self.blocks)}, labels={list(self.labels)})"


def _refuse_twins(names: Sequence[str], what: str) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise SchemaError(f"a schema has more than one {what} of the name {', '.join(map(repr, twins))}")


Schema.EMPTY = Schema()
