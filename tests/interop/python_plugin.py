"""A plugin that serves the Probe contract with our kernel; the flags are those of the Go program's plugin mode."""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # it is started by its path, from any folder

from doze_sdk.plugin import kernel  # noqa: E402  (after the path)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import grpc

    Register = Callable[[grpc.Server, kernel.Broker], object]

HANDSHAKE = kernel.Handshake(cookie_key="DOZE_INTEROP_PLUGIN", cookie_value="c1c2e2c6a3b94a7cbb6b4a8b5b5d1b6e")


def main() -> None:
    options = parsed()
    numbers = [int(text) for text in options.versions.split(",")]
    versions: dict[int, Register] = {number: functools.partial(register, number) for number in numbers}
    if options.broken:
        versions = dict.fromkeys(versions, break_down)
    if options.hostile_logs:
        versions = dict.fromkeys(versions, log_everything)
    if options.test:
        serve_in_test_mode(versions)
        return
    kernel.serve(
        HANDSHAKE,
        versions=versions,
        tls=functools.partial(server_tls, options.certificate) if options.certificate else None,
        network=options.network,
        max_workers=options.workers,
        log_level=kernel.TRACE,
    )
    time.sleep(options.stubborn)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--versions", default="1")
    parser.add_argument("--stubborn", type=float, default=0.0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--hostile-logs", action="store_true")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--network", default="unix")
    parser.add_argument("--workers", type=int, default=10)
    return parser.parse_args()


def register(version: int, server: grpc.Server, broker: kernel.Broker) -> None:
    from tests.interop import probe_service

    probe_service.register(version, server, broker)


def break_down(server: grpc.Server, broker: kernel.Broker) -> None:
    raise RuntimeError("the engine room is on fire")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text for this")


def log_everything(server: grpc.Server, broker: kernel.Broker) -> None:
    """Log what a careless author might, each record with a field `number`, then serve."""
    import logging

    log = logging.getLogger("hostile")
    recursive: list[object] = []
    recursive.append(recursive)
    messages: list[object] = [12, None, 1.5, {"a": 1}, b"\xff\x00", "half a \ud800 pair", "x" * 200_000, "a\nb\0c", ""]
    fields: list[object] = [
        float("nan"),
        10**400,
        {1: {2: (3, {4})}},
        recursive,
        Unprintable(),
        object,
        b"\xff",
        "\udfff",
    ]
    numbers = itertools.count()
    for message in [*messages, Unprintable()]:
        log.warning(message, extra={"number": next(numbers)})
    for field in fields:
        extra = {"number": next(numbers), "field": field, "@message": 1, "@level": 2, "@timestamp": 3}
        log.warning("a field", extra=extra)
    for level in (5, 10, 25, 35, 55):
        log.log(level, "a level", extra={"number": next(numbers)})
    log.warning("%d of %s", "a mismatch", extra={"number": next(numbers)})
    try:
        raise RuntimeError("x" * 100_000)
    except RuntimeError:
        log.exception("an exception", extra={"number": next(numbers)})
    register(1, server, broker)


def server_tls(certificate: Path) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def serve_in_test_mode(versions: Mapping[int, Register]) -> None:
    with kernel.serve_test(versions=versions) as server:
        sys.stdout.write(f"{server.reattach_config().to_json()}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
