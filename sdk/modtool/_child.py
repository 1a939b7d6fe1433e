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
    from collections.abc import Iterator, Mapping, Sequence

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
    terminal = sys.stdin.isatty()
    if terminal and not sys.stdout.isatty():  # somebody else in the pipeline may need the terminal
        return _code(subprocess.run(command, env=dict(environ), check=False).returncode)
    with _registered_group(reaper) as group:
        if terminal:
            _put_in_front(group)
        try:
            process = subprocess.Popen(command, env=dict(environ), process_group=group)
            try:
                return _code(process.wait())
            finally:
                _end(process, group)
        finally:
            if terminal:
                _put_in_front(os.getpgrp())


@contextlib.contextmanager
def _registered_group(reaper: Reaper) -> Iterator[int]:
    """Make a process group and register it, so that what is started in it is known before it runs.

    A process that waits for the end of a pipe keeps it there; the pipe ends with us, registered or not.
    """
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0) as keeper:
        reaper.adopt_group(keeper.pid)
        try:
            yield keeper.pid
        finally:
            reaper.release_group(keeper.pid)


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


def _end(process: subprocess.Popen[bytes], group: int) -> None:
    """End the command if it was interrupted, and what it has left in its group."""
    os.killpg(group, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with contextlib.suppress(PermissionError):  # macOS, of a group in which all have ended and are not collected yet
        os.killpg(group, signal.SIGKILL)
    process.wait()
