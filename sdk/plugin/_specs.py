"""The spec of each instance as this process knows it.

Some of the host's calls carry no spec, and after a crash the first call of a new process may be one of them. Which
answer each call then gets is decided in `_service`; here is what is known.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..engine import Config, ConfigDecoder, Driver, decode_spec

if TYPE_CHECKING:
    from typing import Final

MISSING: Final = object()
"""No spec was ever seen for an instance. None is a legitimate spec of a driver that decodes by hand."""


class Specs:
    """Specs by instance name; safe between threads."""

    def __init__(self, driver: Driver[object]) -> None:
        self._driver = driver
        self._type = driver.spec_type if isinstance(driver, ConfigDecoder) else driver.config
        self._lock = threading.Lock()
        self._known: dict[str, object] = {}
        self._decoded: tuple[bytes, object] = (b"", MISSING)

    def remember(self, name: str, spec: object) -> None:
        """Keep *spec* as the last one seen for *name*."""
        with self._lock:
            self._known[name] = spec

    def of(self, name: str, data: bytes) -> object:
        """Return the spec in *data*, else the last one seen for *name*, else `MISSING`.

        Bytes with an unknown format tag count as none: a relaunch may run another release of the module than the one
        that wrote them.
        """
        if self._type is None:
            return None
        spec = self._decode(data) if data else MISSING
        with self._lock:
            if spec is MISSING:
                return self._known.get(name, MISSING)
            self._known[name] = spec
        return spec

    def default(self) -> object:
        """Return the config class's defaults, or `MISSING` when it requires an argument."""
        if isinstance(self._driver, ConfigDecoder) or self._driver.config is None:
            return MISSING
        return _constructed(self._driver.config)

    def _decode(self, data: bytes) -> object:
        last, spec = self._decoded
        if last == data:
            return spec
        spec = decode_spec(self._type, data, missing=MISSING)
        self._decoded = (data, spec)
        return spec


def _constructed(config: type[Config]) -> object:
    try:
        return config()
    except TypeError:
        return MISSING
