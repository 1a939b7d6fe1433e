"""Which binaries an instance runs on: pins, the lock, the mirror."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._errors import ToolchainError
from ._toolchain import Platform, Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ._version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What doze.lock holds for one declared version.

    Attributes:
        resolved: the full version; empty means "no pin".
        source: ``mirror`` for a download.
        hashes: ``sha256:<hex>`` by triple.

    """

    resolved: str
    source: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """A row of doze.lock: a pin with the engine and the declared version that it belongs to."""

    engine: str
    spec: str
    pin: Pin


class Lock:
    """The rows of doze.lock that came with a call, and those that the call records.

    A module never writes doze.lock: it reports what it `recorded`, and the host writes.
    """

    def __init__(self, entries: Iterable[LockEntry] = ()) -> None:
        self._pins = {(entry.engine, entry.spec): entry.pin for entry in entries}
        self._recorded: dict[tuple[str, str], Pin] = {}

    def get(self, engine: str, spec: str) -> Pin | None:
        """Return the pin of *engine* at the declared version *spec*, or None."""
        pin = self._pins.get((engine, spec))
        return pin if pin and pin.resolved else None

    def record(self, engine: str, spec: str, pin: Pin) -> None:
        """Remember *pin*: a changed `resolved` replaces what is there, otherwise the hashes are merged."""
        known = self._pins.get((engine, spec))
        if known and known.resolved == pin.resolved:
            pin = Pin(resolved=pin.resolved, source=pin.source or known.source, hashes={**known.hashes, **pin.hashes})
        self._pins[engine, spec] = self._recorded[engine, spec] = pin

    @property
    def entries(self) -> tuple[LockEntry, ...]:
        """All rows, those that came and those that were recorded."""
        return tuple(LockEntry(engine=e, spec=s, pin=pin) for (e, s), pin in self._pins.items())

    @property
    def recorded(self) -> tuple[LockEntry, ...]:
        """The rows that this call recorded, in order."""
        return tuple(LockEntry(engine=e, spec=s, pin=pin) for (e, s), pin in self._recorded.items())


@dataclass(frozen=True, slots=True)
class Fetched:
    """Binaries in the cache: the folder of executables and the archive's ``sha256:<hex>``, empty when unknown."""

    bin_dir: Path
    digest: str


class Mirror(ABC):
    """Where engine binaries come from."""

    @abstractmethod
    def resolve_major(self, engine: str, major: str) -> str:
        """Return the full version that *major* stands for.

        Raises:
            ToolchainError: the mirror does not have it, or cannot be read.

        """

    @abstractmethod
    def ensure(self, engine: str, full: str, platform: Platform, expected: str = "") -> Fetched:
        """Return the binaries of *full*, downloaded if need be and compared with the locked hash *expected*.

        Raises:
            ToolchainError: they cannot be had, or are not what the lock names.

        """


class NoMirror(Mirror):
    """Stands where no mirror can be reached: each question ends in an error that says what to set instead."""

    def resolve_major(self, engine: str, major: str) -> str:
        raise ToolchainError(self._text(engine, major))

    def ensure(self, engine: str, full: str, platform: Platform, expected: str = "") -> Fetched:  # noqa: ARG002 - the question alone matters
        raise ToolchainError(self._text(engine, full))

    @staticmethod
    def _text(engine: str, version: str) -> str:
        return (
            f"fetching {engine} {version}: this version of doze-sdk downloads no engine binaries; "
            f"set DOZE_{engine.upper()}_BINDIR to the folder that contains the executables"
        )


def resolve_via(
    engine: str,
    spec: Version,
    platform: Platform,
    lock: Lock,
    mirror: Mirror,
    *,
    is_exact: Callable[[str], bool],
) -> Toolchain:
    """Resolve an engine the usual way: the pin if there is one, an exact version as it is, else the mirror's newest.

    Args:
        engine: the mirror's name of the engine.
        is_exact: whether a declared version names one build, for instance `exact_dots(1)`.

    Raises:
        ToolchainError: the mirror cannot serve it, or it differs from the locked hash.

    """
    pin = lock.get(engine, spec)
    if pin:
        full, expected = pin.resolved, pin.hashes.get(platform.triple, "")
    else:
        full, expected = (str(spec) if is_exact(spec) else mirror.resolve_major(engine, spec)), ""
    fetched = mirror.ensure(engine, full, platform, expected)
    hashes = {platform.triple: fetched.digest} if fetched.digest else {}
    lock.record(engine, spec, Pin(resolved=full, source="mirror", hashes=hashes))
    return Toolchain(engine=engine, full=full, bin_dir=fetched.bin_dir)
