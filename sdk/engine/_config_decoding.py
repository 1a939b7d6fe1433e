"""From a block of a config file to an object of a config class, with every problem and its place."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar

from ._errors import ConfigClassError, DriverError, EngineError, VersionError
from ._field import Times
from ._kinds import FilePath, ListOf, MapOf, hcl_literal, hcl_text
from ._version import Version, require_version, require_version_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..hcl import Argument, Decoded, Diagnostic, Function, Range, Schema
    from ._config import Block, Config, Declaration, Plan
    from ._field import Field
    from ._kinds import Kind, Place
    from ._unique import Unique

C = TypeVar("C", bound="Config")


def decode_config(
    config_class: type[C],
    *,
    file: bytes | str,
    filename: str,
    block_type: str,
    block_label: str,
    base_dir: Path,
    variables: Mapping[str, bytes] | None = None,
    version: str = "",
    functions: Mapping[str, Function] | None = None,
) -> C:
    """Decode one block of a file.

    Args:
        config_class: what the block is decoded to.
        file: the whole file.
        filename: its name in messages.
        block_type: the block's keyword.
        block_label: the block's label.
        base_dir: the folder that relative paths start from, absolute.
        variables: ctyjson by root name (``var``, ``each``, engine types).
        version: the declared engine version, for gates; one that is no number passes all.
        functions: what the block may call; nothing by default.

    Raises:
        HCLError: with every problem: the language's own first where two stand at one place, all in source order.

    """
    from ..hcl import DecodeError, decode_block

    schema = hcl_schema(config_class)
    try:
        decoded = decode_block(
            file,
            filename=filename,
            block_type=block_type,
            label=block_label,
            schema=schema,
            variables=variables,
            functions=functions,
        )
    except DecodeError as error:
        decoded = error.decoded
    decoding = _Decoding(decoded, base_dir, Version(version))
    made = decoding.made(config_class, decoded)
    decoding.refuse_if_wrong()
    assert isinstance(made, config_class)
    return made


def hcl_schema(config_class: type[Config | Block]) -> Schema:
    """Return the schema that HCL decoding is strict about; made once for each class."""
    return _steps(config_class._plan).schema  # noqa: SLF001 - the package's own attribute


class Steps:
    """What decoding does with a body of a class, worked out at the first one.

    Attributes:
        arguments: the arguments by HCL name.
        blocks: the nested blocks by HCL name.
        fresh: what makes the defaults that must not be shared, by Python name.
        rooted: the arguments whose default is a path or holds some.
        required: the arguments that must be set.
        validates: whether the class has a hook.

    """

    __slots__ = ("arguments", "blocks", "fresh", "plan", "required", "rooted", "schema", "validates")

    def __init__(self, plan: Plan) -> None:
        from ._config import Declaration

        self.plan = plan
        self.schema = _schema(plan)
        self.arguments = {field.hcl: field for field in plan.arguments}
        self.blocks = {field.hcl: field for field in plan.blocks}
        self.fresh = tuple(
            (field.name, _maker(field.default)) for field in plan.fields if isinstance(field.default, list | dict)
        )
        self.rooted = tuple(field for field in plan.arguments if not field.required and _holds_paths(field.kind))
        self.required = tuple(field for field in plan.arguments if field.required)
        self.validates = plan.cls.validate is not Declaration.validate


def _steps(plan: Plan) -> Steps:
    if plan.steps is None:
        plan.steps = Steps(plan)
    return plan.steps


def _maker(default: list[object] | dict[str, object]) -> Callable[[], object]:
    from ._config import copied

    return (lambda: copied(default)) if default else type(default)


def _schema(plan: Plan) -> Schema:
    from ..hcl import AttributeSchema, BlockSchema, Repeat, Schema

    times = {Times.ANY: Repeat.REPEATED, Times.AT_MOST_ONCE: Repeat.OPTIONAL, Times.ONCE: Repeat.REQUIRED}
    return Schema(
        attributes=[
            AttributeSchema(field.hcl, field.kind.hcl(), required=field.required, nullable=field.nullable)
            for field in plan.arguments
            if field.kind is not None
        ],
        blocks=[
            BlockSchema(field.hcl, hcl_schema(field.block), repeat=times[field.times])
            for field in plan.blocks
            if field.block is not None
        ],
        labels=[label.hcl for label in plan.labels],
    )


class _Decoding:
    """One block on its way to an object; the problems of all its parts collect here."""

    def __init__(self, decoded: Decoded, base_dir: Path, version: Version) -> None:
        self.decoded = decoded
        self.base_dir = base_dir
        self.version = version
        self.problems: list[Diagnostic] = []
        #: How many values could not be converted. An object with one of them cannot be made, so it is not validated.
        self.unusable = 0
        self._reported = sorted(diagnostic.subject.start for diagnostic in decoded.diagnostics)
        self._origins: dict[int, tuple[Declaration, Decoded]] = {}

    def refuse_if_wrong(self) -> None:
        decoded = self.decoded
        if not self.problems and not decoded.diagnostics:
            return
        from ..hcl import DecodeError, in_source_order

        if self.problems:
            decoded.diagnostics = in_source_order((*decoded.diagnostics, *self.problems))
        raise DecodeError(decoded)

    def problem(
        self, summary: str, detail: str, subject: Range, context: Range | None = None, hint: str | None = None
    ) -> None:
        from ..hcl import Diagnostic

        self.problems.append(Diagnostic(summary, detail, subject, context, hint=hint))

    def made(self, cls: type[Declaration], decoded: Decoded, path: str = "") -> Declaration | None:
        """Make the object of a body, or None if a part of it is unusable."""
        steps = _steps(cls._plan)  # noqa: SLF001 - the package's own attribute
        unusable = self.unusable
        state = dict(steps.plan.defaults)
        for name, make in steps.fresh:
            state[name] = make()
        for field, label in zip(steps.plan.labels, decoded.labels, strict=False):
            state[field.name] = label.value
        self._arguments(steps, decoded, path, state)
        if decoded.blocks or steps.blocks:
            self._blocks(steps, decoded, path, state)
        for rule in steps.plan.unique:
            self._check_unique(rule, decoded)
        if self.unusable != unusable or self._is_reported(decoded):
            return None
        made = cls.__new__(cls)
        vars(made).update(state)
        self._origins[id(made)] = (made, decoded)
        if steps.validates:
            self._validate(made, decoded)
        return made

    def _is_reported(self, decoded: Decoded) -> bool:
        """Tell whether HCL found a problem anywhere in a block."""
        if not self._reported:
            return False
        first = bisect_left(self._reported, decoded.range.start)
        return first < len(self._reported) and self._reported[first] < decoded.body.end

    def _validate(self, made: Declaration, decoded: Decoded) -> None:
        v = Validation(self, made, decoded)
        try:
            made.validate(v)
        except DriverError:  # the class misuses the hook
            raise
        except EngineError as error:  # such as require_version() or parse_duration() raises
            v.error(str(error))

    def origin(self, block: Declaration) -> Decoded | None:
        known = self._origins.get(id(block))
        return known[1] if known is not None else None

    def _arguments(self, steps: Steps, decoded: Decoded, path: str, state: dict[str, object]) -> None:
        given = decoded.arguments
        for name, argument in given.items():
            value: object = argument.value
            if value is not None:
                field = steps.arguments[name]
                if field.since or field.until:
                    self._check_versions(field, path + name, argument.name_range)
                if field.gate:
                    self._check_gate(field.gate, path + name, argument)
                kind = field.kind
                if kind is not None and not kind.direct:
                    value = kind.convert(value, _ArgumentPlace(self, argument))
                state[field.name] = value
        for field in steps.rooted:
            if (field.hcl not in given or given[field.hcl].value is None) and field.kind and field.default is not None:
                state[field.name] = field.kind.convert(field.kind.plain(field.default), _DefaultPlace(self.base_dir))
        for field in steps.required:
            # What is not set HCL has reported. It takes null for a list or a map without elements.
            if field.name not in state:
                state[field.name] = {} if isinstance(field.kind, MapOf) else []

    def _blocks(self, steps: Steps, decoded: Decoded, path: str, state: dict[str, object]) -> None:
        made: dict[str, list[Declaration | None]] = {name: [] for name in steps.blocks}
        for each in decoded.blocks:
            field = steps.blocks[each.type]
            if field.block is not None:
                if field.since or field.until:
                    self._check_versions(field, path + each.type, each.range)
                made[each.type].append(self.made(field.block, each, f"{path}{each.type}."))
        for name, field in steps.blocks.items():
            blocks = made[name]
            state[field.name] = blocks if field.times is Times.ANY else blocks[0] if blocks else None

    def _check_versions(self, field: Field, what: str, place: Range) -> None:
        try:
            if field.since:
                require_version(self.version, field.since, what)
            if field.until:
                require_version_below(self.version, field.until, what)
        except VersionError as error:
            self.problem("Unsupported engine version", str(error), place)

    def _check_gate(self, gate: Mapping[str, int], what: str, argument: Argument) -> None:
        for name, key in _named_parts(argument.value):
            minimum = gate.get(name)
            if minimum is None:
                continue
            try:
                require_version(
                    self.version, minimum, f"{what}[{hcl_text(name)}]" if key == name else f"{what} {hcl_text(name)}"
                )
            except VersionError as error:
                place = argument.subject if key is None else argument.element_range(key)
                self.problem("Unsupported engine version", str(error), place)

    def _check_unique(self, rule: Unique, decoded: Decoded) -> None:
        if rule.member is None:
            self._check_unique_elements(decoded.arguments.get(rule.field.hcl))
            return
        block, member = rule.field.hcl, rule.member
        seen: dict[object, Range] = {}
        for value, place in _members(decoded.blocks_of(block), member):
            first = seen.setdefault(value, place)
            if first is not place:
                detail = f"Another {block} block has the {member.hcl} {hcl_literal(value)}, at {first}."
                self.problem(f"Duplicate {block} {member.hcl}", detail, place)

    def _check_unique_elements(self, argument: Argument | None) -> None:
        if argument is None or not isinstance(argument.value, list):
            return
        seen: dict[object, int] = {}
        for index, value in enumerate(argument.value):
            first = seen.setdefault(value, index)
            if first != index:
                detail = f"{hcl_literal(value)} is in {argument.name} already, at {argument.element_range(first)}."
                self.problem("Duplicate element", detail, argument.element_range(index))


def _named_parts(value: object) -> Iterator[tuple[str, str | int | None]]:
    """Yield what a gate may be about: the keys of a map, the texts of a list, a text; each with its key."""
    if isinstance(value, dict):
        yield from ((key, key) for key in value)
    elif isinstance(value, list):
        yield from ((item, index) for index, item in enumerate(value) if isinstance(item, str))
    elif isinstance(value, str):
        yield value, None


def _members(blocks: Iterable[Decoded], member: Field) -> Iterator[tuple[object, Range]]:
    """Yield what must differ, with its place; what the source does not set takes no part."""
    for block in blocks:
        if member.is_label:
            yield from ((label.value, label.range) for label in block.labels if label.name == member.hcl)
        else:
            argument = block.arguments.get(member.hcl)
            if argument is not None and argument.value is not None:
                yield argument.value, argument.subject


def _holds_paths(kind: Kind | None) -> bool:
    while isinstance(kind, ListOf | MapOf):
        kind = kind.element
    return isinstance(kind, FilePath)


class _ArgumentPlace:
    """Where a value stands in the source: an argument, or an element of the list or map that it is."""

    __slots__ = ("argument", "decoding", "key")

    def __init__(self, decoding: _Decoding, argument: Argument, key: str | int | None = None) -> None:
        self.decoding = decoding
        self.argument = argument
        self.key = key

    @property
    def base_dir(self) -> Path:
        return self.decoding.base_dir

    def at(self, key: str | int) -> Place:
        # Only the outermost elements have places of their own.
        return _ArgumentPlace(self.decoding, self.argument, key) if self.key is None else self

    def refuse(self, detail: str, hint: str | None = None) -> None:
        argument = self.argument
        subject = argument.subject if self.key is None else argument.element_range(self.key)
        self.decoding.unusable += 1
        self.decoding.problem("Unsuitable value", detail, subject, argument.range, hint)


class _DefaultPlace:
    """The place of a default, which was checked when the class was defined."""

    __slots__ = ("base_dir",)

    def __init__(self, base_dir: Path) -> None:
        self.base_dir = base_dir

    def at(self, key: str | int) -> Place:  # noqa: ARG002 - the elements of a default have no places
        return self

    def refuse(self, detail: str, hint: str | None = None) -> None:
        raise ConfigClassError(f"a default is unsuitable: {detail}" + (f" ({hint})" if hint else ""))


class Validation:
    """Takes the problems that a `validate` hook finds in a block, and knows where everything stands."""

    __slots__ = ("_block", "_decoded", "_decoding")

    def __init__(self, decoding: _Decoding, block: Declaration, decoded: Decoded) -> None:
        self._decoding = decoding
        self._block = block
        self._decoded = decoded

    @property
    def version(self) -> Version:
        """The declared engine version."""
        return self._decoding.version

    def is_set(self, name: str) -> bool:
        """Tell whether the source sets an argument, to whatever value, or holds a nested block of that name."""
        field = self._field(name)
        if field.block is not None:
            return bool(self._decoded.blocks_of(field.hcl))
        argument = self._decoded.arguments.get(field.hcl)
        return field.is_label or (argument is not None and argument.value is not None)

    def of(self, block: Block) -> Validation:
        """Return the same for a nested block, to report problems inside it: ``v.of(self.role[1]).error(…)``."""
        decoded = self._decoding.origin(block)
        if decoded is None:
            raise ConfigClassError(f"validate() of {self._name}: {block!r} is no nested block of this config")
        return Validation(self._decoding, block, decoded)

    def error(self, message: str, *, at: str | None = None, key: str | int | None = None) -> None:
        """Report a problem.

        Args:
            message: a sentence for the user.
            at: the argument, label or nested block that it is about. The block as a whole if left out, or if the
                source does not set it.
            key: the key of a map, the index of a list's element or of a repeated block.

        """
        summary, subject, context = self._place(at, key)
        self._decoding.problem(summary, message, subject, context)

    def _place(self, at: str | None, key: str | int | None) -> tuple[str, Range, Range | None]:
        decoded = self._decoded
        whole = (f"Unsuitable {decoded.type} block", decoded.range, None)
        if at is None:
            return whole
        field = self._field(at)
        if field.is_label:
            return "Unsuitable label", next(label.range for label in decoded.labels if label.name == field.hcl), None
        if field.block is not None:
            blocks = decoded.blocks_of(field.hcl)
            index = key if isinstance(key, int) else 0
            return (f"Unsuitable {field.hcl} block", blocks[index].range, None) if index < len(blocks) else whole
        argument = decoded.arguments.get(field.hcl)
        if argument is None:
            return whole
        subject = argument.subject if key is None else argument.element_range(key)
        return "Unsuitable value", subject, argument.range

    def _field(self, name: str) -> Field:
        plan = self._block._plan  # noqa: SLF001 - the package's own attribute
        field = plan.lookup.get(name)
        if field is None:
            raise ConfigClassError(
                f"validate() of {self._name}: there is no {name!r}; there are {_listed(plan.fields)}"
            )
        return field

    @property
    def _name(self) -> str:
        return type(self._block).__qualname__


def _listed(fields: Iterable[Field]) -> str:
    return ", ".join(field.name for field in fields)
