"""Checks that a plugin's files are the ones that are meant, before any of them runs."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil

from ._errors import ChecksumError
from ._runner import is_runner, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from ._runner import Runner

_INTERPRETERS: Final = ("python", "pypy")


class SecureConfig:
    """The checksum that a plugin's files must have, go-plugin's SecureConfig.

    The files are the program itself and, where the program is followed by the name of a file, that file: a script, a
    zipapp or a PEX. They are hashed one after the other. What a script imports is not checked, so ship a plugin that
    has to be secure as one file.

    Args:
        checksum: The digest, as bytes or in hexadecimal.
        algorithm: A name that `hashlib.new` knows, of one whose digests have a length of their own.
    """

    def __init__(self, checksum: bytes | str, *, algorithm: str = "sha256") -> None:
        try:
            self._checksum = bytes.fromhex(checksum) if isinstance(checksum, str) else bytes(checksum)
        except ValueError as error:
            raise ChecksumError(f"cannot use {checksum!r} as checksum of a plugin: {error}") from error
        length = _length(algorithm)
        if not self._checksum:
            raise ChecksumError("no checksum provided: a plugin's SecureConfig needs the digest of its files")
        if len(self._checksum) != length:
            raise ChecksumError(
                f"cannot use a checksum of {len(self._checksum)} bytes: {algorithm} has {length}; "
                "was it made with another algorithm?"
            )
        self._algorithm = algorithm

    @classmethod
    def of(cls, command: Sequence[str | os.PathLike[str]], *, algorithm: str = "sha256") -> SecureConfig:
        """Return the checksum that the files of `command` have now."""
        _length(algorithm)
        return cls(_digest(_files(words(command)), algorithm), algorithm=algorithm)

    @property
    def checksum(self) -> str:
        """The digest in hexadecimal."""
        return self._checksum.hex()

    def check(
        self,
        command: Sequence[str | os.PathLike[str]] | Runner,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> list[str]:
        """Raise `ChecksumError` unless the files of `command` have the checksum.

        Args:
            command: The program and its arguments.
            environment: Variables that the program is going to have; their ``PATH`` says where it is. Default: this
                process's.
            cwd: Its working folder, from which relative names count; default: this process's.

        Returns:
            The command with the full paths of the files that were checked. Run this one: whoever looks for the files
            again may find others.
        """
        if is_runner(command):
            raise ChecksumError("cannot check the plugin's files: a runner starts it, and knows alone where they are")
        parts = words(command)
        files = _files(parts, environment, cwd)
        found = _digest(files, self._algorithm)
        if not hmac.compare_digest(found, self._checksum):
            raise ChecksumError(
                f"checksums did not match: {' and '.join(map(repr, files))} must have the {self._algorithm} checksum "
                f"{self._checksum.hex()}, got {found.hex()}; the plugin was not started; fetch it again"
            )
        return [*files, *parts[len(files) :]]


def _files(
    command: list[str], environment: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None
) -> list[str]:
    """The full paths of the program and, if the first argument names a file, of that."""
    folder = os.path.join(os.getcwd(), cwd or "")  # noqa: PTH109, PTH118  (plain strings are hashed, shown and run)
    path = _program(command[0], environment, folder)
    if os.path.basename(path) == "env":  # noqa: PTH119
        raise ChecksumError(
            f"cannot check the plugin's files: {path!r} runs another program, which would not be checked; name that "
            "one first, by its full path, and pass its variables to launch (env)"
        )
    argument = os.path.join(folder, command[1]) if len(command) > 1 else ""  # noqa: PTH118
    if os.path.isfile(argument):  # noqa: PTH113
        return [path, argument]
    if os.path.basename(path).startswith(_INTERPRETERS):  # noqa: PTH119
        raise ChecksumError(
            f"cannot check the plugin's files: {path!r} runs code that is in no file named by the command; ship the "
            "plugin as one file (a zipapp or PEX) and name it right after the interpreter"
        )
    return [path]


def _program(name: str, environment: Mapping[str, str] | None, cwd: str) -> str:
    """Find a program as `subprocess` does: on the PATH that it is going to have, from its working folder."""
    for folder in [""] if os.path.dirname(name) else os.get_exec_path(environment):  # noqa: PTH120
        path = shutil.which(os.path.join(cwd, folder, name))  # noqa: PTH118
        if path is not None:
            return path
    raise ChecksumError(f"cannot check the plugin's files: there is no program {name!r}")


def _length(algorithm: str) -> int:
    try:
        length = hashlib.new(algorithm).digest_size
    except ValueError as error:
        raise ChecksumError(f"cannot check a plugin's files: {error}") from error
    if not length:
        raise ChecksumError(
            f"cannot check a plugin's files: a digest of {algorithm!r} has whatever length one asks for; use sha256"
        )
    return length


def _digest(files: list[str], algorithm: str) -> bytes:
    digest = hashlib.new(algorithm)
    for path in files:
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise ChecksumError(f"cannot check the plugin's files: {path!r}: {error.strerror}") from error
    return digest.digest()
