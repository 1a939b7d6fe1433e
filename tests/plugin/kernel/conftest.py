"""Real plugins for the tests, and the rule that nothing of them may be left."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from doze_sdk.plugin import kernel
from tests.plugin.kernel import echo_plugin

ECHO = [sys.executable, echo_plugin.__file__]
PATIENCE = 30.0
"""Seconds in which an outcome must have come, on the slowest machine."""


@pytest.fixture(autouse=True, scope="session")
def grpc_is_warm() -> None:
    """Let gRPC open the descriptors that it keeps for good, before any are counted."""
    with grpc.insecure_channel("unix:/nonexistent") as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/a/b")(b"", timeout=PATIENCE)


@pytest.fixture(autouse=True)
def nothing_is_left(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test after which a thread, a process, a pipe, a socket or a folder of ours is left."""
    monkeypatch.setenv("TMPDIR", str(short_dir))
    before = leftovers(short_dir)
    yield
    deadline = time.monotonic() + PATIENCE
    while (left := leftovers(short_dir) - before) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not left


def leftovers(folder: Path) -> set[str]:
    """What a plugin can leave behind in this process, as far as /proc and the file system show it."""
    threads = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    return (
        threads
        | open_descriptors()
        | {f"process {pid}" for pid in children()}
        | {f"file {p}" for p in folder.iterdir()}
    )


def open_descriptors(pid: int | str = "self") -> set[str]:
    """Pipes, sockets and files that a process has open. gRPC's event descriptors come and go."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue  # the descriptor of this listing
        if not target.startswith(("anon_inode:", "/proc/")):
            found.add(f"descriptor {target}")
    return found


def children() -> set[int]:
    """Process ids of this process's children, the dead ones that nobody has waited for included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for an outcome."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come about within {PATIENCE:g} s"
        time.sleep(0.005)


class Caller:
    """Calls the methods of the echo plugin."""

    def __init__(self, plugin: kernel.Plugin) -> None:
        self.plugin = plugin

    def __call__(self, method: str, request: bytes = b"", *, timeout: float = PATIENCE) -> bytes:
        call = self.plugin.channel.unary_unary(f"/{echo_plugin.SERVICE}/{method}")
        answer: bytes = call(request, timeout=timeout)
        return answer

    def run(self, code: str) -> str:
        """Run Python code in the plugin; return what it assigned to `answer`."""
        return self("Run", code.encode()).decode()


Launch = Callable[..., Caller]


@pytest.fixture
def start() -> Iterator[Launch]:
    """Launch the echo plugin with arguments of its own; it is killed after the test."""
    plugins: list[kernel.Plugin] = []

    def launch(*arguments: str, **settings: object) -> Caller:
        settings.setdefault("versions", {1})
        plugin = kernel.launch([*ECHO, *arguments], echo_plugin.HANDSHAKE, **settings)  # type: ignore[arg-type]
        plugins.append(plugin)
        return Caller(plugin)

    yield launch
    for plugin in plugins:
        plugin.kill()


@pytest.fixture
def script(short_dir: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """Write a program in Python; return the command that runs it."""

    def write(code: str) -> list[str]:
        path = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
        path.write_text(code)
        return [sys.executable, str(path)]

    return write


def plugin_environment(**variables: str) -> dict[str, str]:
    """What a host puts into a plugin's environment, for tests that read the handshake themselves."""
    cookie = {echo_plugin.HANDSHAKE.cookie_key: echo_plugin.HANDSHAKE.cookie_value}
    return {**os.environ, **cookie, "PLUGIN_PROTOCOL_VERSIONS": "1", **variables}
