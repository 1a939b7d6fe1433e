"""Whatever the input: our own diagnostics and nothing else, in time that grows with the input."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from doze_sdk.hcl import (
    STRING,
    AttributeSchema,
    Context,
    HCLError,
    Schema,
    Source,
    VariablesError,
    decode_block,
    evaluate,
    evaluate_with_diagnostics,
    expression_with_diagnostics,
    from_json,
    parse_expression,
    parse_with_diagnostics,
    plain,
    render,
)
from doze_sdk.hcl._parse import MAX_NESTING

VARIABLES = {"a": "x", "b": (1, 2), "c": {"d": None}}
FRAGMENTS = [
    *"\"\n\r\\#[]{}(),.:=?*/%+-!<>&|^~;'` \t\x00é́\u200d🇩🇪\ufeff“",
    *("${", "%{", "~}", "$${", "<<E\n", "<<-E\n", "E\n", "/*", "*/", "//", "...", "=>", "::", "[*]", ".*", ".0"),
    *("for", "in", "if", "else", "endif", "endfor", "null", "true", "a", "b", "c.d", "1", "1.5", "1e9", "1e999999999"),
    *(' "x" {\n', "a = ", "%{if a}", "%{for a in b}", "%{endfor}", "\\u12", "\ud800", "block"),
]
sources = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.one_of(sources, st.text(), st.binary()))
def test_any_text_or_bytes_can_be_parsed_and_described(content):
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", content))

    assert isinstance(plain(diagnostics), str)
    assert isinstance(render(diagnostics), str)


@settings(max_examples=200, deadline=None)
@given(sources)
def test_any_expression_has_a_value_or_diagnostics(content):
    expression, diagnostics = expression_with_diagnostics(Source("doze.hcl", content))
    if not diagnostics:
        _, diagnostics = evaluate_with_diagnostics(expression, Context(VARIABLES))
    plain(diagnostics)


@settings(max_examples=100, deadline=None)
@given(sources)
def test_any_block_is_decoded_or_refused_with_an_error_of_ours(content):
    try:
        decode_block(
            f'a "b" {{\n{content}\n}}\n',
            filename="doze.hcl",
            block_type="a",
            label="b",
            schema=Schema([AttributeSchema("a", STRING)]),
            variables={"a": b'"x"'},
        )
    except HCLError as error:
        render(error.diagnostics)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text()))
def test_any_variable_is_a_value_or_refused_by_name(content):
    try:
        from_json(content, "variable 'x'")
    except VariablesError as error:
        assert "variable 'x'" in str(error)


# Growth


def _lines_run(function: Callable[[], object]) -> int:
    """How many lines of Python run, in all functions called."""
    count = 0

    def trace(_frame: object, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


FAMILIES = {
    "brackets": lambda n: "a = " + "[" * n,
    "parentheses": lambda n: "a = " + "(" * n,
    "braces": lambda n: "a = " + "{" * n,
    "blocks": lambda n: "a {\n" * n,
    "interpolations": lambda n: 'a = "' + "${" * n,
    "interpolations in strings": lambda n: 'a = "' + '${"' * n,
    "directives": lambda n: 'a = "' + "%{if a}" * n,
    "comment starts": lambda n: "/* " * n,
    "heredocs": lambda n: "a = <<E\n" * n,
    "heredocs in interpolations": lambda n: "a = " + "<<E\n${" * n,
    "quotes": lambda n: 'a = "' * n,
    "dots": lambda n: "a = 1" + "." * n,
    "minus signs": lambda n: "a = " + "-" * n,
    "a long sum": lambda n: "a = " + "1+" * n + "1",
    "a long traversal": lambda n: "a = a" + ".b" * n,
    "a long index chain": lambda n: "a = a" + "[a]" * n,
    "a long conditional": lambda n: "a = " + "a ? b : " * n + "b",
    "a long number": lambda n: "a = " + "1" * n,
    "a long string": lambda n: 'a = "' + "x$" * n + '"',
    "arguments": lambda n: "".join(f"a{i} = {i}\n" for i in range(n)),
    "the same argument": lambda n: "a = 1\n" * n,
    "strays in one line": lambda n: "@ " * n,
    "strays in one line that is not ascii": lambda n: "é@ " * n,
    "newlines in quotes": lambda n: 'a = "\n' * n,
    "bad utf-8": lambda n: b'a = "' + b"\xff" * n,
    "nul": lambda n: "\0" * n,
    "line ends": lambda n: "\r\n" * n,
    "carriage returns": lambda n: "\r" * n,
    "byte-order marks": lambda n: "\ufeff" * n,
    "combining marks": lambda n: "a = é" + "́" * n,
    "objects": lambda n: "a = {" + "b = 1, " * n + "}",
    "a flush heredoc": lambda n: "a = <<-E\n" + "  x\n" * n + "E\n",
}


def _read(content: str | bytes) -> None:
    source = Source("doze.hcl", content)
    file, diagnostics = parse_with_diagnostics(source)
    plain(diagnostics)
    render(diagnostics)
    for attribute in file.body.attributes.values():
        evaluate_with_diagnostics(attribute.expression, Context(VARIABLES))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_twice_the_input_takes_at_most_two_and_a_half_times_the_steps(family):
    _read(family(200))  # what is compiled or loaded once is not counted

    steps = [_lines_run(lambda size=size: _read(family(size))) for size in (200, 400)]

    assert steps[1] <= 2.5 * steps[0] + 200


@pytest.mark.parametrize("piece", ["[", "${", "/* ", '"${', "(", "{", "-", "a {\n", "<<E\n", '"%{if a}'])
def test_a_hundred_kilobytes_of_one_thing_are_read(piece):
    content = ("a = " + piece * (100_000 // len(piece))).encode()

    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", content))

    assert diagnostics


# Depth


def nested(opener: str, closer: str, depth: int) -> str:
    return opener * depth + "1" + closer * depth


@pytest.mark.parametrize(
    ("opener", "closer", "cost"),
    [("[", "]", 1), ("(", ")", 1), ("{ a = ", " }", 1), ('"x${', '}"', 2), ("-", "", 1), ("true ? 1 : ", "", 1)],
)
def test_nesting_up_to_the_limit_is_read_and_evaluated(opener, closer, cost):
    depth = (MAX_NESTING - 2) // cost

    value = evaluate(parse_expression(nested(opener, closer, depth)))

    assert value is not None


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ("(", ")"), ("{ a = ", " }"), ('"x${', '}"'), ("!", "")])
def test_nesting_beyond_the_limit_is_one_diagnostic_that_names_it(opener, closer):
    _, diagnostics = expression_with_diagnostics(Source("doze.hcl", nested(opener, closer, 5000)))

    assert [diagnostic.summary for diagnostic in diagnostics] == ["Nesting too deep"]
    assert str(MAX_NESTING) in diagnostics[0].detail


def test_nested_blocks_beyond_the_limit_are_refused():
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", "a {\n" * 5000 + "}\n" * 5000))

    assert "Nesting too deep" in [diagnostic.summary for diagnostic in diagnostics]


def test_a_caller_deep_in_its_own_stack_gets_a_diagnostic():
    def dive(levels: int) -> object:
        if levels:
            return dive(levels - 1)
        return expression_with_diagnostics(Source("doze.hcl", nested("[", "]", 120)))[1]

    (diagnostic,) = dive(sys.getrecursionlimit() - 250)

    assert diagnostic.summary == "Nesting too deep"


def test_a_sum_of_ten_thousand_terms_is_evaluated():
    assert evaluate(parse_expression("1" + " + 1" * 9_999)) == 10_000


def test_a_chain_of_ten_thousand_indexes_is_refused_or_evaluated_without_an_exception_of_pythons():
    expression, diagnostics = expression_with_diagnostics(Source("doze.hcl", "a" + "[a]" * 10_000))

    assert not diagnostics
    _, problems = evaluate_with_diagnostics(expression, Context(VARIABLES))
    assert plain(problems)


def test_json_nested_too_deep_is_refused():
    with pytest.raises(VariablesError, match="value is not JSON"):
        from_json("[" * 100_000)
