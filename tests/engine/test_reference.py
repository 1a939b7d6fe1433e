"""What is derived from a config class for people and for editors."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from doze_sdk.engine import (
    Block,
    Config,
    ConfigArg,
    ConfigBlock,
    Description,
    attr,
    complete_description,
    describe_args,
    describe_blocks,
    json_schema,
    label,
    markdown_reference,
)

from .modules import ARGUMENTS, Postgres, Valkey, arguments


class Index(Block, doc="An index."):
    keys: dict[str, int] = attr(doc="Fields and directions.")
    unique: bool = attr(False, doc="Whether values differ.", since=7)


class Collection(Block, doc="A collection."):
    name: str = label()
    index: list[Index]


class Rule(Block, doc="A rule\n    between two queues."):
    source: str = label()
    target: str = label()


class Health(Block, doc="How health is told."):
    interval: timedelta = attr(timedelta(seconds=1.5), doc="How often.")


class Server(Config):
    root: Path = attr(Path("public"), doc="Folder\n        to serve.")
    mode: Literal["fast", "safe | slow"] = attr("fast", doc="A | in a text.")
    levels: list[Literal[1, 2]] = attr([1, 2], doc="Numbers.")
    ratio: float | None = attr(0.5, doc="A number.")
    keep: timedelta = attr(timedelta(hours=168), doc="A time.", until=9)
    cores: int = attr(0, doc="How many.", show="all of them")
    policy: str = attr("", doc="Which.", show="noeviction")
    greeting: str = attr('say "${name}"\n', doc="A text.")
    labels: dict[str, str] = attr({"a": "1", "b c": "2"}, doc="Pairs.", gate={"a": 5})
    token: str = attr(doc="A secret.", since=4)
    collection: list[Collection]
    rule: list[Rule]
    health: Health
    backup: Health | None = attr(None, doc="How backups are told.", since=8)


ARGS = {arg.name: arg for arg in describe_args(Server)}


def test_the_table_keeps_the_order_of_the_class() -> None:
    assert list(ARGS) == "root mode levels ratio keep cores policy greeting labels token".split()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("root", "path"),
        ("mode", '"fast" | "safe | slow"'),
        ("levels", "list of (1 | 2)"),
        ("ratio", "number"),
        ("keep", "duration"),
        ("cores", "int"),
        ("policy", "string"),
        ("labels", "map of string"),
    ],
)
def test_types_are_named_for_people(name: str, kind: str) -> None:
    assert ARGS[name].type == kind


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("root", '"public"'),
        ("mode", '"fast"'),
        ("levels", "[1, 2]"),
        ("ratio", "0.5"),
        ("keep", '"168h"'),
        ("cores", "all of them"),
        ("policy", '"noeviction"'),
        ("greeting", '"say \\"$${name}\\"\\n"'),
        ("labels", '{ a = "1", "b c" = "2" }'),
        ("token", ""),
    ],
)
def test_defaults_are_written_as_the_user_would(name: str, default: str) -> None:
    assert ARGS[name].default == default


def test_required_since_and_until_are_told() -> None:
    assert ARGS["token"] == ConfigArg(name="token", type="string", desc="A secret.", required=True, since="4")
    assert ARGS["keep"].until == "9"


def test_docs_become_one_line() -> None:
    assert ARGS["root"].desc == "Folder to serve."


def test_nested_blocks_are_flattened_under_their_paths() -> None:
    blocks = describe_blocks(Server)

    assert [block.name for block in blocks] == ["collection", "collection.index", "rule", "health", "backup"]
    assert [block.label for block in blocks] == ["name", "", "source, target", "", ""]
    assert blocks[1].args[0] == ConfigArg(name="keys", type="map of int", desc="Fields and directions.", required=True)
    assert blocks[2] == ConfigBlock(name="rule", label="source, target", desc="A rule between two queues.")
    assert blocks[4].desc == "How backups are told."


def test_a_description_is_filled_where_the_author_left_it_empty() -> None:
    own = (ConfigArg(name="x", type="string"),)

    filled = complete_description(Description(title="Server"), Server)
    kept = complete_description(Description(title="Server", config=own), Server)

    assert (filled.config, filled.blocks) == (describe_args(Server), describe_blocks(Server))
    assert (kept.config, kept.blocks) == (own, describe_blocks(Server))


def test_a_driver_without_config_class_keeps_its_description() -> None:
    description = Description(title="Server")

    assert complete_description(description, None) is description


@pytest.mark.parametrize(("keyword", "config"), [("postgres", Postgres), ("valkey", Valkey)])
def test_the_tables_of_real_modules_contain_every_argument(keyword: str, config: type[Config]) -> None:
    tables = {keyword: describe_args(config)} | {
        f"{keyword}.{block.name}": block.args for block in describe_blocks(config)
    }

    assert tables.keys() == {name for name in ARGUMENTS if name.split(".")[0] == keyword}
    for name, table in tables.items():
        assert {arg.name: arg.required for arg in table} == {
            argument: required for argument, (_, required) in arguments(name).items()
        }
        assert all(arg.desc and arg.type for arg in table)


def test_the_markdown_reference_has_a_table_for_each_block() -> None:
    class Cache(Config):
        """Not part of the reference."""

        mode: Literal["a", "b"] = attr("a", doc="One of two.")
        settings: dict[str, str] = attr({}, doc="Pairs, as in a | b.", gate={"io": 18, "async": 17})
        index: list[Index]
        rule: Rule | None = attr(None, until=9)

    assert (
        markdown_reference(Cache, title="cache")
        == """\
## cache

In `settings`, by engine version: `async` since 17, `io` since 18.

| argument | type | default | description |
| --- | --- | --- | --- |
| `mode` | `"a" \\| "b"` | `"a"` | One of two. |
| `settings` | `map of string` |  | Pairs, as in a \\| b. |

### `index`

An index. Any number of times.

| argument | type | default | description |
| --- | --- | --- | --- |
| `keys` | `map of int` | required | Fields and directions. |
| `unique` | `bool` | `false` | Whether values differ. Since engine version 7. |

### `rule "source" "target"`

A rule between two queues. At most once. Removed in engine version 9.
"""
    )


def test_the_json_schema_describes_the_block_as_data() -> None:
    schema = json_schema(Server, title="server")
    properties = schema["properties"]
    assert isinstance(properties, dict)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["type"], schema["additionalProperties"]) == ("server", "object", False)
    assert schema["required"] == ["token", "health"]
    assert properties["mode"] == {"enum": ["fast", "safe | slow"], "default": "fast", "description": "A | in a text."}
    assert properties["keep"]["default"] == "168h"
    assert properties["ratio"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert properties["labels"]["additionalProperties"] == {"type": "string"}
    assert properties["collection"]["items"]["required"] == ["name"]
    assert properties["health"]["type"] == "object"
