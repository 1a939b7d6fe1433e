"""A config file as `modtool dev` reads it: the instances of one engine, in the order of their references.

The host evaluates more than this. What would make a difference and is not evaluated here is refused, with its position.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from ..engine import BUILTIN, DecodeRequest, DurationError, Version, parse_duration
from ..hcl import (
    BOOL,
    CORE_ARGUMENTS,
    STRING,
    Argument,
    AttributeSchema,
    AttributeStep,
    BlockNotFoundError,
    BlockSchema,
    BlockSelectionError,
    Body,
    Context,
    Diagnostic,
    IndexStep,
    Schema,
    decode,
    evaluate_with_diagnostics,
    find_block,
    from_json,
    parse,
    references,
    to_json,
)
from ._errors import ModtoolError
from ._problems import Problem, of_answer, of_diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
    from pathlib import Path

    from ..engine import ConnString
    from ..hcl import Attribute, Block, Decoded, Expression, File, Range, Traversal, Value, ValueType

VARIABLE = "DOZE_VAR_"
"""Environment variables ``DOZE_VAR_<name>`` give a declared variable another value than its default, as with doze."""

_REFUSED = {
    "use": "modtool dev does not evaluate `use`; write the block out",
    "tls": "modtool dev does not do TLS; take the block out, or try the module under doze",
}
# They change nothing that is served here.
_PASSED_OVER = frozenset({"modules", "output", "defaults"})


def _optional(kind: ValueType, *names: str) -> list[AttributeSchema]:
    return [AttributeSchema(name, kind, required=False) for name in names]


# What the host takes in its own blocks: doze, internal/config/decode.go and vars.go.
_SCHEMAS = {
    "variable": Schema([*_optional(STRING, "type", "default", "description"), *_optional(BOOL, "sensitive")]),
    "output": Schema([*_optional(STRING, "value", "description"), *_optional(BOOL, "sensitive")]),
    "defaults": Schema([*_optional(STRING, "idle_timeout"), *_optional(BOOL, "domains")]),
    "modules": Schema(
        [*_optional(STRING, "mirror"), *_optional(BOOL, "enabled")],
        [BlockSchema("module", Schema(_optional(STRING, "source", "version"), labels=["name"]))],
    ),
}
# These may be any expression.
_ANYTHING = {"variable": frozenset({"type", "default"}), "output": frozenset({"value"})}
_REFUSED_ARGUMENTS = {
    "for_each": "modtool dev does not evaluate for_each; write one block for each instance",
    "count": "modtool dev does not evaluate count; write one block for each instance",
    "listen": "modtool dev serves on a `port` only",
}
_CONDITIONS = ("healthy", "started", "lazy")
_TOO_EARLY = (
    "the host evaluates variables, locals and its own arguments (port, version, enabled, depends_on) "
    "before there are any."
)
_ONE_ADDRESS = "modtool dev serves every instance on 127.0.0.1."
_ROOT_ARGUMENTS = {
    "name": "",
    "listen": "modtool dev serves on the `port` of each instance only",
    "home": "modtool dev keeps data where --home says",
    "data_dir": "modtool dev keeps data where --home says",
}
# An instance's name is a folder's here as it is in the host's home.
_NAME = re.compile(r"(?!\.{0,2}\Z)[^/\0]+")


class _Missing(Enum):
    """Instead of a value: the argument is not there, or what keeps it from having one was said."""

    VALUE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An instance as its block declares it.

    Attributes:
        port: None when the block has none.
        needs: names of the instances that it refers to.
        source: the block itself.

    """

    type: str
    name: str
    version: str
    port: int | None
    needs: frozenset[str]
    source: Block

    @property
    def range(self) -> Range:
        """The block's header."""
        return self.source.range

    @property
    def block(self) -> str:
        """The block's header as text."""
        return f'{self.type} "{self.name}"'


