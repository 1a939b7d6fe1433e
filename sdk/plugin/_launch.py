"""Starting a module's plugin process, as doze does. What talks to it is imported while it starts."""

from __future__ import annotations

import importlib
import os
import time

from ._contract import HANDSHAKE, PROTOCOL_VERSION
from .kernel import ProcessRunner

_LONGEST_CALL = 86400.0  # seconds; gRPC takes a deadline that is too far away for one that has passed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from ._remote import RemoteDriver


def launch(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = True,
    cwd: str | os.PathLike[str] | None = None,
    start_timeout: float = 60.0,
    logger: logging.Logger | None = None,
    on_stdout: Callable[[bytes], object] | None = None,
    on_stderr: Callable[[bytes], object] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> RemoteDriver:
    """Start a module's plugin process as doze does, and return a driver that stands for it.

    Use it in a `with` statement, or call `close`; the process also ends with this one, however this one ends.

    Args:
        command: the plugin's program and arguments.
        env: variables for it beside, or instead of, this process's own.
        start_timeout: seconds until it must have announced itself and named its engine type.
        logger: where its log records go; default ``doze_sdk.plugin.<program>``.
        on_stdout: called, from a thread, with what it writes to stdout once it serves; a host discards that.
        on_stderr: the same for stderr.
        meanwhile: called while the plugin starts, for what the caller has to import anyway.

    Raises:
        kernel.PluginError: it did not start; the subclass and the text say what to do.

    """
    from . import kernel

    def prepare() -> None:
        if meanwhile is not None:
            meanwhile()
        for module in ("._remote", ".kernel._plugin"):
            importlib.import_module(module, __package__)

    deadline = time.monotonic() + start_timeout
    plugin = kernel.launch(
        _Starter(command, cwd=cwd, meanwhile=prepare),
        HANDSHAKE,
        versions={PROTOCOL_VERSION},
        env=env,
        inherit_env=inherit_env,
        start_timeout=start_timeout,
        logger=logger,
        on_stdout=on_stdout,
        on_stderr=on_stderr,
    )
    from ._remote import RemoteDriver, RemoteError

    try:
        patience = min(max(1.0, deadline - time.monotonic()), _LONGEST_CALL)
        return RemoteDriver(plugin, command, env=env, inherit_env=inherit_env, cwd=cwd, timeout=patience)
    except RemoteError as error:
        plugin.kill()
        raise kernel.PluginError(
            f"plugin {os.fspath(command[0])!r} announced itself, but does not name its engine type: "
            f"{error.code}: {error}; it must be a doze engine module, and its driver must be importable in time"
        ).with_last_words(plugin.stderr) from error
    except BaseException:
        plugin.kill()
        raise


class _Starter(ProcessRunner):
    """Starts a child process and makes use of the time until it announces itself."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None,
        meanwhile: Callable[[], object],
    ) -> None:
        super().__init__(command, cwd=cwd)
        self._meanwhile = meanwhile

    def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:
        pipes = super().start(environment, socket_folder)
        try:
            self._meanwhile()
        except BaseException:  # Ctrl-C as well: nobody else knows of the process yet
            self.kill()
            self.wait()
            for pipe in pipes:
                os.close(pipe)
            raise
        return pipes
