"""What makes a field of a config class impossible, told when the class is defined."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args, get_origin

from ._annotations import Unresolved, admits_none, union_members, unwrapped
from ._field import MISSING, Declared, Field, Times
from ._kinds import TEXT, Enumeration, ListOf, MapOf, Scalar, hcl_literal, kind_of
from ._names import CORE_ARGUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._config import Block

_SUPPORTED = (
    "an argument is str, bool, int, float, Literal[…] of texts or whole numbers, timedelta, Path, or list[…] or "
    "dict[str, …] of these, each with '| None' if the source may say null; a nested block is B, B | None or list[B] "
    "of a class B(Block)"
)


def interpret(field: Field, declared: object, block_base: type[Block]) -> list[str]:
    """Find out what *field* is and return what prevents it."""
    if isinstance(field.annotation, Unresolved):
        problem = (
            f"its type {field.spelled!r} cannot be evaluated: {field.annotation.reason}; a config class needs its "
            "types at run time: define or import them above it, outside of 'if TYPE_CHECKING'"
        )
        return [problem]
    annotation = unwrapped(field.annotation)
    members = union_members(annotation)
    field.nullable = admits_none(annotation)
    inner = unwrapped(members[0]) if len(members) == 1 else None
    elements = get_args(inner) if get_origin(inner) is list else ()
    element = unwrapped(elements[0]) if len(elements) == 1 else None
    if inner is block_base or element is block_base:
        pass  # a class of its own says what is in it
    elif isinstance(inner, type) and issubclass(inner, block_base):
        field.block, field.times = inner, Times.AT_MOST_ONCE if field.nullable else Times.ONCE
    elif isinstance(element, type) and issubclass(element, block_base) and not field.nullable:
        field.block, field.times = element, Times.ANY
    elif inner is not None:
        field.kind = kind_of(inner)
    if field.block is None and field.kind is None:
        return [f"{field.spelled!r} is no type for it; {_SUPPORTED}"]
    return _default_of(field, declared)


def _default_of(field: Field, declared: object) -> list[str]:
    if declared is not MISSING and not isinstance(declared, Declared):
        call = f"attr({declared!r})" if field.block else f"attr({declared!r}, doc=…)"
        return [f"its default is given by attr, as in {field.name}: {field.spelled} = {call}"]
    if field.block is not None and field.default is MISSING and field.times is not Times.ONCE:
        field.default = [] if field.times is Times.ANY else None
    return []


def field_problems(field: Field, *, top: bool) -> Iterator[str]:
    """Yield what is wrong with a field whose type is sound; *top* for one of the engine's own block."""
    yield from _name_problems(field, top=top)
    yield from _doc_problems(field.doc, required=not field.is_label and field.block is None)
    if field.is_label:
        yield from _label_problems(field, top=top)
    elif field.block is not None:
        yield from _block_problems(field)
    else:
        yield from _argument_problems(field)
    yield from _version_problems(field)


def _name_problems(field: Field, *, top: bool) -> Iterator[str]:
    if field.name.startswith("_"):
        yield "a field's name does not start with an underscore"
    elif field.name == "validate":
        yield "the name is taken by the hook; call the field 'validate_', which is 'validate' in HCL"
    elif not (field.renamed is None or isinstance(field.renamed, str)):
        yield f"hcl is its name in HCL, a text, got {field.renamed!r}"
    elif not re.fullmatch(r"[^\W\d][\w-]*", field.hcl):
        yield f"{field.hcl!r} is no name in HCL"
    if top and field.kind is not None and field.hcl in CORE_ARGUMENTS:
        known = ", ".join(sorted(CORE_ARGUMENTS))
        yield f"the argument {field.hcl!r} belongs to doze, as do all of {known} in an engine's block"


def _doc_problems(doc: object, *, required: bool) -> Iterator[str]:
    if not isinstance(doc, str):
        yield f"doc is a text, got {doc!r}"
    elif required and not doc.strip():
        yield 'it has no doc; every argument is documented: attr(…, doc="…")'


def _label_problems(field: Field, *, top: bool) -> Iterator[str]:
    if top:
        yield "the label of an engine's block is the instance's name and no field; drivers find it in instance.name"
    elif field.kind is not TEXT or field.nullable:
        yield f"a label is a str, got {field.spelled!r}"


def _block_problems(field: Field) -> Iterator[str]:
    expected: object = {Times.ANY: [], Times.AT_MOST_ONCE: None, Times.ONCE: MISSING}[field.times]
    if field.default != expected:
        yield (
            "a nested block takes no default of its own; "
            f"expected {'none' if expected is MISSING else repr(expected)}, got {field.default!r}"
        )
    if field.show is not MISSING or field.gate is not None:
        yield "show and gate are for arguments; this is a nested block"


def _argument_problems(field: Field) -> Iterator[str]:
    kind = field.kind
    if kind is None:
        return
    if field.default is MISSING:
        if field.nullable:
            yield (
                "null keeps the default, and there is none; "
                f"write attr(None, …), or {field.spelled_without_none!r} if it must be set"
            )
        if field.show is not MISSING:
            yield "show tells a default, and there is none"
    elif not (kind.suits(field.default) or (field.default is None and field.nullable)):
        yield f"its default does not suit its type: expected {field.spelled}, got {field.default!r}"
    if not (field.show is MISSING or isinstance(field.show, str) or kind.suits(field.show)):
        expected = " or ".join(dict.fromkeys((field.spelled_without_none, "str")))
        yield f"show is a value of its type or a phrase: expected {expected}, got {field.show!r}"


def _version_problems(field: Field) -> Iterator[str]:
    gates = {"since": field.since, "until": field.until}
    for name, major in gates.items():
        if major is not None and not _is_major(major):
            yield f"{name} is the major of an engine version, such as {name}=18, got {major!r}"
    since, until = field.since, field.until
    if since is not None and until is not None and _is_major(since) and _is_major(until) and since >= until:
        yield f"no engine version has it: since {since} is not below until {until}"
    if (field.since or field.until) and field.is_label:
        yield "a label has no versions; give them to the block"
    if field.gate is not None and field.block is None:
        yield from _gate_problems(field, field.gate)


def _gate_problems(field: Field, gate: object) -> Iterator[str]:
    if not isinstance(gate, dict) or not gate or not all(map(_is_major, gate.values())):
        yield f'gate maps names to majors of an engine version, such as {{"io_method": 18}}, got {gate!r}'
        return
    kind = field.kind.element if isinstance(field.kind, ListOf) else field.kind
    if isinstance(kind, Enumeration):
        for name in gate:
            if name not in kind.values:
                yield f"gate names {hcl_literal(name)}, which is not among {kind.text}"
    elif not isinstance(kind, MapOf | Scalar) or (isinstance(kind, Scalar) and kind.type is not str):
        yield f"gate is for keys of a map, elements of a list and texts; this is {field.spelled}"
    elif not all(isinstance(name, str) for name in gate):
        yield f"gate maps texts to majors of an engine version, got {gate!r}"


def _is_major(value: object) -> bool:
    return type(value) is int and value > 0
