"""The reaper's own process: waits for its owner to end, then ends what the owner has registered and not released.

`Reaper` runs this file as ``python -I -S <this file> <owner> <controller>``, with a pipe on standard input and two
inherited pidfds (-1 for "none"). It is Python and not ``/bin/sh`` because a shell can watch a second process (the
xdist controller) only by asking for it again and again, and takes a zombie for alive: measured, 13 to 57 ms and 2.5 %
of a CPU for a shell that asks every 50 ms, 3 to 6 ms and nothing for a pidfd in `poll`. The price is 10 MB of memory.

One line per fact on the pipe; paths are the raw bytes of the file system:

    s <dev>:<ino>   a process is being started that writes its log to this file
    e <dev>:<ino>   ... it was started (its `g` line came first) or could not be
    g <pgid>        a process group to end           x <pgid>        ... it has ended
    d <folder>      a folder to remove               k <folder>      ... keep it
    c <container>   a container to remove            r <container>   ... it was removed

Only modules that the interpreter needs for its own start are imported above the functions: a reaper starts beside an
engine that somebody waits for.
"""

# ruff: noqa: PTH112, PTH116, PTH123, PTH208, SIM105 - pathlib and contextlib would have to be loaded

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

INTERRUPT_GRACE = 0.2
"""Seconds between SIGINT and SIGKILL: longer than an engine needs to flush, shorter than a person notices."""


def is_alive(pgid: int) -> bool:
    """Whether a process group has a member that is not a zombie.

    A container whose first process does not collect its orphans keeps their zombies for ever, and a signal reaches a
    zombie without an error.
    """
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if not os.path.isdir("/proc/self"):
        return True
    return any(state not in "ZX" for _, state, group, _ in processes() if group == pgid)


def processes() -> list[tuple[int, str, int, int]]:
    """Return (pid, state, process group, session) of every process that /proc shows."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The command's name stands in parentheses and may itself contain any character.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if len(fields) > 3:
            found.append((int(entry), fields[0].decode(), int(fields[2]), int(fields[3])))
    return found


class Estate:
    """What the owner leaves behind."""

    def __init__(self) -> None:
        self.starting: set[bytes] = set()
        self.groups: set[int] = set()
        self.folders: dict[bytes, None] = {}
        self.containers: dict[bytes, None] = {}

    def note(self, line: bytes) -> None:
        kind, _, value = line.partition(b" ")
        if kind == b"s":
            self.starting.add(value)
        elif kind == b"e":
            self.starting.discard(value)
        elif kind == b"g":
            self.groups.add(int(value))
        elif kind == b"x":
            self.groups.discard(int(value))
        elif kind == b"d":
            self.folders[value] = None
        elif kind == b"k":
            self.folders.pop(value, None)
        elif kind == b"c":
            self.containers[value] = None
        elif kind == b"r":
            self.containers.pop(value, None)

    def replay(self) -> bytes:
        lines = [b"s " + log for log in self.starting]
        lines += [b"g %d" % pgid for pgid in self.groups]
        lines += [b"d " + folder for folder in self.folders]
        lines += [b"c " + container for container in self.containers]
        return b"".join(line + b"\n" for line in lines)

    def settle(self) -> None:
        self.end_groups()
        docker = self.remove_containers()
        self.remove_folders()
        if docker is not None:
            docker.wait()
            self.remove_folders()

    def end_groups(self) -> None:
        signalled: set[int] = set()
        deadline = time.monotonic() + INTERRUPT_GRACE
        while True:
            # The owner may have been killed between the start of a process and its `g` line.
            self.groups |= unregistered(self.starting)
            for pgid in self.groups - signalled:
                send(pgid, signal.SIGINT)
            signalled |= self.groups
            if not self.starting and not any(is_alive(pgid) for pgid in self.groups):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        for pgid in self.groups:
            send(pgid, signal.SIGKILL)
        deadline = time.monotonic() + 1
        while any(is_alive(pgid) for pgid in self.groups) and time.monotonic() < deadline:
            time.sleep(0.005)

    def remove_containers(self) -> subprocess.Popen[bytes] | None:
        if not self.containers:
            return None
        import subprocess

        command = [b"docker", b"rm", b"-f", b"-v", *self.containers]
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL)
        except OSError:
            return None

    def remove_folders(self) -> None:
        if not self.folders:
            return
        import shutil

        for folder in self.folders:
            for _ in range(10):
                shutil.rmtree(folder, ignore_errors=True)
                if not os.path.lexists(folder):
                    break
                # A process outside the groups (PostgreSQL's backends have sessions of their own) still ends and writes.
                time.sleep(0.05)


def unregistered(starting: set[bytes]) -> set[int]:
    """Return the groups whose leader writes its standard output to one of these files."""
    if not starting or not os.path.isdir("/proc/self"):
        return set()
    groups = set()
    for pid, _, group, session in processes():
        if pid == group == session:
            try:
                log = os.stat(f"/proc/{pid}/fd/1")
            except OSError:
                continue
            if b"%d:%d" % (log.st_dev, log.st_ino) in starting:
                groups.add(pid)
    return groups


def send(pgid: int, signum: int) -> None:
    try:
        os.killpg(pgid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def await_death(pipe: int, owner: int, controller: int, estate: Estate) -> None:
    """Return when the pipe is closed, or when the owner or the controller has ended."""
    poll = select.poll()
    for descriptor in (pipe, owner, controller):
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
    buffer = b""
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if sys.platform == "linux" and controller in ready and owner >= 0:
            # An xdist worker goes on testing for 5 s after its controller's death, and would boot engines unwatched.
            signal.pidfd_send_signal(owner, signal.SIGKILL)
            wait = select.poll()
            wait.register(owner, select.POLLIN)
            wait.poll(1000)
            ready.add(owner)
        closed = False
        while True:
            try:
                data = os.read(pipe, 65536)
            except BlockingIOError:
                break
            if not data:
                closed = True
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                estate.note(line)
        # The owner's own descriptor counts as well: a child that it forked without exec holds the pipe open.
        if closed or owner in ready:
            return


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)
    os.set_blocking(0, False)
    estate = Estate()
    await_death(0, int(sys.argv[1]), int(sys.argv[2]), estate)
    estate.settle()


if __name__ == "__main__":
    main()
