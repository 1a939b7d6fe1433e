"""Strict decoding: from a body and a schema to Python values, with every disagreement reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ._ast import Attribute, Block, Body, Expression, File
from ._diagnostics import Diagnostic, HCLError, plain
from ._evaluate import Context
from ._functions import Function
from ._schema import Schema
from ._source import Range

#: The arguments of an engine block that belong to the host: a plugin neither sees nor may declare them at the top
#: level. Nested blocks may use these names.
CORE_ARGUMENTS: Final = frozenset({"count", "for_each", "depends_on", "enabled", "version", "listen", "port"})

#: What an argument decodes to; see the types of `_schema`.
Plain = str | bool | int | float | list["Plain"] | dict[str, "Plain"] | None


class Label:
    """One label of a decoded block, under the name that the schema gives it."""

    __slots__ = ("name", "range", "value")

    def __init__(self, name: str, value: str, range: Range) -> None:  # noqa: A002 - what it is
        self.name = name
        self.value = value
        self.range = range


class Element:
    """A key and a value as written in an object or list literal."""

    __slots__ = ("key", "key_range", "value_range")

    def __init__(self, key: str | int, key_range: Range, value_range: Range) -> None:
        self.key = key
        self.key_range = key_range
        self.value_range = value_range


class Argument:
    """An argument that the source sets, and its value.

    `value` is None where the source says `null`. `range` is the whole expression, `subject` the part of it that Go
    points at when the value is unsuitable.
    """

    __slots__ = ("attribute", "value")

    def __init__(self, attribute: Attribute, value: Plain) -> None:
        self.attribute = attribute
        self.value = value

    @property
    def name(self) -> str: ...
    @property
    def expression(self) -> Expression: ...
    @property
    def name_range(self) -> Range: ...
    @property
    def range(self) -> Range: ...
    @property
    def subject(self) -> Range: ...

    def elements(self) -> tuple[Element, ...]:
        """The elements of an object or list literal with constant keys; empty for any other expression."""
        ...

    def element_range(self, key: str | int) -> Range:
        """Where a map's key or a list's element is written; the whole expression if it is not a literal."""
        ...


class Decoded:
    """A decoded body.

    `arguments` holds what the source sets and what could be converted; `failed` names what it sets to something
    unsuitable. What is in neither is not set. `blocks` holds the nested blocks in source order.
    """

    __slots__ = ("arguments", "blocks", "body", "diagnostics", "failed", "labels", "range", "schema", "type")

    schema: Schema
    #: The type of the block; empty for the body of a file.
    type: str
    labels: tuple[Label, ...]
    arguments: dict[str, Argument]
    failed: frozenset[str]
    blocks: tuple[Decoded, ...]
    body: Body
    #: The type and the labels of the block, as written: what a problem of the block as a whole points at.
    range: Range
    #: Every problem in this body and the nested ones, in source order.
    diagnostics: tuple[Diagnostic, ...]

    def blocks_of(self, name: str) -> tuple[Decoded, ...]:
        """The nested blocks of a type, in source order."""
        ...

    @property
    def missing_range(self) -> Range:
        """The opening brace as an empty range: where Go reports what is missing from the body."""
        ...


class DecodeError(HCLError):
    """A block does not agree with its schema. `decoded` holds what could be decoded nevertheless."""

    __module__ = "doze_sdk.hcl"

    def __init__(self, decoded: Decoded) -> None:
        super().__init__(plain(decoded.diagnostics), decoded.diagnostics)
        self.decoded = decoded


def find_block(file: File, block_type: str, label: str) -> Block:
    """Find the first top-level block of a type and a label.

    Raises BlockSelectionError if any block of that type has not exactly one label, BlockNotFoundError if there is
    none with that label.
    """
    ...


def decode(body: Body, schema: Schema, context: Context | None = None, *, strip: Collection[str] = ()) -> Decoded:
    """Decode a body; problems are in the `diagnostics` of the result.

    Arguments named in `strip` are ignored at the top level, unevaluated, even where the schema has them.
    """
    ...


def decode_block(
    file: str | bytes,
    *,
    filename: str,
    block_type: str,
    label: str,
    schema: Schema,
    variables: Mapping[str, bytes] | None = None,
    functions: Mapping[str, Function] | None = None,
    strip: Collection[str] = CORE_ARGUMENTS,
) -> Decoded:
    """Answer a host's request to decode one block of a file.

    `variables` maps root names to ctyjson. Raises ParseError, BlockSelectionError, BlockNotFoundError or DecodeError,
    one for each stage, and VariablesError if the host sent something that is no JSON. To continue after failed decoding, take `decoded` from the DecodeError.
    """
    ...
