from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hcl import score
from tests.hcl.module_schemas import MODULES

OWN = Path(__file__).parent / "cases"
SHARED = Path(__file__).parents[3] / "shared" / "goldens" / "hcl"
KINDS = ("parse", "eval", "decode", "module")
FILES = [OWN / f"{kind}.jsonl" for kind in KINDS] + [SHARED / f"{kind}.dev.jsonl" for kind in KINDS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_case_has_the_hosts_answer(path):
    if not path.exists():
        pytest.skip(f"{path.parent} is not there: the cases of shared/goldens are not part of the repository")

    result = score.score(path)

    assert result.total > 0
    assert result.missed == []
    assert result.waived.total() <= result.total // 200


def test_the_schemas_of_the_official_modules_are_the_described_ones():
    if not SHARED.exists():
        pytest.skip("the descriptions are in shared/goldens, which is not part of the repository")
    described = json.loads((SHARED / "schemas.json").read_text())

    assert {name: repr(score.schema_from_json(schema)) for name, schema in described.items()} == {
        name: repr(schema) for name, schema in MODULES.items()
    }


def test_scoring_reports_a_miss_and_fails(tmp_path, capsys):
    case = {"file": "a = 1\n", "stage": "ok", "diags": [["Invalid", "made up", [1, 1, 0, 1, 2, 1], None]]}
    path = tmp_path / "parse.jsonl"
    path.write_text(json.dumps(case) + "\n")

    assert score.main(["-v", str(path)]) == 1

    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "parse 0/1"
    assert '- ["Invalid", "made up"' in printed


def test_scoring_waives_a_near_miss_that_is_one_of_several(tmp_path, capsys):
    (tmp_path / "vars.json").write_text('{"eval": {"ab": 1, "ac": 2}}')
    subject = [1, 1, 0, 1, 3, 2]
    texts = [f'There is no variable named "ad". Did you mean "{near}"?' for near in ("ab", "ac")]
    cases = [
        {"expr": "ad", "stage": "ok", "diags": [["Unknown variable", text, subject, None]], "value_json": '"<unknown>"'}
        for text in texts
    ]
    path = tmp_path / "eval.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))

    assert score.main([str(path)]) == 0
    assert capsys.readouterr().out.startswith("eval 1/2, 1 waived: ambiguous near miss\n")


def test_a_bool_is_not_taken_for_a_number(tmp_path):
    (tmp_path / "vars.json").write_text('{"decode": {}}')
    schema = {"fields": [{"kind": "attr", "name": "a", "go": "int"}]}
    case = {
        "schema": schema,
        "file": 'eng "x" {\n  a = 1\n}\n',
        "type": "eng",
        "label": "x",
        "stage": "ok",
        "diags": [],
    }
    path = tmp_path / "decode.jsonl"
    path.write_text(json.dumps(case | {"value": {"a": True}}) + "\n")

    assert len(score.score(path).missed) == 1
