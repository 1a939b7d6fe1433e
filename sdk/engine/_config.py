"""Config classes: one declaration from which schema, decoding, version gates and documentation of a block derive.

    class Role(Block, doc="A login role."):
        name: str = label()
        login: bool | None = attr(True, doc="Whether the role may log in.")

    class Postgres(Config, unique=("role.name",)):
        shared_buffers: str = attr("16MB", doc="Memory for the shared buffers.")
        role: list[Role]

Objects of these classes are frozen values with a constructor of keywords. `dataclasses.fields`, `replace` and `asdict`
take them for dataclasses.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, ClassVar, dataclass_transform, get_origin

from ._annotations import own_annotations
from ._errors import ConfigClassError
from ._field import MISSING, Declared, Field, label
from ._field_checks import field_problems, interpret
from ._unique import Unique, unique_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from dataclasses import Field as DataclassField

    from ._config_decoding import Steps, Validation


class Plan:
    """A config class as checked when it was defined: what decoding, documentation and serialisation work from.

    Attributes:
        fields: all members in their order.
        defaults: the defaults by Python name; those that must be copied are in `mutable` too.
        lookup: fields by Python name and by HCL name.
        steps: what decoding does, once something was decoded.

    """

    __slots__ = (
        "arguments",
        "blocks",
        "cls",
        "defaults",
        "doc",
        "fields",
        "labels",
        "lookup",
        "mutable",
        "steps",
        "unique",
    )

    def __init__(self, cls: type[Declaration], doc: str, fields: tuple[Field, ...], unique: tuple[Unique, ...]) -> None:
        self.cls = cls
        self.doc = doc
        self.fields = fields
        self.unique = unique
        self.labels = tuple(field for field in fields if field.is_label)
        self.arguments = tuple(field for field in fields if not field.is_label and field.kind is not None)
        self.blocks = tuple(field for field in fields if field.block is not None)
        self.defaults = {field.name: field.default for field in fields if field.default is not MISSING}
        self.mutable = tuple(field.name for field in fields if _is_mutable(field))
        self.steps: Steps | None = None
        self.lookup = {field.hcl: field for field in fields} | {field.name: field for field in fields}

    def state(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes of an object that is made of *given*."""
        state = {**self.defaults, **given}
        if len(state) != len(self.fields) or state.keys() != {field.name for field in self.fields}:
            raise TypeError(self._mismatch(given))
        for name in self.mutable:
            state[name] = copied(state[name])
        return state

    def _mismatch(self, given: Mapping[str, object]) -> str:
        names = [field.name for field in self.fields]
        missing = [name for name in names if name not in self.defaults and name not in given]
        problems = [f"there is no {name!r}" for name in given if name not in names]
        problems += [f"{name!r} is required" for name in missing]
        return f"making a {self.cls.__qualname__}: {', '.join(problems)}; it has {', '.join(names) or 'no fields'}"


def _is_mutable(field: Field) -> bool:
    return get_origin(field.annotation) in {list, dict} or isinstance(field.default, list | dict)


