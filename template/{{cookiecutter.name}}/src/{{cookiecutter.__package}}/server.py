"""The engine: a static file server on a unix socket, started by the driver's plan as `… __serve --socket S --root R`.

A module whose engine is a program of its own needs no such file.
"""

import argparse
import functools
import signal
import sys
from collections.abc import Sequence
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import FrameType
from typing import Any


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, listing: bool, headers: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        self.listing = listing
        self.extra_headers = headers
        super().__init__(*args, **kwargs)

    def address_string(self) -> str:
        return "-"  # the peer of a unix socket has no address

    def end_headers(self) -> None:
        for name, value in self.extra_headers:
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> Any:
        if self.listing:
            return super().list_directory(path)
        self.send_error(HTTPStatus.NOT_FOUND, "no index.html here")
        return None


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="__serve", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--listing", action="store_true")
    parser.add_argument("--header", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return parser.parse_args(arguments)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal; the result is the exit code."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _stop)
    options.socket.unlink(missing_ok=True)  # left by a server that was killed
    handler = functools.partial(_Handler, directory=str(options.root), listing=options.listing, headers=options.header)
    with _Server(str(options.socket), handler) as server:
        try:
            server.serve_forever()
        finally:
            options.socket.unlink(missing_ok=True)
    return 0
