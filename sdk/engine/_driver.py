"""The contract that every module fulfils: `Driver`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic

from ._errors import DriverError
from ._names import name_problem
from ._values import S

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    from ._config import Config
    from ._resolve import Lock, Mirror
    from ._spawning import SpawnPlan
    from ._toolchain import Platform, Toolchain
    from ._values import ConnString, Endpoint, Instance
    from ._version import Version

    # `type` is a name of the contract inside Driver, so the builtin is spelled out here.
    ConfigClass: TypeAlias = type[Config]


class Driver(ABC, Generic[S]):
    """Everything that the host needs to know about one engine.

    One stateless object serves every instance, from several threads at once: whatever a call needs comes with the call.
    Optional behaviour is added by mixing in the capability classes.

    Attributes:
        type: the block keyword, ``[a-z][a-z0-9_]*`` and none of `RESERVED_TYPES`.
        config: the config class that describes the block. A driver that decodes by hand (`ConfigDecoder`) or takes no
            arguments has none.
        functions: whether blocks may call the host's functions (`upper`, `join`, …). A Go module's blocks cannot, so a
            config that does is tied to this module.

    """

    type: ClassVar[str]
    config: ClassVar[ConfigClass | None] = None
    functions: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        name = getattr(cls, "type", None)
        if name is not None:
            _check_type(cls.__qualname__, name)

    @abstractmethod
    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:
        """Find the engine's binaries for the declared version *spec*.

        The host calls it on every cold boot, inside the 35 s that a waiting client gives a boot. It sees neither the
        instance nor its config. A module that is its own server returns a toolchain without `bin_dir`.
        """

    @abstractmethod
    def provision(self, instance: Instance[S], toolchain: Toolchain) -> None:
        """Make the instance's folders and whatever must exist before its processes start.

        The host calls it on every cold boot: on data that is already there it must change nothing.
        """

    @abstractmethod
    def provisioned(self, data_dir: Path) -> bool:
        """Tell whether *data_dir* holds a complete data directory.

        False makes the host treat the boot as the first one. An exception is answered as "yes, if the folder holds
        anything", because "no" would let a template be cloned over live data.
        """

    @abstractmethod
    def plan(self, instance: Instance[S], toolchain: Toolchain) -> SpawnPlan:
        """Return the processes to start."""

    @abstractmethod
    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        """Return the unix socket on which the engine will listen, or None when it has none.

        The host asks often and without an instance; the answer must depend on nothing but the arguments.
        """

    @abstractmethod
    def conn_string(self, instance: Instance[S], endpoint: Endpoint) -> ConnString:
        """Return the environment variable and URL with which a client connects.

        `endpoint.tcp_addr` must appear in the URL as it is. `ConnString()` means "no URL".
        """


def _check_type(driver: str, name: object) -> None:
    problem = name_problem(name) if isinstance(name, str) else f"expected a text, got {name!r}"
    if problem:
        raise DriverError(f"driver {driver}: type: {problem}")
