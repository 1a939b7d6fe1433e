"""The command that `modtool dev -- COMMAND` runs between boot and stop."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from ._errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..host import Reaper

_GRACE = 2.0
"""Seconds that an interrupted command has before SIGKILL."""


def check_command(command: Sequence[str]) -> None:
    """Raise UsageError unless *command* names a program."""
    if shutil.which(command[0]) is None:
        raise UsageError(f"there is no program {command[0]!r} to run")


def run_command(command: Sequence[str], environ: Mapping[str, str], reaper: Reaper) -> int:
    """Run *command* to its end and return its exit code, as a shell counts it.

    It gets a process group of its own, so that nothing of it survives: neither an exception here nor our death. On a
    terminal it is put in front, as a shell does, and Ctrl-C is its own.
    """
    # With a terminal to read from and a pipe to write to, somebody else in the pipeline may need the terminal.
    terminal = sys.stdin.isatty()
    own_group = not terminal or sys.stdout.isatty()
    process = subprocess.Popen(command, env=dict(environ), process_group=0 if own_group else None)
    if not own_group:
        return _code(process.wait())
    reaper.adopt_group(process.pid)
    try:
        if terminal:
            _put_in_front(process.pid)
            os.killpg(process.pid, signal.SIGCONT)  # it may have asked for the terminal already, and been stopped
        return _code(process.wait())
    finally:
        _end(process)
        if terminal:
            _put_in_front(os.getpgrp())
        reaper.release_group(process.pid)


def _code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned


def _put_in_front(group: int) -> None:
    """Make *group* the terminal's foreground group; a background process that does so would be stopped by SIGTTOU."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(sys.stdin.fileno(), group)
    except OSError:  # not our controlling terminal
        pass
    finally:
        signal.signal(signal.SIGTTOU, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the command's group: all of it, if it was interrupted."""
    try:
        os.killpg(process.pid, signal.SIGINT)
    except ProcessLookupError:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
