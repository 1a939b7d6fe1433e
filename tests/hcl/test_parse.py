from __future__ import annotations

from unicodedata import is_normalized

import pytest
from hypothesis import assume, given, settings

from doze_sdk.hcl import ParseError, Source, parse, parse_expression, parse_with_diagnostics, references
from tests.hcl import trees


@settings(max_examples=150, deadline=None)
@given(trees.expressions)
def test_an_expression_written_from_a_tree_reads_back_as_the_tree(tree):
    text = trees.source(tree)
    assume(is_normalized("NFC", text))

    assert trees.shape(parse_expression(text)) == trees.expected(tree)


@settings(max_examples=100, deadline=None)
@given(trees.bodies)
def test_a_body_written_from_a_tree_reads_back_as_the_tree(body):
    text = trees.body_source(body)
    assume(is_normalized("NFC", text))

    assert trees.body_shape(parse(text, filename="doze.hcl").body) == trees.expected_body(body)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("a || b && c == d < e + f * g", "a || (b && (c == (d < (e + (f * g)))))"),
        ("-a.b + !c[0]", "(-(a.b)) + (!(c[0]))"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a == b ? c : d", "(a == b) ? c : d"),
    ],
)
def test_operators_bind_by_their_precedence(text, grouped):
    def bare(expression):
        while type(expression).__name__ == "Parentheses":
            expression = expression.inner
        children = tuple(map(bare, expression.children()))
        operator = getattr(expression, "operator", None)
        return type(expression).__name__, operator, children or getattr(expression, "name", None)

    assert bare(parse_expression(text)) == bare(parse_expression(grouped))


def test_an_invalid_file_raises_every_problem_in_source_order():
    with pytest.raises(ParseError) as caught:
        parse("a = 1 b\nc = 1\nc = 2\n'\n", filename="doze.hcl")

    assert str(caught.value).splitlines() == [
        (
            "parsing config: doze.hcl:1,7-8: Missing newline after argument; An argument definition must end with a"
            " newline."
        ),
        (
            'doze.hcl:3,1-2: Attribute redefined; The argument "c" was already set at doze.hcl:2,1-2. Each argument may'
            " be set only once."
        ),
        'doze.hcl:4,1-2: Invalid character; Single quotes are not valid. Use double quotes (") to enclose strings.',
    ]


def test_what_follows_from_a_stray_token_is_marked():
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", "owner = 'x'\n"))

    assert [(one.summary, one.follows) for one in diagnostics] == [
        ("Invalid character", False),
        ("Invalid expression", True),
    ]


def test_further_lines_of_an_unclosed_string_follow_from_the_first():
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", 'owner = "x\ny\nz\n'))

    assert [one.summary for one in diagnostics if not one.follows] == ["Invalid multi-line string"]


def test_the_same_file_is_parsed_once():
    content = b"a = 1\n"

    assert parse(content, filename="doze.hcl") is parse(bytes(bytearray(content)), filename="doze.hcl")
    assert parse(content, filename="other.hcl") is not parse(content, filename="doze.hcl")


def test_references_are_the_traversals_that_begin_at_a_variable():
    body = parse(
        'a = b.c[0]\nd = [for x in e.f : "${x.y}-${g.h}"]\ni { j = { k = l, (m) = upper(n.o) } }\n',
        filename="doze.hcl",
    ).body

    assert [traversal.range.text for traversal in references(body)] == ["b.c[0]", "e.f", "g.h", "l", "m", "n.o"]
