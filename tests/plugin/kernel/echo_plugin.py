"""A plugin with a contract that needs no protobuf: every method takes bytes and gives bytes.

Its arguments say how it is served; see `parsed`.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys

sys.path.insert(0, __file__.rpartition("/tests/")[0])  # it is started by its path, from any folder

from doze_sdk.plugin import kernel  # noqa: E402  (after the path)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

HANDSHAKE = kernel.Handshake(cookie_key="DOZE_TEST_PLUGIN", cookie_value="5f2b")
SERVICE = "test.Plugin"


class Service:
    """The handlers; each is called by its name on the wire."""

    def __init__(self, version: int, broker: kernel.Broker) -> None:
        self.version = version
        self.broker = broker

    def echo(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    def version_served(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return str(self.version).encode()

    def environment(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        import subprocess

        return subprocess.run(["env", "-0"], stdout=subprocess.PIPE, check=True).stdout

    def run(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Run Python code; the answer is what it assigns to `answer`."""
        names: dict[str, object] = {"broker": self.broker, "answer": b"", "serve_back": serve_back}
        exec(request.decode(), names)  # noqa: S102  (the test's own code)
        answer = names["answer"]
        return answer if isinstance(answer, bytes) else str(answer).encode()

    def fail(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        raise RuntimeError(request.decode())


def counted(request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(int(request)):
        yield str(number).encode()


def serve_back(server: grpc.Server) -> None:
    """Offer on a brokered connection what the test dials."""
    import grpc

    handlers = {"Back": grpc.unary_unary_rpc_method_handler(lambda request, _context: b"back:" + request)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Back", handlers),))


def register(version: int, server: grpc.Server, broker: kernel.Broker, *, first: str = "") -> None:
    import grpc

    exec(first)  # noqa: S102  (the test's own code)
    service = Service(version, broker)
    unary = grpc.unary_unary_rpc_method_handler
    handlers = {
        "Echo": unary(service.echo),
        "Version": unary(service.version_served),
        "Environment": unary(service.environment),
        "Run": unary(service.run),
        "Fail": unary(service.fail),
        "Count": grpc.unary_stream_rpc_method_handler(counted),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--versions", default="1")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--network", default="unix")
    parser.add_argument("--no-redirect", action="store_true")
    parser.add_argument("--outlive-host", action="store_true")
    parser.add_argument("--exit-on-disconnect", action="store_true")
    parser.add_argument("--before", default="", help="Python code to run before serving")
    parser.add_argument("--register", default="", help="Python code to run while the services are registered")
    parser.add_argument("--announced", default="", help="Python code to run after the handshake")
    parser.add_argument("--after", default="", help="Python code to run after serving")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    exec(options.before)  # noqa: S102  (the test's own code)
    versions = {
        int(text): functools.partial(register, int(text), first=options.register)
        for text in options.versions.split(",")
    }
    kernel.serve(
        HANDSHAKE,
        versions=versions,
        network=options.network,
        max_workers=options.workers,
        redirect=not options.no_redirect,
        outlive_host=options.outlive_host,
        exit_on_disconnect=options.exit_on_disconnect,
        on_announced=lambda: exec(options.announced),  # noqa: S102  (the test's own code)
    )
    exec(options.after)  # noqa: S102  (the test's own code)


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    main()