@dataclass(slots=True)
class Stack:
    """The instances of a file, and what they may refer to.

    Attributes:
        instances: each after those that it refers to.
        problems: what is wrong so far; `report` adds to it.

    """

    file: Path
    content: bytes
    instances: tuple[Declared, ...]
    problems: list[Problem]
    _roots: dict[str, Value]
    _broken: set[tuple[str, str]]
    _exposed: dict[str, Value] = field(default_factory=dict)

    def request(self, declared: Declared) -> DecodeRequest:
        """Return what the host would send to have the instance's block decoded."""
        variables = dict(self._roots)
        if self._exposed:
            variables[declared.type] = dict(self._exposed)
        return DecodeRequest(
            file=self.content,
            filename=str(self.file),
            block_type=declared.type,
            block_label=declared.name,
            base_dir=self.file.absolute().parent,
            variables={name: to_json(value).encode() for name, value in variables.items()},
            version=Version(declared.version),
        )

    def expose(self, declared: Declared, conn: ConnString, attributes: Mapping[str, object]) -> None:
        """Let later instances refer to this one: the host's own attributes, and the driver's over them."""
        host = "127.0.0.1" if declared.port else ""
        known = {
            "name": declared.name,
            "engine": declared.type,
            "address": f"{host}:{declared.port}" if declared.port else "",
            "host": host,
            "port": declared.port or 0,
            "socket": "",
            "url": conn.url,
            "env_var": conn.env_var,
            **attributes,
        }
        self._exposed[declared.name] = from_json(json.dumps(known))

    def report(self, declared: Declared, answer: str) -> None:
        """Note what the plugin says against an instance's block, and that others cannot refer to it.

        What is said of an argument that refers to something broken is left out: it would not be wrong otherwise.
        """
        consequences = [_lines(attribute) for attribute in self._touched(declared.source.body)]
        for problem in of_answer(answer, str(self.file), declared.range):
            if not any(problem.line in lines for lines in consequences):
                self.problems.append(problem)
        self._broken.add((declared.type, declared.name))

    def report_missing_port(self, declared: Declared) -> None:
        """Note that an instance has none, unless its block tried to say where it listens."""
        if not {"port", "listen"} & declared.source.body.attributes.keys():
            detail = f"modtool dev serves {declared.block} on one: add `port = …` to the block."
            self.problems += of_diagnostics([Diagnostic("Missing port", detail, declared.range)])

    def _touched(self, body: Body) -> Iterator[Attribute]:
        for attribute in body.attributes.values():
            if self._broken & set(_referred(attribute.expression)):
                yield attribute
        for block in body.blocks:
            yield from self._touched(block.body)


