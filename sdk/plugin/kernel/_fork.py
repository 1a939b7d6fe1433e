"""What a child process that is forked without ``exec`` gets of a plugin's descriptors: none that should end with it.

``exec`` closes ours. A fork alone copies them all: a host that waits for the end of a dead plugin's streams, or of a
call on its connection, would wait for that child too, and so would a thread of ours that waits for the end of a pipe.
"""

from __future__ import annotations

import contextlib
import os
import socket  # not in a child, where another thread of its parent may have held the module's lock

from ._listener import RELAY_FOLDER

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
        address: Where the host connects to.
        folder: Where other sockets of ours are, or empty; those of the relay are found everywhere.
    """

    def __init__(
        self,
        streams: OriginalStreams,
        descriptors: Callable[[], Iterable[int]],
        signals: Signals,
        *,
        address: Address,
        folder: str,
    ) -> None:
        self._streams = streams
        self._descriptors = descriptors
        self._signals = signals
        self._done = False
        self._place = _place(address)
        self._folder = f"{folder}/" if folder else ""
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
        self._drop(self._streams.stdout)
        with contextlib.suppress(OSError):  # the author's code has closed it
            os.dup2(2, self._streams.stderr, inheritable=False)
        for descriptor in self._descriptors():
            if descriptor >= 0:
                self._drop(descriptor)
        for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208  (pathlib is not loaded)
            if self._is_our_socket(descriptor):
                self._drop(descriptor)
        self._signals.give_back()  # at last: the handler of an interrupt raises

    def _drop(self, descriptor: int) -> None:
        os.dup2(self._null, descriptor, inheritable=False)

    def _is_our_socket(self, descriptor: int) -> bool:
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError:
            return False  # it is none
        try:
            return self._is_ours(sock.getsockname()) or self._is_ours(sock.getpeername())
        except OSError:
            return False  # it is not connected
        finally:
            sock.detach()

    def _is_ours(self, name: object) -> bool:
        if isinstance(name, tuple):  # gRPC listens with IPv6, even on an address of IPv4
            return (str(name[0]).removeprefix("::ffff:"), name[1]) == self._place
        if not isinstance(name, str):
            return False
        in_folder = bool(self._folder) and name.startswith(self._folder)
        return in_folder or (name.endswith("/s") and name.split("/")[-2].startswith(RELAY_FOLDER))


def _place(address: Address) -> object:
    if address.network == "unix":
        return address.address
    host, _, port = address.address.rpartition(":")
    return host, int(port)
