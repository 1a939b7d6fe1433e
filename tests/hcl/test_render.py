from __future__ import annotations

from doze_sdk.hcl import (
    STRING,
    AttributeSchema,
    DecodeError,
    Schema,
    Source,
    decode_block,
    parse_with_diagnostics,
    render,
)


def rendered(source: str) -> str:
    return render(parse_with_diagnostics(Source("doze.hcl", source))[1])


def test_a_problem_is_shown_with_its_place_its_line_and_a_marker():
    assert rendered('a = 1\n\tb = "é" @\n') == (
        "doze.hcl:2,10-11: Invalid character; This character is not used within the language.\n"
        '  2 | \tb = "é" @\n'
        "    | \t        ^"
    )


def test_problems_that_follow_from_others_are_left_out_and_hints_are_given():
    schema = Schema([AttributeSchema("owner", STRING)])
    try:
        decode_block(
            'cache "main" {\n  owner = uper("x")\n}\n',
            filename="doze.hcl",
            block_type="cache",
            label="main",
            schema=schema,
        )
    except DecodeError as error:
        text = render(error.diagnostics)
    else:
        raise AssertionError("a call was accepted")

    assert text == (
        "doze.hcl:2,11-20: Function calls not allowed; Functions may not be called here.\n"
        '  2 |   owner = uper("x")\n'
        "    |           ^^^^^^^^^\n"
        "  hint: Call the function in a locals block at the top of the file, where the host evaluates functions, and"
        " refer to the result as local.<name> here."
    )


def test_a_wide_character_moves_the_marker_by_two_places():
    assert rendered('a = "漢" @').splitlines()[-1] == "    |          ^"


def test_of_a_long_line_the_part_around_the_marker_is_shown():
    text = rendered("a = [" + "1, " * 500 + "@")

    assert max(map(len, text.splitlines())) < 200
    assert text.splitlines()[-2].rstrip().endswith("@")


def test_a_problem_across_lines_is_marked_on_its_first():
    assert rendered('a = "x\n').splitlines()[-2:] == ['  1 | a = "x', "    |       ^"]


def test_the_end_of_the_file_has_no_line_to_show():
    assert rendered("a = [1\n  ,\n") == (
        "doze.hcl:3,1-1: Missing expression; Expected the start of an expression, but found the end of the file."
    )
