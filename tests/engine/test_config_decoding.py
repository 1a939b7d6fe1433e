"""From the text of a block to an object of a config class, or to every problem with its place."""

from __future__ import annotations

import textwrap
import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from doze_sdk.engine import (
    Block,
    Config,
    ConfigClassError,
    Validation,
    attr,
    decode_config,
    describe_args,
    describe_blocks,
    hcl_schema,
    label,
    parse_duration,
)
from doze_sdk.engine._kinds import hcl_literal
from doze_sdk.hcl import BlockNotFoundError, DecodeError, Diagnostic, HCLError, ParseError

from .modules import Postgres, Role, Valkey

BASE = Path("/srv/project")


def decode(config: type[Config], body: str, version: str = "", variables: dict[str, bytes] | None = None) -> Config:
    """Decode *body* as that of a block whose first line is line 1."""
    return decode_config(
        config,
        file=f'engine "app" {{\n{textwrap.dedent(body)}\n}}\n',
        filename="doze.hcl",
        block_type="engine",
        block_label="app",
        base_dir=BASE,
        variables=variables,
        version=version,
    )


def problems(config: type[Config], body: str, version: str = "") -> list[str]:
    """All that is wrong with *body*."""
    return [str(diagnostic) for diagnostic in diagnostics(config, body, version)]


def diagnostics(config: type[Config], body: str, version: str = "") -> tuple[Diagnostic, ...]:
    with pytest.raises(HCLError) as caught:
        decode(config, body, version)
    return caught.value.diagnostics


class Index(Block, doc="An index."):
    keys: dict[str, int] = attr(doc="Fields.")


class Collection(Block, doc="A collection."):
    name: str = label()
    index: list[Index]


class Rule(Block, doc="A rule."):
    source: str = label()
    target: str = label()
    rate: float = attr(1.0, doc="A rate.")


class Health(Block, doc="Health."):
    interval: timedelta = attr(timedelta(seconds=1), doc="How often.")


class Backup(Block, doc="A backup."):
    to: Path = attr(doc="Where to.")


class Server(Config, unique=("collection.name", "names", "rule.rate")):
    names: list[str] = attr([], doc="Names.", gate={"new": 18})
    mode: Literal["fast", "safe"] = attr("fast", doc="A mode.", gate={"safe": 18})
    modes: list[Literal["fast", "safe"]] = attr([], doc="Modes.")
    level: Literal[1, 2] = attr(1, doc="A level.")
    ratio: float = attr(0.5, doc="A number.")
    keep: timedelta = attr(timedelta(hours=168), doc="A duration.")
    waits: list[timedelta] = attr([], doc="Durations.")
    root: Path = attr(Path("public"), doc="A folder.")
    mounts: dict[str, Path] = attr({"data": Path("data")}, doc="Folders.")
    cert: Path | None = attr(None, doc="A file.")
    save: str | None = attr("60 1", doc="A schedule.")
    lambda_: str = attr("", doc="A keyword.")
    settings: dict[str, str] = attr({}, doc="Settings.", gate={"io_method": 18, "a b": 17})
    async_io: str = attr("", doc="Since 18.", since=18)
    old_io: str = attr("", doc="Until 17.", until=17)
    collection: list[Collection]
    rule: list[Rule]
    health: Health | None
    backup: list[Backup] = attr([], since=17)


class Needy(Config):
    token: str = attr(doc="A token.")
    tags: list[str] = attr(doc="Tags.")
    health: Health = attr(doc="Health.")


# Values


def test_a_block_of_every_kind_of_argument_is_decoded() -> None:
    body = """
        names    = ["a", 1, true]
        mode     = "safe"
        modes    = ["fast"]
        level    = "2"
        ratio    = 1
        keep     = "1h30m"
        waits    = ["1s", "250ms"]
        root     = "site/www"
        mounts   = { tmp = "/tmp" }
        cert     = "tls/cert.pem"
        save     = ""
        lambda   = "x"
        settings = { b = 1, a = true }
    """
    assert decode(Server, body) == Server(  # type: ignore[call-arg]
        names=["a", "1", "true"],
        mode="safe",
        modes=["fast"],
        level=2,
        ratio=1.0,
        keep=timedelta(hours=1, minutes=30),
        waits=[timedelta(seconds=1), timedelta(milliseconds=250)],
        root=BASE / "site/www",
        mounts={"tmp": Path("/tmp")},
        cert=BASE / "tls/cert.pem",
        save="",
        lambda_="x",
        settings={"a": "true", "b": "1"},
    )


