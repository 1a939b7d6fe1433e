"""Addresses that a process listens on: unix sockets in a private folder, or a port of a range.

A host makes such a folder before it starts its plugin, and no socket; `socket` is imported where one is made.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import NamedTuple, Protocol

from ._environment import MAX_PORT, MIN_PORT, number, temporary_folder
from ._errors import ServeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

RELAY_FOLDER = "relay"
"""How the name of a folder begins in which a channel or server of ours meets the relay."""

_HOSTS_FOLDER = "plugin-dir"  # as go-plugin calls it

UNIX_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Bytes of a unix socket's path, its terminating zero excluded: `sun_path` has 104 on macOS and 108 on Linux."""

_RANDOM = 6  # bytes in the name of a folder
_SEPARATORS = frozenset(",|\n")
_LONGEST_SOCKET = len("/plugin4294967295")  # as Go's CreateTemp makes it; ours are of the same length

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")  # RFC 3986, 2.3

_LAST_GID = (1 << 32) - 2  # the one after it says to chown that nothing changes


class Address(NamedTuple):
    """Where to connect to: ``("unix", path)`` or ``("tcp", "host:port")``."""

    network: str
    address: str

    @property
    def target(self) -> str:
        """The address as gRPC spells it."""
        return unix_target(self.address) if self.network == "unix" else self.address


def unix_target(path: str) -> str:
    """Return the path of a unix socket as gRPC spells it: percent-encoded, since what follows ``unix:`` is a URI."""
    if path.startswith("//"):  # the beginning of an authority
        path = f"/{path.lstrip('/')}"
    return "unix:" + "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in os.fsencode(path))


class Listeners(Protocol):
    """Finds addresses to listen on, all of one kind."""

    path: str

    def bind(self, add_port: Callable[[str], object]) -> Address:
        """Give a fresh target to `add_port`, a gRPC server's ``add_insecure_port``, until one works."""

    def listen(self) -> tuple[socket.socket, Address]:
        """Return a listening socket, for a relay."""

    def discard(self, address: Address) -> None:
        """Remove what is left of an address that nobody listens on any more."""

    def close(self) -> None:
        """Remove everything."""


class SocketFolder:
    """Unix sockets, in the folder that this process was told to use or in a private one of its own.

    Args:
        folder: An existing folder, which stays; empty for a new one with mode 0700, which `close` removes.
        group: Name or number of the group that may connect and, in a new folder, make sockets; or empty.
    """

    def __init__(self, folder: str = "", *, group: str = "") -> None:
        self._gid = _group_id(group)
        self._own = not folder
        self.path = folder or private_folder(_HOSTS_FOLDER)
        self._sockets: set[str] = set()
        if self._own and self._gid is not None:
            self._open_to_group(self._gid)

    def bind(self, add_port: Callable[[str], object]) -> Address:
        address = Address("unix", self._new_path())
        if not os.access(self.path, os.W_OK | os.X_OK):  # gRPC would complain on stderr before it fails
            raise ServeError(f"cannot listen on {address.address!r}: {_reason(None, self.path)}")
        try:
            add_port(address.target)
            self._admit(address.address)
        except (OSError, RuntimeError) as error:
            raise ServeError(f"cannot listen on {address.address!r}: {_reason(error, self.path)}") from error
        return address

    def listen(self) -> tuple[socket.socket, Address]:
        import socket

        path = self._new_path()
        listener = None
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            self._admit(path)
            listener.listen(128)
        except OSError as error:
            if listener is not None:
                listener.close()
            raise ServeError(f"cannot listen on {path!r}: {_reason(error, self.path)}") from error
        return listener, Address("unix", path)

    def discard(self, address: Address) -> None:
        self._sockets.discard(address.address)
        _remove(address.address)

    def close(self) -> None:
        while self._sockets:
            _remove(self._sockets.pop())
        if self._own:
            remove_folder(self.path)

    def _open_to_group(self, gid: int) -> None:
        """Let the group make sockets here too: a plugin that runs as another user does."""
        try:
            os.chown(self.path, -1, gid)
            os.chmod(self.path, 0o770)  # noqa: PTH101, S103  (as in go-plugin; pathlib is not loaded)
        except OSError as error:
            self.close()
            raise ServeError(
                f"cannot let group {gid} connect: {error.strerror}; choose a group that this user is a member of"
            ) from error

    def _new_path(self) -> str:
        path = f"{self.path}/plugin{os.urandom(5).hex()}"
        if not _is_text(path):
            raise ServeError(
                f"cannot listen on {path!r}: the path is no UTF-8, so no handshake can tell it; use a folder with "
                "another name (TMPDIR, or the host's socket folder)"
            )
        if reason := excess(path):
            raise ServeError(
                f"cannot listen on {path!r}: {reason}; use a folder with a shorter name (TMPDIR, or the host's socket "
                "folder)"
            )
        self._sockets.add(path)
        return path

    def _admit(self, path: str) -> None:
        if self._gid is None:
            os.chmod(path, 0o700)  # noqa: PTH101
            return
        os.chown(path, -1, self._gid)
        os.chmod(path, 0o660)  # noqa: PTH101


