"""`modtool` as people run it: a process of its own, in a folder of its own, all of whose descendants can be found."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.host.proc import eventually

ROOT = Path(__file__).parents[2]
MODTOOL = [sys.executable, "-m", "doze_sdk.modtool"]
GREETER = f"{sys.executable} -m tests.modules.greeter"
LIMIT = 60.0  # seconds for a start on a busy machine; what hangs must not hang the suite


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, farewell: bytes = b"") -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        answer = b"".join(iter(lambda: client.recv(1000), b"")).decode().strip()
        client.sendall(farewell)
    return answer


class Running:
    """A `modtool` process and whatever came of it."""

    def __init__(self, arguments: list[str], folder: Path, environ: dict[str, str], *, through: list[str]) -> None:
        self._mark = uuid.uuid4().hex
        self._out, self._err = folder / f"{self._mark}.out", folder / f"{self._mark}.err"
        self.tmp = folder / "tmp"
        self.tmp.mkdir(exist_ok=True)
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [*through, *MODTOOL, *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, "MARK": self._mark, "TMPDIR": str(self.tmp), **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, text: str) -> None:
        """Wait until *text* was printed."""
        here = eventually(lambda: text in self.out + self.err or self.process.poll() is not None, LIMIT)

        assert here and text in self.out + self.err, f"{text!r} is not in\n{self.out}\n{self.err}"

    def end(self, limit: float = LIMIT) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(limit)

    def family(self) -> dict[int, str]:
        """Return every process that descends from it, whoever its parent is now, with its command line."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"MARK={self._mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has gone, or is somebody else's
        return {pid: line for pid, line in found.items() if line}  # a zombie has no command line

    def member(self, word: str, *, without: tuple[str, ...] = ()) -> int:
        """Return the pid of the one descendant whose command line has that word and none of the others."""
        lines = self.family().items()
        pids = [pid for pid, line in lines if word in line and not any(other in line for other in without)]

        assert len(pids) == 1, self.family()
        return pids[0]

    def run_folder(self) -> Path:
        """Return the folder below which the engines' sockets are."""
        line = next(line for line in self.family().values() if "__serve" in line)
        return Path(line.partition("__serve ")[2].split(" ")[0]).parents[2]

    def close(self) -> None:
        """End it as politely as it lets us, so that its reaper can remove what is left."""
        if self.process.poll() is None:
            self.process.terminate()
        eventually(lambda: self.family() == {})
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


Start = Callable[..., Running]


@pytest.fixture
def modtool(short_dir: Path) -> Iterator[Start]:
    """Start `modtool` in a short folder; everything that it leaves is ended after the test."""
    started = []

    def start(*arguments: str, cwd: Path = short_dir, through: tuple[str, ...] = (), **environ: str) -> Running:
        running = Running(list(arguments), cwd, environ, through=list(through))
        started.append(running)
        return running

    yield start
    for running in started:
        running.close()


@pytest.fixture
def dev(modtool: Start, short_dir: Path) -> Start:
    """Start `modtool dev` on the greeter with the given config."""

    def start(
        config: str, *arguments: str, module: str = GREETER, through: tuple[str, ...] = (), **environ: str
    ) -> Running:
        (short_dir / "doze.hcl").write_text(config)
        return modtool("dev", "--plugin", module, *arguments, through=through, **environ)

    return start
