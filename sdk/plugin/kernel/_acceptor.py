"""Takes connections from a listening socket, on the relay's thread."""

from __future__ import annotations

import errno
from typing import Final

from ._errors import TransportError
from ._loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ._exchange import Exchange
    from ._loop import Watch

#: Seconds to wait when no connection can be accepted or made for want of file descriptors or room in a queue.
PAUSE: Final = 0.05

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Gives each connection of a listener, non-blocking, to `take`, until `close`."""

    def __init__(
        self, exchange: Exchange, listener: socket.socket, whose: str, take: Callable[[socket.socket], None]
    ) -> None:
        """`whose` connections they are, for messages."""
        self._exchange: Final = exchange
        self._listener: Final = listener
        self._whose: Final = whose
        self._take: Final = take
        listener.setblocking(False)
        self._watch: Watch | None = exchange.loop.watch(listener, READ, self._accept)

    def close(self) -> None:
        """Close the listener; connections in progress go on. Idempotent."""
        if self._watch is not None:
            self._watch.want(0)
            self._watch = None
            self._listener.close()

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._exchange.report(TransportError(f"accepting a connection of {self._whose}: {error}"))
            if error.errno in _EXHAUSTED:
                self._pause()
            return
        sock.setblocking(False)
        self._take(sock)

    def _pause(self) -> None:
        # The connection stays in the queue, so the listener would be ready again at once.
        if self._watch is not None:
            self._watch.want(0)
            self._exchange.loop.later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._watch is not None:
            self._watch.want(READ)
