"""Values of the proxy filter: what a driver sees of a client connection before the host splices it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """How the host wants a connection treated.

    Attributes:
        tls: the server context of the host's certificate; None when the config has no `tls` block.
        require_tls: refuse a client that does not ask for TLS, unless `local_unix`.
        local_unix: the client came over a unix socket.

    """

    tls: ssl.SSLContext | None = None
    require_tls: bool = False
    local_unix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """What came of the opening.

    Attributes:
        client: the connection to go on with; the TLS socket if it was wrapped.
        replay: bytes to write to the backend first.
        handled: the connection is dealt with and needs no backend (a cancel request).

    """

    client: socket.socket
    replay: bytes = b""
    handled: bool = False


@dataclass(frozen=True, slots=True)
class CancelTarget:
    """A backend session that a client may cancel: its socket and the backend's own key."""

    backend_socket: Path
    key: bytes


class CancelRegistry:
    """Cancel keys that clients hold, mapped to the backends' own; one per plugin process, safe between threads."""

    def __init__(self) -> None:
        self._targets: dict[bytes, CancelTarget] = {}
        self._lock = threading.Lock()

    def register(self, target: CancelTarget) -> bytes:
        """Return a new key of 8 random bytes, the first 4 not all zero, that stands for *target*."""
        with self._lock:
            while True:
                key = os.urandom(8)
                if any(key[:4]) and key not in self._targets:
                    self._targets[key] = target
                    return key

    def unregister(self, key: bytes) -> None:
        """Forget *key*."""
        with self._lock:
            self._targets.pop(key, None)

    def lookup(self, key: bytes) -> CancelTarget | None:
        """Return what *key* stands for, or None."""
        with self._lock:
            return self._targets.get(key)
