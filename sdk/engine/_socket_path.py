"""How long the path of a unix socket may be."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ._errors import SocketPathError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

SOCKET_PATH_LIMIT: Final = 103 if sys.platform == "darwin" else 107
"""Bytes that the path may have: `sun_path` is 104 bytes on macOS and 108 on Linux, and ends with a NUL."""


_HINT = "shorten DOZE_HOME, the project folder's name or the instance's name"


def check_socket_path(path: Path, *, hint: str = _HINT, limit: int = SOCKET_PATH_LIMIT) -> None:
    """Check that *path* is short enough to be bound as a unix socket; what counts is its encoded form.

    Args:
        hint: how the user gets a shorter path; the error ends with it.
        limit: in bytes.

    Raises:
        SocketPathError: it is too long; the text names both lengths.

    """
    length = len(os.fsencode(path))
    if length > limit:
        raise SocketPathError(path, length, limit, hint)
