"""What every module must get right, as plain functions: a module in, a list of violations out.

`violations` looks at a module from outside, through its plugin process, as a host does. It knows nothing of pytest;
`modtool check` prints what it returns.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import BUILTIN, DecodeRequest, Description, EngineError, Instance, Version, capabilities, name_problem
from ..hcl import HCLError, parse
from ..plugin import RemoteDriver, launch
from ..plugin.kernel import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..engine import Object

# Two seeds under which sets and dictionaries of texts come out in different orders.
SEEDS = ("1", "4242")

# capability: (what it needs beside it, why)
_NEEDS = {
    "inventory": ("converger", "the host asks for objects only together with converge()"),
    "pruner": ("inventory", "the host removes only what objects() named before"),
    "health": ("lifecycle", "the host asks only supervised instances how they feel"),
}


@dataclass(frozen=True, slots=True)
class _Command:
    """How to start the module's process."""

    argv: Sequence[str | os.PathLike[str]]
    cwd: Path | None
    env: Mapping[str, str]

    def launch(self, seed: str = "random") -> RemoteDriver:
        return launch(self.argv, cwd=self.cwd, env={**self.env, "PYTHONHASHSEED": seed}, inherit_env=False)


def violations(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    name: str = "",
) -> list[str]:
    """Launch the module and return everything that is wrong with it, each as a sentence.

    Checked are the handshake and what else the process prints, the driver's loading, the description and its example,
    what the capabilities need of each other, and that spec and objects do not depend on the process that made them.

    Args:
        command: the plugin's program and arguments.
        cwd: the folder to run it in.
        env: its whole environment; None is this process's.
        name: the type that the driver must have; empty for any.

    """
    with tempfile.TemporaryDirectory(prefix="dz") as home:
        module = _Command(command, cwd, {**(os.environ if env is None else env), "DOZE_HOME": home})
        try:
            with module.launch() as driver:
                return list(_of(driver, module, name))
        except PluginError as error:
            return [str(error)]


def _of(driver: RemoteDriver, module: _Command, name: str) -> Iterator[str]:
    if not driver.type:
        yield load_error(driver)
        return
    if name and driver.type != name:
        yield f"type: the driver's type is {driver.type!r}, [tool.doze] name is {name!r}"
    problem = name_problem(driver.type)
    if problem:
        yield f"type: {problem}"
    yield from _capability_violations(capabilities(driver))
    try:
        description = driver.describe()
    except (EngineError, subprocess.TimeoutExpired) as error:
        yield f"describe: {error}"
        return
    yield from _description_violations(description, driver)
    if description.example:
        yield from _example_violations(description, driver, module)


def load_error(driver: RemoteDriver) -> str:
    try:
        driver.decode(_request("", "x", "x", BUILTIN))
    except EngineError as error:
        return str(error)
    return "the plugin names no type"


def _capability_violations(offered: frozenset[str]) -> Iterator[str]:
    for capability, (needed, why) in _NEEDS.items():
        if capability in offered and needed not in offered:
            yield f"capabilities: {capability} without {needed}: {why}"
    if "inventory" in offered and "pruner" not in offered:
        yield "capabilities: inventory without pruner: an object that a config no longer declares could not be removed"


def _description_violations(description: Description, driver: RemoteDriver) -> Iterator[str]:
    for field in ("title", "tagline", "category", "example"):
        if not getattr(description, field):
            yield f"describe: {field} is empty"
    versionless = "versionless" in capabilities(driver)
    if versionless and description.versions:
        yield f"describe: a versionless driver names no versions, got {', '.join(description.versions)}"
    if not versionless and not description.versions:
        yield "describe: versions is empty and the driver is not Versionless: every declared version would pass"
    for argument in description.config:
        if not argument.desc:
            yield f"describe: argument {argument.name!r} has no description"


def _example_violations(description: Description, driver: RemoteDriver, module: _Command) -> Iterator[str]:
    label, version = description.example_label, (description.versions or (BUILTIN,))[0]
    try:
        file = parse(description.example, filename="example.hcl")
    except HCLError as error:
        yield f"example: {error}"
        return
    labels = [block.labels[0] for block in file.body.blocks if block.type == driver.type and block.labels]
    if label not in labels:
        yield f"example: it holds no block {driver.type} {json.dumps(label)}, the example_label; it has {labels}"
        return
    request = _request(description.example, driver.type, label, version)
    try:
        spec = driver.decode(request)
    except EngineError as error:
        yield f"example: it does not decode: {error}"
        return
    yield from _strictness_violations(driver, request)
    yield from _stability_violations(driver, request, spec, module)


def _strictness_violations(driver: RemoteDriver, request: DecodeRequest) -> Iterator[str]:
    unknown = "no_such_argument_xyz"
    text = request.file.decode()
    opening = re.search(rf'^\s*{driver.type}\s+"?{re.escape(request.block_label)}"?\s*{{', text, re.MULTILINE)
    if opening is None:
        return
    broken = f"{text[: opening.end()]}\n  {unknown} = 1\n{text[opening.end() :]}"
    try:
        driver.decode(_request(broken, driver.type, request.block_label, request.version))
    except EngineError as error:
        if unknown not in str(error) or not re.search(r"example\.hcl:\d+,\d+", str(error)):
            yield f"decode: an unknown argument is refused without its name and position: {error}"
    else:
        yield "decode: an unknown argument is accepted"


def _stability_violations(driver: RemoteDriver, request: DecodeRequest, spec: bytes, module: _Command) -> Iterator[str]:
    objects = _objects(driver, request, spec)
    if isinstance(objects, str):
        yield objects
        return
    for seed in SEEDS:
        with module.launch(seed) as other:
            if other.decode(request) != spec:
                yield (
                    f"spec: the example decodes to other bytes in another process (PYTHONHASHSEED={seed}); the host "
                    "would converge again on each start. A set, or hash(), in the spec does this"
                )
                return
            if _objects(other, request, spec) != objects:
                yield f"objects: they differ in another process (PYTHONHASHSEED={seed}); every plan would show changes"
                return


def _objects(driver: RemoteDriver, request: DecodeRequest, spec: bytes) -> list[Object] | str:
    if "inventory" not in capabilities(driver):
        return []
    instance = Instance(name=request.block_label, type=driver.type, version=request.version, spec=spec)
    try:
        return list(driver.objects(instance))
    except EngineError as error:
        return f"objects: they cannot be named from name, type, version and spec alone, as a plan needs: {error}"


def _request(text: str, block_type: str, label: str, version: str) -> DecodeRequest:
    return DecodeRequest(
        file=text.encode(),
        filename="example.hcl",
        block_type=block_type,
        block_label=label,
        base_dir=Path.cwd(),
        version=Version(version),
    )
