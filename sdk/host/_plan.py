"""A spawn plan, checked as a whole before any of it runs."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..plugin import is_private
from ._errors import PlanError
from ._probe import Probe, ProbeFormError, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..engine import SpawnPlan, SpawnSpec


@dataclass(frozen=True, slots=True)
class Step:
    """A spec and the probe that its `ready` describes."""

    spec: SpawnSpec
    probe: Probe | None


def steps_of(plan: SpawnPlan) -> tuple[Step, ...]:
    """Return the steps of a plan in the order in which they run.

    Raises:
        PlanError: the plan cannot be run; the error has everything that is wrong with it, in doze's words where doze
            has words for it.

    """
    if not plan.specs:
        raise PlanError(["spawn plan has no specs"])
    violations: list[str] = [*_duplicates(plan)]
    order = list(_ordered(plan, violations))
    probes: dict[str, Probe | None] = {}
    for spec in plan.specs:
        violations += _malformed(spec)
        try:
            probes[spec.name] = None if spec.ready is None else prepare(spec.ready)
        except ProbeFormError as error:
            violations.append(f"the readiness probe of {quoted(spec.name)} cannot pass: {error}")
    if violations:
        raise PlanError(violations)
    return tuple(Step(spec, probes[spec.name]) for spec in order)


def quoted(text: object) -> str:
    """Return a text as Go's ``%q`` writes it, for texts without control characters."""
    return json.dumps(str(text), ensure_ascii=False)


def host_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process inherits: *environ* without what is meant for a plugin, which it may take itself for."""
    return {name: value for name, value in environ.items() if not is_private(name)}


def environment_of(spec: SpawnSpec, inherited: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of a spec's process and hooks: exactly its own, or the inherited one if it has none."""
    if not spec.env:
        # As Go does it, so that a shell in `dir` does not report the host's folder.
        return inherited if spec.dir is None else {**inherited, "PWD": str(spec.dir)}
    return dict(entry.split("=", 1) for entry in spec.env)


def program_of(spec: SpawnSpec, inherited: Mapping[str, str]) -> str:
    """Return the program of a spec; a bare name is looked up in the host's PATH, not in the spec's.

    Raises:
        FileNotFoundError: a bare name that PATH does not have.

    """
    program = str(spec.bin)
    if "/" in program:
        return program
    path = inherited.get("PATH", os.defpath)
    found = shutil.which(program, path=path)
    if found is None:
        raise FileNotFoundError(f"no program {program!r} in PATH ({path})")
    return str(Path(found).absolute())


def _duplicates(plan: SpawnPlan) -> Iterator[str]:
    names = [spec.name for spec in plan.specs]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield (
                f"spawn plan has {names.count(name)} specs named {quoted(name)}, of which doze would silently run only "
                "the last; give each a name of its own"
            )


def _ordered(plan: SpawnPlan, violations: list[str]) -> Iterator[SpawnSpec]:
    """Yield specs depth first in the order of the plan, as doze does, so that a plan has one order everywhere."""
    by_name = {spec.name: spec for spec in plan.specs}
    done: set[str] = set()
    open_names: list[str] = []

    def visit(name: str) -> Iterator[SpawnSpec]:
        if name not in by_name:
            violations.append(f"spawn spec depends on unknown spec {quoted(name)}")
        elif name in open_names:
            violations.append(f"spawn spec dependency cycle at {quoted(name)}")
        elif name not in done:
            open_names.append(name)
            for needed in by_name[name].after:
                yield from visit(needed)
            open_names.pop()
            done.add(name)
            yield by_name[name]

    for spec in plan.specs:
        yield from visit(spec.name)


def _malformed(spec: SpawnSpec) -> Iterator[str]:
    name = quoted(spec.name)
    if not str(spec.bin):
        yield f"{name} has an empty bin; it is the path of a program, or a name to look up in PATH"
    for entry in spec.env:
        if entry.find("=") < 1:
            yield f"{name} has {entry!r} in env; an entry is NAME=value"
    texts = {"bin": [str(spec.bin)], "args": spec.args, "env": spec.env, "dir": [str(spec.dir)], "hooks": spec.hooks}
    for field, values in texts.items():
        if any("\0" in value for value in values):
            yield f"{name} has a NUL byte in {field}; no program can receive one"