def test_what_the_source_does_not_set_has_its_default() -> None:
    decoded = decode(Server, "")

    assert isinstance(decoded, Server)
    assert (decoded.mode, decoded.keep, decoded.save, decoded.health) == ("fast", timedelta(hours=168), "60 1", None)


def test_default_paths_start_from_the_folder_of_the_config_file() -> None:
    decoded = decode(Server, "")

    assert isinstance(decoded, Server)
    assert (decoded.root, decoded.mounts, decoded.cert) == (BASE / "public", {"data": BASE / "data"}, None)


def test_defaults_are_not_shared_between_decoded_objects() -> None:
    one, other = decode(Valkey, ""), decode(Valkey, "")
    assert isinstance(one, Valkey)

    one.settings["a"] = "b"

    assert other == Valkey()
    assert decode(Valkey, "") == Valkey()


def test_null_keeps_the_default_where_the_type_admits_it() -> None:
    decoded = decode(Server, "save = null\ncert = null\nnames = null\nmounts = null")

    assert isinstance(decoded, Server)
    assert (decoded.save, decoded.cert, decoded.names, decoded.mounts) == ("60 1", None, [], {"data": BASE / "data"})


def test_null_for_a_required_list_is_the_empty_list() -> None:
    assert decode(Needy, 'token = "x"\ntags = null\nhealth {}') == Needy(token="x", tags=[], health=Health())


def test_nested_blocks_labels_and_order_are_kept() -> None:
    body = """
        collection "b" {
          index { keys = { z = 1 } }
          index { keys = { y = -1 } }
        }
        rule "in" "out" { rate = 2 }
        collection "a" {}
        health { interval = "5s" }
    """
    decoded = decode(Server, body)

    assert isinstance(decoded, Server)
    assert decoded.collection == [
        Collection(name="b", index=[Index(keys={"z": 1}), Index(keys={"y": -1})]),
        Collection(name="a", index=[]),
    ]
    assert decoded.rule == [Rule(source="in", target="out", rate=2.0)]
    assert decoded.health == Health(interval=timedelta(seconds=5))


def test_variables_are_evaluated() -> None:
    variables = {"var": b'{"size":"1gb"}', "each": b'{"key":"eu","value":1}'}

    assert decode(Valkey, 'maxmemory = var.size\npassword = "${each.key}-x"', variables=variables) == Valkey(
        maxmemory="1gb", password="eu-x"
    )


def test_arguments_that_belong_to_doze_are_passed_over() -> None:
    assert decode(Valkey, 'version = 9\nport = nope.x\nlisten = []\ncount = 2\nmaxmemory = "1gb"') == Valkey(
        maxmemory="1gb"
    )


def test_a_config_class_without_fields_is_as_strict_as_others() -> None:
    class Nothing(Config):
        pass

    assert decode(Nothing, "version = 1") == Nothing()
    assert problems(Nothing, "x = 1") == [
        'doze.hcl:2,1-2: Unsupported argument; An argument named "x" is not expected here.'
    ]


# Problems


def test_a_block_that_is_not_there_is_hcls_own_error() -> None:
    with pytest.raises(BlockNotFoundError, match=r'^block engine "app" not found in source$'):
        decode_config(Valkey, file="", filename="doze.hcl", block_type="engine", block_label="app", base_dir=BASE)


def test_a_syntax_error_is_hcls_own_error() -> None:
    with pytest.raises(ParseError):
        decode(Valkey, "maxmemory = ")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            'mode = "sofe"',
            'doze.hcl:2,9-13: Unsuitable value; "sofe" is not one of "fast", "safe". Did you mean "safe"?',
        ),
        (
            'mode = "SAFE"',
            'doze.hcl:2,9-13: Unsuitable value; "SAFE" is not one of "fast", "safe". Did you mean "safe"?',
        ),
        ('mode = "zzz"', 'doze.hcl:2,9-12: Unsuitable value; "zzz" is not one of "fast", "safe".'),
        ("level = 3", "doze.hcl:2,9-10: Unsuitable value; 3 is not one of 1, 2."),
        (
            'modes = ["safe", "fist"]',
            'doze.hcl:2,18-24: Unsuitable value; "fist" is not one of "fast", "safe". Did you mean "fast"?',
        ),
        ('keep = "5d"', 'doze.hcl:2,9-11: Unsuitable value; time: unknown unit "d" in duration "5d"'),
        ("keep = 5", 'doze.hcl:2,8-9: Unsuitable value; time: missing unit in duration "5"'),
        ('keep = ""', 'doze.hcl:2,10-10: Unsuitable value; time: invalid duration ""'),
        ('waits = ["1s", "x"]', 'doze.hcl:2,16-19: Unsuitable value; time: invalid duration "x"'),
        ('root = ""', "doze.hcl:2,10-10: Unsuitable value; a path is required, got an empty text"),
        ('root = "a\\u0000b"', "doze.hcl:2,9-17: Unsuitable value; a path holds no NUL character"),
        ('mounts = { a = "" }', "doze.hcl:2,12-13: Unsuitable value; a path is required, got an empty text"),
    ],
)
def test_an_unsuitable_value_is_told_with_its_place(body: str, problem: str) -> None:
    assert problems(Server, body) == [problem]


