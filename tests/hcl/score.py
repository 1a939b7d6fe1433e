"""Compare the HCL layer with the host's answers: `python -m tests.hcl.score [-v] FILE...`.

A file holds one case per line, of one of four kinds, told apart by what a case holds: `parse` (a source and its
diagnostics), `eval` (an expression, its value and diagnostics), `decode` (a schema and a block) and `module` (the
schema of an official module and a block). Variables are in `vars.json` beside the file. One line is printed per file;
the exit code is 1 if a case is missed that no waiver covers.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from doze_sdk.hcl import (
    BOOL,
    FLOAT,
    INT,
    STRING,
    AttributeSchema,
    BlockNotFoundError,
    BlockSchema,
    BlockSelectionError,
    Context,
    Decoded,
    Diagnostic,
    IntType,
    ListType,
    MapType,
    ParseError,
    Range,
    Repeat,
    Schema,
    Source,
    Value,
    ValueType,
    decode_found,
    evaluate_with_diagnostics,
    expression_with_diagnostics,
    find_block,
    from_json,
    parse,
    parse_with_diagnostics,
    to_json,
)
from tests.hcl.module_schemas import MODULES

FILENAME = "doze.hcl"
UNKNOWN = '"<unknown>"'
Case = Mapping[str, object]


class Answer(NamedTuple):
    """What became of a case: the stage that it ended in, the diagnostics as sorted JSON texts, and the value."""

    stage: str
    diagnostics: list[str]
    value: object


# Waivers: answers of the host that are accidents


_NEAR_MISS = re.compile(r' Did you mean \\"[^"\\]*\\"\?')


def _without_near_miss(answer: Answer) -> Answer:
    texts = (
        _NEAR_MISS.sub("", text) if text.startswith('["Unknown variable"') else text for text in answer.diagnostics
    )
    return answer._replace(diagnostics=sorted(texts))


def _ambiguous_near_miss(ours: Answer, theirs: Answer) -> bool:
    return _same(_without_near_miss(ours), _without_near_miss(theirs))


def _infinity(ours: Answer, theirs: Answer) -> bool:
    return re.search(r"\bInf\b", f"{ours.value} {theirs.value}") is not None


def _negative_zero(ours: Answer, theirs: Answer) -> bool:
    zero = re.compile(r"-0(?![0-9.])")
    return isinstance(theirs.value, str) and _same(ours, theirs._replace(value=zero.sub("0", theirs.value)))


def _panic(_: Answer, theirs: Answer) -> bool:
    return any("panic in function implementation" in text for text in theirs.diagnostics)


WAIVERS: dict[str, tuple[str, Callable[[Answer, Answer], bool]]] = {
    "ambiguous near miss": ("of several names equally near, the host takes one at random", _ambiguous_near_miss),
    "infinity": ("the host cannot serialise an infinite number", _infinity),
    "negative zero": ("we have no negative zero", _negative_zero),
    "panic": ("the host's own code fails on the input", _panic),
}


# The host's answer


def expected(case: Case) -> Answer:
    diagnostics = case["diags"]
    assert isinstance(diagnostics, list)
    value = case.get("value", case.get("value_json"))
    if isinstance(value, str):
        value = value.replace("\\u003cunknown\\u003e", "<unknown>")
    return Answer(str(case["stage"]), sorted(_text(diagnostic) for diagnostic in diagnostics), value)


# Ours


def answer(case: Case, folder: Path) -> Answer:
    kind = kind_of(case)
    if kind == "parse":
        _, found = parse_with_diagnostics(Source(FILENAME, str(case["file"]).encode()))
        return Answer("ok", _described(found), None)
    if kind == "eval":
        return _evaluated(str(case["expr"]), _variables(folder, "eval"))
    schema = MODULES[str(case["module"])] if kind == "module" else schema_from_json(case["schema"])
    return _decoded(case, schema, _variables(folder, "decode"))


def kind_of(case: Case) -> str:
    for key, kind in (("expr", "eval"), ("module", "module"), ("schema", "decode")):
        if key in case:
            return kind
    return "parse"


def _evaluated(text: str, variables: Mapping[str, Value]) -> Answer:
    expression, found = expression_with_diagnostics(Source(FILENAME, text.encode()))
    if found:
        return Answer("parse", _described(found), None)
    value, problems = evaluate_with_diagnostics(expression, Context(variables))
    try:
        return Answer("ok", _described(problems), to_json(value))
    except ValueError:
        return Answer("ok", _described(problems), UNKNOWN)


def _decoded(case: Case, schema: Schema, variables: Mapping[str, Value]) -> Answer:
    try:
        file = parse(str(case["file"]).encode(), filename=FILENAME)
        block = find_block(file, str(case["type"]), str(case["label"]))
    except ParseError as error:
        return Answer("parse", _described(error.diagnostics), None)
    except BlockSelectionError as error:
        return Answer("blocks", _described(error.diagnostics), None)
    except BlockNotFoundError:
        return Answer("notfound", [], None)
    decoded = decode_found(block, schema, Context(variables))
    if decoded.diagnostics:
        return Answer("decode", _described(decoded.diagnostics), None)
    return Answer("ok", [], go_value(decoded, top=True))


def go_value(decoded: Decoded, *, top: bool = False) -> dict[str, object]:
    """What a Go struct holds after decoding; what the source does not set has its type's zero value."""
    result: dict[str, object] = {}
    for name, attribute in decoded.schema.attributes.items():
        argument = decoded.arguments.get(name)
        result[name] = _zero(attribute) if argument is None else argument.value
    for name, block in decoded.schema.blocks.items():
        nested = [go_value(part) for part in decoded.blocks_of(name)] or None
        result[name] = nested if nested is None or block.repeat is Repeat.REPEATED else nested[0]
    for label in decoded.labels:
        result[label.name] = "" if top else label.value  # the struct of the outermost block gets no labels
    return result


