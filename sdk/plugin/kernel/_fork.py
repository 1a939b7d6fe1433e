"""What a child process that is forked without ``exec`` gets of a plugin's descriptors: none that should end with it.

``exec`` closes ours. A fork alone copies them all: a host that waits for the end of a dead plugin's streams, or of a
call on its connection, would wait for that child too, and so would a thread of ours that waits for the end of a pipe.
"""

from __future__ import annotations

import contextlib
import os
import socket  # not in a child, where another thread of its parent may have held the module's lock

from ._listener import RELAY_FOLDER

_MARK = 12  # digits in the name of a private folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._descriptors import OriginalStreams
    from ._listener import Address
    from ._signals import Signals


class ForkedChildren:
    """Takes our descriptors and signal handlers away from every child that is forked from now on.

    They are pointed at ``/dev/null`` instead of closed, so that whatever still names them there meets nothing else. The
    first stderr, to which `logging` writes, becomes the child's own.

    Args:
        streams: What the host gave to this process.
        descriptors: Returns our pipes, and sockets that have no name; -1 for what is closed.
        signals: What this process handles; a child ends at a SIGTERM, and at a Ctrl-C, as one that calls ``exec`` does.
        addresses: Returns where connections with the host begin or end.
    """

    def __init__(
        self,
        streams: OriginalStreams,
        descriptors: Callable[[], Iterable[int]],
        addresses: Callable[[], Iterable[Address]],
        signals: Signals,
    ) -> None:
        self._streams = streams
        self._descriptors = descriptors
        self._addresses = addresses
        self._signals = signals
        self._done = False
        self._null = os.open(os.devnull, os.O_RDWR)  # a child may have no room for one more
        os.register_at_fork(before=signals.hold, after_in_parent=signals.release, after_in_child=self._take_away)

    def stop(self) -> None:
        """Take note that the pipes are about to be closed; their numbers may become somebody else's."""
        self._descriptors = tuple

    def _take_away(self) -> None:
        """Run in the child, where only the forking thread lives: nothing here may wait for a lock."""
        if self._done:
            self._signals.release()
            return  # a child's child: the numbers are free for what the child may have opened
        self._done = True
        try:
            self._drop_all()
        finally:
            self._signals.give_back()

    def _drop_all(self) -> None:
        self._drop(self._streams.stdout)
        with contextlib.suppress(OSError):  # the author's code has closed it
            os.dup2(2, self._streams.stderr, inheritable=False)
        for descriptor in self._descriptors():
            if descriptor >= 0:
                self._drop(descriptor)
        self._drop_sockets()

    def _drop(self, descriptor: int) -> None:
        os.dup2(self._null, descriptor, inheritable=False)

    def _drop_sockets(self) -> None:
        places = {_place(address) for address in self._addresses()}
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(None)  # else a socket would be made non-blocking, for the parent too
        for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208  (pathlib is not loaded)
            if any(name in places or _is_relays(name) for name in _names(descriptor)):
                self._drop(descriptor)
        socket.setdefaulttimeout(timeout)


def _names(descriptor: int) -> list[object]:
    """Say where both ends of a socket are: the path of a unix socket, or host and port, and the port for any host."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return []  # it is none
    names: list[object] = []
    try:
        for end in (sock.getsockname, sock.getpeername):
            name = end()
            if sock.family in {socket.AF_INET, socket.AF_INET6}:
                host, port = name[:2]
                names += (host.removeprefix("::ffff:"), port), port  # gRPC listens with IPv6, even on an IPv4 address
            else:
                names.append(name)
    except OSError:
        pass  # it is not connected
    finally:
        sock.detach()
    return names


def _place(address: Address) -> object:
    host, _, port = address.address.rpartition(":")
    if address.network == "unix" or not port.isdecimal():
        return address.address
    host = host.strip("[]")
    return (host, int(port)) if ":" in host or host.replace(".", "").isdigit() else int(port)


def _is_relays(name: object) -> bool:
    """Whether this is a socket between gRPC and the relay: its folder has a name that nothing else has."""
    if not isinstance(name, str) or not name.endswith("/s"):
        return False
    folder = name.split("/")[-2]
    mark = folder.removeprefix(RELAY_FOLDER)
    return mark != folder and len(mark) == _MARK and not mark.strip("0123456789abcdef")
