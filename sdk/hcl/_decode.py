"""Strict decoding: from a body and a schema to Python values, with every disagreement reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._ast import Attribute, Block, Body, Expression, File, ObjectLiteral, Parentheses, TupleLiteral
from ._convert import ConversionError, convert
from ._diagnostics import (
    BlockNotFoundError,
    BlockSelectionError,
    Diagnostic,
    HCLError,
    in_source_order,
    plain,
)
from ._evaluate import Context, Scope
from ._number import Fraction, Infinity
from ._parse import parse
from ._schema import (
    AttributeSchema,
    BlockSchema,
    IntType,
    ListType,
    MapType,
    Repeat,
    Schema,
    ValueType,
)
from ._source import Range
from ._text import near_miss, quote
from ._types import BOOL, STRING, Type
from ._values import Unknown, Value, is_null

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ._functions import Function

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

    def __repr__(self) -> str:
        return f"Label({self.name!r}, {self.value!r})"


class Element:
    """A key and a value as written in an object or list literal."""

    __slots__ = ("key", "key_range", "value_range")

    def __init__(self, key: str | int, key_range: Range, value_range: Range) -> None:
        self.key = key
        self.key_range = key_range
        self.value_range = value_range

    def __repr__(self) -> str:
        return f"Element({self.key!r}, {self.key_range})"


class Argument:
    """An argument that the source sets, and its value.

    `value` is None where the source says `null`. `range` is the whole expression, `subject` the part of it that Go
    points at when the value is unsuitable.
    """

    __slots__ = ("attribute", "value")

    def __init__(self, attribute: Attribute, value: Plain) -> None:
        self.attribute = attribute
        self.value = value

    def __repr__(self) -> str:
        return f"Argument({self.name!r}, {self.value!r})"

    @property
    def name(self) -> str:
        """The argument's name."""
        return self.attribute.name

    @property
    def expression(self) -> Expression:
        """The expression that gives the value."""
        return self.attribute.expression

    @property
    def name_range(self) -> Range:
        """The name, as written."""
        return self.attribute.name_range

    @property
    def range(self) -> Range:
        """The whole expression."""
        return self.attribute.expression.range

    @property
    def subject(self) -> Range:
        """The part of the expression that Go points at."""
        return self.attribute.expression.subject

    def elements(self) -> tuple[Element, ...]:
        """The elements of a list literal, or of an object literal those with constant keys; else none."""
        literal = self.expression
        while isinstance(literal, Parentheses):
            literal = literal.inner
        if isinstance(literal, TupleLiteral):
            return tuple(Element(index, item.range, item.range) for index, item in enumerate(literal.items))
        if not isinstance(literal, ObjectLiteral):
            return ()
        elements = []
        for item in literal.items:
            key = item.literal_key
            if key is not None:
                elements.append(Element(key, item.key.range, item.value.range))
        return tuple(elements)

    def element_range(self, key: str | int) -> Range:
        """Where a map's key or a list's element is written; the whole expression if it is not in a literal."""
        found = [element.key_range for element in self.elements() if element.key == key]
        return found[-1] if found else self.range  # of two equal keys the last one counts