def _zero(attribute: AttributeSchema) -> object:
    if attribute.nullable or isinstance(attribute.type, ListType | MapType):
        return None
    return {"string": "", "bool": False}.get(str(attribute.type), 0)


# Schemas and variables


_TYPES: dict[str, ValueType] = {
    "string": STRING,
    "bool": BOOL,
    "int": INT,
    "int64": INT,
    "int32": IntType(32),
    "int16": IntType(16),
    "int8": IntType(8),
    "float64": FLOAT,
}
_REPEATS = {"slice": Repeat.REPEATED, "sliceptr": Repeat.REPEATED, "ptr": Repeat.OPTIONAL, "struct": Repeat.REQUIRED}


def _type(go: str) -> ValueType:
    if go.startswith("[]"):
        return ListType(_type(go[2:]))
    if go.startswith("map[string]"):
        return MapType(_type(go[len("map[string]") :]))
    return _TYPES[go]


def schema_from_json(described: object) -> Schema:
    """A schema from the description of a Go struct."""
    assert isinstance(described, dict)
    attributes, blocks, labels = [], [], []
    for field in described["fields"]:
        name, kind, go = field["name"], field["kind"], field.get("go", "string")
        if kind == "label":
            labels.append(name)
        elif kind == "block":
            blocks.append(BlockSchema(name, schema_from_json(field["schema"]), repeat=_REPEATS[go]))
        else:
            nullable = go.startswith("*")
            required = kind == "attr" and not nullable
            attributes.append(AttributeSchema(name, _type(go.lstrip("*")), required=required, nullable=nullable))
    return Schema(attributes, blocks, labels)


@cache
def _variables(folder: Path, kind: str) -> Mapping[str, Value]:
    value = from_json((folder / "vars.json").read_bytes())
    assert isinstance(value, dict)
    variables = value[kind]
    assert isinstance(variables, dict)
    return variables


# Comparison


def _described(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[str]:
    return sorted(
        _text([one.summary, one.detail, _numbers(one.subject), one.context and _numbers(one.context)])
        for one in diagnostics
    )


def _numbers(where: Range) -> list[int]:
    return [*where.start_pos, *where.end_pos]


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _same(ours: Answer, theirs: Answer) -> bool:
    return ours.stage == theirs.stage and ours.diagnostics == theirs.diagnostics and _equal(ours.value, theirs.value)


def _equal(ours: object, theirs: object) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_equal(part, theirs[key]) for key, part in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if isinstance(ours, float) and type(theirs) is int:
        return ours == float(theirs)  # the host writes a large float without its exponent
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


class Score(NamedTuple):
    """How a file fared."""

    kind: str
    total: int
    waived: Counter[str]
    missed: list[tuple[Case, Answer, Answer]]

    def __str__(self) -> str:
        right = self.total - len(self.missed) - self.waived.total()
        waived = "".join(f", {count} waived: {name}" for name, count in sorted(self.waived.items()))
        return f"{self.kind} {right}/{self.total}{waived}"


def score(path: Path) -> Score:
    kind, total = "empty", 0
    waived: Counter[str] = Counter()
    missed = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            kind = kind_of(case)
            total += 1
            ours, theirs = answer(case, path.parent), expected(case)
            if _same(ours, theirs):
                continue
            reason = next((name for name, (_, covers) in WAIVERS.items() if covers(ours, theirs)), None)
            if reason is None:
                missed.append((case, ours, theirs))
            else:
                waived[reason] += 1
    return Score(kind, total, waived, missed)


def _show(case: Case, ours: Answer, theirs: Answer) -> None:
    print(f"  {case.get('file', case.get('expr'))!r}")
    if (ours.stage, ours.value) != (theirs.stage, theirs.value):
        print(f"    ours:   {ours.stage} {ours.value!r}")
        print(f"    theirs: {theirs.stage} {theirs.value!r}")
    for sign, extra in (
        ("+", Counter(ours.diagnostics) - Counter(theirs.diagnostics)),
        ("-", Counter(theirs.diagnostics) - Counter(ours.diagnostics)),
    ):
        for text in extra.elements():
            print(f"    {sign} {text}")


def main(arguments: list[str]) -> int:
    verbose = "-v" in arguments
    paths = [Path(argument) for argument in arguments if argument != "-v"]
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    code = 0
    for path in paths:
        result = score(path)
        print(result)
        if result.missed:
            code = 1
        for name in sorted(result.waived):
            print(f"  waived, {name}: {WAIVERS[name][0]}")
        if verbose:
            for case, ours, theirs in result.missed[:10]:
                _show(case, ours, theirs)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