def copied(value: object) -> object:
    """Copy lists and maps to any depth; their elements are values that need no copy."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value


class _DataclassFields:
    """Makes `dataclasses.fields` and its kin accept a class, at no cost until one of them asks."""

    def __get__(self, instance: object, owner: type[Declaration]) -> dict[str, DataclassField[object]]:
        import dataclasses

        found = vars(owner).get("_dataclass_fields")
        if found is None:
            spec = [(field.name, object) for field in owner._plan.fields]  # noqa: SLF001 - the package's own attribute
            fields = dataclasses.fields(dataclasses.make_dataclass(owner.__name__, spec, kw_only=True))
            found = {field.name: field for field in fields}
            owner._dataclass_fields = found  # noqa: SLF001 - as above
        return found


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(label,))
class Declaration:
    """What `Config` and `Block` have in common."""

    _plan: ClassVar[Plan]
    _dataclass_fields: ClassVar[dict[str, DataclassField[object]]]
    __dataclass_fields__: ClassVar[dict[str, DataclassField[object]]]
    if not TYPE_CHECKING:
        __dataclass_fields__ = _DataclassFields()

    def __init_subclass__(cls, *, doc: str = "", unique: tuple[str, ...] = (), **kwargs: object) -> None:
        unknown: Iterable[str] = ()
        if kwargs and not _mixin_takes_arguments(cls):
            unknown, kwargs = tuple(kwargs), {}
        super().__init_subclass__(**kwargs)
        if cls.__module__ == __name__:  # Config and Block themselves
            cls._plan = Plan(cls, "", (), ())
            return
        own = tuple(own_annotations(cls))
        problems = [f"{name}: there is no such class argument; there are doc and unique" for name in unknown]
        problems += [f"{name}: {problem}" for name, problem in _class_problems(cls, doc, {name for name, _, _ in own})]
        fields = _fields(cls, own, problems)
        problems += [f"validate: {problem}" for problem in _hook_problems(cls)]
        rules, unsound = unique_rules(unique, fields)
        if problems or unsound:
            raise ConfigClassError(
                "\n".join(f"config class {cls.__qualname__}: {problem}" for problem in (*problems, *unsound))
            )
        cls._plan = Plan(cls, doc, fields, _inherited_rules(cls) + rules)

    def __init__(self, /, **values: object) -> None:
        vars(self).update(self._plan.state(values))

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *(vars(self)[field.name] for field in self._plan.fields)))

    def __repr__(self) -> str:
        """Show what differs from the defaults."""
        state = vars(self)
        shown = [
            f"{field.name}={state[field.name]!r}"
            for field in self._plan.fields
            if field.default is MISSING or state[field.name] != field.default
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def validate(self, v: Validation) -> None:
        """Check what concerns several members, or what no type can say; overridden by config classes.

        It runs when a block has been decoded and nothing else is wrong inside it; an object made by its constructor is
        not validated.

        Args:
            v: takes the problems; see `Validation`.

        """


def _mixin_takes_arguments(cls: type[Declaration]) -> bool:
    following = cls.__mro__[cls.__mro__.index(Declaration) + 1 : -1]  # the last is object, which takes none
    return any("__init_subclass__" in vars(base) for base in following)


def _class_problems(cls: type[Declaration], doc: object, typed: set[str]) -> Iterator[tuple[str, str]]:
    if issubclass(cls, Block) and issubclass(cls, Config):
        yield "its bases", "a class is a Config or a Block, not both"
    elif not isinstance(doc, str):
        yield "doc", f"it is a text, got {doc!r}"
    elif issubclass(cls, Block) and not doc.strip():
        yield "doc", 'a nested block is documented by its class: class …(Block, doc="…")'
    inherited = {field.name for plan in _inherited(cls) for field in plan.fields}
    for name, value in vars(cls).items():
        if name not in typed and isinstance(value, Declared):
            yield name, f"it has no type; write it as a field, such as {name}: str = attr(…)"
        elif name not in typed and name in inherited:
            yield name, "it redefines a field of a base class; write it as a field again, with its type"


def _hook_problems(cls: type[Declaration]) -> Iterator[str]:
    """Yield why the hook, defined here or in a mixin, could not be called, or would be called in vain."""
    hook: object = cls.validate
    if hook is Declaration.validate or isinstance(hook, Declared):  # a field without its type is refused as such
        return
    import inspect  # loaded with dataclasses

    if not callable(hook):
        yield f"it is the hook, 'def validate(self, v: Validation) -> None', got {hook!r}"
        return
    defined = inspect.getattr_static(cls, "validate")
    is_method = hasattr(defined, "__get__") and not isinstance(defined, staticmethod | classmethod)
    try:
        signature = inspect.signature(hook)
    except ValueError:  # of a function in C that does not tell
        return
    try:
        signature.bind(*(("self",) if is_method else ()), "v")
    except TypeError:
        bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        shown = signature.replace(parameters=bare, return_annotation=signature.empty)
        yield f"it is called as validate(self, v), got 'def validate{shown}'"
    if inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        yield "it is called as a plain function, and its body would never run; leave out async and yield"


def _inherited(cls: type[Declaration]) -> Iterator[Plan]:
    for base in reversed(cls.__mro__[1:]):
        plan = vars(base).get("_plan")
        if isinstance(plan, Plan):
            yield plan


def _fields(
    cls: type[Declaration], own: Iterable[tuple[str, object, str | None]], problems: list[str]
) -> tuple[Field, ...]:
    fields: dict[str, Field] = {}
    for plan in _inherited(cls):
        fields |= {field.name: field for field in plan.fields}
    for name, annotation, source in own:
        if annotation is ClassVar or get_origin(annotation) is ClassVar:
            continue
        declared = vars(cls).get(name, MISSING)
        if declared is not MISSING and not name.startswith("_"):  # such a field is refused; __doc__ cannot be deleted
            delattr(cls, name)
        field = Field(name, annotation, source, declared if isinstance(declared, Declared) else Declared())
        found = interpret(field, declared, Block)
        problems += [f"{name}: {problem}" for problem in found or field_problems(field, top=issubclass(cls, Config))]
        fields[name] = field
    problems += _clashes(fields)
    return tuple(fields.values())


def _clashes(fields: Mapping[str, Field]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, field in fields.items():
        owner = owners.setdefault(field.hcl, name)
        if owner != name:
            yield f"{name}: its name in HCL, {field.hcl!r}, is that of {owner} already"


def _inherited_rules(cls: type[Declaration]) -> tuple[Unique, ...]:
    return tuple(dict.fromkeys(rule for plan in _inherited(cls) for rule in plan.unique))


class Block(Declaration):
    """A nested block. Its class takes ``doc=`` and may take ``unique=``; see `Config`."""


class Config(Declaration):
    """The block of an engine.

    A field is an argument if its type is `str`, `bool`, `int`, `float`, `Literal[…]`, `timedelta`, `Path`, or a list or
    a map (``dict[str, …]``) of those; ``| None`` lets the source say null, which keeps the default. It is a nested
    block if its type is ``list[B]`` (repeated), ``B | None`` (at most one) or ``B`` (exactly one), for a class B of
    `Block`.

    Class arguments:
        doc: what the block is, for its JSON Schema; a `Block` must have one.
        unique: what must differ, as ``"role.name"`` (a label or argument of a repeated block) or ``"extensions"`` (the
            elements of a list).

    Raises:
        ConfigClassError: when the class is defined, for everything that makes it unable to work.

    """
