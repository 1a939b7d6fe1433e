"""The host's side: start a plugin, read its announcement, connect to it."""

from __future__ import annotations

import contextlib
import logging
import threading

from . import _announcement, _environment, _live
from ._announcement import Expectation
from ._child import Child, reported
from ._errors import HandshakeError, PluginError, shortened
from ._listener import SocketFolder, excess
from ._runner import ProcessRunner, is_runner, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence
    from ssl import SSLContext
    from typing import Final, Self

    from ._announcement import Announcement
    from ._handshake import Handshake
    from ._plugin import Plugin
    from ._runner import Runner
    from ._secure import SecureConfig
    from ._tls import Identity, TLSContexts

_APPEARS: Final = 2.0  # seconds in which a runner should have started a process
_REAPED: Final = 5.0  # seconds in which the kernel must have ended a process that got SIGKILL


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
    tls: SSLContext | TLSContexts | None = None,
    secure: SecureConfig | None = None,
    ports: tuple[int, int] = (10000, 25000),
    socket_group: str = "",
    logger: logging.Logger | None = None,
    on_stdout: Callable[[bytes], object] | None = None,
    on_stderr: Callable[[bytes], object] | None = None,
    on_log_line: Callable[[bytes], object] | None = None,
    kill_group: bool = False,
    options: Sequence[tuple[str, object]] = (),
) -> Plugin:
    """Start a plugin and connect to it. It is killed when this process ends, at the latest.

    That holds for the end by SIGTERM or SIGHUP too, in a program that does not handle them: they are then caught while
    a plugin lives that the main thread has launched. Python lets no other thread do so. A program whose plugins are all
    launched by other threads makes the signal a normal end, in its main thread:
    ``signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))``.

    Args:
        command: The program and its arguments, or a `Runner` that starts it elsewhere, for example in a container.
        handshake: The magic cookie that host and plugin know.
        versions: Versions of the contract that this host speaks. `Plugin.version` is the one that was agreed on.
        env, inherit_env: Variables for the plugin, on top of this process's own if `inherit_env`. Those by which a host
            talks to a plugin are never inherited: they would be another host's.
        cwd: Working folder of the plugin; default: this process's. Not together with a `Runner`.
        start_timeout: Seconds until the plugin must have announced itself.
        auto_mtls: Encrypt the connection, with certificates made for this one launch.
        multiplex: Carry brokered connections inside the first one.
        tls: Static TLS, for a plugin that has one of its own: the client's context, or both roles' for brokered
            connections too. Not together with `auto_mtls`.
        secure: Checksum that the plugin's files must have. They are then run by their full paths.
        ports: First and last port that a plugin on TCP may take.
        socket_group: Name or number of a group that may connect to the plugin's sockets, for a plugin that runs as
            another user.
        logger: Gets the records and lines that the plugin writes to the stderr it was started with.
            Default: ``doze_sdk.plugin.<program>``.
        on_stdout, on_stderr: Called, from a thread, with what the plugin and its children write to stdout and stderr
            after the handshake.
        on_log_line: Called, from a thread, with each raw line of the stderr that the plugin was started with.
        kill_group: Start the plugin in a process group of its own, and kill the whole group when the plugin has to be
            killed. Not together with a `Runner`.
        options: Further options for the gRPC channel.

    Raises:
        PluginError: The subclass and the text say what to do. Nothing of the plugin is left: no process, socket, folder
            or thread.
    """
    if auto_mtls and tls is not None:
        raise PluginError("cannot launch a plugin with both auto_mtls and tls: choose one")
    variables = {**(_environment.inherited() if inherit_env else {}), **(env or {})}
    if secure is not None:
        command = secure.check(command, environment=variables, cwd=cwd)
    runner = _runner(command, cwd, kill_group=kill_group)
    identity = _identity() if auto_mtls else None
    expected = Expectation(frozenset(versions), auto_mtls=auto_mtls, multiplex=multiplex)
    with contextlib.ExitStack() as undo:
        held = undo.enter_context(contextlib.ExitStack())  # what the plugin is reached by
        folder = SocketFolder(group=socket_group)
        held.callback(folder.close)
        variables |= _variables(handshake, expected, ports, folder.path, socket_group, identity)
        logger = logger or logging.getLogger(f"doze_sdk.plugin.{runner.name}")
        start = undo.enter_context(_Start(runner, folder, logger))
        child = Child(runner, logger=logger, on_log_line=on_log_line)
        start.run(child, variables)
        # They load gRPC, which takes as long as a plugin takes to start.
        from ._connection import Connection
        from ._plugin import Plugin

        announcement = _announced(child, expected, start_timeout)
        contexts = _contexts(identity, announcement, tls)
        connection = Connection(announcement, folder, contexts, multiplex=multiplex, options=options)
        held.callback(connection.close)
        child.start_reading()
        plugin = Plugin(
            child,
            announcement,
            connection=connection,
            logger=logger,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            release=held.close,
        )
        _live.replace(start, plugin)
        undo.pop_all()
    return plugin


