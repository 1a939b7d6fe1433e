"""The Go program, built once per run, and pairs of a host and a plugin in either language."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import toolchain
from .hosts import GoHost, Host, Launch, PythonHost, eventually, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
MODES = {
    "plain": Launch(),
    "AutoMTLS": Launch(auto_mtls=True),
    "multiplexed": Launch(multiplex=True),
    "AutoMTLS-multiplexed": Launch(auto_mtls=True, multiplex=True),
}
GO_SOCKET = re.compile(r"plugin\d+")
"""go-plugin leaves the sockets of a plugin that ends before it has closed its listeners."""


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return toolchain.build(tmp_path_factory.mktemp("go"))
    except toolchain.MissingGoError as error:
        pytest.skip(
            f"the tests against go-plugin itself need Go: {error}"
        )  # in CI tests/conftest.py makes it a failure


class Workshop:
    """Makes hosts and plugin commands, and takes everything down again."""

    def __init__(self, go_program: Callable[[], Path], folder: Path, sockets: Path, mark: dict[str, str]) -> None:
        self._go_program = go_program
        self._folder = folder
        self._hosts: list[Host] = []
        self.leaves_sockets = False
        """Set by a test whose plugin gets no chance to remove its sockets, under a host that does not do it either."""
        self.sockets = sockets
        self.mark = mark
        """What a plugin that inherits nothing must be given, so that it is found if it is left over."""

    def host(self, language: str) -> Host:
        """A host that has started nothing yet."""
        made: Host = PythonHost() if language == "python" else self.go_host()
        self._hosts.append(made)
        return made

    def go_host(self) -> GoHost:
        return GoHost(self._go_program(), self._folder / f"host-{len(self._hosts)}.stderr")

    def plugin(self, language: str, *flags: str) -> list[str]:
        """The command of a plugin that serves the Probe contract."""
        if language == "go":
            return [str(self._go_program()), "plugin", *flags]
        return [sys.executable, str(HERE / "python_plugin.py"), *flags]

    def close(self) -> None:
        with contextlib.ExitStack() as hosts:  # if one of them fails, the others are closed all the same
            for host in self._hosts:
                hosts.callback(host.close)


@contextlib.contextmanager
def opened_workshop(go_program: Callable[[], Path], folder: Path) -> Iterator[Workshop]:
    """Whatever was started from it is gone afterwards, and so is every socket: this asserts both."""
    variable, value = "DOZE_INTEROP_RUN", uuid.uuid4().hex
    sockets = Path(tempfile.mkdtemp(prefix="i", dir="/tmp"))  # short: a socket's path has at most 107 characters
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        patch.setenv("TMPDIR", str(sockets))
        patch.setenv("GORACE", "atexit_sleep_ms=10")  # a program under the race detector ends a second late by default
        patch.setattr(tempfile, "tempdir", None)
        workshop = Workshop(go_program, folder, sockets, {variable: value})
        try:
            yield workshop
        finally:
            try:
                workshop.close()
            finally:
                left = [str(path.relative_to(sockets)) for path in sockets.rglob("*")]
                shutil.rmtree(sockets)
    assert eventually(lambda: marked(f"{variable}={value}") == []), marked(f"{variable}={value}")
    assert workshop.leaves_sockets or [path for path in left if not GO_SOCKET.fullmatch(path)] == []


@pytest.fixture
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    with opened_workshop(lambda: request.getfixturevalue("go_program"), tmp_path) as opened:
        yield opened


PAIRS = [("go", "python"), ("python", "go"), ("python", "python"), ("go", "go")]
"""Languages of the host and the plugin. The last pair is the control: what it does is right by definition."""


@pytest.fixture(params=PAIRS, ids="-drives-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    languages: tuple[str, str] = request.param
    return languages


COMBINATIONS = [
    pytest.param((mode, *languages), id=f"{mode}-{'-drives-'.join(languages)}")
    for mode in MODES
    for languages in PAIRS
    if languages[0] != languages[1] or mode in {"plain", "AutoMTLS-multiplexed"}
]
"""A mode and a pair. Two of the same language try only the modes with nothing and with everything."""


@pytest.fixture(params=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    combined: tuple[str, str, str] = request.param
    return combined


@pytest.fixture(scope="module", params=COMBINATIONS)
def connected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host connected to a plugin, shared by the tests of a module that leave both as they were."""
    mode, host, plugin = request.param
    folder = tmp_path_factory.mktemp("pair")
    with opened_workshop(lambda: request.getfixturevalue("go_program"), folder) as workshop:
        connected = workshop.host(host)
        connected.start(dataclasses.replace(MODES[mode], command=workshop.plugin(plugin)))
        yield connected
