"""A config file as `modtool dev` reads it: the instances of one engine, in the order of their references.

The host evaluates more than this. What would make a difference and is not evaluated here is refused, with its position.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..engine import BUILTIN, DecodeRequest, Version
from ..hcl import (
    HOST_FUNCTIONS,
    AttributeStep,
    Body,
    Context,
    Diagnostic,
    EvaluationError,
    Expression,
    evaluate_with_diagnostics,
    from_json,
    in_source_order,
    parse,
    references,
    to_json,
)
from ._errors import ModtoolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..engine import ConnString
    from ..hcl import Attribute, Block, Range, Value

VARIABLE = "DOZE_VAR_"
"""Environment variables ``DOZE_VAR_<name>`` give a declared variable another value than its default, as with doze."""

_REFUSED = {
    "use": "modtool dev does not evaluate `use`; write the block out",
    "tls": "modtool dev does not do TLS; take the block out, or try the module under doze",
}
# They change nothing that is served here.
_PASSED_OVER = frozenset({"modules", "output", "defaults"})
_REFUSED_ARGUMENTS = {
    "for_each": "modtool dev does not evaluate for_each; write one block for each instance",
    "count": "modtool dev does not evaluate count; write one block for each instance",
    "listen": "modtool dev serves on a `port` only",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An instance as its block declares it.

    Attributes:
        port: None when the block has none.
        needs: names of the instances that it refers to.
        range: the block's header.

    """

    type: str
    name: str
    version: str
    port: int | None
    needs: frozenset[str]
    range: Range

    @property
    def block(self) -> str:
        """The block's header as text."""
        return f'{self.type} "{self.name}"'


@dataclass(slots=True)
class Stack:
    """The instances of a file, and what they may refer to.

    Attributes:
        instances: each after those that it refers to.

    """

    file: Path
    content: bytes
    instances: tuple[Declared, ...]
    roots: dict[str, Value]
    _exposed: dict[str, Value] = field(default_factory=dict)

    def request(self, declared: Declared) -> DecodeRequest:
        """Return what the host would send to have the instance's block decoded."""
        variables = dict(self.roots)
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
        port = declared.port or 0
        known = {
            "name": declared.name,
            "engine": declared.type,
            "address": f"127.0.0.1:{port}",
            "host": "127.0.0.1",
            "port": port,
            "socket": "",
            "url": conn.url,
            "env_var": conn.env_var,
            **attributes,
        }
        self._exposed[declared.name] = from_json(json.dumps(known))