def read_stack(file: Path, engine_type: str, *, versionless: bool) -> Stack:
    """Read the blocks of *engine_type* from *file*.

    What is wrong with them is in the stack's `problems`, beside what can be read all the same.

    Raises:
        ParseError: the file is no HCL.
        ModtoolError: the file cannot be read, declares no such block, or has all of them disabled.

    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModtoolError(f"reading {file}: {error.strerror}") from None
    parsed = parse(content, filename=str(file))
    reading = _Reading(engine_type, versionless)
    declared = reading.instances(parsed)
    ordered = reading.in_order(declared)
    if not ordered and not reading.problems:
        if reading.disabled:
            raise ModtoolError(f"every instance of {file} has `enabled = false`; enable one of them")
        raise ModtoolError(f'{file} declares no instance; write a block: {engine_type} "name" {{ … }}')
    content = _without(reading.nameless, parsed.source.text).encode("utf-8", "surrogateescape")
    return Stack(file, content, ordered, list(of_diagnostics(reading.problems)), reading.roots, reading.broken)


class _Reading:
    """One pass over a file; problems are collected, not raised."""

    def __init__(self, engine_type: str, versionless: bool) -> None:
        self._type = engine_type
        self._versionless = versionless
        self.problems: list[Diagnostic] = []
        self.roots: dict[str, Value] = {"var": {}}
        # What is referred to in vain, as root and name: it was refused, or has no value.
        self.broken: set[tuple[str, str]] = set()
        self._declared: dict[tuple[str, str], Range] = {}
        # One block without a name keeps a plugin from decoding any.
        self.nameless: list[Block] = []
        self.disabled: set[str] = set()

    def instances(self, file: File) -> list[Declared]:
        body = file.body
        self._root_arguments(body)
        by_type: dict[str, list[Block]] = {}
        for block in body.blocks:
            by_type.setdefault(block.type, []).append(block)
        self._labels(file, by_type)
        self._variables(by_type.pop("variable", []))
        self._locals(by_type.pop("locals", []))
        for kind in sorted(_PASSED_OVER & by_type.keys()):
            self._pass_over(kind, by_type.pop(kind))
        own = by_type.pop(self._type, [])
        for kind, blocks in by_type.items():
            why = _REFUSED.get(kind, f"modtool dev serves blocks of type {self._type!r} only")
            self.problems += [Diagnostic("Not served", why, block.type_range) for block in blocks]
            self.broken |= {(kind, block.labels[0]) for block in blocks if block.labels}
        named = self._named(own)
        enabled = {name: block for name, block in named.items() if self._enabled(block.body.attributes.get("enabled"))}
        self.disabled = named.keys() - enabled.keys()
        declared = [self._instance(name, block, set(enabled)) for name, block in enabled.items()]
        self._ports(declared)
        return declared

    def _labels(self, file: File, by_type: Mapping[str, Sequence[Block]]) -> None:
        for kind in (self._type, "variable", "output"):
            try:
                find_block(file, kind, "")
            except BlockSelectionError as error:
                self.problems += error.diagnostics
            except BlockNotFoundError:
                continue
        for kind in ("locals", "defaults", "modules"):
            detail = f"No labels are expected for {kind} blocks."
            for block in by_type.get(kind, ()):
                if block.labels:
                    self.problems.append(Diagnostic(f"Extraneous label for {kind}", detail, block.label_ranges[0]))

    def in_order(self, declared: list[Declared]) -> tuple[Declared, ...]:
        """Put each instance behind those that it refers to."""
        waiting = {instance.name: instance for instance in declared}
        ordered: list[Declared] = []
        while waiting:
            ready = [instance for instance in waiting.values() if not instance.needs & waiting.keys()]
            if not ready:
                cycle = _cycle({name: instance.needs for name, instance in waiting.items()})
                self._report_cycle(cycle, self._type, waiting[cycle[0]].range)
                ready = [waiting[name] for name in cycle[1:]]
            ordered += ready
            for instance in ready:
                del waiting[instance.name]
        return tuple(ordered)

    def _report_cycle(self, cycle: Sequence[str], root: str, where: Range) -> None:
        self.broken |= {(root, name) for name in cycle}
        detail = f"These refer to each other: {' -> '.join(cycle)}." if cycle[2:] else f"{cycle[0]} refers to itself."
        self.problems.append(Diagnostic("Dependency cycle", detail, where))

    def _root_arguments(self, body: Body) -> None:
        for name, attribute in body.attributes.items():
            if name not in _ROOT_ARGUMENTS:
                detail = f'An argument named "{name}" is not expected here.{_near(name, _ROOT_ARGUMENTS)}'
                self.problems.append(Diagnostic("Unsupported argument", detail, attribute.name_range))
            elif why := _ROOT_ARGUMENTS[name]:
                self.problems.append(Diagnostic("Not evaluated", why, attribute.name_range))

    def _named(self, blocks: Iterable[Block]) -> dict[str, Block]:
        """Return the blocks by their names, without those whose names are wrong."""
        named: dict[str, Block] = {}
        for block in blocks:
            if len(block.labels) != 1:
                self.nameless.append(block)
            elif not _NAME.fullmatch(name := block.labels[0]):
                detail = "A name must be fit for a folder: not empty, and without slashes."
                self.problems.append(Diagnostic("Unsuitable name", detail, block.label_ranges[0]))
            elif self._is_first(block.type, name, block.range):
                named[name] = block
        return named

    def _is_first(self, kind: str, name: str, where: Range) -> bool:
        first = self._declared.setdefault((kind, name), where)
        if first is not where:
            detail = f'{kind} "{name}" is already declared, at {first}.'
            self.problems.append(Diagnostic("Duplicate name", detail, where))
        return first is where

    def _instance(self, name: str, block: Block, names: set[str]) -> Declared:
        attributes = block.body.attributes
        for argument, why in _REFUSED_ARGUMENTS.items():
            if argument in attributes:
                self.problems.append(Diagnostic("Not evaluated", why, attributes[argument].name_range))
        return Declared(
            type=block.type,
            name=name,
            version=self._version(block),
            port=self._port(attributes.get("port")),
            needs=self._needs(block.body, names) - {name},
            source=block,
        )

    def _enabled(self, attribute: Attribute | None) -> bool:
        value = self._value(attribute)
        if isinstance(value, bool):
            return value
        self._refuse(attribute, value, "true or false")
        return True

    def _version(self, block: Block) -> str:
        attribute = block.body.attributes.get("version")
        value = self._value(attribute)
        if attribute is None or value == "":  # the same to the host
            if not self._versionless:
                detail = f"Engine {block.type!r} has versions; add `version = …` to the block."
                self.problems.append(Diagnostic("Missing version", detail, block.range))
            return BUILTIN
        if isinstance(value, str):
            return value
        if value is _Missing.VALUE or _is_null(value) or isinstance(value, tuple | list | dict):
            self._refuse(attribute, value, "text or a number")
            return BUILTIN
        # As the host turns it into text: 1.10 without quotes is the number 1.1.
        return _shown(value)

    def _port(self, attribute: Attribute | None) -> int | None:
        value = self._value(attribute)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
            return value
        self._refuse(attribute, value, "a whole number from 1 to 65535", "Unsuitable port")
        return None

    def _ports(self, declared: Iterable[Declared]) -> None:
        """Refuse a port that an instance before has."""
        taken: dict[int, Declared] = {}
        for instance in declared:
            first = instance if instance.port is None else taken.setdefault(instance.port, instance)
            if first is not instance:
                where = instance.source.body.attributes["port"].expression.range
                detail = f"The same port as {first.block}, at {first.range}; {_ONE_ADDRESS}"
                self.problems.append(Diagnostic("Duplicate port", detail, where))

    def _refuse(
        self, attribute: Attribute | None, value: Value | _Missing, expected: str, summary: str = "Unsuitable value"
    ) -> None:
        if attribute is not None and value is not _Missing.VALUE:
            detail = f"Expected {expected}, got {_shown(value)}."
            self.problems.append(Diagnostic(summary, detail, attribute.expression.range))

    def _needs(self, body: Body, names: set[str]) -> frozenset[str]:
        """Return the instances that a block refers to; a name that is none is a problem."""
        found: dict[str, Range] = {}
        for reference in _own_references(body):
            if reference.name == self._type and (name := _member(reference)):
                found.setdefault(name, reference.range)
        for name, where in self._depends_on(body.attributes.get("depends_on")):
            found.setdefault(name, where)
        for name, where in found.items():
            if name not in names:
                detail = f'This file has no enabled {self._type} "{name}".{_near(name, names)}'
                self.problems.append(Diagnostic("Unknown instance", detail, where))
                self.broken.add((self._type, name))
        return frozenset(names.intersection(found))

    def _depends_on(self, attribute: Attribute | None) -> Iterator[tuple[str, Range]]:
        """Yield the names that the argument gives, and where."""
        value = self._value(attribute)
        if attribute is None or value is _Missing.VALUE or _is_null(value):
            return
        if not isinstance(value, dict):
            self._refuse(attribute, value, f'a map such as {{ "{self._type}.b" = "healthy" }}')
            return
        elements = {element.key: element for element in Argument(attribute, None).elements()}
        for key, condition in value.items():
            element = elements.get(key)
            if condition not in _CONDITIONS:
                detail = f'Expected "healthy", "started" or "lazy", got {_shown(condition)}.'
                where = element.value_range if element else attribute.expression.range
                self.problems.append(Diagnostic("Unsuitable value", detail, where))
            # The host takes whatever stands before the first dot for a type, and looks at the name alone.
            root, dot, name = key.partition(".")
            if (root, name) not in self.broken:
                yield name if dot else key, element.key_range if element else attribute.expression.range

    def _variables(self, blocks: Iterable[Block]) -> None:
        values: dict[str, Value] = {}
        for block in blocks:
            sound = not self._decoded(block).diagnostics
            if len(block.labels) != 1 or not sound:
                self.broken |= {("var", name) for name in block.labels[:1]}
            elif self._is_first(block.type, block.labels[0], block.range):
                values[block.labels[0]] = self._variable(block)
        self.roots["var"] = values

    def _variable(self, block: Block) -> Value:
        name, default = block.labels[0], block.body.attributes.get("default")
        given = os.environ.get(f"{VARIABLE}{name}")
        if given is not None:
            return given
        if default is None:
            detail = f'Variable "{name}" has no default; set {VARIABLE}{name}, or give it one.'
            self.problems.append(Diagnostic("Missing value", detail, block.range))
        return self._value_or_null("var", name, default)

    def _locals(self, blocks: Iterable[Block]) -> None:
        """Evaluate locals, which may refer to each other in any order."""
        bodies = [block.body for block in blocks]
        for nested in (block for body in bodies for block in body.blocks):
            detail = "Blocks are not allowed here."
            self.problems.append(Diagnostic(f'Unexpected "{nested.type}" block', detail, nested.type_range))
        waiting = {
            name: attribute
            for body in bodies
            for name, attribute in body.attributes.items()
            if self._is_first("local", name, attribute.name_range)
        }
        values: dict[str, Value] = {}
        if waiting:
            self.roots["local"] = values
        while waiting:
            needs = {name: _locals_in(attribute) & waiting.keys() for name, attribute in waiting.items()}
            ready = [name for name in waiting if not needs[name]]
            if not ready:
                cycle = _cycle(needs)
                self._report_cycle(cycle, "local", waiting[cycle[0]].name_range)
                ready = cycle[1:]
            for name in ready:
                values[name] = self._value_or_null("local", name, waiting.pop(name))

    def _pass_over(self, kind: str, blocks: Sequence[Block]) -> None:
        """Look whether the host would take blocks that make no difference here."""
        for block in blocks:
            decoded = self._decoded(block)
            if kind == "output":
                for name in block.labels[:1]:
                    self._is_first(kind, name, block.range)
            elif block is not blocks[0]:
                detail = f"Only one {kind} block is allowed. Another was defined at {blocks[0].range}."
                self.problems.append(Diagnostic(f"Duplicate {kind} block", detail, block.range))
            if timeout := decoded.arguments.get("idle_timeout"):
                self._idle_timeout(timeout)

    def _idle_timeout(self, argument: Argument) -> None:
        text = str(argument.value)
        try:
            negative = bool(text) and parse_duration(text).total_seconds() < 0
        except DurationError:
            detail = f'"{text}" is not a valid duration (try "5m", "30s").'
        else:
            detail = "An idle_timeout must not be negative." if negative else ""
        if detail:
            self.problems.append(Diagnostic("Unsuitable value", detail, argument.range))

    def _decoded(self, block: Block) -> Decoded:
        """Decode one of the host's own blocks, without what is anything at all or cannot be had."""
        schema = _SCHEMAS[block.type]
        strip = set(_ANYTHING.get(block.type, ()))
        for name, attribute in block.body.attributes.items():
            roots = {reference.name for reference in references(attribute.expression)}
            late = block.type == "output" and self._type in roots
            if name in schema.attributes and (late or self.broken & set(_referred(attribute.expression))):
                strip.add(name)
        decoded = decode(block.body, schema, self._context(), strip=strip)
        self.problems += decoded.diagnostics
        return decoded

    def _value_or_null(self, root: str, name: str, attribute: Attribute | None) -> Value:
        """Return a value that others refer to; without one, they refer to it in vain."""
        value = self._value(attribute)
        if value is _Missing.VALUE:
            self.broken.add((root, name))
            return None
        return value

    def _value(self, attribute: Attribute | None) -> Value | _Missing:
        if attribute is None or self.broken & set(_referred(attribute.expression)):
            return _Missing.VALUE
        for reference in references(attribute.expression):
            if reference.name == self._type:
                detail = f'"{attribute.name}" cannot refer to an instance: {_TOO_EARLY}'
                self.problems.append(Diagnostic("Unsuitable reference", detail, reference.range))
                return _Missing.VALUE
        value, problems = evaluate_with_diagnostics(attribute.expression, self._context())
        self.problems += problems
        return _Missing.VALUE if problems else value

    def _context(self) -> Context:
        from ..hcl import HOST_FUNCTIONS

        return Context(self.roots, HOST_FUNCTIONS)


