"""Commands that doze runs for a plan with ``sh -c``: `exec` probes and hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._process import Command, Process, start_process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ._account import Account
    from ._reaper import Reaper


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Where, as whom and with which environment commands run.

    Attributes:
        output: the file to which their output is appended.

    """

    cwd: Path
    env: Mapping[str, str]
    account: Account | None
    reaper: Reaper | None
    output: Path

    def start(self, command: str, into: list[Process]) -> Process:
        """Start a command, and put it into a list whose owner ends it; OSError if that is impossible."""
        line = Command(argv=("/bin/sh", "-c", command), cwd=self.cwd, env=self.env, account=self.account)
        return start_process(command, line, self.output, reaper=self.reaper, into=into)


def output_of(process: Process) -> str:
    """Return what a command printed, without white space at both ends."""
    return process.log.read().strip()
