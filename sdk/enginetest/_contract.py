"""What every module must get right, as plain functions: a module in, a list of violations out.

`violations` looks at a module from outside, through its plugin process, as a host does. It knows nothing of pytest;
`modtool check` prints what it returns.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import (
    BUILTIN,
    DecodeRequest,
    Description,
    Endpoint,
    EngineError,
    Instance,
    Version,
    capabilities,
    name_problem,
)
from ..hcl import CORE_ARGUMENTS, Context, HCLError, evaluate, find_block, parse, to_json
from ..plugin import START_BUDGET, RemoteDriver, launch
from ..plugin.kernel import IncompatibleVersionError, PluginError, PluginExitedError, StartTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..engine import Object
    from ..hcl import Block

# Under each of these seeds a set of texts has another order; the first process has the first one.
SEEDS = ("0", "1", "4242")
_FILE = "example.hcl"
_STRANGER = "no_such_argument_xyz"
_ADDRESS = "example.doze:7001"

# capability: (what it needs beside it, why)
_NEEDS = {
    "inventory": ("converger", "the host asks for objects only together with converge()"),
    "pruner": ("inventory", "the host removes only what objects() named before"),
    "health": ("lifecycle", "the host asks only supervised instances how they feel"),
}


@dataclass(frozen=True, slots=True)
class _Module:
    """How to start the module's process, and what it has printed to stdout while it served."""

    argv: Sequence[str | os.PathLike[str]]
    cwd: Path | None
    env: Mapping[str, str]
    printed: list[bytes] = field(default_factory=list)

    def launch(self, seed: str = SEEDS[0]) -> RemoteDriver:
        return launch(
            self.argv,
            cwd=self.cwd,
            env={**self.env, "PYTHONHASHSEED": seed},
            inherit_env=False,
            start_timeout=START_BUDGET,
            on_stdout=self.printed.append,
        )


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
    found = []
    with tempfile.TemporaryDirectory(prefix="dz") as home:
        module = _Module(command, cwd, {**(os.environ if env is None else env), "DOZE_HOME": home})
        try:
            with module.launch() as driver:
                found += _of(driver, module, name)
        except PluginError as error:
            found.append(start_error(error, command))
        except EngineError as error:  # it speaks go-plugin, and answers not even what its type is
            found.append(str(error))
    if module.printed:
        text = b"".join(module.printed).decode(errors="replace").strip().splitlines()[0]
        found.append(f"stdout: the module printed {text!r} there while it served, which the host discards; use logging")
    return found


def start_error(error: PluginError, command: Sequence[str | os.PathLike[str]]) -> str:
    """Say why the module that *command* runs did not start, in words for its author."""
    if isinstance(error, IncompatibleVersionError):
        return f"{error} (the host is this doze-sdk: upgrade it, or the one that the module was built with)"
    if isinstance(error, PluginExitedError):
        return f"{error}\n{_advice(error, shlex.join(os.fspath(part) for part in command))}"
    if not isinstance(error, StartTimeoutError):
        return str(error)
    words = "\n".join(f"  {line}" for line in error.stderr)
    return (
        f"the module did not announce itself within {START_BUDGET:g} s, and doze's daemon must be up with all of its "
        "modules in 10; see what its start waits for, and do that in resolve() or provision() instead"
    ) + (f"\nits last lines on stderr:\n{words}" if words else "")


def _advice(error: PluginError, command: str) -> str:
    if any("No module named" in line for line in error.stderr):
        return f"it was started as {command}; see `entry` in [tool.doze], and what is installed in this environment"
    return f"run {command} by hand to see more"


def load_error(driver: RemoteDriver) -> str:
    """Return why a plugin that names no type could not load its driver."""
    try:
        driver.decode(DecodeRequest(file=b"x x {}", block_type="x", block_label="x", base_dir=Path.cwd()))
    except EngineError as error:
        return str(error)
    return "the plugin names no type"


def _of(driver: RemoteDriver, module: _Module, name: str) -> list[str]:
    if not driver.type:
        return [load_error(driver)]
    found = [*_type_violations(driver.type, name), *_capability_violations(driver)]
    try:
        description = driver.describe()
    except EngineError as error:
        return [*found, f"describe: {error}"]
    found += _description_violations(description, driver)
    if description.example:
        found += _example_violations(description, driver, module)
    return found


