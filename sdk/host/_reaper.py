"""The owner's end of the reaper."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from . import _reaper_process
from ._errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Reaper:
    """A process that outlives this one, whatever ends it, and then ends and removes what is registered here.

        with Reaper() as reaper:
            unit = start(plan, log_dir=logs, reaper=reaper)

    It notices the end of its owner by the end of a pipe and by the owner's pidfd, so SIGKILL is noticed as well. It
    then sends SIGINT to every registered process group, SIGKILL 200 ms later to those that are still there, and removes
    the registered folders and containers. `close` has the same done to whatever is registered at that time, and waits
    for it. The reaper has a session of its own and ignores SIGINT, SIGTERM, SIGHUP and SIGQUIT.

    One reaper serves a whole process; its methods may be called from any thread. If it is itself killed, the next
    registration starts another one that knows everything the first one knew.

    Args:
        controller: the pid of a process whose end counts like the owner's: the xdist controller of a test worker. The
            owner is then killed first. Without `os.pidfd_open` (not Linux) it is not watched, and the worker notices
            the death of its controller by itself, seconds later.

    Raises:
        HostError: the interpreter cannot be started again.

    """

    def __init__(self, *, controller: int | None = None) -> None:
        self._controller = controller
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._estate = _reaper_process.Estate()
        self._closed = False
        self._process, self._pipe = self._launch()

    @property
    def pid(self) -> int:
        """The reaper's process id."""
        return self._process.pid

    def adopt_group(self, pgid: int) -> None:
        """End this process group."""
        self._tell(f"g {pgid}")

    def release_group(self, pgid: int) -> None:
        """Forget a process group that has ended; a closed reaper already has."""
        self._tell(f"x {pgid}", late=True)

    def adopt_folder(self, folder: Path) -> None:
        """Remove this folder with all that is in it.

        Raises:
            HostError: the path is relative, the root, or contains a line break.

        """
        self._tell("d " + _checked(folder))

    def release_folder(self, folder: Path) -> None:
        """Keep this folder."""
        self._tell("k " + _checked(folder), late=True)

    def adopt_container(self, container: str) -> None:
        """Remove this container with ``docker rm -f -v``."""
        self._tell(f"c {container}")

    def release_container(self, container: str) -> None:
        """Forget a container that was removed."""
        self._tell(f"r {container}", late=True)

    def expect(self, log: int) -> None:
        """Announce a process that will write its standard output to the open file *log* and is not started yet.

        Where /proc exists the reaper finds such a process by itself if the owner dies before `adopt_group`.
        """
        self._tell(f"s {_identity(log)}")

    def expected(self, log: int, pgid: int | None) -> None:
        """End an announcement: the process is started, or (None) could not be."""
        adoption = "" if pgid is None else f"g {pgid}\n"
        self._tell(f"{adoption}e {_identity(log)}")

    def close(self) -> None:
        """End and remove what is still registered, and wait until that is done."""
        with self._lock:
            if self._closed or os.getpid() != self._owner:
                return
            self._closed = True
            os.close(self._pipe)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, lines: str, *, late: bool = False) -> None:
        data = os.fsencode(lines)
        with self._lock:
            if os.getpid() != self._owner or (late and self._closed):
                return
            if self._closed:
                raise HostError("the reaper is closed; register processes and folders while it is open")
            for line in data.split(b"\n"):
                self._estate.note(line)
            try:
                _write(self._pipe, data + b"\n")
            except BrokenPipeError:
                os.close(self._pipe)
                self._process.wait()
                self._process, self._pipe = self._launch()
                _write(self._pipe, self._estate.replay())

    def _launch(self) -> tuple[subprocess.Popen[bytes], int]:
        if not sys.executable:
            raise HostError("cannot start the reaper: this Python does not know its own executable (sys.executable)")
        reading, writing = os.pipe()
        watched = [_pidfd(os.getpid()), _pidfd(self._controller)]
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", _reaper_process.__file__, *map(str, watched)],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[descriptor for descriptor in watched if descriptor >= 0],
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            os.close(writing)
            raise HostError(f"cannot start the reaper with {sys.executable}: {error.strerror}") from error
        finally:
            for descriptor in (reading, *watched):
                if descriptor >= 0:
                    os.close(descriptor)
        return process, writing


def _pidfd(pid: int | None) -> int:
    open_descriptor: Callable[[int], int] | None = getattr(os, "pidfd_open", None)  # on Linux, in most builds
    if pid is None or open_descriptor is None:
        return -1
    try:
        return open_descriptor(pid)
    except ProcessLookupError:
        raise HostError(f"cannot watch process {pid}: it has already ended") from None
    except OSError:  # a kernel before 5.3: the pipe alone has to do
        return -1


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _identity(log: int) -> str:
    status = os.fstat(log)
    return f"{status.st_dev}:{status.st_ino}"


def _checked(folder: Path) -> str:
    text = str(folder)
    if not folder.is_absolute() or folder == Path(folder.anchor) or "\n" in text:
        raise HostError(f"the reaper removes absolute paths without line breaks, and never the root; got {text!r}")
    return text
