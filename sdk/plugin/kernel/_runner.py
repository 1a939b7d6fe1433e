"""Where a plugin runs: as a child process, or wherever a `Runner` puts it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Protocol

from ._errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final, TypeGuard

    from ._listener import Address

MORE_FILES: Final = "close some, or allow more (ulimit -n)"


class Runner(Protocol):
    """Starts one plugin somewhere and ends it, for example in a container. `ProcessRunner` starts child processes.

    Each method but `start` may be called from any thread. An exception of `start` or `wait` should be a `PluginError`.
    """

    @property
    def name(self) -> str:
        """What runs, for people: a program or an image."""

    @property
    def id(self) -> str:
        """Which one runs, for people and machines: a process id or a container's."""

    @property
    def pid(self) -> int | None:
        """The process id on this machine, if there is one."""

    def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:
        """Start the plugin with exactly this environment; return file descriptors to read its stdout and stderr from.

        `socket_folder` is where the plugin must put its sockets and the host puts those of brokered connections. The
        variable ``PLUGIN_UNIX_SOCKET_DIR`` in `environment` names it; a runner that mounts it elsewhere changes that.
        The descriptors belong to the caller from then on.
        """

    def wait(self) -> int | None:
        """Wait until the plugin has ended; return its exit code, negative for a signal, or None if unknown."""

    def kill(self) -> None:
        """End the plugin at once. Harmless when it has ended."""

    def diagnose(self) -> str:
        """Explain why the plugin may not have started; empty if there is nothing to say."""

    def to_host(self, address: Address) -> Address:
        """Translate an address that the plugin gave to one where this host can connect."""

    def to_plugin(self, address: Address) -> Address:
        """Translate an address of this host to one where the plugin can connect."""


def words(command: Sequence[str | os.PathLike[str]] | Runner) -> list[str]:
    """Return the program and its arguments. Raises `CommandError` if that is no command."""
    if isinstance(command, str | bytes) or not isinstance(command, Sequence) or not command:
        raise CommandError(
            f"cannot start a plugin: the command must be a list of the program and its arguments, got {command!r}"
        )
    return [os.fspath(part) for part in command]


def is_runner(command: Sequence[str | os.PathLike[str]] | Runner) -> TypeGuard[Runner]:
    """Whether it can start a plugin by itself; what cannot is meant for a command."""
    return not isinstance(command, Sequence) and hasattr(command, "start")


class ProcessRunner:
    """Runs a plugin as a child process.

    Args:
        command: The program and its arguments.
        cwd: Working folder; default: this process's.
        own_group: Whether the plugin gets a process group of its own, which is then killed as a whole. A terminal's
            Ctrl-C does not reach it any more.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None = None,
        own_group: bool = False,
    ) -> None:
        self._command = words(command)
        self._cwd = cwd
        self._own_group = own_group
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return os.path.basename(self._command[0])  # noqa: PTH119  (pathlib would be loaded for this alone)

    @property
    def id(self) -> str:
        return str(self.pid)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:  # noqa: ARG002  (a child finds it in its environment)
        readers: list[int] = []
        writers: list[int] = []
        try:
            for _ in ("stdout", "stderr"):
                reader, writer = os.pipe()
                readers.append(reader)
                writers.append(writer)
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                cwd=self._cwd,
                stdout=writers[0],
                stderr=writers[1],
                process_group=0 if self._own_group else None,
            )
        except BaseException as error:  # an interrupt too
            _close(readers)
            if isinstance(error, OSError | TypeError | ValueError):
                raise self._refused(error) from error
            raise
        finally:
            _close(writers)
        return readers[0], readers[1]

    def wait(self) -> int | None:
        return None if self._process is None else self._process.wait()

    def kill(self) -> None:
        if self._process is None:
            return
        try:
            if self._own_group:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except ProcessLookupError:
            pass  # it has ended

    def diagnose(self) -> str:
        return ""

    def to_host(self, address: Address) -> Address:
        return address

    def to_plugin(self, address: Address) -> Address:
        return address

    def _refused(self, error: OSError | TypeError | ValueError) -> CommandError:
        program = self._command[0]
        match error:
            case FileNotFoundError() if self._cwd is not None and error.filename == self._cwd:
                reason = f"the working folder {os.fspath(self._cwd)!r} does not exist"
            case FileNotFoundError() if os.path.exists(program):  # noqa: PTH110
                reason = "the file exists, but the interpreter or loader that it names does not"
            case FileNotFoundError():
                reason = "there is no such program; give its full path, or one that is on PATH"
            case PermissionError():
                reason = "it is not executable by this user; chmod +x it, or put its interpreter first"
            case OSError(errno=errno.EMFILE | errno.ENFILE):
                reason = f"{error.strerror}; {MORE_FILES}"
            case OSError(errno=errno.ENOEXEC):
                reason = "it is not a program for this machine; build it for this system, or add a #! line"
            case _:
                reason = str(error)
        return CommandError(f"cannot start plugin {program!r}: {reason}")


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
