"""The provider's process, as Terraform starts it."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # it is started by its path, from any folder

from doze_sdk.plugin import kernel  # noqa: E402  (after the path)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import grpc

HANDSHAKE = kernel.Handshake(
    cookie_key="TF_PLUGIN_MAGIC_COOKIE",
    cookie_value="d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
)
VERSION = 6


def register(note: str, server: grpc.Server, broker: kernel.Broker) -> None:
    from tests.interop.terraform import service

    service.register(note, server, broker)


if __name__ == "__main__":
    note = "AutoMTLS" if "PLUGIN_CLIENT_CERT" in os.environ else "plain"
    kernel.serve(HANDSHAKE, versions={VERSION: functools.partial(register, note)})
