"""The code in README and docs runs: files are written, programs executed, commands typed and their output compared.

A fenced block says what it is by its info string: `python title=src/x.py` (or any language with a title) is a file,
`python` alone a program, `console` commands behind `$ ` with the output that they must print, in which a line `...`
stands for any lines. The blocks of a page share one folder and run in order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 120  # seconds for a command; what hangs must not hang the suite


@dataclass(frozen=True)
class Example:
    language: str
    title: str
    text: str
    line: int


def examples(page: Path) -> Iterator[Example]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        title = re.search(r"title=(\S+)", match[2])
        line = text.count("\n", 0, match.start()) + 1
        yield Example(match[1], title[1] if title else "", match[3], line)


def commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        yield command, output


def pattern(expected: str) -> str:
    lines = [r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in expected.splitlines()]
    return "".join(lines).replace(r"\.\.\.", ".*?")


def run(command: list[str], folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "DOZE_HOME": str(folder / "home"), "COLUMNS": "120"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**env, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_code_block_of_the_page_does_what_the_page_says(page: Path, short_dir: Path) -> None:
    variables = {"PYTHONPATH": str(short_dir / "src")} if "`PYTHONPATH=src`" in page.read_text() else {}
    for example in examples(page):
        where = f"{page.name}:{example.line}"
        if example.title:
            target = short_dir / example.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(example.text)
        elif example.language == "python":
            done = run([sys.executable, "-W", "error", "-c", example.text], short_dir, variables)

            assert done.returncode == 0, f"{where}: {done.stdout}"
        elif example.language == "console":
            for command, expected in commands(example.text):
                done = run(["bash", "-c", command], short_dir, variables)

                assert re.fullmatch(pattern(expected), done.stdout), f"{where}: $ {command}\n{done.stdout}"
        else:
            pytest.fail(f"{where}: a block of {example.language!r} that nothing runs")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()

    assert "make demo" in text
    assert "make test" in text
    assert shutil.which("make") is None or "demo:" in (ROOT / "Makefile").read_text()
