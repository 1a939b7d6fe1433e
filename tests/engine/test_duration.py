from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from doze_sdk.engine import DurationError, format_duration, parse_duration

US = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("5s", 5_000_000),
        ("1h30m", 5_400_000_000),
        ("1.5h", 5_400_000_000),
        (".5s", 500_000),
        ("1.s", 1_000_000),
        ("1m1m", 120_000_000),
        ("-250ms", -250_000),
        ("7us", 7),
        ("7\u00b5s", 7),
        ("7\u03bcs", 7),
        ("2562047h47m16.854775807s", 9_223_372_036_854_775),
        ("-2562047h47m16.854775808s", -9_223_372_036_854_775),
        ("0" * 5000 + "1s", 1_000_000),
        ("0.1" + "0" * 5000 + "s", 100_000),
    ],
)
def test_a_duration_is_read_by_gos_grammar(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds * US


@pytest.mark.parametrize("text", ["1ns", "999ns", "-999ns", "0.0000009s"])
def test_what_is_below_a_microsecond_is_cut_off(text: str) -> None:
    assert parse_duration(text) == timedelta(0)


def test_nanoseconds_add_up_before_they_are_cut() -> None:
    assert parse_duration("600ns600ns") == US


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h2", 'time: missing unit in duration "1h2"'),
        ("1.2.3s", 'time: missing unit in duration "1.2.3s"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("5S", 'time: unknown unit "S" in duration "5S"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("1_0s", 'time: unknown unit "_" in duration "1_0s"'),
        (" 5s", 'time: invalid duration " 5s"'),
        (".s", 'time: invalid duration ".s"'),
        ("-", 'time: invalid duration "-"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("soon", 'time: invalid duration "soon"'),
        ("5\u00e9", 'time: unknown unit "\\xc3\\xa9" in duration "5\\xc3\\xa9"'),
        ('5"', 'time: unknown unit "\\"" in duration "5\\""'),
        ("5\n", 'time: unknown unit "\\x0a" in duration "5\\x0a"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("2562047h47m16.854775808s", 'time: invalid duration "2562047h47m16.854775808s"'),
        ("9" * 5000 + "s", f'time: invalid duration "{"9" * 5000}s"'),
    ],
)
def test_a_text_that_is_no_duration_is_refused_in_gos_words(text: str, message: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(hours=168), "168h"),
        (timedelta(minutes=1, seconds=30), "1m30s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(milliseconds=500), "500ms"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(microseconds=7), "7us"),
        (timedelta(hours=-1), "-1h"),
    ],
)
def test_a_duration_is_written_as_a_user_would(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(days=-106_000), max_value=timedelta(days=106_000)))
def test_what_is_written_reads_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text())
def test_no_text_raises_anything_but_a_duration_error(text: str) -> None:
    try:
        parse_duration(text)
    except DurationError as error:
        assert str(error).startswith("time: ")
