"""What a driver may offer beyond `Driver`: one abstract class each, mixed in where the engine has it.

`capabilities(driver)` is the one place that tells what a driver offers. For an author's driver it reads the classes,
for a launched plugin it is what the plugin advertised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic

from ._values import S

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from io import BufferedReader
    from pathlib import Path
    from typing import BinaryIO

    from ..hcl import Body, Context
    from ._decoding import DecodeRequest
    from ._description import Description
    from ._driver import Driver
    from ._proxy import CancelRegistry, Preamble, ProxyOptions
    from ._records import Action, Object, Resource, RestartSpec
    from ._toolchain import Toolchain
    from ._values import Endpoint, Instance
    from ._version import Version


class Versionless:
    """The engine has no versions: a block needs no `version`, and the host fills in ``builtin``."""


class Converger(ABC, Generic[S]):
    """The config declares things inside the engine, and `converge` makes them so."""

    @abstractmethod
    def converge(self, instance: Instance[S], toolchain: Toolchain, endpoint: Endpoint) -> None:
        """Bring the running engine to what the spec declares.

        Called on the first boot, after a change of the spec, and again on each `up` and `sync`: a second run must
        change nothing. `instance.deps` is filled on boot only.
        """


class Inventory(ABC, Generic[S]):
    """The driver can name what a config declares inside the engine. The host uses it together with `Converger`."""

    @abstractmethod
    def objects(self, instance: Instance[S]) -> Sequence[Object]:
        """Return the declared objects in the order in which they are made.

        Must depend on the instance's name, type, version and spec only: the host plans without folders. An exception
        reaches the user as an error and never reads as "declares nothing", which would destroy everything.
        """


class Pruner(ABC, Generic[S]):
    """The driver can remove what a config no longer declares."""

    @abstractmethod
    def prune(self, instance: Instance[S], toolchain: Toolchain, endpoint: Endpoint, removed: Sequence[Object]) -> None:
        """Remove *removed*, which come in reverse order of their making."""


class Templater(ABC):
    """A new data directory is made by cloning a prepared one."""

    @abstractmethod
    def ensure_template(self, toolchain: Toolchain, template_dir: Path) -> None:
        """Make the template at *template_dir* unless it is complete; see `ensure_template_dir`."""

    @abstractmethod
    def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
        """Make *dest_dir*, which is absent, a clone of the template; see `clone_template_dir`.

        Under a host it is a sibling of the data folder and takes its name when this returns, so the clone must not
        contain its own path. Where the data folder holds anything, this is not called at all: the host would answer an
        error by deleting that folder.
        """


class Attributer(ABC, Generic[S]):
    """The instance has attributes of its own that other blocks may refer to."""

    @abstractmethod
    def attributes(self, instance: Instance[S], endpoint: Endpoint) -> Mapping[str, object]:
        """Return attributes by name: None, bool, int, float, str, and lists and mappings of those.

        They lie over the host's own `name engine address host port socket url env_var`.
        """


class BackendProvider(ABC, Generic[S]):
    """Dependents get a URL of the engine's own socket, past the host's proxy."""

    @abstractmethod
    def backend_url(self, instance: Instance[S]) -> str:
        """Return the URL that a dependent finds in `instance.deps[name].url`."""


class Lifecycle(ABC, Generic[S]):
    """Some instances bind their own port and stay up instead of sleeping behind the host's proxy."""

    @abstractmethod
    def supervised(self, instance: Instance[S]) -> bool:
        """Tell whether this instance is one; must always give the same answer for the same spec."""


class Hooked(Generic[S]):
    """Work around start and stop. Override what is needed."""

    def pre_start(self, instance: Instance[S]) -> None:
        """Run before the processes start; an exception fails the boot."""

    def post_start(self, instance: Instance[S]) -> None:
        """Run when the engine is ready and converged; an exception fails the boot."""

    def pre_stop(self, instance: Instance[S]) -> None:
        """Run before the processes are stopped; the host logs an exception and stops all the same."""


class HealthChecker(ABC, Generic[S]):
    """A supervised instance can tell how it feels. The host asks every 3 s and waits 2 s."""

    @abstractmethod
    def check_health(self, instance: Instance[S]) -> None:
        """Return when healthy, raise when not; the text of the exception is the finding."""


class Restartable(ABC, Generic[S]):
    """The host restarts an instance whose process ended by itself."""

    @abstractmethod
    def restart_policy(self, instance: Instance[S]) -> RestartSpec:
        """Return when and how often."""


class PortBinder(ABC, Generic[S]):
    """The engine listens on an address of its own. Today's host never asks."""

    @abstractmethod
    def advertised_addr(self, instance: Instance[S]) -> str | None:
        """Return ``host:port``, or None."""


