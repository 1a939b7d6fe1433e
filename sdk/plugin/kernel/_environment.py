"""The environment variables by which a go-plugin host talks to a plugin; no other module reads the environment."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Final

MIN_PORT: Final = "PLUGIN_MIN_PORT"
"""First port that a plugin on TCP may take. Unset or empty means 0."""

MAX_PORT: Final = "PLUGIN_MAX_PORT"
"""Last port that a plugin on TCP may take. With both at 0 the system chooses."""

PROTOCOL_VERSIONS: Final = "PLUGIN_PROTOCOL_VERSIONS"
"""Versions of the contract that the host speaks, separated by commas, in any order. Old hosts do not set it."""

MULTIPLEX: Final = "PLUGIN_MULTIPLEX_GRPC"
"""A boolean in Go's spelling: brokered connections go through the first one. Even ``false`` is answered, in a field."""

CLIENT_CERTIFICATE: Final = "PLUGIN_CLIENT_CERT"
"""The host's certificate (PEM) under AutoMTLS. A Go host panics at a certificate that it has not asked for."""

SOCKET_FOLDER: Final = "PLUGIN_UNIX_SOCKET_DIR"
"""Folder for every unix socket of the plugin, brokered ones included."""

SOCKET_GROUP: Final = "PLUGIN_UNIX_SOCKET_GROUP"
"""Name or number of the group that may connect to the plugin's unix sockets."""

HOST_VARIABLES: Final = (
    MIN_PORT,
    MAX_PORT,
    PROTOCOL_VERSIONS,
    MULTIPLEX,
    CLIENT_CERTIFICATE,
    SOCKET_FOLDER,
    SOCKET_GROUP,
)
"""All of the above. They are meant for one process: its children must not see them."""

TEMPORARY_FOLDER: Final = ("TMPDIR", "TEMP", "TMP")
"""Where temporary folders go, in this order; ``/tmp`` if none names a folder."""

_LONGEST_NUMBER = 19  # digits of a number of 64 bits

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))  # strconv.ParseBool


class HostVariables:
    """What the host said in the environment, read once and as plain strings."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    @classmethod
    def take(cls, environ: MutableMapping[str, str], *also: str) -> HostVariables:
        """Read the variables and remove them, and those named `also`, so that no child process inherits them."""
        values = {name: environ.pop(name, "") for name in HOST_VARIABLES}
        for name in also:
            environ.pop(name, None)
        return cls(values)

    @property
    def protocol_versions(self) -> str:
        return self._values[PROTOCOL_VERSIONS]

    @property
    def ports(self) -> tuple[str, str]:
        return self._values[MIN_PORT], self._values[MAX_PORT]

    @property
    def multiplex(self) -> bool:
        return self._values[MULTIPLEX] in _TRUE

    @property
    def multiplex_is_named(self) -> bool:
        return self._values[MULTIPLEX] != ""

    @property
    def client_certificate(self) -> str:
        return self._values[CLIENT_CERTIFICATE]

    @property
    def socket_folder(self) -> str:
        return self._values[SOCKET_FOLDER]

    @property
    def socket_group(self) -> str:
        return self._values[SOCKET_GROUP]


def number(text: str) -> int:
    """Read a number as Go's strconv.Atoi does: a sign or none, and ASCII digits alone.

    Raises:
        ValueError: It is none, or has more digits than Go's int.
    """
    digits = text[1:] if text.startswith(("+", "-")) else text
    if not (digits.isascii() and digits.isdecimal()) or len(digits.lstrip("0")) > _LONGEST_NUMBER:
        raise ValueError(f"expected a decimal number of at most {_LONGEST_NUMBER} digits, got {text[:50]!r}")
    return int(text)


def inherited() -> dict[str, str]:
    """Return the variables of this process, without those by which a host of its own has talked to it."""
    return {name: value for name, value in os.environ.items() if name not in HOST_VARIABLES}


def temporary_folder() -> str:
    """Where temporary folders go; `tempfile.gettempdir` without its import and its probe."""
    for name in TEMPORARY_FOLDER:
        folder = os.environ.get(name)
        if folder and os.path.isdir(folder):  # noqa: PTH112  (pathlib is not loaded here)
            return folder
    return "/tmp"  # noqa: S108  (a private folder is made inside)
