"""Checksums of a plugin's files."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doze_sdk.plugin import kernel
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, Launch


def digest(*paths: str, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, b"".join(Path(path).read_bytes() for path in paths)).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "md5"])
def test_a_plugin_with_the_right_checksum_is_started(start: Launch, algorithm: str) -> None:
    secure = kernel.SecureConfig(digest(*ECHO, algorithm=algorithm), algorithm=algorithm)

    assert start(secure=secure)("Echo", b"x") == b"x"


def test_the_checksum_covers_the_script_and_not_the_interpreter_alone(script: object) -> None:
    secure = kernel.SecureConfig(digest(sys.executable))
    with pytest.raises(kernel.ChecksumError, match="checksums did not match"):
        kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}, secure=secure)


def test_a_changed_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text("raise SystemExit(3)")
    command = [sys.executable, str(path)]
    secure = kernel.SecureConfig.of(command)
    path.write_text(f"open({str(tmp_path / 'was run')!r}, 'w')")
    with pytest.raises(kernel.ChecksumError, match="the plugin was not started; fetch it again"):
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}, secure=secure)

    assert not (tmp_path / "was run").exists()


@pytest.fixture
def namesakes(tmp_path: Path) -> Iterator[list[Path]]:
    """Two folders, each with a program and script ``tool`` that leaves a trace when it runs."""
    folders = [tmp_path / "checked", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        (folder / "tool").write_text(f"#!/bin/sh\necho ran {folder.name} as $0 >&2\n")
        (folder / "tool").chmod(0o755)
    yield folders


def test_the_program_on_the_plugins_path_is_checked_and_not_its_namesake_on_the_hosts(
    namesakes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, other = namesakes
    monkeypatch.setenv("PATH", f"{checked}:{os.environ['PATH']}")
    secure = kernel.SecureConfig.of(["tool"])
    with pytest.raises(kernel.ChecksumError, match=f"'{other}/tool' must have"):
        kernel.launch(["tool"], echo_plugin.HANDSHAKE, versions={1}, secure=secure, env={"PATH": str(other)})


@pytest.mark.parametrize("command", [["/bin/sh", "tool"], ["./tool"]], ids=["script", "program"])
def test_the_file_in_the_plugins_working_folder_is_checked_and_not_its_namesake_in_the_hosts(
    namesakes: list[Path], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(namesakes[0])
    secure = kernel.SecureConfig.of(command)
    with pytest.raises(kernel.ChecksumError, match=r"/\.\./other/(\./)?tool' must have"):
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}, secure=secure, cwd="../other")


@pytest.mark.parametrize("command", [["tool"], ["/bin/sh", "tool"], ["./tool"]], ids=["path", "script", "program"])
def test_what_was_checked_is_what_runs(
    namesakes: list[Path], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    checked, other = namesakes
    monkeypatch.chdir(other.parent)
    path = {"PATH": f"relative/to/nothing:.:{other}:/bin"}
    secure = kernel.SecureConfig.of([*command[:-1], str(checked / "tool")])
    with pytest.raises(kernel.PluginExitedError) as caught:
        kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}, secure=secure, cwd="checked", env=path)

    assert caught.value.stderr[0].startswith(f"ran checked as {checked}/")


def test_a_single_file_needs_its_own_checksum_alone(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    shutil.copy("/bin/true", program)
    with pytest.raises(kernel.PluginExitedError):
        kernel.launch([program], echo_plugin.HANDSHAKE, versions={1}, secure=kernel.SecureConfig(digest(str(program))))


@pytest.mark.parametrize("arguments", [[], ["-m", "module"], ["-c", "pass"]])
def test_an_interpreter_that_runs_no_named_file_cannot_be_checked(arguments: list[str]) -> None:
    with pytest.raises(kernel.ChecksumError, match="runs code that is in no file named by the command"):
        kernel.SecureConfig.of([sys.executable, *arguments])


def test_a_program_behind_env_cannot_be_checked() -> None:
    with pytest.raises(kernel.ChecksumError, match="/env' runs another program, which would not be checked"):
        kernel.SecureConfig.of(["env", *ECHO])


def test_a_program_that_does_not_exist_cannot_be_checked() -> None:
    with pytest.raises(kernel.ChecksumError, match="there is no program '/no/such/plugin'"):
        kernel.SecureConfig.of(["/no/such/plugin"])


@pytest.mark.parametrize("command", ["plugin", [], Path("plugin")])
def test_what_is_no_command_cannot_be_checked(command: Any) -> None:
    with pytest.raises(kernel.CommandError, match="must be a list of the program and its arguments"):
        kernel.SecureConfig.of(command)
    with pytest.raises(kernel.CommandError, match="must be a list of the program and its arguments"):
        kernel.SecureConfig("00" * 32).check(command)


@pytest.mark.parametrize(
    ("checksum", "algorithm", "words"),
    [
        ("", "sha256", "no checksum provided"),
        (b"", "sha256", "no checksum provided"),
        ("xyz", "sha256", "cannot use 'xyz'"),
        ("ab" * 20, "sha256", "was it made with another algorithm"),
        ("ab" * 32, "sha257", "unsupported hash type"),
        ("ab" * 32, "shake_128", "has whatever length one asks for"),
    ],
)
def test_a_checksum_that_can_never_match_is_refused(checksum: str | bytes, algorithm: str, words: str) -> None:
    with pytest.raises(kernel.ChecksumError, match=words):
        kernel.SecureConfig(checksum, algorithm=algorithm)


@pytest.mark.parametrize(
    ("algorithm", "words"), [("shake_128", "has whatever length one asks for"), ("sha257", "unsupported hash type")]
)
def test_an_algorithm_that_gives_no_checksum_is_refused(algorithm: str, words: str) -> None:
    with pytest.raises(kernel.ChecksumError, match=words):
        kernel.SecureConfig.of(ECHO, algorithm=algorithm)


def test_a_checksum_can_be_made_and_kept() -> None:
    assert kernel.SecureConfig.of(ECHO).checksum == digest(*ECHO)
