"""What the values of the contract have in common."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import Field
    from typing import ClassVar


class Value:
    """A dataclass whose comparison and text are here, once for all of them.

    Generated for each class, as dataclasses do, they are more than a third of what defining it costs, and every command
    of the host starts every plugin.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def __eq__(self, other: object) -> bool:
        return _content(self) == _content(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_content(self))

    def __repr__(self) -> str:
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _content(value: Value) -> tuple[object, ...]:
    return tuple(getattr(value, field.name) for field in fields(value))