def test_an_unsuitable_duration_comes_with_a_hint() -> None:
    (diagnostic,) = diagnostics(Server, 'keep = "5d"')

    assert diagnostic.hint == 'a duration is a number with a unit, such as "90s", "1h30m" or "500ms"'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            'settings = {\n  io_method = "worker"\n}',
            (
                'doze.hcl:3,3-12: Unsupported engine version; settings["io_method"] requires engine version >= 18 '
                "(declared 16)"
            ),
        ),
        (
            'settings = { "a b" = 1 }',
            'doze.hcl:2,14-19: Unsupported engine version; settings["a b"] requires engine version >= 17 (declared 16)',
        ),
        (
            'names = ["x", "new"]',
            'doze.hcl:2,15-20: Unsupported engine version; names "new" requires engine version >= 18 (declared 16)',
        ),
        (
            'mode = "safe"',
            'doze.hcl:2,9-13: Unsupported engine version; mode "safe" requires engine version >= 18 (declared 16)',
        ),
        (
            'async_io = "x"',
            "doze.hcl:2,1-9: Unsupported engine version; async_io requires engine version >= 18 (declared 16)",
        ),
        (
            'backup { to = "x" }',
            "doze.hcl:2,1-7: Unsupported engine version; backup requires engine version >= 17 (declared 16)",
        ),
    ],
)
def test_what_the_declared_version_does_not_have_is_told_in_the_hosts_words(body: str, problem: str) -> None:
    assert problems(Server, body, "16") == [problem]


def test_what_a_version_removed_is_told_in_the_hosts_words() -> None:
    assert problems(Server, 'old_io = "x"', "17.2") == [
        "doze.hcl:2,1-7: Unsupported engine version; old_io was removed in engine version 17 (declared 17.2)"
    ]


def test_a_gate_in_a_nested_block_names_the_way_to_it() -> None:
    body = 'grant {\n role = "a"\n database = "d"\n privileges = ["MAINTAIN"]\n}'

    (problem,) = problems(Postgres, body, "16")
    assert problem == (
        'doze.hcl:5,16-26: Unsupported engine version; grant.privileges "MAINTAIN" requires engine version >= 17 '
        "(declared 16)"
    )


@pytest.mark.parametrize("version", ["", "builtin", "18", "18.1"])
def test_a_sufficient_version_or_one_that_is_no_number_passes_the_gates(version: str) -> None:
    decoded = decode(Server, 'async_io = "x"\nsettings = { io_method = "worker" }', version)

    assert isinstance(decoded, Server)
    assert decoded.settings == {"io_method": "worker"}


def test_a_gated_argument_that_is_null_passes() -> None:
    class Nullable(Config):
        async_io: str | None = attr(None, doc="Since 18.", since=18)

    assert decode(Nullable, "async_io = null", "16") == Nullable()


def test_a_label_that_repeats_is_refused_where_it_repeats() -> None:
    body = 'collection "a" {}\ncollection "b" {}\ncollection "a" {}'

    assert problems(Server, body) == [
        'doze.hcl:4,12-15: Duplicate collection name; Another collection block has the name "a", at doze.hcl:2,12-15.'
    ]


def test_an_argument_that_repeats_is_refused_where_it_repeats() -> None:
    body = 'rule "a" "b" { rate = 2 }\nrule "c" "d" {}\nrule "e" "f" { rate = 2.0 }\nrule "g" "h" {}'

    assert problems(Server, body) == [
        "doze.hcl:4,23-26: Duplicate rule rate; Another rule block has the rate 2.0, at doze.hcl:2,23-24."
    ]


