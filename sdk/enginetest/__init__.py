"""Boot a real engine from its driver, inside a test or any program.

from doze_sdk.enginetest import boot
from httpd.driver import HttpdDriver

with boot(HttpdDriver(), 'root = "public"') as backend:
    print(backend.endpoint.backend)
"""

from __future__ import annotations

from .._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._backend import Backend as Backend, boot as boot, boot_example as boot_example
    from ._contract import load_error as load_error, start_error as start_error, violations as violations

_HOME = {
    "Backend": "._backend",
    "boot": "._backend",
    "boot_example": "._backend",
    "load_error": "._contract",
    "start_error": "._contract",
    "violations": "._contract",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list

__getattr__, __dir__ = exports(__name__, _HOME)
