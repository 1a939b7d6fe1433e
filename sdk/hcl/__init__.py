'''The HCL language: parse, evaluate and strictly decode native syntax with the host's own words and positions.

>>> from doze_sdk.hcl import STRING, AttributeSchema, Schema, decode_block
>>> schema = Schema([AttributeSchema("owner", STRING)])
>>> source = """
... cache "main" {
...   owner = "team-${var.team}"
... }
... """
>>> block = decode_block(
...     source, filename="doze.hcl", block_type="cache", label="main", schema=schema, variables={"var": b'{"team": 7}'}
... )
>>> block.arguments["owner"].value
'team-7'
>>> str(block.arguments["owner"].name_range)
'doze.hcl:3,3-8'
'''

from __future__ import annotations

import importlib

_HOME = {
    "AttributeSchema": "._schema",
    "BOOL": "._schema",
    "BlockSchema": "._schema",
    "BoolType": "._schema",
    "FLOAT": "._schema",
    "FloatType": "._schema",
    "INT": "._schema",
    "IntType": "._schema",
    "ListType": "._schema",
    "MapType": "._schema",
    "Repeat": "._schema",
    "STRING": "._schema",
    "Schema": "._schema",
    "SchemaError": "._schema",
    "StringType": "._schema",
    "ValueType": "._schema",
    "Pos": "._source",
    "Range": "._source",
    "Source": "._source",
    "BlockNotFoundError": "._diagnostics",
    "BlockSelectionError": "._diagnostics",
    "Diagnostic": "._diagnostics",
    "EvaluationError": "._diagnostics",
    "HCLError": "._diagnostics",
    "ParseError": "._diagnostics",
    "VariablesError": "._diagnostics",
    "in_source_order": "._diagnostics",
    "plain": "._diagnostics",
    "render": "._render",
    "Attribute": "._ast",
    "Block": "._ast",
    "Body": "._ast",
    "Expression": "._ast",
    "File": "._ast",
    "Traversal": "._ast",
    "references": "._ast",
    "parse": "._parse",
    "parse_expression": "._parse",
    "parse_with_diagnostics": "._parse",
    "Context": "._evaluate",
    "evaluate": "._evaluate",
    "evaluate_with_diagnostics": "._evaluate",
    "Argument": "._decode",
    "CORE_ARGUMENTS": "._decode",
    "DecodeError": "._decode",
    "Decoded": "._decode",
    "Element": "._decode",
    "Label": "._decode",
    "decode": "._decode",
    "decode_block": "._decode",
    "decode_found": "._decode",
    "find_block": "._decode",
    "Function": "._functions",
    "HOST_FUNCTIONS": "._functions",
    "Parameter": "._functions",
    "from_json": "._json",
    "to_json": "._json",
    "variables_from_json": "._json",
    "Value": "._values",
    "type_of": "._values",
}
__all__ = sorted(_HOME)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._ast import Attribute, Block, Body, Expression, File, Traversal, references
    from ._decode import (
        CORE_ARGUMENTS,
        Argument,
        Decoded,
        DecodeError,
        Element,
        Label,
        decode,
        decode_block,
        decode_found,
        find_block,
    )
    from ._diagnostics import (
        BlockNotFoundError,
        BlockSelectionError,
        Diagnostic,
        EvaluationError,
        HCLError,
        ParseError,
        VariablesError,
        in_source_order,
        plain,
    )
    from ._evaluate import Context, evaluate, evaluate_with_diagnostics
    from ._functions import HOST_FUNCTIONS, Function, Parameter
    from ._json import from_json, to_json, variables_from_json
    from ._parse import parse, parse_expression, parse_with_diagnostics
    from ._render import render
    from ._schema import (
        BOOL,
        FLOAT,
        INT,
        STRING,
        AttributeSchema,
        BlockSchema,
        BoolType,
        FloatType,
        IntType,
        ListType,
        MapType,
        Repeat,
        Schema,
        SchemaError,
        StringType,
        ValueType,
    )
    from ._source import Pos, Range, Source
    from ._values import Value, type_of


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
