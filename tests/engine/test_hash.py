import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, IntEnum, StrEnum
from pathlib import Path

import pytest

from doze_sdk.engine import Block, EngineError, Version, attr, hash_of, label


@dataclass
class Database:
    CharSet: str
    Collation: str


@dataclass(frozen=True, slots=True)
class Everything:
    Name: str
    Host: str
    N: int | None
    L: list[str] | None
    M: dict[str, str]
    B: bytes


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (None, "74234e98afe7"),
        ("x", "ba2df4903a2c"),
        (1, "6b86b273ff34"),
        (0.1, "14be4b45f18e"),
        (1e21, "241c4643fa70"),
        (1e-7, "5b33e02f2c51"),
        ([], "4f53cda18c2b"),
        ((), "4f53cda18c2b"),
        ({}, "44136fa355b3"),
        (True, "b5bea41b6c62"),
        ({"z": 1, "a": [1]}, "cda2887e31f2"),
        (Database("utf8", ""), "1875ef73fb0b"),
        (Everything("a<b>&\u2028é", "", None, None, {"b": "1", "a": "2"}, b"x"), "b029c031de1f"),
    ],
)
def test_the_hash_of_a_value_is_the_go_sdks(value: object, digits: str) -> None:
    assert hash_of(value) == digits


def digits_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (1e6, "1000000"),
        (123456.789, "123456.789"),
        (1e20, "100000000000000000000"),
        (1.2345678901234568e20, "123456789012345680000"),
        (-9.007199254740993e17, "-900719925474099300"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (9.87654321e-6, "0.00000987654321"),
        (9.99e-7, "9.99e-7"),
        (-1e-10, "-1e-10"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (2**63, "9223372036854775808"),
    ],
)
def test_numbers_are_spelled_as_go_spells_them(value: float, text: str) -> None:
    assert hash_of(value) == digits_of(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"\\/', r'"\"\\/"'),
        ("\n\r\t", r'"\n\r\t"'),
        ("\x00\x1f\x7f", '"\\u0000\\u001f\x7f"'),
        ("\u2029", r'"\u2029"'),
        ("\U0001f600", '"\U0001f600"'),
        ("caf\udce9", r'"caf\ufffd"'),
    ],
)
def test_texts_are_spelled_as_go_spells_them(value: str, text: str) -> None:
    assert hash_of(value) == digits_of(text)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Mode(StrEnum):
    FAST = "fast"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(seconds=1.5), "1500000000"),
        (timedelta(microseconds=-1), "-1000"),
        (Path("/a/b"), '"/a/b"'),
        (Version("16"), '"16"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Mode.FAST, '"fast"'),
        ({10: "b", 9: "a"}, '{"10":"b","9":"a"}'),
        ({"é": 1, "z": 2, "\U0001f600": 3, "\uffff": 4}, '{"z":2,"é":1,"\uffff":4,"\U0001f600":3}'),
    ],
)
def test_values_of_a_spec_have_a_form(value: object, text: str) -> None:
    assert hash_of(value) == digits_of(text)


class Role(Block, doc="A role."):
    name: str = label()
    login: bool = attr(True, doc="Whether it may log in.")
    idle: timedelta = attr(timedelta(seconds=1), doc="How long it may idle.")


def test_a_config_block_can_be_hashed() -> None:
    assert hash_of(Role(name="app")) == digits_of('{"name":"app","login":true,"idle":1000000000}')


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), float("inf"), Role, {None: 1}, {True: 1}, [10**5000]]
)
def test_a_value_without_a_stable_form_is_refused(value: object) -> None:
    with pytest.raises(EngineError, match="hashing a definition"):
        hash_of({"in": [value]})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(EngineError, match="contains itself"):
        hash_of(value)
