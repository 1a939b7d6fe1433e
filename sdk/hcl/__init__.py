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

from .._lazy import exports

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
    "RE2Error": "._re2",
    "Repeat": "._schema",
    "compile_re2": "._re2",
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
    "AttributeStep": "._ast",
    "Block": "._ast",
    "Body": "._ast",
    "Expression": "._ast",
    "File": "._ast",
    "IndexStep": "._ast",
    "Traversal": "._ast",
    "references": "._ast",
    "parse": "._parse",
    "expression_with_diagnostics": "._parse",
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
__all__ = sorted(_HOME)  # noqa: PLE0605 - a list, which the rule does not see

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._ast import (
        Attribute as Attribute,
        AttributeStep as AttributeStep,
        Block as Block,
        Body as Body,
        Expression as Expression,
        File as File,
        IndexStep as IndexStep,
        Traversal as Traversal,
        references as references,
    )
    from ._decode import (
        CORE_ARGUMENTS as CORE_ARGUMENTS,
        Argument as Argument,
        Decoded as Decoded,
        DecodeError as DecodeError,
        Element as Element,
        Label as Label,
        decode as decode,
        decode_block as decode_block,
        decode_found as decode_found,
        find_block as find_block,
    )
    from ._diagnostics import (
        BlockNotFoundError as BlockNotFoundError,
        BlockSelectionError as BlockSelectionError,
        Diagnostic as Diagnostic,
        EvaluationError as EvaluationError,
        HCLError as HCLError,
        ParseError as ParseError,
        VariablesError as VariablesError,
        in_source_order as in_source_order,
        plain as plain,
    )
    from ._evaluate import (
        Context as Context,
        evaluate as evaluate,
        evaluate_with_diagnostics as evaluate_with_diagnostics,
    )
    from ._functions import HOST_FUNCTIONS as HOST_FUNCTIONS, Function as Function, Parameter as Parameter
    from ._json import from_json as from_json, to_json as to_json, variables_from_json as variables_from_json
    from ._parse import (
        parse as parse,
        parse_expression as parse_expression,
        parse_with_diagnostics as parse_with_diagnostics,
    )
    from ._re2 import RE2Error as RE2Error, compile_re2 as compile_re2
    from ._render import render as render
    from ._schema import (
        BOOL as BOOL,
        FLOAT as FLOAT,
        INT as INT,
        STRING as STRING,
        AttributeSchema as AttributeSchema,
        BlockSchema as BlockSchema,
        BoolType as BoolType,
        FloatType as FloatType,
        IntType as IntType,
        ListType as ListType,
        MapType as MapType,
        Repeat as Repeat,
        Schema as Schema,
        SchemaError as SchemaError,
        StringType as StringType,
        ValueType as ValueType,
    )
    from ._source import Pos as Pos, Range as Range, Source as Source
    from ._values import Value as Value, type_of as type_of

__getattr__, __dir__ = exports(__name__, _HOME)
