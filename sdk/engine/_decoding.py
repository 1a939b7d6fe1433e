"""From a block of a config file to the spec that a driver works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._capabilities import Advertised, ConfigDecoder, Inventory
from ._values import Instance
from ._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..hcl import Function
    from ._driver import Driver
    from ._values import S


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """What the host sends to have one block decoded.

    Attributes:
        file: the whole file that declares the block, as UTF-8.
        filename: as it appears in messages; empty stands for ``<block_label>.doze.hcl``.
        block_type: the block's keyword. It may differ from the driver's `type`: a user can give a plugin another name.
        block_label: the label in the source; instances stamped by `for_each` or `count` share it.
        variables: ctyjson by root name (``var``, ``local``, ``each``, ``count``, engine types).
        base_dir: the folder of the file, absolute.
        version: the declared engine version, ``builtin`` if none.

    """

    file: bytes
    block_type: str
    block_label: str
    base_dir: Path
    filename: str = ""
    variables: Mapping[str, bytes] = field(default_factory=dict)
    version: Version = field(default=Version("builtin"))

    @property
    def shown_filename(self) -> str:
        """The file's name for messages."""
        return self.filename or f"{self.block_label}.doze.hcl"


def decode(driver: Driver[S], request: DecodeRequest) -> object:
    """Decode a block as *driver* wants it: by its config class, by hand, or in the plugin that it stands for.

    A driver's `objects()` runs on the result, so that a spec whose objects cannot be named is refused here, where it is
    an error of the config, and not later, where the host would take it for "declares nothing".

    Raises:
        HCLError: the block is wrong; every problem with its position.
        EngineError: the driver refused it in other words.

    """
    if isinstance(driver, Advertised):
        return driver.decode(request)
    spec = _decode_here(driver, request)
    if isinstance(driver, Inventory):
        driver.objects(Instance(name=request.block_label, type=request.block_type, version=request.version, spec=spec))
    return spec


def _decode_here(driver: Driver[S], request: DecodeRequest) -> object:
    functions = _host_functions() if driver.functions else None
    if isinstance(driver, ConfigDecoder):
        return _decode_by_hand(driver, request, functions)
    from ._config import Config
    from ._config_decoding import decode_config

    spec = decode_config(
        driver.config or Config,
        file=request.file,
        filename=request.shown_filename,
        block_type=request.block_type,
        block_label=request.block_label,
        variables=request.variables,
        base_dir=request.base_dir,
        version=request.version,
        functions=functions,
    )
    return spec if driver.config else None


def _host_functions() -> Mapping[str, Function]:
    from ..hcl import HOST_FUNCTIONS

    return HOST_FUNCTIONS


def _decode_by_hand(
    driver: ConfigDecoder[S], request: DecodeRequest, functions: Mapping[str, Function] | None
) -> object:
    from ..hcl import CORE_ARGUMENTS, Context, find_block, parse, variables_from_json

    block = find_block(parse(request.file, filename=request.shown_filename), request.block_type, request.block_label)
    context = Context(variables_from_json(request.variables), functions)
    return driver.decode_config(block.body.without(CORE_ARGUMENTS), context, request.base_dir, request.version)
