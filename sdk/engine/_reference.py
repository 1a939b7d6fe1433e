"""Documentation of a config class: the tables of a `Description`, a Markdown reference, a JSON Schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ._description import ConfigArg, ConfigBlock, Description
from ._field import MISSING, Field, Times
from ._kinds import hcl_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._config import Block, Config, Plan


def describe_args(config_class: type[Config | Block]) -> tuple[ConfigArg, ...]:
    """Return the table of the arguments of a block, in the order of the class."""
    return tuple(_arg(field) for field in config_class._plan.arguments)  # noqa: SLF001 - the package's own attribute


def describe_blocks(config_class: type[Config | Block]) -> tuple[ConfigBlock, ...]:
    """Return the tables of the nested blocks at any depth; one inside another is named ``outer.inner``."""
    return tuple(
        ConfigBlock(
            name=path,
            label=", ".join(label.hcl for label in block._plan.labels),  # noqa: SLF001 - the package's own attribute
            desc=_doc(field, block),
            args=describe_args(block),
        )
        for path, field, block in _nested(config_class._plan)  # noqa: SLF001 - the package's own attribute
    )


def complete_description(description: Description, config_class: type[Config] | None) -> Description:
    """Return *description* with those tables filled from *config_class* that the author left empty."""
    if config_class is None:
        return description
    return replace(
        description,
        config=description.config or describe_args(config_class),
        blocks=description.blocks or describe_blocks(config_class),
    )


def _nested(plan: Plan, prefix: str = "") -> Iterator[tuple[str, Field, type[Block]]]:
    for field in plan.blocks:
        if field.block is not None:
            yield prefix + field.hcl, field, field.block
            yield from _nested(field.block._plan, f"{prefix}{field.hcl}.")  # noqa: SLF001 - the package's own attribute


def _arg(field: Field) -> ConfigArg:
    return ConfigArg(
        name=field.hcl,
        type=field.kind.text if field.kind else "",
        default=_default(field),
        desc=_text(field.doc),
        required=field.required,
        since=str(field.since or ""),
        until=str(field.until or ""),
    )


def _default(field: Field) -> str:
    """Return the default as the user would write it; empty if leaving the argument out means leaving it unset."""
    kind = field.kind
    value = field.default if field.show is MISSING else field.show
    if value in (MISSING, None, "", [], {}) or kind is None:
        return ""
    if not kind.suits(value):
        return str(value)  # a phrase given as show=
    return hcl_literal(kind.plain(value))


def _doc(field: Field, block: type[Block]) -> str:
    return _text(field.doc or block._plan.doc)  # noqa: SLF001 - the package's own attribute


def _text(doc: str) -> str:
    return " ".join(doc.split())


def markdown_reference(config_class: type[Config], *, title: str, level: int = 2) -> str:
    """Return the reference of a block as Markdown: a table of its arguments, and one for each nested block.

    Args:
        title: the heading, usually the block's keyword.
        level: of the heading; nested blocks come one below.

    """
    plan = config_class._plan  # noqa: SLF001 - the package's own attribute
    parts = ["#" * level + f" {title}", *_gate_notes(plan), *_table(plan)]
    for path, field, block in _nested(plan):
        labels = "".join(f' "{label.hcl}"' for label in block._plan.labels)  # noqa: SLF001 - the package's own attribute
        parts.append("#" * (level + 1) + f" `{path}{labels}`")
        parts.append(_sentences(_doc(field, block), field, _TIMES[field.times]))
        parts += [*_gate_notes(block._plan), *_table(block._plan)]  # noqa: SLF001 - the package's own attribute
    return "\n\n".join(parts) + "\n"


_TIMES = {Times.ANY: "Any number of times.", Times.AT_MOST_ONCE: "At most once.", Times.ONCE: "Exactly once."}


def _table(plan: Plan) -> Iterator[str]:
    if plan.arguments:
        head = ["| argument | type | default | description |", "| --- | --- | --- | --- |"]
        yield "\n".join([*head, *map(_row, plan.arguments)])


def _row(field: Field) -> str:
    arg = _arg(field)
    default = "required" if arg.required else _code(arg.default) if arg.default else ""
    cells = (_code(arg.name), _code(arg.type), default, _sentences(arg.desc, field).replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    ticks = "``" if "`" in text else "`"
    return ticks + text.replace("|", "\\|") + ticks


def _sentences(doc: str, field: Field, *more: str) -> str:
    """Return *doc* followed by what else there is to say about *field*."""
    said = [*more]
    if field.since:
        said.append(f"Since engine version {field.since}.")
    if field.until:
        said.append(f"Removed in engine version {field.until}.")
    stop = "." if said and doc[-1:] not in ".:;!?)" else ""
    return " ".join([doc + stop, *said])


def _gate_notes(plan: Plan) -> Iterator[str]:
    for field in plan.arguments:
        if field.gate:
            gates = ", ".join(f"{_code(name)} since {major}" for name, major in sorted(field.gate.items()))
            yield f"In {_code(field.hcl)}, by engine version: {gates}."


def json_schema(config_class: type[Config], *, title: str = "") -> dict[str, object]:
    """Return a JSON Schema (2020-12) of the block's content as data.

    Arguments are properties by their HCL names. A nested block is an object, a repeated one an array of objects, and
    its labels are properties like the others. What HCL converts (``"5"`` to a number) the schema does not admit.
    """
    plan = config_class._plan  # noqa: SLF001 - the package's own attribute
    head: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if title:
        head["title"] = title
    return head | _object_schema(plan)


def _object_schema(plan: Plan) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object"}
    if plan.doc:
        schema["description"] = _text(plan.doc)
    schema["properties"] = {field.hcl: _property(field) for field in plan.fields}
    required = [field.hcl for field in plan.fields if field.required]
    if required:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def _property(field: Field) -> dict[str, object]:
    if field.block is not None:
        inner = _object_schema(field.block._plan)  # noqa: SLF001 - the package's own attribute
        schema = {"type": "array", "items": inner} if field.times is Times.ANY else inner
    else:
        schema = _argument_schema(field)
    if field.doc:
        schema["description"] = _text(field.doc)
    versions = {"x-since": field.since, "x-until": field.until, "x-since-by-name": field.gate}
    return schema | {name: value for name, value in versions.items() if value}


def _argument_schema(field: Field) -> dict[str, object]:
    kind = field.kind
    if kind is None:
        return {}
    schema = kind.json_schema()
    if field.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if field.default is not MISSING:
        schema["default"] = kind.plain(field.default)
    return schema