def read_stack(file: Path, engine_type: str, *, versionless: bool) -> Stack:
    """Read the blocks of *engine_type* from *file*.

    Raises:
        HCLError: the file is no HCL, or holds something that is wrong or not evaluated here; every problem is in it.
        ModtoolError: the file cannot be read, or declares no such block.

    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModtoolError(f"reading {file}: {error.strerror}") from None
    body = parse(content, filename=str(file)).body
    reading = _Reading(engine_type, versionless)
    declared = reading.instances(body)
    ordered = reading.in_order(declared)
    if reading.problems:
        raise EvaluationError(in_source_order(reading.problems))
    if not ordered:
        raise ModtoolError(f'{file} declares no instance; write a block: {engine_type} "name" {{ … }}')
    return Stack(file, content, ordered, reading.roots)


class _Reading:
    """One pass over a file; problems are collected, not raised."""

    def __init__(self, engine_type: str, versionless: bool) -> None:
        self._type = engine_type
        self._versionless = versionless
        self.problems: list[Diagnostic] = []
        self.roots: dict[str, Value] = {"var": {}}

    def instances(self, body: Body) -> list[Declared]:
        by_type: dict[str, list[Block]] = {}
        for block in body.blocks:
            by_type.setdefault(block.type, []).append(block)
        self._variables(by_type.pop("variable", []))
        self._locals(by_type.pop("locals", []))
        own = by_type.pop(self._type, [])
        for kind, blocks in by_type.items():
            if kind not in _PASSED_OVER:
                why = _REFUSED.get(kind, f"modtool dev serves blocks of type {self._type!r} only")
                self.problems += [Diagnostic("Not served", why, block.type_range) for block in blocks]
        names = {block.labels[0] for block in own if len(block.labels) == 1}
        return [declared for block in own if (declared := self._instance(block, names))]

    def in_order(self, declared: list[Declared]) -> tuple[Declared, ...]:
        """Put each instance behind those that it refers to."""
        waiting = {instance.name: instance for instance in declared}
        ordered: list[Declared] = []
        while waiting:
            ready = [instance for instance in waiting.values() if not instance.needs & waiting.keys()]
            if not ready:
                first = next(iter(waiting.values()))
                circle = ", ".join(sorted(waiting))
                self.problems.append(
                    Diagnostic("Dependency cycle", f"These refer to each other: {circle}.", first.range)
                )
                break
            ordered += ready
            for instance in ready:
                del waiting[instance.name]
        return tuple(ordered)

    def _instance(self, block: Block, names: set[str]) -> Declared | None:
        if len(block.labels) != 1:
            detail = f'Expected one label, as in {block.type} "name", got {len(block.labels)}.'
            self.problems.append(Diagnostic("Missing name", detail, block.range))
            return None
        attributes = block.body.attributes
        for name, why in _REFUSED_ARGUMENTS.items():
            if name in attributes:
                self.problems.append(Diagnostic("Not evaluated", why, attributes[name].name_range))
        if self._value(attributes.get("enabled"), default=True) is False:
            return None
        own = block.labels[0]
        return Declared(
            type=block.type,
            name=own,
            version=self._version(block),
            port=self._port(attributes.get("port")),
            needs=frozenset(self._needs(block.body, names) - {own}),
            range=block.range,
        )

    def _version(self, block: Block) -> str:
        attribute = block.body.attributes.get("version")
        if attribute is None:
            if not self._versionless:
                detail = f"Engine {block.type!r} has versions; add `version = …` to the block."
                self.problems.append(Diagnostic("Missing version", detail, block.range))
            return BUILTIN
        value = self._value(attribute, default=BUILTIN)
        # As the host turns it into text: 1.10 without quotes is the number 1.1.
        return value if isinstance(value, str) else to_json(value)

    def _port(self, attribute: Attribute | None) -> int | None:
        value = self._value(attribute, default=None)
        if value is None or attribute is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
            return value
        detail = f"Expected a whole number from 1 to 65535, got {to_json(value)}."
        self.problems.append(Diagnostic("Unsuitable port", detail, attribute.expression.range))
        return None

    def _needs(self, body: Body, names: set[str]) -> set[str]:
        found = _members(body, self._type) & names
        depends_on = self._value(body.attributes.get("depends_on"), default={})
        if isinstance(depends_on, dict):
            wanted = (str(key).removeprefix(f"{self._type}.") for key in depends_on)
            found |= names.intersection(wanted)
        return found

    def _variables(self, blocks: Iterable[Block]) -> None:
        values: dict[str, Value] = {}
        for block in blocks:
            for name in block.labels[:1]:
                default = self._value(block.body.attributes.get("default"), default=None)
                values[name] = os.environ.get(f"{VARIABLE}{name}", default)
        self.roots["var"] = values

    def _locals(self, blocks: Iterable[Block]) -> None:
        """Evaluate locals, which may refer to each other in any order."""
        waiting = {name: attribute for block in blocks for name, attribute in block.body.attributes.items()}
        values: dict[str, Value] = {}
        self.roots["local"] = values
        while waiting:
            ready = [
                name
                for name, attribute in waiting.items()
                if not _members(attribute.expression, "local") & waiting.keys()
            ]
            for name in ready or list(waiting):  # a circle: let the language say what is missing
                values[name] = self._value(waiting.pop(name), default=None)
        if not values:
            del self.roots["local"]

    def _value(self, attribute: Attribute | None, *, default: Value) -> Value:
        if attribute is None:
            return default
        value, problems = evaluate_with_diagnostics(attribute.expression, Context(self.roots, HOST_FUNCTIONS))
        self.problems += problems
        return default if problems else value


def _members(node: Body | Expression, root: str) -> set[str]:
    """Return the names behind *root* in everything that *node* refers to: `a` for ``local.a``."""
    return {
        step.name
        for reference in references(node)
        if reference.name == root
        for step in reference.steps[:1]
        if isinstance(step, AttributeStep)
    }
