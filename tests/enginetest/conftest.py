"""Programs that use the harness, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.host.proc import eventually

ROOT = Path(__file__).parents[2]
LIMIT = 60.0


class Program:
    """A Python program in a process of its own, whose descendants can be found whoever their parent is."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self._out = folder / f"{self._mark}.out"
        env = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": self._mark, "DOZE_TEST_DIR": str(self.data)}
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    def until(self, text: str) -> None:
        eventually(lambda: text in self.out or self.process.poll() is not None, LIMIT)

        assert text in self.out, self.out

    def family(self) -> dict[int, str]:
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"MARK={self._mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return {pid: line for pid, line in found.items() if line}

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def nothing_is_left(self) -> bool:
        """Whether neither a process nor data is left, or soon is not."""
        return eventually(lambda: self.family() == {} and list(self.data.iterdir()) == [])

    def close(self) -> None:
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.close_stdin()
        self.process.wait()


@pytest.fixture
def program(short_dir: Path) -> Iterator[Callable[..., Program]]:
    """Run a text as a Python program."""
    programs = []

    def run(text: str, *, pytest_options: tuple[str, ...] | None = None) -> Program:
        file = short_dir / "test_program.py"
        file.write_text(text)
        arguments = [str(file)] if pytest_options is None else ["-m", "pytest", str(file), *pytest_options]
        programs.append(Program(arguments, short_dir))
        return programs[-1]

    yield run
    for started in programs:
        started.close()
