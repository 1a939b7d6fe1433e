"""The host's side: start a plugin, read its announcement, connect to it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    import os
    import ssl
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ._handshake import Handshake
    from ._plugin import Plugin
    from ._runner import Runner
    from ._secure import SecureConfig


def launch(
    command: Sequence[str | os.PathLike[str]] | Runner,
    handshake: Handshake,
    *,
    versions: Collection[int],
    env: Mapping[str, str] | None = None,
    inherit_env: bool = True,
    cwd: str | os.PathLike[str] | None = None,
    start_timeout: float = 60.0,
    auto_mtls: bool = False,
    multiplex: bool = False,
    tls: ssl.SSLContext | None = None,
    secure: SecureConfig | None = None,
    ports: tuple[int, int] = (10000, 25000),
    socket_group: str | None = None,
    logger: logging.Logger | None = None,
    on_stdout: Callable[[bytes], object] | None = None,
    on_stderr: Callable[[bytes], object] | None = None,
    on_log_line: Callable[[bytes], object] | None = None,
    kill_group: bool = False,
    options: Sequence[tuple[str, object]] = (),
) -> Plugin:
    """Start a plugin and connect to it.

    Parameters
    ----------
    command
        The program and its arguments, or a `Runner` that starts it elsewhere, for example in a container.
    versions
        Versions of the contract that this host speaks. `Plugin.version` is the one that was agreed on.
    env
        Variables for the plugin, on top of this process's own if `inherit_env`. Those by which go-plugin talks to a
        plugin are never inherited.
    start_timeout
        Seconds until the plugin must have announced itself.
    auto_mtls
        Encrypt the connection with certificates made for this one launch.
    multiplex
        Carry brokered connections inside the first one.
    tls
        Static TLS: the client's context, for a plugin with a static TLS of its own.
    secure
        Checksum that the plugin's files must have.
    ports
        First and last port that a plugin on TCP may take.
    logger
        Where records and lines go that the plugin writes to its stderr. Default: ``doze_sdk.plugin.<program>``.
    on_stdout, on_stderr
        Called with what the plugin and its children wrote to stdout and stderr after the handshake.
    on_log_line
        Called with each raw line of the plugin's stderr.
    kill_group
        Start the plugin in a process group of its own, and kill that whole group when the plugin has to be killed.
    options
        Further options for the gRPC channel.

    Raises
    ------
    PluginError
        The subclass says what to do. Nothing of the plugin is left: no process, no socket, no thread.
    """
    raise NotImplementedError
