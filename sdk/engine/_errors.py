"""What goes wrong in the contract, by what the reader can do about it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


class EngineError(Exception):
    """Base of the errors that this package raises on purpose; the text is a sentence for the person at the terminal."""

    __module__ = "doze_sdk.engine"


class DriverError(EngineError):
    """A driver class that cannot work: the author changes the class."""

    __module__ = "doze_sdk.engine"


class VersionError(EngineError):
    """A setting that the declared engine version does not have: the user changes the config."""

    __module__ = "doze_sdk.engine"


class ToolchainError(EngineError):
    """An engine's binaries that cannot be found, fetched or trusted."""

    __module__ = "doze_sdk.engine"


class LockedError(EngineError):
    """A lock file whose owner is alive: the engine already runs on this data."""

    __module__ = "doze_sdk.engine"


class TemplateError(EngineError):
    """A template data directory that cannot be made or cloned."""

    __module__ = "doze_sdk.engine"


class ConfigClassError(DriverError):
    """A config class that cannot work: the author changes the class. The text names the class and the field."""

    __module__ = "doze_sdk.engine"


class DurationError(EngineError):
    """A text that is no duration; the words are Go's."""

    __module__ = "doze_sdk.engine"


class SpecError(EngineError):
    """A spec that has no serialised form, or bytes that hold none."""

    __module__ = "doze_sdk.engine"


class SocketPathError(EngineError):
    """A path too long for a unix socket on this system.

    Attributes:
        length: of the path, in bytes.
        limit: what the system allows, in bytes.

    """

    __module__ = "doze_sdk.engine"

    def __init__(self, path: Path, length: int, limit: int, hint: str) -> None:
        self.path, self.length, self.limit = path, length, limit
        super().__init__(f"the backend socket path is {length} bytes, this system allows {limit}: {path} ({hint})")
