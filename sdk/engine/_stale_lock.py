"""Lock files that an engine left behind."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ._errors import LockedError

if TYPE_CHECKING:
    from pathlib import Path


_PID = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def clear_stale_lock(what: str, path: Path) -> None:
    """Remove the lock file at *path* if the process that its first line names is gone; a missing file is fine.

    Only "no such process" means gone. A process of another user (EPERM) is alive: taking it for dead would start a
    second server on the same data. PostgreSQL negates the number of a standalone backend, which is a process as well.

    Raises:
        LockedError: the process is alive.

    """
    try:
        first = path.read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except FileNotFoundError:
        return
    if _PID.fullmatch(first) and _alive(pid := abs(int(first))):
        raise LockedError(f"{what} appears to already be running (pid {pid}); remove {path} if you are sure it is not")
    path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
