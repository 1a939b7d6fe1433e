"""A module's `__main__`: the hidden modes, `__describe`, and the plugin itself."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..engine import Driver
    from ..engine._values import S

# What Python was started with, once `serve` runs: this process then is the module, and can be started again by its own
# command.
script: str | None = None


def serve(driver: str | Driver[S], *, modes: Mapping[str, str] | None = None) -> None:
    """Serve *driver* to the doze host that started this process; the last call of a module's `__main__`.

        from doze_sdk.plugin import serve

        serve("httpd.driver:Driver", modes={"__serve": "httpd.server:main"})

    Neither gRPC nor the driver is imported before the host's magic cookie was seen, so naming the driver is cheaper
    than passing it. Run by hand, the process says that it is a plugin and exits with code 1.

    Args:
        driver: ``"package.module:Class"``, or a driver.
        modes: functions to run instead, by the first argument of the command line, as ``"package.module:function"``.
            The function is called with the list of further arguments; an int that it returns is the exit code. A module
            that is its own engine starts itself this way (`self_command`).

    """
    global script  # noqa: PLW0603 - a process is a module's or it is not
    script = os.path.abspath(sys.argv[0])  # noqa: PTH100 - pathlib is not loaded here
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if modes and mode in modes:
        raise SystemExit(_run_mode(modes[mode], sys.argv[2:]))
    if mode == "__describe":
        from ._describe import print_description

        raise SystemExit(print_description(driver))
    _serve_plugin(driver)


def _serve_plugin(driver: object) -> None:
    from . import kernel
    from ._contract import HANDSHAKE, PROTOCOL_VERSION
    from ._loading import Module

    module = Module(driver)
    kernel.serve(HANDSHAKE, versions={PROTOCOL_VERSION: module.register}, max_workers=32, on_announced=module.load)


def _run_mode(target: str, arguments: list[str]) -> int:
    import importlib

    module, _, function = target.partition(":")
    try:
        code = getattr(importlib.import_module(module), function)(arguments)
    except Exception:  # noqa: BLE001 - the author's server may end with anything; the person at the terminal needs all of it
        import traceback

        traceback.print_exc()
        return 1
    return code if isinstance(code, int) else 0
