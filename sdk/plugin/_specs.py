"""The spec of each instance as this process knows it.

Some of the host's calls carry no spec, and after a crash the first call of a new process may be one of them. Which
answer each call then gets is decided in `_service`; here is what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine import Config, ConfigDecoder, Driver, decode_spec

if TYPE_CHECKING:
    from typing import Final

MISSING: Final = object()
"""No spec was ever seen for an instance. None is the spec of every instance of a driver without a config."""


class Specs:
    """Specs by instance name; safe between threads.

    Each question is answered with an object of its own: a driver that changes the spec of an instance changes it for
    nobody else.
    """

    def __init__(self, driver: Driver[object]) -> None:
        self._driver = driver
        self._type = driver.spec_type if isinstance(driver, ConfigDecoder) else driver.config
        self._known: dict[str, bytes] = {}

    def remember(self, name: str, data: bytes) -> None:
        """Keep *data* as the last spec seen for *name*."""
        self._known[name] = data

    def read(self, data: bytes) -> object:
        """Return the spec in *data*, or `MISSING`.

        Bytes with an unknown format tag hold none: a relaunch may run another release of the module than the one that
        wrote them.
        """
        return decode_spec(self._type, data, missing=MISSING) if data else MISSING

    def of(self, name: str, data: bytes) -> object:
        """Return the spec in *data*, else the last one seen for *name*, else `MISSING`."""
        if self._type is None:
            return None
        spec = self.read(data)
        if spec is MISSING:
            return self.read(self._known.get(name, b""))
        self._known[name] = data
        return spec

    def default(self) -> object:
        """Return the config class's defaults, or `MISSING` when it requires an argument."""
        if isinstance(self._driver, ConfigDecoder) or self._driver.config is None:
            return MISSING
        return _constructed(self._driver.config)


def _constructed(config: type[Config]) -> object:
    try:
        return config()
    except TypeError:
        return MISSING
