"""The types that a class declares for its fields, as objects."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Annotated, NewType, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Most annotations are a handful of texts ("str", "bool | None"), and compiling one costs twenty times its evaluation.
_compiled: dict[str, types.CodeType] = {}


class Unresolved:
    """An annotation that names nothing at run time."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def own_annotations(cls: type) -> Iterator[tuple[str, object, str | None]]:
    """Yield name, type and source text of each annotation in the body of *cls*, which is just being defined.

    A text is evaluated where the class statement stands; what cannot be is yielded as `Unresolved`. An annotation that
    is no text has none.
    """
    try:
        annotations: Mapping[str, object] = cls.__annotations__
    except NameError as error:  # from Python 3.14 on this is where the annotations are evaluated
        yield error.name or "?", Unresolved(str(error)), error.name or "?"
        return
    scope: tuple[dict[str, object], dict[str, object]] | None = None
    for name, annotation in annotations.items():
        if isinstance(annotation, str):
            scope = scope or _scope(cls)
            yield name, _evaluated(annotation, *scope), annotation
        else:
            yield name, annotation, None


def _scope(cls: type) -> tuple[dict[str, object], dict[str, object]]:
    """Return the global and the local names where *cls* is defined, which may be inside a function."""
    frame = sys._getframe(1)  # noqa: SLF001 - the one way to the locals of the function that defines a class
    module = sys.modules.get(cls.__module__)
    names: dict[str, object] = vars(module) if module else {}
    nested: dict[str, object] = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__") == cls.__module__:
            if frame.f_locals is frame.f_globals:
                return frame.f_globals, nested
            return frame.f_globals, {**frame.f_locals, **nested}
    return names, nested


def _evaluated(text: str, global_names: dict[str, object], local_names: dict[str, object]) -> object:
    try:
        code = _compiled.get(text)
        if code is None:
            code = _compiled[text] = compile(text.strip(), "<annotation>", "eval")
        value: object = eval(code, global_names, local_names)  # noqa: S307 - the author's own source
    except (SyntaxError, NameError, AttributeError, TypeError) as error:
        return Unresolved(str(error))
    return value


def spelling(annotation: object) -> str:
    """Return *annotation* as an author writes it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return (
        str(annotation).replace("typing.", "").replace("pathlib._local.", "pathlib.")
    )  # 3.13 shows where Path is made


def unwrapped(annotation: object) -> object:
    """Return the type behind `Annotated`, `NewType` and, from Python 3.12 on, ``type X = …``."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = getattr(annotation, "__value__", None)
        else:
            return annotation


def union_members(annotation: object) -> tuple[object, ...]:
    """Return the members of a union without None, or the annotation itself."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(member for member in get_args(annotation) if member is not types.NoneType)
    return (annotation,)


def admits_none(annotation: object) -> bool:
    """Tell whether *annotation* is a union with None."""
    return get_origin(annotation) in {Union, types.UnionType} and types.NoneType in get_args(annotation)
