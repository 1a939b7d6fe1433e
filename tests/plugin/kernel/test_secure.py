"""Checksums of a plugin's files."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

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


def test_a_single_file_needs_its_own_checksum_alone(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    shutil.copy("/bin/true", program)
    with pytest.raises(kernel.PluginExitedError):
        kernel.launch([program], echo_plugin.HANDSHAKE, versions={1}, secure=kernel.SecureConfig(digest(str(program))))


@pytest.mark.parametrize("arguments", [[], ["-m", "module"], ["-c", "pass"]])
def test_an_interpreter_that_runs_no_named_file_cannot_be_checked(arguments: list[str]) -> None:
    with pytest.raises(kernel.ChecksumError, match="runs code that is in no file named by the command"):
        kernel.SecureConfig.of([sys.executable, *arguments])


def test_a_program_that_does_not_exist_cannot_be_checked() -> None:
    with pytest.raises(kernel.ChecksumError, match="there is no program '/no/such/plugin'"):
        kernel.SecureConfig.of(["/no/such/plugin"])


@pytest.mark.parametrize(
    ("checksum", "algorithm", "words"),
    [
        ("", "sha256", "no checksum provided"),
        (b"", "sha256", "no checksum provided"),
        ("xyz", "sha256", "cannot use 'xyz'"),
        ("ab" * 20, "sha256", "was it made with another algorithm"),
        ("ab" * 32, "sha257", "unsupported hash type"),
    ],
)
def test_a_checksum_that_can_never_match_is_refused(checksum: str | bytes, algorithm: str, words: str) -> None:
    with pytest.raises(kernel.ChecksumError, match=words):
        kernel.SecureConfig(checksum, algorithm=algorithm)


def test_a_checksum_can_be_made_and_kept() -> None:
    assert kernel.SecureConfig.of(ECHO).checksum == digest(*ECHO)
