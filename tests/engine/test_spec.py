"""The bytes that a spec crosses the wire as."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping  # noqa: TC003 - the codec evaluates the annotations
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from doze_sdk.engine import Block, Config, SpecError, Version, attr, check_spec_type, decode_spec, encode_spec, label

from .modules import Postgres, Role, Valkey

MISSING = object()


class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Tree:
    children: list[Tree] = field(default_factory=list)
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    text: str = "é\U0001f600\ud800"
    number: int = 10**30
    fraction: float = 0.1
    truth: bool = True
    nothing: None = None
    path: Path = Path("/srv/data")
    pure: PurePosixPath = field(default_factory=lambda: PurePosixPath("a/b"))
    duration: timedelta = timedelta(microseconds=-1)
    names: list[str] = field(default_factory=lambda: ["b", "a"])
    numbers: tuple[int, ...] = (3, 1, 2)
    pair: tuple[str, int] = ("x", 1)
    empty: tuple[()] = ()
    table: dict[str, list[Path]] = field(default_factory=lambda: {"z": [Path("y")], "a": []})
    view: Mapping[str, int] = field(default_factory=lambda: {"b": 1, "a": 2})
    tree: Tree = field(default_factory=lambda: Tree([Tree(weight=1)]))
    maybe: str | None = None
    several: int | str | bool | None = True
    literal: Literal["on", 1, True] = True
    size: Size = Size.LARGE
    version: Version = field(default_factory=lambda: Version("16.4"))
    role: Role = field(default_factory=lambda: Role(name="app"))
    derived: int = field(init=False, default=7)


def round_trip(spec: object) -> object:
    return decode_spec(type(spec), encode_spec(spec), missing=MISSING)


def test_a_dataclass_of_everything_comes_back_as_it_was() -> None:
    assert round_trip(Everything()) == Everything()


def test_a_config_comes_back_as_it_was() -> None:
    postgres = Postgres(settings={"b": "1", "a": "2"}, role=[Role(name="app", login=None)], connection_limit=None)

    assert round_trip(postgres) == postgres


def test_types_come_back_exactly() -> None:
    back = round_trip(Everything())

    assert isinstance(back, Everything)
    assert [type(getattr(back, each.name)) for each in dataclasses.fields(back)] == [
        type(getattr(Everything(), each.name)) for each in dataclasses.fields(Everything)
    ]


@given(st.dictionaries(st.text(), st.text()), st.floats(allow_nan=False, allow_infinity=False), st.timedeltas())
def test_any_text_number_and_duration_comes_back(view: dict[str, str], fraction: float, duration: timedelta) -> None:
    spec = Everything(text=json.dumps(view), fraction=fraction, duration=duration)
    postgres = Postgres(settings=view)

    assert round_trip(spec) == spec
    assert round_trip(postgres) == postgres


def test_none_is_a_spec_of_its_own() -> None:
    assert encode_spec(None) == b'{"doze-spec":1,"value":null}'
    assert decode_spec(None, encode_spec(None), missing=MISSING) is None


def test_the_bytes_are_compact_sorted_ascii_with_a_tag() -> None:
    assert encode_spec(Valkey(settings={"z": "é", "a": "1"})) == (
        b'{"doze-spec":1,"value":{"appendonly":false,"maxmemory":"","maxmemory_policy":"","password":"","save":"",'
        b'"settings":{"a":"1","z":"\\u00e9"}}}'
    )


def test_the_bytes_do_not_depend_on_the_order_of_maps() -> None:
    assert encode_spec(Valkey(settings={"b": "1", "a": "2"})) == encode_spec(Valkey(settings={"a": "2", "b": "1"}))


def test_a_whole_number_in_a_float_field_has_the_bytes_of_a_float() -> None:
    assert encode_spec(Everything(fraction=1)) == encode_spec(Everything(fraction=1.0))


def test_the_bytes_are_the_same_in_other_processes_under_other_hash_seeds() -> None:
    program = "from tests.engine.test_spec import *; sys.stdout.buffer.write(encode_spec(Everything()))"
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=-1, check=True
        ).stdout
        for seed in ("0", "1", "4711")
    }

    assert outputs == {encode_spec(Everything())}


def test_names_are_those_of_hcl_so_that_renaming_a_field_in_python_keeps_the_bytes() -> None:
    class Before(Config):
        limit: int = attr(1, doc="A limit.")
        lambda_: str = attr("", doc="A name.")

    class After(Config):
        connection_limit: int = attr(1, doc="A limit.", hcl="limit")
        function: str = attr("", doc="A name.", hcl="lambda")

    assert encode_spec(Before()) == encode_spec(After())


# Bytes of another release


class OldRole(Block, doc="A role."):
    name: str = label()
    gone: str = attr("", doc="Removed since.")


class Old(Config):
    size: int = attr(1, doc="A size.")
    gone: str = attr("x", doc="Removed since.")
    role: list[OldRole]


class NewRole(Block, doc="A role."):
    name: str = label()
    login: bool = attr(True, doc="Added since.")


class New(Config):
    size: int = attr(5, doc="A size.")
    added: dict[str, str] = attr({"a": "b"}, doc="Added since.")
    role: list[NewRole]


OLD = encode_spec(Old(size=3, role=[OldRole(name="app", gone="y")]))


def test_unknown_keys_are_ignored_and_missing_ones_take_their_defaults() -> None:
    assert decode_spec(New, OLD, missing=MISSING) == New(size=3, added={"a": "b"}, role=[NewRole(name="app")])


def test_a_missing_key_without_default_means_no_spec() -> None:
    class Newer(Config):
        token: str = attr(doc="Required since.")

    assert decode_spec(Newer, OLD, missing=MISSING) is MISSING


def test_a_value_of_another_type_means_no_spec() -> None:
    class Newer(Config):
        size: str = attr("", doc="A text since.")

    assert decode_spec(Newer, OLD, missing=MISSING) is MISSING


def test_a_value_that_an_enumeration_no_longer_has_means_no_spec() -> None:
    class Newer(Config):
        gone: Literal["a", "b"] = attr("a", doc="Restricted since.")

    assert decode_spec(Newer, OLD, missing=MISSING) is MISSING


def test_an_object_that_cannot_be_made_again_means_no_spec() -> None:
    assert decode_spec(Picky, b'{"doze-spec":1,"value":{"size":3}}', missing=MISSING) is MISSING
    assert decode_spec(Picky, b'{"doze-spec":1,"value":{"size":4}}', missing=MISSING) == Picky(4)


@dataclass
class Picky:
    size: int

    def __post_init__(self) -> None:
        if self.size % 2:
            raise RuntimeError("an odd size")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"{}",
        b"[]",
        b"5",
        b'{"doze-spec":2,"value":{}}',
        b'{"doze-spec":1}',
        b'{"doze-spec":1,"value":[]}',
        b'{"doze-spec":1,"value":null}',
        b'{"doze-spec":1,"value":{"size":true}}',
        b'{"doze-spec":1,"value":{"size":' + b"9" * 5000 + b"}}",
        b'{"doze-spec":1,"value":{"role":{}}}',
        b'{"doze-spec":1,"value":{"role":[{}]}}',
        b"[" * 100_000,
        encode_spec(Old(size=3))[:-1],
        b"\x0e\xff\x81\x03\x01\x01\x06Config",  # what a Go module wrote
    ],
)
def test_bytes_that_hold_no_spec_are_told_from_none(data: bytes) -> None:
    assert decode_spec(New, data, missing=MISSING) is MISSING


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_decoding_raise(data: bytes) -> None:
    assert decode_spec(Everything, data, missing=MISSING) is MISSING


# What has no serialised form


@dataclass
class WithSet:
    tags: set[str]


@dataclass
class Outer:
    inner: list[WithSet]


@dataclass
class WithInitVar:
    size: int
    scale: InitVar[int]


@dataclass
class WithUnknown:
    size: Unknown  # type: ignore[name-defined]  # noqa: F821 - what it is for


@dataclass
class WithMixture:
    place: int | Path


@dataclass
class WithNumberKeys:
    table: dict[int, str]


@dataclass
class WithObject:
    anything: object


@dataclass
class WithBareList:
    things: list  # type: ignore[type-arg]


class NotADataclass:
    pass


SUPPORTED = (
    "supported are str, bool, int, float, None, Path, timedelta, Literal, Enum, list[…], tuple[…], dict[str, …], "
    "Mapping[str, …], dataclasses and config classes of these, and '| None' with any of them"
)


@pytest.mark.parametrize(
    ("spec_type", "sentence"),
    [
        (WithSet, f"WithSet.tags: set[str] has no serialised form; use list; {SUPPORTED}"),
        (Outer, f"Outer.inner.tags: set[str] has no serialised form; use list; {SUPPORTED}"),
        (WithNumberKeys, f"WithNumberKeys.table: dict[int, str] has no serialised form; use dict[str, …]; {SUPPORTED}"),
        (WithObject, f"WithObject.anything: object has no serialised form; {SUPPORTED}"),
        (WithBareList, f"WithBareList.things: list has no serialised form; use list[…]; {SUPPORTED}"),
        (WithInitVar, "WithInitVar: its constructor requires scale, which is no field"),
        (
            WithUnknown,
            (
                "WithUnknown: a type cannot be evaluated: name 'Unknown' is not defined; define or import it at module "
                "level, outside of 'if TYPE_CHECKING'"
            ),
        ),
        (
            WithMixture,
            "WithMixture.place: int | pathlib.Path is ambiguous in JSON; use one type, with '| None' if need be",
        ),
        (NotADataclass, "expected a dataclass or a config class"),
        (int, "expected a dataclass or a config class"),
    ],
)
def test_a_type_that_cannot_be_serialised_is_refused_with_a_sentence(spec_type: type, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_spec_type(spec_type)

    assert str(caught.value) == f"the spec type {spec_type.__name__} cannot be serialised: {sentence}"


def test_a_type_is_refused_again_after_it_was_refused() -> None:
    for _ in range(2):
        with pytest.raises(SpecError):
            check_spec_type(Outer)


@pytest.mark.parametrize("spec_type", [Everything, Tree, Postgres, Valkey, None, type(None)])
def test_a_type_that_can_be_serialised_is_accepted(spec_type: type | None) -> None:
    check_spec_type(spec_type)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (Tree([Tree(), Tree([5])]), "Tree.children[1].children[0]: expected Tree, got 5"),  # type: ignore[list-item]
        (Tree(weight=True), "Tree.weight: expected int, got True"),
        (Everything(fraction=float("inf")), "Everything.fraction: expected a finite number, got inf"),
        (Everything(several=float("nan")), "Everything.several: expected int | str | bool | None, got nan"),  # type: ignore[arg-type]
        (Everything(table={"a": [5]}), "Everything.table['a'][0]: expected Path, got 5"),  # type: ignore[list-item]
        (Everything(view={1: 2}), "Everything.view[1]: expected text keys, got 1"),  # type: ignore[dict-item]
        (Everything(pair=("x",)), "Everything.pair: expected a tuple of 2, got ('x',)"),  # type: ignore[arg-type]
        (Everything(literal="off"), "Everything.literal: expected one of 'on', 1, True, got 'off'"),  # type: ignore[arg-type]
        (Valkey(password=5), "Valkey.password: expected str, got 5"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused_with_the_way_to_it(spec: object, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        encode_spec(spec)

    assert str(caught.value) == f"serialising the spec: {sentence}"


def test_a_spec_of_another_kind_is_refused() -> None:
    with pytest.raises(SpecError, match="the spec type dict cannot be serialised: expected a dataclass"):
        encode_spec({"a": 1})


@dataclass
class Looped:
    loop: list[Looped] = field(default_factory=list)


@dataclass
class Huge:
    whole: int = 1
    number: float = 1.0


def looped() -> Looped:
    spec = Looped()
    spec.loop.append(spec)
    return spec


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (looped(), "the Looped is nested too deep, or contains itself"),
        (Huge(whole=10**5000), "Huge: Exceeds the limit"),
        (Huge(number=10**400), "Huge: int too large"),
    ],
    ids=["loop", "whole", "number"],
)
def test_a_spec_that_json_cannot_hold_is_refused_with_a_sentence(spec: object, words: str) -> None:
    with pytest.raises(SpecError, match=f"^serialising the spec: {words}"):
        encode_spec(spec)
