"""The host's functions, with the results that the host gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doze_sdk.hcl import HOST_FUNCTIONS, Context, EvaluationError, evaluate, parse_expression, to_json
from doze_sdk.hcl._values import Unknown

CONTEXT = Context({}, HOST_FUNCTIONS)

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "functions.jsonl").read_text("utf-8").splitlines()
]
RESULTS = {case["call"]: case["value_json"] for case in CASES if "value_json" in case}
PROBLEMS = {case["call"]: case["problem"] for case in CASES if "problem" in case}


@pytest.mark.parametrize(("expression", "result"), RESULTS.items())
def test_a_call_has_the_hosts_result(expression, result):
    assert to_json(evaluate(parse_expression(expression), CONTEXT)) == result


@pytest.mark.parametrize(("expression", "problem"), PROBLEMS.items())
def test_a_call_that_cannot_work_is_refused_in_the_hosts_words(expression, problem):
    with pytest.raises(EvaluationError) as caught:
        evaluate(parse_expression(expression, filename="f"), CONTEXT)

    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "expression",
    [
        'contains(["a"], null)',
        "contains([null], null)",
        "contains([], [null][0])",
        'contains("a", null)',
        "contains(contains([1], null), 1)",
        "lookup(contains([1], null), null, 1)",
        "contains([1], null) ? 1 : 2",
    ],
)
def test_a_call_with_a_value_of_no_type_has_no_known_result(expression):
    assert isinstance(evaluate(parse_expression(expression), CONTEXT), Unknown)


def test_a_null_of_some_type_is_looked_for():
    found = evaluate(
        parse_expression('[contains([tostring(null)], tostring(null)), contains(["a"], tostring(null))]'), CONTEXT
    )

    assert found == (True, False)


def test_every_function_of_the_table_is_covered_here():
    called = "\n".join((*RESULTS, *PROBLEMS))

    assert [name for name in HOST_FUNCTIONS if f"{name}(" not in called] == []


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)", r"(a)\\1", "[", "(?P<n-m>a)", "a**"])
def test_a_pattern_that_the_host_does_not_know_is_refused(pattern):
    with pytest.raises(EvaluationError, match="invalid regexp pattern"):
        evaluate(parse_expression(f'regex("{pattern}", "a")'), CONTEXT)
