"""What a host and its plugins agree on before anything else: the magic cookie."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CORE_PROTOCOL_VERSION: Final = 1
"""go-plugin's own protocol version, the first field of the handshake line."""


class Handshake:
    """The magic cookie by which a plugin knows that a host, and not a person, has started it.

    It protects nobody: it is a courtesy to people who run a plugin by hand. A plain class rather than a dataclass, because
    importing `dataclasses` would cost more than everything else that happens before the cookie is checked.

    Parameters
    ----------
    cookie_key, cookie_value
        Name and value of the environment variable that the host sets. Both must be non-empty.
    """

    __slots__ = ("cookie_key", "cookie_value")

    cookie_key: Final[str]
    cookie_value: Final[str]

    def __init__(self, *, cookie_key: str, cookie_value: str) -> None:
        self.cookie_key = cookie_key
        self.cookie_value = cookie_value

    def __repr__(self) -> str:
        return f"Handshake(cookie_key={self.cookie_key!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handshake):
            return NotImplemented
        return (self.cookie_key, self.cookie_value) == (other.cookie_key, other.cookie_value)

    def __hash__(self) -> int:
        return hash((self.cookie_key, self.cookie_value))
