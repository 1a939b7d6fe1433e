"""The way of a grpcio channel into the relay: a private target whose connections go to the peer."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

from ._acceptor import Acceptor
from ._backend import PrivatePath, owner
from ._errors import TransportError
from ._listener import unix_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._exchange import Exchange


class Gateway:
    """A target for one `grpc.insecure_channel` of this process.

    Each connection of the channel becomes a connection to the peer. The path behind the target exists only while the
    channel is not connected, in a folder for this account alone, and other processes are refused by their number.
    """

    def __init__(self, exchange: Exchange, connect: Callable[[socket.socket, Callable[[], None]], None]) -> None:
        """`connect(inner, on_end)` joins `inner` with the peer; it calls `on_end` before it closes `inner`."""
        self._exchange: Final = exchange
        self._connect: Final = connect
        self._private: Final = PrivatePath(exchange.folder)
        #: What to give to `grpc.insecure_channel`.
        self.target: Final = unix_target(self._private.path)
        self._acceptor: Acceptor | None = None
        self._closed = False
        try:
            exchange.loop.run(self._open)
        except (OSError, TransportError) as error:
            self._private.remove()
            raise TransportError(f"preparing a target for a gRPC channel, {self.target}: {error}") from error

    def close(self) -> None:
        """Take no further connections and remove the folder; a connection in progress goes on. Idempotent."""
        with suppress(TransportError):  # a closed relay has closed its gateways
            self._exchange.loop.run(self._close)

    def _open(self) -> None:
        if self._closed:
            return
        self._exchange.closing.add(self._close)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._private.path)
        listener.listen(1)
        self._acceptor = Acceptor(self._exchange, listener, "our own gRPC channel", self._take)

    def _open_again(self) -> None:
        try:
            self._open()
        except OSError as error:
            self._exchange.report(TransportError(f"waiting for our own gRPC channel at {self.target}: {error}"))

    def _take(self, inner: socket.socket) -> None:
        if owner(inner) != os.getpid():
            self._exchange.report(
                TransportError(f"process {owner(inner)} tried to use the channel of process {os.getpid()}")
            )
            inner.close()
            return
        self._hide()
        try:
            self._connect(inner, self._open_again)
        except Exception:
            inner.close()
            self._open_again()
            raise

    def _hide(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
            with suppress(FileNotFoundError):
                os.unlink(self._private.path)  # noqa: PTH108 - pathlib is not loaded here

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._exchange.closing.discard(self._close)
            self._hide()
            self._private.remove()