def _cycle(needs: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Return names each of which needs the next, from one to itself; each of *needs* has to need another or itself."""
    # Those that merely refer to a cycle wait as well; going on from any of them ends in it.
    path = [next(iter(needs))]
    while (following := min(needs[path[-1]] & needs.keys())) not in path:
        path.append(following)
    return [*path[path.index(following) :], following]


def _own_references(body: Body) -> Iterator[Traversal]:
    """Yield what the driver's arguments of an engine block refer to."""
    for name, attribute in body.attributes.items():
        if name not in CORE_ARGUMENTS:
            yield from references(attribute.expression)
    for block in body.blocks:
        yield from references(block.body)


def _referred(node: Body | Expression) -> Iterator[tuple[str, str]]:
    """Yield root and name of everything that *node* refers to: ``local`` and ``a`` for ``local.a``."""
    for reference in references(node):
        if name := _member(reference):
            yield reference.name, name


def _member(reference: Expression) -> str:
    first = next(iter(getattr(reference, "steps", ())), None)
    if isinstance(first, AttributeStep):
        return first.name
    return first.key if isinstance(first, IndexStep) and isinstance(first.key, str) else ""


def _locals_in(attribute: Attribute) -> set[str]:
    return {name for root, name in _referred(attribute.expression) if root == "local"}


def _without(blocks: Iterable[Block], text: str) -> str:
    """Blank out *blocks*; everything else keeps its line and column."""
    for block in blocks:
        end = block.close_brace + 1
        text = text[: block.start] + re.sub(r"[^\r\n]", " ", text[block.start : end]) + text[end:]
    return text


def _lines(attribute: Attribute) -> range:
    return range(attribute.range.start_pos.line, attribute.range.end_pos.line + 1)


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean "{close[0]}"?' if close else ""


def _is_null(value: Value) -> bool:
    return _shown(value) == "null"  # there are nulls with a type


def _shown(value: Value) -> str:
    return to_json(value)
