"""Rules that something differs among the nested blocks of a body, or among the elements of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._field import Times
from ._kinds import Enumeration, ListOf, Number, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._field import Field


class Unique:
    """Either a repeated block and a label or argument of it, or a list alone."""

    __slots__ = ("field", "member")

    def __init__(self, field: Field, member: Field | None) -> None:
        self.field = field
        self.member = member


def unique_rules(rules: object, fields: Sequence[Field]) -> tuple[tuple[Unique, ...], list[str]]:
    """Read the class argument `unique`; return the rules and what is wrong with it."""
    if not isinstance(rules, tuple | list):
        return (), [f'unique: expected a tuple of texts, such as ("role.name",), got {rules!r}']
    found: list[Unique] = []
    problems: list[str] = []
    for rule in rules:
        try:
            found.append(_rule(rule, fields))
        except ValueError as problem:
            problems.append(f"unique: {rule!r}: {problem}")
    return tuple(found), problems


def _rule(rule: object, fields: Sequence[Field]) -> Unique:
    if not isinstance(rule, str):
        raise ValueError("expected a text such as 'role.name'")  # noqa: TRY004 - reported by the caller like the others
    name, dot, member = rule.partition(".")
    field = _named(name, fields)
    if not dot:
        if not isinstance(field.kind, ListOf) or not _is_scalar(field.kind.element):
            raise ValueError(f"{name} is no list of texts or numbers; for a label of a block write '{name}.<label>'")
        return Unique(field, None)
    if field.block is None or field.times is not Times.ANY:
        raise ValueError(f"{name} is no repeated block")
    if "." in member:
        raise ValueError(f"a rule about blocks inside {name} belongs to the class {field.block.__qualname__}")
    found = _named(member, field.block._plan.fields)  # noqa: SLF001 - the package's own attribute
    if not _is_scalar(found.kind):
        raise ValueError(f"{member} of {name} is no text or number")
    return Unique(field, found)


def _named(name: str, fields: Sequence[Field]) -> Field:
    for field in fields:
        if name in {field.hcl, field.name}:
            return field
    raise ValueError(f"there is no {name!r}; there are {', '.join(field.hcl for field in fields) or 'no fields'}")


def _is_scalar(kind: object) -> bool:
    return isinstance(kind, Scalar | Number | Enumeration)