class Decoded:
    """A decoded body.

    `arguments` holds what the source sets and what could be converted; `failed` names what it sets to something
    unsuitable. What is in neither is not set. `blocks` holds the nested blocks in source order, those with the wrong
    number of labels left out.
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

    def __init__(self, schema: Schema, body: Body, block: Block | None = None) -> None:
        self.schema = schema
        self.body = body
        self.arguments = {}
        self.failed = frozenset()
        self.blocks = ()
        self.diagnostics = ()
        if block is None:
            self.type, self.range, self.labels = "", body.range, ()
        else:
            self.type, self.range = block.type, block.range
            written = zip(schema.labels, block.labels, block.label_ranges, strict=False)
            self.labels = tuple(Label(name, value, where) for name, value, where in written)

    def __repr__(self) -> str:
        return f"Decoded({self.type!r}, {[label.value for label in self.labels]}, {list(self.arguments.values())})"

    def blocks_of(self, name: str) -> tuple[Decoded, ...]:
        """The nested blocks of a type, in source order."""
        return tuple(block for block in self.blocks if block.type == name)

    @property
    def missing_range(self) -> Range:
        """The opening brace as an empty range: where Go reports what is missing from the body."""
        return self.body.missing_range


class DecodeError(HCLError):
    """A block does not agree with its schema. `decoded` holds what could be decoded nevertheless."""

    __module__ = "doze_sdk.hcl"

    def __init__(self, decoded: Decoded) -> None:
        super().__init__(plain(decoded.diagnostics), decoded.diagnostics)
        self.decoded = decoded


# Selecting the block


def find_block(file: File, block_type: str, label: str) -> Block:
    """Find the first top-level block of a type and a label.

    Raises BlockSelectionError if any block of that type has not exactly one label, BlockNotFoundError if there is
    none with that label.
    """
    candidates = [block for block in file.body.blocks if block.type == block_type]
    problems = [problem for block in candidates if (problem := _label_problem(block, ("name",))) is not None]
    if problems:
        raise BlockSelectionError(tuple(problems))
    for block in candidates:
        if block.labels[0] == label:
            return block
    raise BlockNotFoundError(block_type, label)


def _label_problem(block: Block, names: tuple[str, ...]) -> Diagnostic | None:
    given, wanted = len(block.labels), len(names)
    if given == wanted:
        return None
    brace = Range(block.source, block.open_brace, block.open_brace + 1)
    context = Range(block.source, block.start, brace.end)
    described = ", ".join(names)
    if given < wanted:
        detail = f"All {block.type} blocks must have {wanted} labels ({described})."
        return Diagnostic(f"Missing {names[given]} for {block.type}", detail, brace, context)
    detail = f"Only {wanted} labels ({described}) are expected for {block.type} blocks."
    if not names:
        detail = f"No labels are expected for {block.type} blocks."
    return Diagnostic(f"Extraneous label for {block.type}", detail, block.label_ranges[wanted], context)


# Decoding it


def decode(body: Body, schema: Schema, context: Context | None = None, *, strip: Collection[str] = ()) -> Decoded:
    """Decode a body; problems are in the `diagnostics` of the result.

    Arguments named in `strip` are ignored at the top level, unevaluated, even where the schema has them.
    """
    decoder = _Decoder(context or Context())
    decoded = Decoded(schema, body)
    decoder.fill(decoded, strip)
    decoded.diagnostics = in_source_order(decoder.diagnostics)
    return decoded


def decode_block(
    file: str | bytes,
    *,
    filename: str,
    block_type: str,
    label: str,
    schema: Schema,
    variables: Mapping[str, str | bytes] | None = None,
    functions: Mapping[str, Function] | None = None,
    strip: Collection[str] = CORE_ARGUMENTS,
) -> Decoded:
    """Answer a host's request to decode one block of a file.

    `variables` maps root names to ctyjson. Raises ParseError, BlockSelectionError, BlockNotFoundError or DecodeError,
    one for each stage, and VariablesError if a variable is no JSON. To go on after failed decoding, take `decoded` from
    the DecodeError.
    """
    block = find_block(parse(file, filename=filename), block_type, label)
    values: dict[str, Value] = {}
    if variables:
        from ._json import variables_from_json

        values = variables_from_json(variables)
    decoded = decode_found(block, schema, Context(values, functions), strip=strip)
    if decoded.diagnostics:
        raise DecodeError(decoded)
    return decoded


def decode_found(block: Block, schema: Schema, context: Context, *, strip: Collection[str] = CORE_ARGUMENTS) -> Decoded:
    """Decode a block that `find_block` has found; problems are in the `diagnostics` of the result."""
    decoder = _Decoder(context)
    decoded = Decoded(schema, block.body, block)
    decoder.fill(decoded, strip)
    decoded.diagnostics = in_source_order(decoder.diagnostics)
    return decoded


class _Decoder:
    def __init__(self, context: Context) -> None:
        self.scope = Scope(context)
        self.diagnostics = self.scope.diagnostics

    def report(self, summary: str, detail: str, subject: Range, context: Range | None = None) -> None:
        self.diagnostics.append(Diagnostic(summary, detail, subject, context))

    def fill(self, decoded: Decoded, strip: Collection[str] = ()) -> None:
        """Decode the arguments and the nested blocks of a body."""
        schema, body = decoded.schema, decoded.body
        given = body.attributes
        if strip and not strip.isdisjoint(given) if isinstance(strip, frozenset) else strip:
            given = {name: attribute for name, attribute in given.items() if name not in strip}
        for name in schema.required:
            if name not in given:
                detail = f"The argument {quote(name)} is required, but no definition was found."
                self.report("Missing required argument", detail, body.missing_range)
        failed = set()
        for name, attribute in given.items():
            wanted = schema.attributes.get(name)
            if wanted is None:
                self._unknown_argument(attribute, schema, given)
            elif not self._argument(attribute, wanted, decoded):
                failed.add(name)
        decoded.failed = frozenset(failed)
        if body.blocks or schema.blocks:
            self._blocks(decoded)

    # Arguments

    def _argument(self, attribute: Attribute, wanted: AttributeSchema, decoded: Decoded) -> bool:
        expression = attribute.expression
        mark = len(self.diagnostics)
        value = self.scope.value(expression)
        problems = len(self.diagnostics) > mark
        try:
            plain_value = _decode_value(value, wanted)
        except ConversionError as error:
            self.diagnostics.append(
                Diagnostic(
                    "Unsuitable value type",
                    f"Unsuitable value: {error}",
                    expression.subject,
                    expression.range,
                    follows=problems,
                )
            )
            return False
        if problems:
            return False
        decoded.arguments[attribute.name] = Argument(attribute, plain_value)
        return True

    def _unknown_argument(self, attribute: Attribute, schema: Schema, given: Mapping[str, Attribute]) -> None:
        name = attribute.name
        near = near_miss(name, (candidate for candidate in schema.attributes if candidate not in given))
        suggestion = ""
        if near:
            suggestion = f" Did you mean {quote(near)}?"
        elif name in schema.blocks:
            suggestion = f" Did you mean to define a block of type {quote(name)}?"
        detail = f"An argument named {quote(name)} is not expected here.{suggestion}"
        self.report("Unsupported argument", detail, attribute.name_range)

    # Nested blocks

    def _blocks(self, decoded: Decoded) -> None:
        schema = decoded.schema
        found: dict[str, list[Block]] = {name: [] for name in schema.blocks}
        for block in decoded.body.blocks:
            wanted = schema.blocks.get(block.type)
            if wanted is None:
                self._unknown_block(block, schema)
                continue
            problem = _label_problem(block, wanted.schema.labels)
            if problem is None:
                found[block.type].append(block)
            else:
                self.diagnostics.append(problem)
        nested: list[Decoded] = []
        for name, wanted in schema.blocks.items():
            if self._counts(wanted, found[name], decoded.body):
                nested += (self._nested(block, wanted.schema) for block in found[name])
        nested.sort(key=lambda block: block.range.start)
        decoded.blocks = tuple(nested)

    def _nested(self, block: Block, schema: Schema) -> Decoded:
        decoded = Decoded(schema, block.body, block)
        self.fill(decoded)
        return decoded

    def _counts(self, wanted: BlockSchema, blocks: list[Block], body: Body) -> bool:
        name = wanted.name
        if len(blocks) > 1 and wanted.repeat is not Repeat.REPEATED:
            detail = f"Only one {name} block is allowed. Another was defined at {blocks[0].range}."
            self.report(f"Duplicate {name} block", detail, blocks[1].range)
            return False
        if not blocks and wanted.repeat is Repeat.REQUIRED:
            self.report(f"Missing {name} block", f"A {name} block is required.", body.missing_range)
        return True

    def _unknown_block(self, block: Block, schema: Schema) -> None:
        near = near_miss(block.type, schema.blocks)
        suggestion = ""
        if near:
            suggestion = f" Did you mean {quote(near)}?"
        elif block.type in schema.attributes:
            suggestion = (
                f" Did you mean to define argument {quote(block.type)}?"
                " If so, use the equals sign to assign it a value."
            )
        detail = f"Blocks of type {quote(block.type)} are not expected here.{suggestion}"
        self.report("Unsupported block type", detail, block.type_range)


# Values

_HELD_AS_IS: Final[dict[type, Type]] = {str: STRING, bool: BOOL}


def _decode_value(value: Value, wanted: AttributeSchema) -> Plain:
    if _HELD_AS_IS.get(type(value)) is wanted.type.cty:
        return value  # type: ignore[return-value] # a string or a bool
    converted = convert(value, wanted.type.cty)
    if is_null(converted) and wanted.nullable:
        return None
    return _plain(converted, wanted.type)


def _plain(value: Value, wanted: ValueType) -> Plain:
    """A converted value as plain data. Raises ConversionError where the wanted type cannot hold it."""
    if type(value) in _HELD_AS_IS:
        return value  # type: ignore[return-value] # a string or a bool
    if isinstance(value, Unknown):
        raise ConversionError("value must be known")
    if is_null(value):
        if isinstance(wanted, ListType | MapType):
            return None
        raise ConversionError("null value is not allowed")
    if isinstance(wanted, IntType):
        return _whole(value, wanted)
    if isinstance(wanted, ListType) and isinstance(value, list):
        return [part if type(part) is str else _plain(part, wanted.element) for part in value]
    if isinstance(wanted, MapType) and isinstance(value, dict):
        return {key: _plain(value[key], wanted.element) for key in sorted(value, key=_bytewise)}
    assert isinstance(value, int | Fraction | Infinity)
    return _float(value)


def _bytewise(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _whole(value: Value, wanted: IntType) -> int:
    if isinstance(value, int) and wanted.minimum <= value <= wanted.maximum:
        return int(value)
    raise ConversionError(f"value must be a whole number, between {wanted.minimum} and {wanted.maximum}")


def _float(value: int | Fraction | Infinity) -> float:
    if isinstance(value, Infinity):
        return float("inf") if value.sign > 0 else float("-inf")
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if result in {float("inf"), float("-inf")}:
        raise ConversionError(f"value must be between {-_GREATEST_FLOAT:f} and {_GREATEST_FLOAT:f} inclusive")
    return result


_GREATEST_FLOAT: Final = 1.7976931348623157e308