def _type_violations(engine_type: str, name: str) -> Iterator[str]:
    if name and engine_type != name:
        yield f"type: the driver's type is {engine_type!r}, [tool.doze] name is {name!r}"
    if problem := name_problem(engine_type):
        yield f"type: {problem}"


def _capability_violations(driver: RemoteDriver) -> Iterator[str]:
    offered = capabilities(driver)
    for capability, (needed, why) in _NEEDS.items():
        if capability in offered and needed not in offered:
            yield f"capabilities: {capability} without {needed}: {why}"
    if "inventory" in offered and "pruner" not in offered:
        yield "capabilities: inventory without pruner: an object that a config no longer declares could not be removed"
    if "lifecycle" not in offered and driver.backend_socket(Path("/tmp/s"), 5432) is None:  # noqa: S108 - only named
        yield (
            "backend_socket: there is none, and the driver has no lifecycle: unless an instance is supervised, the "
            "host's proxy connects to a unix socket"
        )


def _description_violations(description: Description, driver: RemoteDriver) -> Iterator[str]:
    for text in ("title", "tagline", "category", "description", "example"):
        if not getattr(description, text):
            yield f"describe: {text} is empty"
    versionless = "versionless" in capabilities(driver)
    if versionless and description.versions:
        yield f"describe: a versionless driver names no versions, got {', '.join(description.versions)}"
    if not versionless and not description.versions:
        yield "describe: versions is empty and the driver is not Versionless: every declared version would pass"
    for block in description.blocks:
        if not block.desc:
            yield f"describe: block {block.name!r} has no description"
        yield from (
            f"describe: argument {argument.name!r} of block {block.name!r} has no description"
            for argument in block.args
            if not argument.desc
        )
    for argument in description.config:
        if not argument.desc:
            yield f"describe: argument {argument.name!r} has no description"


# -- the example


def _example_violations(description: Description, driver: RemoteDriver, module: _Module) -> list[str]:
    try:
        block = find_block(parse(description.example, filename=_FILE), driver.type, description.example_label)
    except HCLError as error:
        return [f"example: as example_label {description.example_label!r} says: {error}"]
    request = example_request(description, driver.type, block)
    found = [*_host_arguments(block, driver), *_undescribed(block, description)]
    try:
        spec = driver.decode(request)
    except EngineError as error:
        return [*found, f"example: it does not decode: {error}"]
    found += _strictness_violations(driver, request, block)
    found += _unaccepted(description, driver, request, block)
    found += _conn_string_violations(driver, request, spec)
    found += _stability_violations(driver, request, spec, module)
    return found


def example_request(description: Description, block_type: str, block: Block | None = None) -> DecodeRequest:
    """Return what the host would send to have the example decoded.

    Args:
        block: the example's block, for the version that it declares; without one it is the first supported version.

    """
    version = description.versions[0] if description.versions else BUILTIN
    declared = block.body.attributes.get("version") if block else None
    if declared is not None:
        value = evaluate(declared.expression, Context())
        version = value if isinstance(value, str) else to_json(value)
    return DecodeRequest(
        file=description.example.encode(),
        filename=_FILE,
        block_type=block_type,
        block_label=description.example_label,
        base_dir=Path.cwd(),
        version=Version(version),
    )


def _host_arguments(block: Block, driver: RemoteDriver) -> Iterator[str]:
    offered = capabilities(driver)
    attributes = block.body.attributes
    if "versionless" not in offered and "version" not in attributes:
        yield "example: the block has no `version`, which the host demands of an engine with versions"
    if "lifecycle" not in offered and not {"port", "listen"} & attributes.keys():
        yield "example: the block has no `port`, which the host demands"


def _undescribed(block: Block, description: Description) -> Iterator[str]:
    """Yield what the example uses and the description's tables lack."""
    arguments = {argument.name for argument in description.config}
    for name in block.body.attributes:
        if name not in arguments and name not in CORE_ARGUMENTS:
            yield f"describe: argument {name!r} of the example is not described"
    blocks = {described.name for described in description.blocks}
    for name in dict.fromkeys(inner.type for inner in block.body.blocks):
        if name not in blocks:
            yield f"describe: block {name!r} of the example is not described"


