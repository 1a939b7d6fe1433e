"""Package exports that load at their first use (PEP 562).

Every command of the host starts every plugin, so `import doze_sdk.engine` may not load what the module does not use.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def exports(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of *package*, whose public names live where *homes* tells.

    A name that is its own home is a module of the package.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(homes[name], package)
        value: object = home if homes[name] == f".{name}" else getattr(home, name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted(homes)
