"""From a block of a config file to the spec that a driver works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ._capabilities import Advertised, ConfigDecoder, Inventory
from ._errors import DriverError
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
        EngineError: the driver refused it in other words, or what it returned is not what the contract says.

    """
    if isinstance(driver, Advertised):
        return driver.decode(request)
    spec = _decode_here(driver, request)
    if isinstance(driver, Inventory):
        from ._returned import check_returned

        # What later calls get is a copy as well: a method that changes its instance's spec changes it for nobody else.
        instance = Instance(
            name=request.block_label, type=request.block_type, version=request.version, spec=_carried(driver, spec)
        )
        check_returned(driver, "objects", driver.objects(instance))
    elif isinstance(driver, ConfigDecoder):
        _carried(driver, spec)
    return spec


def _carried(driver: Driver[S], spec: object) -> S:
    """Return *spec* as it arrives with later calls."""
    from ._spec import decode_spec, encode_spec

    spec_type = driver.spec_type if isinstance(driver, ConfigDecoder) else driver.config
    if spec_type is not None and type(spec) is not spec_type:
        raise DriverError(
            f"decode_config() returned {spec!r}; expected an object of the driver's spec_type, {spec_type.__qualname__}"
        )
    lost = object()
    carried = decode_spec(spec_type, encode_spec(spec), missing=lost)
    if carried is lost:
        raise DriverError(
            f"decode_config() returned {spec!r}, which cannot be made again from its own serialised form; "
            f"see {type(spec).__qualname__}.__post_init__"
        )
    return cast("S", carried)


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