def test_an_element_that_repeats_is_refused_where_it_repeats() -> None:
    assert problems(Server, 'names = ["a", "b", "a"]') == [
        'doze.hcl:2,20-23: Duplicate element; "a" is in names already, at doze.hcl:2,10-13.'
    ]


def test_a_rule_of_a_nested_block_holds_inside_each_block_of_its_own() -> None:
    class Database(Block, doc="A database.", unique=("collection.name",)):
        name: str = label()
        collection: list[Collection]

    class Ferret(Config):
        database: list[Database]

    body = """\
        database "a" {
          collection "x" {}
        }
        database "b" {
          collection "x" {}
          collection "x" {}
        }
    """
    assert problems(Ferret, body) == [
        'doze.hcl:7,14-17: Duplicate collection name; Another collection block has the name "x", at doze.hcl:6,14-17.'
    ]


# Defaults as documented


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_as_documented_decodes_to_itself(text: str) -> None:
    text = unicodedata.normalize("NFC", text)

    class Texts(Config):
        name: str = attr("x", doc="A text.")
        table: dict[str, list[str]] = attr({}, doc="Texts.")

    class Documented(Config):
        name: str = attr("x", doc="A text.", show=text)
        table: dict[str, list[str]] = attr({}, doc="Texts.", show={text: [text]})

    body = "\n".join(f"{arg.name} = {arg.default or hcl_literal('')}" for arg in describe_args(Documented))

    assert decode(Texts, body) == Texts(name=text, table={text: [text]})


def test_every_documented_default_decodes_to_the_default() -> None:
    body = "\n".join(f"{arg.name} = {arg.default}" for arg in describe_args(Server) if arg.default)

    assert decode(Server, body) == decode(Server, "")


# The hook


class Pair(Block, doc="Two values."):
    name: str = label()
    low: int = attr(0, doc="The lower.")
    high: int = attr(10, doc="The higher.")
    tags: list[str] = attr([], doc="Tags.")
    settings: dict[str, str] = attr({}, doc="Settings.")

    def validate(self, v: Validation) -> None:
        if self.low > self.high:
            v.error("low is above high", at="low")
        if self.name == "bad":
            v.error("that is no name", at="name")
        if "odd" in self.tags:
            v.error("odd tag", at="tags", key=self.tags.index("odd"))
        if "odd" in self.settings:
            v.error("odd setting", at="settings", key="odd")
        if self.high > 100 and not v.is_set("low"):
            v.error("set low, too")


class Hooked(Config):
    limit: int = attr(3, doc="How many.")
    wait: str = attr("1s", doc="A duration.")
    pair: list[Pair]
    health: Health | None = attr(None)

    def validate(self, v: Validation) -> None:
        parse_duration(self.wait)
        if len(self.pair) > self.limit:
            v.error(f"more than {self.limit}", at="pair", key=self.limit)
        if v.is_set("health") and not self.pair:
            v.error("health of nothing", at="health")
        for pair in self.pair:
            if pair.high == self.limit:
                v.of(pair).error("high is the limit", at="high")
        if v.version.major_number == 1:
            v.error("too old")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('pair "a" { low = 11 }', "doze.hcl:2,18-20: Unsuitable value; low is above high"),
        ('pair "bad" {}', "doze.hcl:2,6-11: Unsuitable label; that is no name"),
        ('pair "a" { tags = ["x", "odd"] }', "doze.hcl:2,25-30: Unsuitable value; odd tag"),
        ('pair "a" { settings = { odd = 1 } }', "doze.hcl:2,25-28: Unsuitable value; odd setting"),
        ('pair "a" { high = 101 }', "doze.hcl:2,1-9: Unsuitable pair block; set low, too"),
        ('limit = 1\npair "a" {}\npair "b" {}', "doze.hcl:4,1-9: Unsuitable pair block; more than 1"),
        ("health {}", "doze.hcl:2,1-7: Unsuitable health block; health of nothing"),
        ('pair "a" { high = 3 }', "doze.hcl:2,19-20: Unsuitable value; high is the limit"),
        ('wait = "x"', 'doze.hcl:1,1-13: Unsuitable engine block; time: invalid duration "x"'),
    ],
)
def test_the_hook_reports_with_a_place(body: str, problem: str) -> None:
    assert problems(Hooked, body) == [problem]