class _Start:
    """A plugin that has not announced itself: there is nobody to ask yet, and its process may be about to appear.

    Leaving the block kills it, and adds its last words to the error.
    """

    def __init__(self, runner: Runner, folder: SocketFolder, logger: logging.Logger) -> None:
        self._runner = runner
        self._folder = folder
        self._logger = logger
        self._child: Child | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        _live.add(self)
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        try:
            if self._child is not None:
                self._abandon(self._child)
                if isinstance(error, PluginError):
                    error.with_last_words(self._child.last_words())
        finally:
            _live.discard(self)

    def run(self, child: Child, environment: Mapping[str, str]) -> None:
        with self._starting:
            child.start(environment, self._folder.path)
            self._child = child

    def ask_to_stop(self) -> None:
        """Nobody listens."""

    def kill(self) -> None:
        self._starting.acquire(timeout=_APPEARS)  # for good: this process ends, and must not start another
        try:
            self._runner.kill()
            if self._child is not None:
                self._child.ended.wait(_REAPED)
        finally:
            self._folder.close()

    def _abandon(self, child: Child) -> None:
        patience = 0.0
        with reported(self._logger, f"killing plugin {self._runner.name!r}"):  # the error is why it did not start
            self._runner.kill()
            patience = _REAPED
        child.stop(patience)


def _runner(
    command: Sequence[str | os.PathLike[str]] | Runner, cwd: str | os.PathLike[str] | None, *, kill_group: bool
) -> Runner:
    if not is_runner(command):
        return ProcessRunner(words(command), cwd=cwd, own_group=kill_group)
    if cwd is not None or kill_group:
        raise PluginError(
            f"cannot launch plugin {command.name!r} with cwd or kill_group: its runner starts and kills it in its own "
            "way; set them there"
        )
    return command


def _variables(
    handshake: Handshake,
    expected: Expectation,
    ports: tuple[int, int],
    folder: str,
    group: str,
    identity: Identity | None,
) -> dict[str, str]:
    if not expected.versions:
        raise PluginError("cannot launch a plugin without a version of the contract; pass versions={1}")
    variables = {
        handshake.cookie_key: handshake.cookie_value,
        _environment.MIN_PORT: str(ports[0]),
        _environment.MAX_PORT: str(ports[1]),
        _environment.PROTOCOL_VERSIONS: ",".join(map(str, sorted(expected.versions))),
        _environment.SOCKET_FOLDER: folder,
    }
    if expected.multiplex:
        variables[_environment.MULTIPLEX] = "true"
    if identity is not None:
        variables[_environment.CLIENT_CERTIFICATE] = identity.pem
    if group:
        variables[_environment.SOCKET_GROUP] = group
    return variables


def _announced(child: Child, expected: Expectation, timeout: float) -> Announcement:
    announcement = _announcement.parse(child.first_line(timeout), expected)
    address = child.runner.to_host(announcement.address)
    if address.network == "unix" and (reason := excess(address.address)):
        raise HandshakeError(
            f"cannot reach the plugin at {shortened(address.address)!r}: {reason}; it must make its socket in the "
            f"folder that {_environment.SOCKET_FOLDER} names"
        )
    return announcement._replace(address=address)


def _identity() -> Identity:
    from . import _tls

    return _tls.generate()


def _contexts(
    identity: Identity | None, announcement: Announcement, tls: SSLContext | TLSContexts | None
) -> TLSContexts | None:
    if identity is None:
        from ._connection import static_tls

        return static_tls(tls)
    from . import _tls

    return _tls.contexts(identity, _tls.peer_from_field(announcement.certificate))