def _unaccepted(description: Description, driver: RemoteDriver, request: DecodeRequest, block: Block) -> Iterator[str]:
    """Yield what the tables describe and the driver does not know."""
    for argument in description.config:
        if argument.name in block.body.attributes:
            continue
        answer = _answer(driver, _with_line(request, block, f"{argument.name} = null"))
        if f'An argument named "{argument.name}" is not expected here' in answer:
            yield f"describe: argument {argument.name!r} is described, and refused as unknown"


def _strictness_violations(driver: RemoteDriver, request: DecodeRequest, block: Block) -> Iterator[str]:
    answer = _answer(driver, _with_line(request, block, f"{_STRANGER} = 1"))
    if not answer:
        yield "decode: an unknown argument is accepted; a typing mistake would pass unnoticed"
    elif _STRANGER not in answer or f"{_FILE}:{_inside(block)}," not in answer:
        yield f"decode: an unknown argument is refused without its name and position: {answer}"


def _with_line(request: DecodeRequest, block: Block, line: str) -> DecodeRequest:
    """Return the request with one more line at the beginning of the block's body."""
    text = block.source.text
    opening = block.open_brace + 1
    return replace(request, file=f"{text[:opening]}\n  {line}\n{text[opening:]}".encode())


def _inside(block: Block) -> int:
    """Return the number of the line that `_with_line` adds."""
    return block.source.pos(block.open_brace).line + 1


def _answer(driver: RemoteDriver, request: DecodeRequest) -> str:
    """Return what the driver says against a block; empty if it takes it."""
    try:
        driver.decode(request)
    except EngineError as error:
        return str(error)
    return ""


def _conn_string_violations(driver: RemoteDriver, request: DecodeRequest, spec: bytes) -> Iterator[str]:
    endpoint = Endpoint(tcp_addr=_ADDRESS)
    try:
        conn = driver.conn_string(replace(_planned(request, spec), endpoint=endpoint), endpoint)
    except EngineError as error:
        yield f"conn_string: {error}"
        return
    if conn.url and _ADDRESS not in conn.url:
        yield f"conn_string: the host replaces endpoint.tcp_addr in the URL; {_ADDRESS!r} is not in {conn.url!r}"


# -- what must be the same everywhere


def _stability_violations(driver: RemoteDriver, request: DecodeRequest, spec: bytes, module: _Module) -> Iterator[str]:
    instance = _planned(request, spec)
    objects = _objects(driver, instance)
    if isinstance(objects, str):
        yield f"objects: they cannot be named from name, type, version and spec alone, as a plan needs: {objects}"
        return
    placed = _objects(driver, replace(instance, data_dir=Path("/d"), socket_dir=Path("/s"), port=5432))
    if placed != objects:
        yield (
            "objects: they depend on more than name, type, version and spec, and a plan calls with nothing else\n"
            f"  with data_dir     {_shown(placed)}\n"
            f"  without data_dir  {_shown(objects)}"
        )
    for seed in SEEDS[1:]:
        with module.launch(seed) as other:
            if other.decode(request) != spec:
                yield (
                    f"spec: the example decodes to other bytes in another process (PYTHONHASHSEED={seed}); the host "
                    "would converge again on each start. A set, or hash(), in the spec does this"
                )
                return
            if _objects(other, instance) != objects:
                yield f"objects: they differ in another process (PYTHONHASHSEED={seed}); every plan would show changes"
                return


def _planned(request: DecodeRequest, spec: bytes) -> Instance[bytes]:
    """Return the instance as the host has it while it plans."""
    return Instance(name=request.block_label, type=request.block_type, version=request.version, spec=spec)


def _objects(driver: RemoteDriver, instance: Instance[bytes]) -> list[Object] | str:
    if "inventory" not in capabilities(driver):
        return []
    try:
        return list(driver.objects(instance))
    except EngineError as error:
        return str(error)


def _shown(objects: list[Object] | str) -> str:
    return objects if isinstance(objects, str) else json.dumps([[item.kind, item.name, item.hash] for item in objects])
