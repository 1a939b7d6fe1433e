"""What a host and its plugins agree on before anything else: the magic cookie."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

CORE_PROTOCOL_VERSION: Final = 1
"""go-plugin's own protocol version, the first field of the handshake line."""

_RUN_BY_HAND = b"""\
This binary is a plugin. These are not meant to be executed directly.
Please execute the program that consumes these plugins, which will
load any plugins automatically
"""

_MISCONFIGURED = b"""\
Misconfigured ServeConfig given to serve this plugin: no magic cookie
key or value was set. Please notify the plugin author and report
this as a bug.
"""


class Handshake:
    """The magic cookie by which a plugin knows that a host, and not a person, has started it.

    It protects nothing: it is a courtesy to people who run a plugin by hand. A plain class, because importing
    `dataclasses` would cost more than everything else that happens before the cookie is checked.

    Args:
        cookie_key, cookie_value: Name and value of the environment variable that the host sets. Both must be non-empty.
    """

    __slots__ = ("cookie_key", "cookie_value")

    def __init__(self, *, cookie_key: str, cookie_value: str) -> None:
        self.cookie_key: Final = cookie_key
        self.cookie_value: Final = cookie_value

    def __repr__(self) -> str:
        return f"Handshake(cookie_key={self.cookie_key!r}, cookie_value={self.cookie_value!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handshake):
            return NotImplemented
        return (self.cookie_key, self.cookie_value) == (other.cookie_key, other.cookie_value)

    def __hash__(self) -> int:
        return hash((self.cookie_key, self.cookie_value))


def check_cookie(handshake: Handshake, environ: Mapping[str, str]) -> None:
    """Raise ``SystemExit(1)`` with go-plugin's words on stderr unless a host has set the cookie."""
    if not handshake.cookie_key or not handshake.cookie_value:
        _refuse(_MISCONFIGURED)
    if environ.get(handshake.cookie_key) != handshake.cookie_value:
        _refuse(_RUN_BY_HAND)


def _refuse(text: bytes) -> None:
    try:  # noqa: SIM105  (contextlib is not loaded here)
        os.write(2, text)
    except OSError:
        pass  # stderr is closed: the exit code has to say it all
    raise SystemExit(1)
