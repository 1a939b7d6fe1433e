from __future__ import annotations

import pytest

from doze_sdk.hcl import Pos, Source, parse, parse_with_diagnostics


@pytest.mark.parametrize(
    ("content", "column", "byte"),
    [
        ("a = 1 @", 7, 6),
        ("\ta = 1 @", 8, 7),
        ('a = "é" @', 9, 9),
        ('a = "e\u0301" @', 9, 10),
        ('a = "👩\u200d👩\u200d👧" @', 9, 25),
        ('a = "🇩🇪🇫🇷" @', 10, 23),
        ('a = "\u1100\u1161\u11a8" @', 9, 16),
        ("\ufeffa = 1 @", 7, 9),
    ],
)
def test_columns_count_grapheme_clusters_and_bytes_count_from_the_first(content, column, byte):
    (_, newline) = parse_with_diagnostics(Source("doze.hcl", content))[1]

    assert newline.subject.start_pos == Pos(1, column, byte)


def test_a_mark_at_the_start_of_a_token_is_a_cluster_of_its_own():
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", 'a = "\u0301" @'))

    assert diagnostics[0].subject.start_pos == Pos(1, 9, 9)


def test_line_ends_of_windows_count_as_one():
    body = parse("a = 1\r\nb = 2\r\n", filename="doze.hcl").body

    assert str(body.attributes["b"].range) == "doze.hcl:2,1-6"
    assert body.attributes["b"].range.start_pos == Pos(2, 1, 7)


def test_a_range_across_lines_names_both():
    body = parse("a = [\n  1,\n]\n", filename="doze.hcl").body

    assert str(body.attributes["a"].expression.range) == "doze.hcl:1,5-3,2"


def test_bytes_that_are_no_utf_8_count_as_one_each():
    _, diagnostics = parse_with_diagnostics(Source("doze.hcl", b"# \xff\xfe\n# \xc3\xa9 \xff\na = @\n"))

    assert diagnostics[0].subject.start_pos == Pos(3, 5, 16)
