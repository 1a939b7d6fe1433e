"""The stdout and stderr that a host gave to this process, kept apart from file descriptors 1 and 2."""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class OriginalStreams:
    """Duplicates of both streams that no child inherits. From now on file descriptor 1 is the same as 2.

    The first line on stdout must be the handshake; a module that prints while it is imported must not come before it.
    Where the system allows it, a write to `stderr` never waits for a host that does not read.
    """

    def __init__(self) -> None:
        self.stderr: Final = _duplicate(2)
        self.stdout: Final = _duplicate(1)
        os.dup2(self.stderr, 2)  # open even if it was closed, so that no other file can take its number
        os.dup2(self.stderr, 1)
        _open_anew(self.stderr)


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)  # was closed


def _open_anew(pipe: int) -> None:
    """Let `pipe` never wait for room, and nobody else.

    ``O_NONBLOCK`` belongs to what is shared with whoever made the pipe or inherited it. Linux opens a pipe once more.
    """
    if sys.platform != "linux":
        return
    try:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            return
        anew = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # there is no /proc, or the pipe is another user's
    os.dup2(anew, pipe, inheritable=False)
    os.close(anew)