class LoopbackPorts:
    """TCP ports of a range on the loopback interface.

    Each is tried with a plain socket first: gRPC writes a failed attempt to stderr, for nobody's benefit.
    """

    path = ""

    def __init__(self, ports: range) -> None:
        self._ports = ports

    def bind(self, add_port: Callable[[str], object]) -> Address:
        for port in self._ports:
            probe = _listen_on(port)
            if probe is None:
                continue
            address = Address("tcp", _name(probe))
            probe.close()
            try:
                add_port(address.target)
            except RuntimeError:
                continue  # somebody else was faster
            return address
        raise self._exhausted()

    def listen(self) -> tuple[socket.socket, Address]:
        for port in self._ports:
            if (listener := _listen_on(port)) is not None:
                return listener, Address("tcp", _name(listener))
        raise self._exhausted()

    def discard(self, address: Address) -> None:
        """Nothing is left of a closed port."""

    def close(self) -> None:
        """Nothing is left of closed ports."""

    def _exhausted(self) -> ServeError:
        first, last = self._ports[0], self._ports[-1]
        return ServeError(f"cannot listen: every port from {first} to {last} on 127.0.0.1 is taken or forbidden")


def excess(path: str) -> str:
    """Say that `path` is too long for a unix socket, for the middle of a message; empty if it is not."""
    length = len(os.fsencode(path))
    if length <= UNIX_PATH_LIMIT:
        return ""
    return f"the path has {length} bytes, and a unix socket's path may have {UNIX_PATH_LIMIT}"


def remove_hosts_folder(path: str) -> None:
    """Remove the folder that a dead host made for this plugin, with the sockets and the relay's folders in it.

    Anything else stays, and with it the folder: it may be one that the host's owner has chosen.
    """
    if not os.path.basename(path).startswith(_HOSTS_FOLDER):  # noqa: PTH119
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(path):
            if entry.name.startswith(RELAY_FOLDER):
                remove_folder(entry.path)
            elif stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):  # the host's own, of a brokered connection
                _remove(entry.path)
        os.rmdir(path)  # noqa: PTH106


def private_folder(prefix: str, parent: str = "") -> str:
    """Make a folder that only this user can enter, in `parent` if nobody else can replace it there.

    `os.mkdir` with a random name is what `tempfile.mkdtemp` does, without its import. A temporary folder whose name
    leaves no room for a socket's, is no UTF-8, or has what separates addresses (a comma in gRPC, a bar or the end of
    the line in a handshake) is passed over for ``/tmp``.
    """
    base = parent if parent and _is_ours(parent) else temporary_folder()
    rest = len(f"/{prefix}") + 2 * _RANDOM + _LONGEST_SOCKET
    if not _is_text(base) or _SEPARATORS & set(base) or len(os.fsencode(base)) + rest > UNIX_PATH_LIMIT:
        base = "/tmp"  # noqa: S108  (the folder made inside is private)
    path = f"{base}/{prefix}{os.urandom(_RANDOM).hex()}"
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except OSError as error:
        raise ServeError(f"cannot make a folder for sockets, {path!r}: {error.strerror}") from error
    return path


def remove_folder(path: str) -> None:
    """Remove a folder of sockets with what is left in it: sockets, and folders of sockets."""
    with contextlib.suppress(OSError):
        os.rmdir(path)  # noqa: PTH106  (an empty one, even if there is no descriptor to look into it)
        return
    try:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                remove_folder(entry.path)
            else:
                _remove(entry.path)
        os.rmdir(path)  # noqa: PTH106
    except OSError:
        pass  # gone already, or somebody else's


def port_range(first: str, last: str) -> range:
    """Return the ports that a host allows, from its two variables. ``range(0, 1)`` lets the system choose."""
    ports = []
    for name, text in ((MIN_PORT, first), (MAX_PORT, last)):
        try:
            ports.append(number(text or "0"))
        except ValueError:
            raise ServeError(f"cannot choose a port: {name} is {text!r}, not a number; mend the host") from None
    low, high = ports
    if not 0 <= low <= high <= 0xFFFF:
        raise ServeError(
            f"cannot choose a port: the host allows {MIN_PORT}={low} to {MAX_PORT}={high}, "
            "which is no range of ports; mend the host"
        )
    return range(low, high + 1)


def _listen_on(port: int) -> socket.socket | None:
    import socket

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As in Go: connections that have ended (TIME_WAIT) do not hold the port; whoever listens there still does.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        return None
    return listener


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _reason(error: Exception | None, folder: str) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if not os.path.isdir(folder):  # noqa: PTH112
        return "the folder does not exist"
    return str(error) if os.access(folder, os.W_OK | os.X_OK) else "the folder is not writable"


def _group_id(group: str) -> int | None:
    if not group:
        return None
    try:
        gid = number(group)
    except ValueError:
        return _named_group(group)
    if not 0 <= gid <= _LAST_GID:
        raise ServeError(f"cannot let group {group!r} connect: a group's number is at most {_LAST_GID}")
    return gid


def _named_group(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):  # ValueError: no name can be spelled so
        raise ServeError(f"cannot let group {group[:50]!r} connect: there is no such group on this machine") from None


def _is_ours(folder: str) -> bool:
    """Whether nobody but this account can add something to a folder, or take it away."""
    try:
        found = os.stat(folder)  # noqa: PTH116
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _is_text(path: str) -> bool:
    """Whether a path is UTF-8; Python has surrogates in place of what is not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # gone already
        os.unlink(path)  # noqa: PTH108
