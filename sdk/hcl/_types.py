"""The types of values: cty's, which HCL's semantics are defined in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Type:
    """A type. `name` is what messages call it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<type {self.name}>"

    @property
    def has_dynamic(self) -> bool:
        """Whether the type is not decided, or holds a part that is not."""
        return self is DYNAMIC


STRING: Final = Type("string")
NUMBER: Final = Type("number")
BOOL: Final = Type("bool")
#: Not decided: the type of `null`, and of what could not be evaluated.
DYNAMIC: Final = Type("dynamic")


class Collection(Type):
    """Values of one element type."""

    __slots__ = ("element",)
    kind = ""

    def __init__(self, element: Type) -> None:
        super().__init__(f"{self.kind} of {element.name}")
        self.element = element

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and self.kind == other.kind and self.element == other.element

    def __hash__(self) -> int:
        return hash((self.kind, self.element))

    @property
    def has_dynamic(self) -> bool:
        return self.element.has_dynamic


class ListOf(Collection):
    __slots__ = ()
    kind = "list"


class SetOf(Collection):
    __slots__ = ()
    kind = "set"


class MapOf(Collection):
    __slots__ = ()
    kind = "map"


class TupleOf(Type):
    """A sequence with a type for each element."""

    __slots__ = ("elements",)

    def __init__(self, elements: tuple[Type, ...]) -> None:
        super().__init__("tuple")
        self.elements = elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TupleOf) and self.elements == other.elements

    def __hash__(self) -> int:
        return hash(self.elements)

    @property
    def has_dynamic(self) -> bool:
        return any(element.has_dynamic for element in self.elements)


class ObjectOf(Type):
    """Named attributes with a type for each."""

    __slots__ = ("attributes",)

    def __init__(self, attributes: Mapping[str, Type]) -> None:
        super().__init__("object")
        self.attributes = attributes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectOf) and self.attributes == other.attributes

    def __hash__(self) -> int:
        return hash(frozenset(self.attributes.items()))

    @property
    def has_dynamic(self) -> bool:
        return any(attribute.has_dynamic for attribute in self.attributes.values())
