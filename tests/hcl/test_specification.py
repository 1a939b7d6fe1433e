"""HashiCorp's specification suite, run in process.

Each case is a test file (`.t`: what to expect), a specification (`.hcldec`: the shape of the result) and a source. All
three are HCL, so that the code under test reads its own instructions.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from doze_sdk.hcl import (
    BOOL,
    FLOAT,
    STRING,
    AttributeSchema,
    Block,
    BlockSchema,
    Body,
    Context,
    Diagnostic,
    Expression,
    MapType,
    Repeat,
    Schema,
    Source,
    Value,
    decode,
    evaluate,
    parse,
    parse_with_diagnostics,
    to_json,
)
from doze_sdk.hcl._ast import Call, ObjectLiteral, Traversal
from doze_sdk.hcl._convert import convert
from doze_sdk.hcl._types import (
    BOOL as CTY_BOOL,
    DYNAMIC,
    NUMBER as CTY_NUMBER,
    STRING as CTY_STRING,
    ListOf,
    MapOf,
    ObjectOf,
    Type,
)

CHECKOUT = os.environ.get("HCL_SPECSUITE")
TESTS = Path(CHECKOUT or "/nonexistent") / "specsuite" / "tests"
CASES = sorted(TESTS.rglob("*.t"))
_PRIMITIVES: dict[str, Type] = {"string": CTY_STRING, "number": CTY_NUMBER, "bool": CTY_BOOL, "any": DYNAMIC}
_SCHEMA_TYPES = {"string": STRING, "number": FLOAT, "bool": BOOL}

needs_suite = pytest.mark.skipif(
    CHECKOUT is None,
    reason="set HCL_SPECSUITE to a checkout of github.com/hashicorp/hcl, the folder that holds specsuite/tests",
)


@needs_suite
def test_the_suite_has_its_fifteen_cases():
    assert len(CASES) == 15


@needs_suite
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.relative_to(TESTS).with_suffix("").as_posix())
def test_a_case_of_the_suite_has_the_result_or_the_diagnostics_it_asks_for(path):
    wanted = parse(path.read_bytes(), filename=path.name).body
    specification = parse(path.with_suffix(".hcldec").read_bytes(), filename=path.stem).body

    value, diagnostics = _run(path.with_suffix(".hcl"), specification)

    assert _positions(diagnostics) == _wanted_positions(wanted)
    if "result" in wanted.attributes:
        result_type = _wanted_type(wanted)
        result = evaluate(wanted.attributes["result"].expression)
        assert to_json(convert(value, result_type)) == to_json(convert(result, result_type))


# Running


def _run(path: Path, specification: Body) -> tuple[Value, list[Diagnostic]]:
    file, diagnostics = parse_with_diagnostics(Source(path.name, path.read_bytes()))
    if diagnostics:
        return None, list(diagnostics)
    variables: dict[str, Value] = {}
    (root,) = [block for block in specification.blocks if block.type != "variables"]
    for block in specification.blocks:
        if block.type == "variables":
            variables = {name: evaluate(item.expression) for name, item in block.body.attributes.items()}
    runner = _Runner(Context(variables))
    value = runner.value(root, file.body)
    return value, runner.diagnostics


class _Runner:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.diagnostics: list[Diagnostic] = []

    def value(self, spec: Block, body: Body) -> Value:
        """What a block of the specification makes of a body."""
        members = {_name(child): child for child in spec.body.blocks} if spec.type == "object" else {"": spec}
        if spec.type == "literal":
            return evaluate(spec.body.attributes["value"].expression)
        self.check(body, list(members.values()))
        values = {name: self.member(child, body) for name, child in members.items()}
        return values if spec.type == "object" else values[""]

    def check(self, body: Body, members: list[Block]) -> None:
        attributes = [child for child in members if child.type == "attr"]
        untyped = {_name(child) for child in attributes if _type_name(child) == "any"}
        typed = [child for child in attributes if _name(child) not in untyped]
        schema = Schema(
            [AttributeSchema(_name(child), _schema_type(child), required=False) for child in typed],
            [_block_schema(child) for child in members if child.type != "attr"],
        )
        decoded = decode(body, schema, self.context, strip=untyped)
        # What is inside a nested block is looked at when that block is.
        inside = [(block.open_brace, block.close_brace) for block in body.blocks]
        self.diagnostics += (
            one for one in decoded.diagnostics if not any(start < one.subject.start < end for start, end in inside)
        )

    def member(self, spec: Block, body: Body) -> Value:
        name = _name(spec)
        if spec.type == "attr":
            attribute = body.attributes.get(name)
            return None if attribute is None else evaluate(attribute.expression, self.context)
        inner = spec.body.blocks[0]
        found = [block for block in body.blocks if block.type == name]
        if spec.type == "block":
            return self.value(inner, found[0].body) if found else None
        if spec.type == "block_list":
            return tuple(self.value(inner, block.body) for block in found)
        assert spec.type == "block_map"
        return {block.labels[0]: self.value(inner, block.body) for block in found}


def _name(spec: Block) -> str:
    if spec.labels:
        return spec.labels[0]
    attribute = spec.body.attributes.get("block_type")
    return "" if attribute is None else cast("str", evaluate(attribute.expression))


def _type_name(spec: Block) -> str:
    expression = spec.body.attributes["type"].expression
    return expression.name if isinstance(expression, Traversal | Call) else ""


def _schema_type(spec: Block):
    return _SCHEMA_TYPES.get(_type_name(spec)) or MapType(STRING)


def _block_schema(spec: Block) -> BlockSchema:
    repeat = Repeat.OPTIONAL if spec.type == "block" else Repeat.REPEATED
    labels = evaluate(spec.body.attributes["labels"].expression) if "labels" in spec.body.attributes else ()
    names = cast("tuple[str, ...]", labels)
    return BlockSchema(_name(spec), _anything(spec.body.blocks[0], names), repeat=repeat)


def _anything(inner: Block, labels: tuple[str, ...]) -> Schema:
    """A schema that takes the names inside a nested block; their values are looked at one level below."""
    attributes = [child for child in inner.body.blocks if child.type == "attr"]
    blocks = [child for child in inner.body.blocks if child.type != "attr"]
    typed = [AttributeSchema(_name(child), _schema_type(child), required=False) for child in attributes]
    return Schema(typed, map(_block_schema, blocks), labels)


# What to expect


def _wanted_type(wanted: Body) -> Type:
    attribute = wanted.attributes.get("result_type")
    return DYNAMIC if attribute is None else _type(attribute.expression)


def _type(expression: Expression) -> Type:
    if isinstance(expression, Traversal):
        return _PRIMITIVES[expression.name]
    assert isinstance(expression, Call)
    (argument,) = expression.arguments
    if expression.name == "object":
        assert isinstance(argument, ObjectLiteral)
        return ObjectOf({str(item.literal_key): _type(item.value) for item in argument.items})
    return {"map": MapOf, "list": ListOf}[expression.name](_type(argument))


def _positions(diagnostics: list[Diagnostic]) -> list[tuple[int, ...]]:
    return sorted((*one.subject.start_pos, *one.subject.end_pos) for one in diagnostics)


def _wanted_positions(wanted: Body) -> list[tuple[int, ...]]:
    errors = [error for block in wanted.blocks if block.type == "diagnostics" for error in block.body.blocks]
    return sorted(
        tuple(
            cast("int", evaluate(end.body.attributes[unit].expression))
            for end in error.body.blocks
            for unit in ("line", "column", "byte")
        )
        for error in errors
    )
