"""The members of a config class: arguments, labels and nested blocks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from ._annotations import spelling, union_members, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._config import Block
    from ._kinds import Kind

T = TypeVar("T")


class _Missing(Enum):
    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing.MISSING
"""Stands for a default that is not there; None is a default."""


class Declared:
    """What `attr` or `label` was told."""

    __slots__ = ("default", "doc", "gate", "hcl", "is_label", "show", "since", "until")

    def __init__(
        self,
        default: object = MISSING,
        *,
        doc: str = "",
        show: object = MISSING,
        since: int | None = None,
        until: int | None = None,
        gate: Mapping[str, int] | None = None,
        hcl: str | None = None,
        is_label: bool = False,
    ) -> None:
        self.default = default
        self.doc = doc
        self.show = show
        self.since = since
        self.until = until
        self.gate = gate
        self.hcl = hcl
        self.is_label = is_label


@overload
def attr(
    *,
    doc: str = "",
    show: object = ...,
    since: int | None = None,
    until: int | None = None,
    gate: Mapping[str, int] | None = None,
    hcl: str | None = None,
) -> Any: ...  # noqa: ANN401 - it must be assignable to a field of any type, as dataclasses.field() is
@overload
def attr(
    default: T,
    *,
    doc: str = "",
    show: object = ...,
    since: int | None = None,
    until: int | None = None,
    gate: Mapping[str, int] | None = None,
    hcl: str | None = None,
) -> T: ...
def attr(
    default: object = MISSING,
    *,
    doc: str = "",
    show: object = MISSING,
    since: int | None = None,
    until: int | None = None,
    gate: Mapping[str, int] | None = None,
    hcl: str | None = None,
) -> object:
    """Declare an argument of a config block, or say more about a nested block.

    Type checkers see every such field as one that may be left out of the constructor's call: PEP 681 lets them
    recognise a default by the keyword `default` alone. At run time a missing argument without default is refused.

    Args:
        default: the value of an argument that the source does not set, which makes it optional. Lists and maps are
            copied for each object. A nested block has ``[]`` or None if anything.
        doc: what the argument does; required, except for a nested block, whose class has one.
        show: the default that documentation shows, where `default` only stands for it: a value of the argument's type,
            or a phrase such as ``"number of cores"``.
        since: the first engine version, a major, that has it.
        until: the engine version, a major, that removed it.
        gate: since which engine version a key of a map, an element of a list or a value of a text may be used.
        hcl: the name in HCL, where it is not the field's own. One underscore at the end of the field's name is left out
            in any case, so that ``lambda_`` is ``lambda``.

    """
    return Declared(default, doc=doc, show=show, since=since, until=until, gate=gate, hcl=hcl)


def label(*, doc: str = "", hcl: str | None = None) -> Any:  # noqa: ANN401 - as attr()
    """Declare a label of a nested block, the ``"app"`` of ``role "app" {}``; labels come in the order of the fields."""
    return Declared(doc=doc, hcl=hcl, is_label=True)


class Times(Enum):
    """How often a nested block may occur."""

    ANY = "any number"
    AT_MOST_ONCE = "at most one"
    ONCE = "exactly one"


class Field:
    """A member of a config class, as checked when the class was defined.

    Attributes:
        name: of the attribute in Python.
        hcl: its name in the source.
        renamed: the name in the source that the author gave it, which is no text if the class is refused.
        annotation: its type.
        source: its type as the author wrote it, if that is known.
        kind: of an argument or label; None for a nested block.
        block: the class of a nested block, else None.
        nullable: whether the source may say null, which keeps the default.
        default: MISSING if it must be set.

    """

    __slots__ = (
        "annotation",
        "block",
        "default",
        "doc",
        "gate",
        "hcl",
        "is_label",
        "kind",
        "name",
        "nullable",
        "renamed",
        "show",
        "since",
        "source",
        "times",
        "until",
    )

    def __init__(self, name: str, annotation: object, source: str | None, declared: Declared) -> None:
        self.name = name
        self.annotation = annotation
        self.source = source
        self.renamed: object = declared.hcl
        self.hcl = declared.hcl if isinstance(declared.hcl, str) else name.removesuffix("_")
        self.default = declared.default
        self.doc = declared.doc
        self.show = declared.show
        self.since = declared.since
        self.until = declared.until
        self.gate = declared.gate
        self.is_label = declared.is_label
        self.kind: Kind | None = None
        self.block: type[Block] | None = None
        self.times = Times.ANY
        self.nullable = False

    @property
    def spelled(self) -> str:
        """Its type, for messages."""
        return spelling(self.annotation) if self.source is None else self.source

    @property
    def spelled_without_none(self) -> str:
        """The type of its value where the source sets one, for messages."""
        return spelling(union_members(unwrapped(self.annotation))[0])

    @property
    def required(self) -> bool:
        """Whether the source must set it."""
        return self.default is MISSING

    def __repr__(self) -> str:
        return f"<{self.name}: {self.spelled}>"
