"""Instances and how they are reached: the values that cross between host and driver in almost every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from ._value import Value
from ._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S")
"""The type of an instance's spec: the driver's config class, or what its `decode_config` returns."""

# Config evaluation and planning happen before an instance has folders. A path below /dev/null can be passed around and
# printed, and every use of it on disk fails with "Not a directory" instead of touching the current folder, as
# Path("") would.
NO_DATA_DIR = Path("/dev/null/data-dir-is-not-known-here")
NO_SOCKET_DIR = Path("/dev/null/socket-dir-is-not-known-here")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Endpoint(Value):
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Dep(Value):
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Instance(Value, Generic[S]):
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConnString(Value):
    """How a client connects: the name of an environment variable and the URL that it holds; both empty for "no URL"."""

    env_var: str = ""
    url: str = ""
