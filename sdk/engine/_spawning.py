"""The processes of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from ._ready import Ready


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SpawnSpec(Value):
    """One process of a plan.

    Attributes:
        bin: the executable. A bare name is looked up in the host's PATH, which for a daemon is whatever the first
            command had; prefer a path.
        dir: the working folder; None is the host's.
        env: ``NAME=value`` texts. Empty inherits the host's environment; otherwise the process gets exactly these.
        tree: whether stopping signals the whole process group instead of the one process.
        after: names of specs that must be ready first.
        ready: None means "alive for 750 ms".
        hooks: commands for ``sh -c`` once ready, with `dir` and `env`.

    """

    name: str
    bin: str | Path
    args: tuple[str, ...] = ()
    dir: Path | None = None
    env: tuple[str, ...] = ()
    tree: bool = False
    after: tuple[str, ...] = ()
    ready: Ready | None = None
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SpawnPlan(Value):
    """The processes of an instance; the host starts one after the other, each when the ones before it are ready."""

    specs: tuple[SpawnSpec, ...]

    @classmethod
    def single(cls, spec: SpawnSpec) -> SpawnPlan:
        """Return the plan of one process."""
        return cls((spec,))
