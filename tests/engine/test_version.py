import pytest

from doze_sdk.engine import BUILTIN, Version, VersionError, exact_dots, require_version, require_version_below


@pytest.mark.parametrize(
    ("text", "major", "number", "exact"),
    [
        ("16", "16", 16, False),
        ("17.3", "17", 17, True),
        ("8.0.1", "8", 8, True),
        (BUILTIN, "builtin", None, False),
        ("", "", None, False),
        (".5", ".5", None, True),
        ("v2.1", "v2", None, True),
        ("+18", "+18", 18, False),
        ("-1", "-1", -1, False),
        ("1_0", "1_0", None, False),
        (" 18", " 18", None, False),
        ("18 ", "18 ", None, False),
        ("\u0661", "\u0661", None, False),
        ("007", "007", 7, False),
        ("9223372036854775807", "9223372036854775807", 2**63 - 1, False),
        ("-9223372036854775808", "-9223372036854775808", -(2**63), False),
        ("9223372036854775808", "9223372036854775808", None, False),
    ],
)
def test_a_version_is_read_as_go_reads_it(text: str, major: str, number: int | None, exact: bool) -> None:
    version = Version(text)
    assert (version.major, version.major_number, version.is_exact) == (major, number, exact)


@pytest.mark.parametrize("text", ["9" * 5000, "0" * 5000])
def test_a_version_of_any_length_is_read(text: str) -> None:
    assert Version(text).major_number == (None if text[0] == "9" else 0)


def test_a_version_is_a_text() -> None:
    assert Version("16") == "16"
    assert {Version("16"): 1}["16"] == 1
    assert f"{Version('16')}" == "16"


@pytest.mark.parametrize(("dots", "exact"), [(0, True), (1, True), (2, True), (3, False)])
def test_exact_dots_counts_at_least_so_many(dots: int, exact: bool) -> None:
    assert exact_dots(dots)("16.4.1") is exact


def test_exact_dots_says_what_it_is() -> None:
    assert repr(exact_dots(2)) == "exact_dots(2)"


@pytest.mark.parametrize("version", ["17", "18.1", "", BUILTIN, "1_0", " 16", "9" * 30])
def test_a_version_that_is_high_enough_or_no_number_passes(version: str) -> None:
    require_version(version, 17, "io_method")


@pytest.mark.parametrize("version", ["16", "16.9", "+16", "-17"])
def test_a_version_that_is_too_low_is_refused_in_the_hosts_words(version: str) -> None:
    with pytest.raises(VersionError) as caught:
        require_version(version, 17, "io_method")
    assert str(caught.value) == f"io_method requires engine version >= 17 (declared {version})"


@pytest.mark.parametrize("version", ["16", "16.99", "", BUILTIN, "x"])
def test_a_version_before_the_removal_or_no_number_passes(version: str) -> None:
    require_version_below(version, 17, "stats_temp_directory")


@pytest.mark.parametrize("version", ["17", "17.0", "18"])
def test_a_version_from_the_removal_on_is_refused_in_the_hosts_words(version: str) -> None:
    with pytest.raises(VersionError) as caught:
        require_version_below(version, 17, "stats_temp_directory")
    assert str(caught.value) == f"stats_temp_directory was removed in engine version 17 (declared {version})"
