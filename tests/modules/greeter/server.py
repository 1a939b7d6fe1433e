"""The engine: it writes its words to whoever connects, and may leave when told to."""

from __future__ import annotations

import socket
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    path, fails, words = arguments
    if fails == "at start":
        print("FATAL: out of greetings", flush=True)
        return 3
    if fails == "never ready":
        time.sleep(1000)
    with _listener(path) as listener:
        print(f"greeting with {words}", flush=True)
        try:
            while not (_greet(listener, words) and fails == "later"):
                pass
        except KeyboardInterrupt:
            return 0
    print("one greeting was enough", end="", flush=True)
    return 5


def _listener(address: str) -> socket.socket:
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        return socket.create_server((host, int(port)))
    Path(address).unlink(missing_ok=True)  # left by one that was killed
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def _greet(listener: socket.socket, words: str) -> bool:
    """Return whether the client answered with "leave"."""
    client, _ = listener.accept()
    with client:
        try:
            client.sendall(f"{words}\n".encode())
            client.shutdown(socket.SHUT_WR)
            return client.recv(5) == b"leave"
        except OSError:  # a readiness probe is gone at once
            return False