def test_the_hook_sees_the_declared_version() -> None:
    assert problems(Hooked, "", "1") == ["doze.hcl:1,1-13: Unsuitable engine block; too old"]


def test_what_the_source_does_not_set_is_reported_at_the_block() -> None:
    assert problems(Postgres, 'grant {\n  role = "a"\n  privileges = []\n}') == [
        "doze.hcl:2,1-6: Unsuitable grant block; set either database or schema"
    ]


def test_the_hook_does_not_run_on_a_block_that_cannot_be_made() -> None:
    assert problems(Hooked, 'pair "a" {\n  low = "x"\n  high = -1\n}') == [
        "doze.hcl:3,10-11: Unsuitable value type; Unsuitable value: a number is required"
    ]


def test_the_hook_of_a_sound_block_runs_beside_one_that_cannot_be_made() -> None:
    found = problems(Hooked, 'pair "a" {\n  low = "x"\n}\npair "b" {\n  low = 11\n}')

    assert [problem.split(": ")[0] for problem in found] == ["doze.hcl:3,10-11", "doze.hcl:6,9-11"]


def test_naming_an_unknown_field_in_the_hook_is_the_authors_error() -> None:
    class Wrong(Config):
        size: int = attr(1, doc="A size.")

        def validate(self, v: Validation) -> None:
            v.error("odd", at="sise")

    with pytest.raises(ConfigClassError, match=r"Wrong: there is no 'sise'; there are size$"):
        decode(Wrong, "")


def test_a_block_of_elsewhere_has_no_place() -> None:
    class Wrong(Config):
        def validate(self, v: Validation) -> None:
            v.of(Pair(name="x")).error("odd")

    with pytest.raises(ConfigClassError, match=r"Pair\(name='x'\) is no nested block of this config"):
        decode(Wrong, "")


def test_an_object_made_by_its_constructor_is_not_validated() -> None:
    assert Pair(name="bad").name == "bad"


# All at once


def test_all_problems_come_at_once_in_source_order() -> None:
    body = """\
        async_io = "x"
        mode     = "sofe"
        keep     = 5
        nmes     = []
        ratio    = []
        collection "a" {
          index {}
        }
        collection "a" {
          index { keys = { a = "up" } }
        }
        settings = { io_method = 1 }
    """
    found = problems(Server, body, "16")

    assert [problem.split("; ")[0] for problem in found] == [
        "doze.hcl:2,1-9: Unsupported engine version",
        "doze.hcl:3,13-17: Unsuitable value",
        "doze.hcl:4,12-13: Unsuitable value",
        "doze.hcl:5,1-5: Unsupported argument",
        "doze.hcl:6,12-13: Unsuitable value type",
        "doze.hcl:8,9-9: Missing required argument",
        "doze.hcl:10,12-15: Duplicate collection name",
        "doze.hcl:11,18-19: Unsuitable value type",
        "doze.hcl:13,14-23: Unsupported engine version",
    ]


def test_the_text_of_the_error_is_every_problem_on_a_line() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Server, 'mode = "x"\nnope = 1')

    assert str(caught.value).splitlines() == [
        'doze.hcl:2,9-10: Unsuitable value; "x" is not one of "fast", "safe".',
        'doze.hcl:3,1-5: Unsupported argument; An argument named "nope" is not expected here.',
    ]


def test_missing_arguments_and_blocks_are_hcls_own_problems() -> None:
    assert problems(Needy, "") == [
        'doze.hcl:1,14-14: Missing required argument; The argument "tags" is required, but no definition was found.',
        'doze.hcl:1,14-14: Missing required argument; The argument "token" is required, but no definition was found.',
        "doze.hcl:1,14-14: Missing health block; A health block is required.",
    ]


def test_the_schema_is_made_once() -> None:
    assert hcl_schema(Postgres) is hcl_schema(Postgres)
    assert hcl_schema(Postgres).blocks["role"].schema is hcl_schema(Role)


def test_the_schema_and_the_tables_name_the_same_arguments() -> None:
    tables = {"": describe_args(Postgres), **{block.name: block.args for block in describe_blocks(Postgres)}}
    schemas = {"": hcl_schema(Postgres), **{name: each.schema for name, each in hcl_schema(Postgres).blocks.items()}}

    assert {name: sorted(arg.name for arg in table) for name, table in tables.items()} == {
        name: sorted(schema.attributes) for name, schema in schemas.items()
    }
