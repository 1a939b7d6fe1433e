"""Running processes as another account, because engines such as PostgreSQL refuse root and CI often is root."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ._errors import AccountError


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account that processes can run as.

    Attributes:
        groups: supplementary groups. None is the safe default: root's own would otherwise stay with the process.

    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def named(cls, name: str) -> Account:
        """Return the account called *name*, with the group of its passwd entry.

        Raises:
            AccountError: there is no such account, or this process is neither root nor that account.

        """
        import pwd

        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise AccountError(
                f"there is no account {name!r} on this machine; an account needs a passwd entry (a bare uid has none)"
            ) from None
        if os.geteuid() not in (0, entry.pw_uid):
            raise AccountError(
                f"only root can run a process as {name!r}; this process is uid {os.geteuid()}. "
                "Run it as root or as that account"
            )
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    @property
    def is_current(self) -> bool:
        """Whether this process already runs as the account, so that nothing has to be changed."""
        return os.geteuid() == self.uid

    def own(self, folder: Path) -> None:
        """Give a folder (not what is in it) to the account: `mkdtemp` by root makes folders that only root enters."""
        if not self.is_current:
            os.chown(folder, self.uid, self.gid)

    def check_reach(self, path: Path, action: Literal["run", "enter"] = "run") -> None:
        """Check that the account can enter every folder above *path*, by links and by real names, and execute it.

        For a folder to execute means to enter. Access control lists are not looked at.

        Raises:
            AccountError: it cannot; the text names the first thing that stops it.

        """
        for way in (path, Path(os.path.realpath(path))):
            for step in (*reversed(way.parents), way):
                try:
                    status = step.stat()
                except OSError as error:
                    raise AccountError(
                        f"the account {self.name!r} cannot {action} {path}: {step}: {error.strerror}"
                    ) from None
                if not self._may_execute(status):
                    raise AccountError(
                        f"the account {self.name!r} cannot {action} {path}: {step} is mode "
                        f"{stat.S_IMODE(status.st_mode):04o}, owner {_owner(status.st_uid)}"
                    )

    def _may_execute(self, status: os.stat_result) -> bool:
        if self.uid == 0:
            return stat.S_ISDIR(status.st_mode) or bool(status.st_mode & 0o111)
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid in (self.gid, *self.groups):
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def _owner(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
