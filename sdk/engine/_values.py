"""The values that cross between host and driver in almost every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, get_args

from ._errors import DriverError, ToolchainError
from ._version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

S = TypeVar("S")
"""The type of an instance's spec: the driver's config class, or what its `decode_config` returns."""

# Config evaluation and planning happen before an instance has folders. A path below /dev/null can be passed around and
# printed, and every use of it on disk fails with "Not a directory" instead of touching the current folder, as
# Path("") would.
NO_DATA_DIR = Path("/dev/null/data-dir-is-not-known-here")
NO_SOCKET_DIR = Path("/dev/null/socket-dir-is-not-known-here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an instance is reached.

    Attributes:
        unix_socket: the socket on which clients connect, when the config says `listen`; None otherwise.
        tcp_addr: ``host:port`` on which clients connect; empty when only `listen` is set. A URL must contain this text
            verbatim, because the host replaces it there (`127.0.0.1:5432` becomes `app.stack.doze:5432`).
        backend: the socket on which the engine itself listens, known once the instance boots; None before.

    """

    unix_socket: Path | None = None
    tcp_addr: str = ""
    backend: Path | None = None

    @property
    def port(self) -> int | None:
        """The number behind the last colon of `tcp_addr`, or None when there is none."""
        _, colon, port = self.tcp_addr.rpartition(":")
        return int(port) if colon and port.isascii() and port.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dep:
    """A running instance that this one refers to.

    Attributes:
        socket_dir: the folder of its backend socket.
        backend: its backend socket, None when it has none.
        url: what its driver's `backend_url` returned; empty when it has no such capability.

    """

    name: str
    engine: str
    socket_dir: Path = NO_SOCKET_DIR
    backend: Path | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Generic[S]):
    """One block of a config, as the host drives it.

    `name`, `type`, `version` and `spec` are always there. The rest is there from `provision` on: while a config is
    evaluated or planned (`conn_string`, `attributes`, `objects`), `data_dir` and `socket_dir` are paths below
    ``/dev/null`` on which every file operation fails, `port` is 0 and `deps` is empty. `deps` is filled only while an
    instance boots.

    Attributes:
        version: the declared engine version; ``builtin`` for an engine without versions.
        spec: the decoded block.
        data_dir: where the engine keeps its data. The host creates only the parent; `provision` creates it, mode 0700.
        socket_dir: where the engine puts its socket; created by `provision`, mode 0700.
        port: the port that names the socket, 5432 from today's host. It is not the user's `port`: that one is in
            `endpoint.tcp_addr`.

    """

    name: str
    type: str
    spec: S
    version: Version = field(default=Version("builtin"))
    data_dir: Path = NO_DATA_DIR
    socket_dir: Path = NO_SOCKET_DIR
    port: int = 0
    endpoint: Endpoint = field(default_factory=Endpoint)
    deps: Mapping[str, Dep] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnString:
    """How a client connects: the name of an environment variable and the URL that it holds; both empty for "no URL"."""

    env_var: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
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


ReadyKind = Literal["http", "tcp", "exec", "log_line", "socket"]

INT32_MAX = 2**31 - 1
_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)  # what the wire holds, in nanoseconds


def duration_problems(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with a duration that the host is told."""
    if not isinstance(value, timedelta):
        yield f"{name}: expected a timedelta, got {value!r}"
    elif not timedelta(0) <= value <= _LONGEST:
        yield f"{name}: expected a duration from 0 to 292 years, got {value}"


def count_problems(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with a count that the host is told."""
    if type(value) is not int or not 0 <= value <= INT32_MAX:
        yield f"{name}: expected a whole number from 0 to {INT32_MAX}, got {value!r}"


def choice_problems(name: str, value: object, choices: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with one of a few words: the host takes any and then does nothing."""
    if value not in choices:
        yield f"{name}: expected one of {', '.join(choices)}, got {value!r}"


def refuse(owner: str, problems: Iterable[str]) -> None:
    """Raise all *problems* at once, at the line that made the value.

    Raises:
        DriverError: there are some.

    """
    lines = [f"{owner}: {problem}" for problem in problems]
    if lines:
        raise DriverError("\n".join(lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """How to tell that a process serves.

    The host probes at once and then every `interval`, `retries` times: the budget is their product. Its own default
    interval of 1 s would cost every boot a second, so both are set here: every 50 ms for 30 s.

    Attributes:
        kind: ``http`` (GET, 2xx), ``tcp`` (connect to host:port), ``socket`` (connect to a unix socket), ``exec``
            (``sh -c``, exit code 0, in the host's folder and environment), ``log_line`` (an RE2 expression that
            matches a line of the last 200).
        target: URL, address, path, command or expression.
        timeout: of a single probe.
        retries: 0 stands for as many as make a budget of 30 s; after construction it is never 0.

    Raises:
        DriverError: a duration or a number is negative or does not fit the wire, or there is no such kind.

    """

    kind: ReadyKind
    target: str
    interval: timedelta = timedelta(milliseconds=50)
    timeout: timedelta = timedelta(seconds=3)
    retries: int = 0

    def __post_init__(self) -> None:
        refuse(
            "Ready",
            (
                *choice_problems("kind", self.kind, get_args(ReadyKind)),
                *duration_problems("interval", self.interval),
                *duration_problems("timeout", self.timeout),
                *count_problems("retries", self.retries),
            ),
        )
        if not self.retries:
            # Without an interval the host takes 1 s.
            interval = self.interval if self.interval > timedelta(0) else timedelta(seconds=1)
            object.__setattr__(self, "retries", -(timedelta(seconds=-30) // interval))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnSpec:
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


@dataclass(frozen=True, slots=True)
class SpawnPlan:
    """The processes of an instance; the host starts one after the other, each when the ones before it are ready."""

    specs: tuple[SpawnSpec, ...]

    @classmethod
    def single(cls, spec: SpawnSpec) -> SpawnPlan:
        """Return the plan of one process."""
        return cls((spec,))
