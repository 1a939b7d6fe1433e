"""Addresses of unix sockets, and folders in which their paths stay short."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import FolderError

if TYPE_CHECKING:
    from ._account import Account
    from ._reaper import Reaper

SHORT_PARENT = Path("/tmp")  # noqa: S108 - private by mkdtemp's mode and name; $TMPDIR can be too long for a socket


def address_of(target: str, folder: Path) -> str:
    """Return what `connect` takes for a socket as Go writes it: ``@name`` is Linux's abstract namespace."""
    return "\0" + target[1:] if target.startswith("@") else str(folder / target)


def make_run_folder(
    *, reaper: Reaper | None = None, account: Account | None = None, parent: Path = SHORT_PARENT
) -> Path:
    """Make a private folder, mode 0700, whose path leaves room for a socket's name.

    Args:
        reaper: removes it when this process ends in any way; the caller removes it otherwise.
        account: owns it, if another account is to put its sockets there.

    Raises:
        FolderError: it cannot be made.

    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="dz", dir=parent))
    except OSError as error:
        raise FolderError(f"cannot make a folder in {parent}: {error.strerror}; it must be writable") from error
    if reaper is not None:
        reaper.adopt_folder(folder)
    if account is not None:
        account.own(folder)
    return folder
