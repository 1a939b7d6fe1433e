import pytest

from doze_sdk.engine import RESERVED_TYPES, name_problem


@pytest.mark.parametrize("name", ["httpd", "a", "a1", "kv_rocks", "x_"])
def test_a_lower_case_word_is_a_type(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "1a", "_a", "A", "my-engine", "my engine", "é", "a\n", "a.b", "\uff41"])
def test_anything_else_is_none(name: str) -> None:
    assert name_problem(name).startswith(f"expected [a-z][a-z0-9_]*, got {name!r}")


@pytest.mark.parametrize(
    ("name", "suggestion"), [("my-engine", "my_engine"), ("HTTPD", "httpd"), (" kv rocks ", "kv_rocks")]
)
def test_a_near_miss_is_suggested(name: str, suggestion: str) -> None:
    assert name_problem(name).endswith(f"(did you mean {suggestion!r}?)")


@pytest.mark.parametrize("name", ["9", "Process", "--"])
def test_nothing_is_suggested_that_would_be_refused_too(name: str) -> None:
    assert "did you mean" not in name_problem(name)


@pytest.mark.parametrize(
    "name",
    "process use aws defaults tls modules variable locals output var local each count projects cache".split(),
)
def test_what_the_host_keeps_for_itself_is_refused(name: str) -> None:
    assert name in RESERVED_TYPES
    assert name_problem(name) == f"{name!r} is reserved by the host"
