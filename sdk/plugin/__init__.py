"""Modules as go-plugin processes: `serve` on the module's side, `launch` on the other.

    from doze_sdk.plugin import serve

    serve("httpd.driver:Driver")

`doze_sdk.plugin.kernel` is the same for any other gRPC contract of a go-plugin host.
"""

from __future__ import annotations

from .._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._contract import (
        HANDSHAKE as HANDSHAKE,
        PROTOCOL_VERSION as PROTOCOL_VERSION,
        START_BUDGET as START_BUDGET,
        is_private as is_private,
    )
    from ._describe import description_of as description_of
    from ._entry import load_driver as load_driver, package_of as package_of, package_root as package_root
    from ._launch import launch as launch
    from ._remote import RemoteDriver as RemoteDriver, RemoteError as RemoteError
    from ._self_command import self_command as self_command
    from ._serve import serve as serve

_HOME = {
    "HANDSHAKE": "._contract",
    "PROTOCOL_VERSION": "._contract",
    "START_BUDGET": "._contract",
    "RemoteDriver": "._remote",
    "RemoteError": "._remote",
    "is_private": "._contract",
    "description_of": "._describe",
    "launch": "._launch",
    "load_driver": "._entry",
    "package_of": "._entry",
    "package_root": "._entry",
    "self_command": "._self_command",
    "serve": "._serve",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list

__getattr__, __dir__ = exports(__name__, _HOME)
