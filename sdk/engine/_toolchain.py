"""The machine and the binaries that an engine runs from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._errors import ToolchainError
from ._value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Platform(Value):
    """The machine that the engine runs on.

    Attributes:
        os: as Go names it: ``linux``, ``darwin``.
        arch: as Go names it: ``amd64``, ``arm64``.
        triple: ``x86_64-unknown-linux-gnu``, ``aarch64-unknown-linux-gnu`` or ``aarch64-apple-darwin``.

    """

    os: str
    arch: str
    triple: str

    @classmethod
    def host(cls) -> Platform:
        """Return this machine's platform.

        Raises:
            ToolchainError: doze has no triple for this machine.

        """
        import os

        name = os.uname()
        key = (name.sysname, name.machine)
        known = {
            ("Linux", "x86_64"): cls(os="linux", arch="amd64", triple="x86_64-unknown-linux-gnu"),
            ("Linux", "aarch64"): cls(os="linux", arch="arm64", triple="aarch64-unknown-linux-gnu"),
            ("Darwin", "arm64"): cls(os="darwin", arch="arm64", triple="aarch64-apple-darwin"),
        }
        if key not in known:
            raise ToolchainError(
                f"doze does not run on {name.sysname} {name.machine}; known: "
                + ", ".join(platform.triple for platform in known.values())
            )
        return known[key]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Toolchain(Value):
    """An engine's binaries.

    Attributes:
        engine: the mirror's name of the engine.
        full: the full version. Empty means "no template": the host then provisions every instance from scratch.
        bin_dir: the folder that contains the executables; None for a module that is its own server.
        tools: executables that lie elsewhere, by name.

    """

    engine: str
    full: str = ""
    bin_dir: Path | None = None
    tools: Mapping[str, Path] = field(default_factory=dict)

    def path(self, tool: str) -> Path:
        """Return the path of an executable: its entry in `tools`, else `bin_dir`/*tool*.

        Raises:
            ToolchainError: neither is there.

        """
        if tool in self.tools:
            return self.tools[tool]
        if self.bin_dir is None:
            raise ToolchainError(
                f"the toolchain {self.engine} {self.full} has no folder of executables to find {tool!r} in"
            )
        return self.bin_dir / tool
