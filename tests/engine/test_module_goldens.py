"""The config classes of two real engines against what Go modules made of the same files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doze_sdk.engine import Config, decode_config, hcl_schema
from doze_sdk.hcl import Diagnostic, HCLError

from .modules import Postgres, Valkey

GOLDENS = Path(__file__).parents[3] / "shared" / "goldens" / "hcl"
MODULES: dict[str, type[Config]] = {"postgres": Postgres, "valkey": Valkey}

# What the classes refuse and the Go modules' structs do not: enumerations, uniqueness, hooks.
OWN = ("Unsuitable value", "Unsuitable grant block", "Duplicate element", "Duplicate role name")
OWN += ("Duplicate extension name", "Duplicate schema name")

pytestmark = pytest.mark.skipif(
    not GOLDENS.is_dir(), reason=f"{GOLDENS} (shared/goldens) is not there: it holds what Go made of these files"
)


def cases(module: str) -> list[dict[str, object]]:
    with (GOLDENS / "module.dev.jsonl").open(encoding="utf-8") as lines:
        return [case for case in map(json.loads, lines) if case["module"] == module]


def variables() -> dict[str, bytes]:
    roots = json.loads((GOLDENS / "vars.json").read_text(encoding="utf-8"))["decode"]
    return {name: json.dumps(value).encode() for name, value in roots.items()}


def entry(diagnostic: Diagnostic) -> str:
    spans = [
        [*where.start_pos, *where.end_pos] if where is not None else None
        for where in (diagnostic.subject, diagnostic.context)
    ]
    return json.dumps([diagnostic.summary, diagnostic.detail, *spans])


def agrees(ours: object, go: object, default: object) -> bool:
    """Compare values; where Go has its zero value the source may have set nothing, so that ours has the default."""
    if go in (None, "", 0, False, [], {}):
        return ours in (go, default) or ours in ([], {}, None)
    if isinstance(go, list) and go and isinstance(go[0], dict) and isinstance(ours, list):
        return len(ours) == len(go) and all(map(same, ours, go))
    return ours == go and type(ours) is type(go)


def same(config: object, go: dict[str, object]) -> bool:
    fields = type(config)._plan.fields  # type: ignore[attr-defined]
    return go.keys() == {field.hcl for field in fields} and all(
        agrees(getattr(config, field.name), go[field.hcl], field.default) for field in fields
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_file_that_go_decodes_gives_the_same_values(module: str) -> None:
    compared = 0
    for case in cases(module):
        if case["stage"] != "ok":
            continue
        try:
            config = decode(module, case)
        except HCLError as error:
            assert {diagnostic.summary for diagnostic in error.diagnostics} <= set(OWN), case["file"]
            continue
        assert same(config, case["value"]), case["file"]  # type: ignore[arg-type]
        compared += 1

    assert compared > 30


@pytest.mark.parametrize("module", MODULES)
def test_a_file_that_go_refuses_is_refused_with_the_same_diagnostics(module: str) -> None:
    compared = 0
    for case in cases(module):
        if case["stage"] == "ok":
            continue
        with pytest.raises(HCLError) as caught:
            decode(module, case)
        found = [entry(diagnostic) for diagnostic in caught.value.diagnostics if diagnostic.summary not in OWN]
        assert sorted(found) == sorted(map(json.dumps, case["diags"])), case["file"]  # type: ignore[call-overload]
        compared += 1

    assert compared > 30


def decode(module: str, case: dict[str, object]) -> Config:
    return decode_config(
        MODULES[module],
        file=str(case["file"]).encode(),
        filename="doze.hcl",
        block_type=str(case["type"]),
        block_label=str(case["label"]),
        base_dir=Path("/srv"),
        variables=variables(),
    )


@pytest.mark.parametrize("module", MODULES)
def test_the_schema_is_the_go_structs(module: str) -> None:
    go = json.loads((GOLDENS / "schemas.json").read_text(encoding="utf-8"))[module]

    assert described(go) == derived(MODULES[module])


def described(schema: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    table: dict[str, object] = {}
    for field in schema["fields"]:
        name, go = str(field["name"]), str(field["go"])
        if field["kind"] == "block":
            table[name] = described(field["schema"])  # type: ignore[arg-type]
        elif field["kind"] == "label":
            table[name] = "label"
        else:
            required = field["kind"] == "attr" and not go.startswith("*")
            table[name] = (go.lstrip("*").replace("[]", "list of ").replace("map[string]", "map of "), required)
    return table


def derived(config: type[Config]) -> dict[str, object]:
    schema = hcl_schema(config)
    names = {"number": "int"}
    table: dict[str, object] = dict.fromkeys(schema.labels, "label")
    for name, each in schema.attributes.items():
        table[name] = (names.get(str(each.type), str(each.type)), each.required)
    for field in config._plan.blocks:
        table[field.hcl] = derived(field.block)  # type: ignore[arg-type]
    return table