class Admin(ABC, Generic[S]):
    """Dashboards can look into the running engine and act on it."""

    @abstractmethod
    def resources(self, instance: Instance[S], endpoint: Endpoint) -> Sequence[Resource]:
        """Return what the engine holds now."""

    @abstractmethod
    def actions(self) -> Sequence[Action]:
        """Return what can be done."""

    @abstractmethod
    def run(self, instance: Instance[S], endpoint: Endpoint, action: str, resource: str, input: str) -> str:  # noqa: A002 - the contract's word
        """Do *action* to *resource* and return the text to show."""


class ProxyFilter(ABC):
    """The driver takes part in the opening of each client connection, for protocols with TLS or cancel keys."""

    @abstractmethod
    def preamble(self, client: socket.socket, cancels: CancelRegistry, options: ProxyOptions) -> Preamble:
        """Read what the client sends before the backend is needed; the engine may still be asleep."""

    @abstractmethod
    def handshake(
        self, client: socket.socket, backend: BufferedReader, backend_socket: Path, cancels: CancelRegistry
    ) -> AbstractContextManager[bool]:
        """Carry the backend's greeting to the client; the value says whether to splice, the exit cleans up."""


class Describer(ABC):
    """The driver describes its module; from it come `__describe`, the registry's page and the index's engine gate."""

    @abstractmethod
    def describe(self) -> Description:
        """Return the description; its tables of arguments are filled from the config class when left empty."""


class ConfigDecoder(ABC, Generic[S]):
    """The driver decodes its block by hand instead of by a config class.

    Attributes:
        spec_type: the dataclass that `decode_config` returns; it must be made of texts, numbers, booleans, None, paths,
            durations, lists, mappings with text keys, and further dataclasses of these.

    """

    spec_type: ClassVar[type]

    @abstractmethod
    def decode_config(self, body: Body, context: Context, base_dir: Path, version: Version) -> S:
        """Decode the block.

        Args:
            body: the block's body, without the arguments that the host owns.
            context: variables and, if the module opts in, functions.
            base_dir: the folder of the config file, absolute.

        Raises:
            HCLError: with positioned diagnostics, all of them.

        """


class SlowBooter(ABC):
    """The engine needs longer than the usual budget to boot.

    It has no RPC: today's host never learns of it and keeps its 35 s. The test harness honours it; `modtool dev` sets a
    boot no limit beyond that of its readiness probes.
    """

    @abstractmethod
    def boot_budget(self) -> timedelta:
        """Return how long a boot may take."""


class ErrorWriter(ABC):
    """The driver can tell a client in its own protocol why there is no engine.

    It has no RPC; the proxy filter that runs inside the module uses it.
    """

    @abstractmethod
    def write_error(self, stream: BinaryIO, code: str, message: str) -> None:
        """Write the protocol's error message to *stream*.

        Args:
            code: the SQLSTATE that the host uses for the case, whatever the protocol: ``57P03`` the engine did not
                boot, ``08006`` its socket does not answer, ``XX000`` the filter itself failed.

        """


class Advertised(ABC):
    """A driver that stands for a launched plugin: its capabilities are what the plugin said, not its classes."""

    @property
    @abstractmethod
    def advertised(self) -> frozenset[str]:
        """The strings of the plugin's `Capabilities` answer."""

    @abstractmethod
    def decode(self, request: DecodeRequest) -> object:
        """Have the plugin decode a block; the result is the spec as the plugin wrote it.

        Raises:
            EngineError: with the plugin's words.

        """


# The strings of the wire in the order of doze's contract. `spawner` is implied: every driver has plan().
_STRINGS: tuple[tuple[str, type], ...] = (
    ("versionless", Versionless),
    ("converger", Converger),
    ("inventory", Inventory),
    ("pruner", Pruner),
    ("templater", Templater),
    ("attributer", Attributer),
    ("backend_url", BackendProvider),
    ("lifecycle", Lifecycle),
    ("hooked", Hooked),
    ("health", HealthChecker),
    ("restartable", Restartable),
    ("port_binder", PortBinder),
    ("proxy_filter", ProxyFilter),
    ("admin", Admin),
)


def capabilities(driver: Driver[S]) -> frozenset[str]:
    """Return what *driver* offers, as the strings that cross the wire.

    ``spawner`` (every driver has `plan`), ``versionless converger inventory pruner templater attributer backend_url
    lifecycle hooked health restartable port_binder proxy_filter admin``.
    """
    if isinstance(driver, Advertised):
        return driver.advertised
    return frozenset({"spawner", *(string for string, kind in _STRINGS if isinstance(driver, kind))})
