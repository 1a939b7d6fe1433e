"""Connecting to a plugin that runs already: launched by another host, or served by a debugger or a test."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import select
import signal
import socket
import threading
from dataclasses import dataclass

from ._announcement import Announcement
from ._connection import Connection, static_tls
from ._errors import PluginError, ReattachError
from ._listener import Address, SocketFolder
from ._plugin import Plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ssl import SSLContext

    from ._tls import TLSContexts

_TRIAL = 5.0  # seconds
_PAUSE = 0.1  # seconds between questions whether a process still exists, where the system cannot be made to tell


@dataclass(frozen=True, slots=True)
class ReattachConfig:
    """What a host needs to connect to a running plugin.

    Attributes:
        address: Where the plugin listens.
        version: The version of the contract that it serves.
        pid: Its process id on this machine.
        test: Whether it serves in test mode: hosts must not end it.
    """

    address: Address
    version: int
    pid: int
    test: bool = False

    @classmethod
    def from_json(cls, text: str | bytes) -> ReattachConfig:
        """Read one entry of the JSON that Terraform has for this.

        Raises:
            ReattachError: It is not such JSON.
        """
        return cls._from_entry(_loaded(text))

    def to_json(self) -> str:
        """Return one entry of the JSON that Terraform has for this."""
        return json.dumps(self._entry())

    @classmethod
    def from_terraform(cls, text: str | bytes) -> dict[str, ReattachConfig]:
        """Read the value of ``TF_REATTACH_PROVIDERS``: one entry for each provider's address.

        Raises:
            ReattachError: It is not such JSON.
        """
        return {provider: cls._from_entry(entry) for provider, entry in _loaded(text).items()}

    @staticmethod
    def to_terraform(providers: Mapping[str, ReattachConfig]) -> str:
        """Return the value for ``TF_REATTACH_PROVIDERS``; addresses are such as ``example.org/acme/thing``."""
        return json.dumps({provider: config._entry() for provider, config in providers.items()})  # noqa: SLF001  (its own class)

    @classmethod
    def _from_entry(cls, entry: object) -> ReattachConfig:
        match {"ProtocolVersion": 0, "Test": False, **entry} if isinstance(entry, dict) else entry:
            case {
                "Protocol": "grpc",
                "ProtocolVersion": int(version),
                "Pid": int(pid),
                "Test": bool(test),
                "Addr": {"Network": "unix" | "tcp" as network, "String": str(address)},
            } if not isinstance(version, bool) and not isinstance(pid, bool):
                return cls(Address(network, address), version, pid, test)
            case _:
                pass
        raise ReattachError(
            'cannot read a reattach config: expected {"Protocol": "grpc", "ProtocolVersion": number, "Pid": number, '
            f'"Test": boolean, "Addr": {{"Network": "unix" or "tcp", "String": text}}}}, got {entry!r}'
        )

    def _entry(self) -> dict[str, object]:
        return {
            "Protocol": "grpc",
            "ProtocolVersion": self.version,
            "Pid": self.pid,
            "Test": self.test,
            "Addr": {"Network": self.address.network, "String": self.address.address},
        }


def reattach(
    config: ReattachConfig,
    *,
    tls: SSLContext | TLSContexts | None = None,
    logger: logging.Logger | None = None,
    on_stdout: Callable[[bytes], object] | None = None,
    on_stderr: Callable[[bytes], object] | None = None,
    options: Sequence[tuple[str, object]] = (),
) -> Plugin:
    """Connect to a running plugin. `Plugin.kill` ends it, unless it serves in test mode; the end of the host does not.

    Args:
        config: From `Plugin.reattach_config`, or from JSON.
        tls: Static TLS, if the plugin has it. AutoMTLS cannot be picked up.
        logger, on_stdout, on_stderr, options: As in `launch`. What the plugin writes to its original stderr goes to the
            host that launched it.

    Raises:
        ReattachError: There is no such process, or nobody answers at its address.
    """
    with contextlib.ExitStack() as undo:
        attached = Attached(config)
        undo.callback(attached.stop, 0.0)
        _try_to_connect(config)
        folder = SocketFolder()
        undo.callback(folder.close)
        announcement = Announcement(config.version, config.address)
        connection = Connection(announcement, folder, static_tls(tls), multiplex=False, options=options)
        undo.pop_all()

    def release() -> None:
        connection.close()
        folder.close()

    return Plugin(
        attached,
        announcement,
        connection=connection,
        logger=logger or logging.getLogger(f"doze_sdk.plugin.{config.pid}"),
        on_stdout=on_stdout,
        on_stderr=on_stderr,
        release=release,
    )


class AttachedRunner:
    """The part of a `Runner` that makes sense for a process that somebody else has started."""

    def __init__(self, pid: int) -> None:
        self.pid: int | None = pid
        self.id = str(pid)
        self.name = f"process {pid}"

    def kill(self) -> None:
        try:
            os.kill(int(self.id), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended
        except PermissionError as error:
            raise PluginError(
                f"cannot kill plugin process {self.id}: it belongs to another account; end it as that one, or as root"
            ) from error

    def to_host(self, address: Address) -> Address:
        return address

    def to_plugin(self, address: Address) -> Address:
        return address


class Attached:
    """A process that somebody else has started. Nothing is known of its stderr or exit code."""

    exit_code: int | None = None

    def __init__(self, config: ReattachConfig) -> None:
        self.runner = AttachedRunner(config.pid)
        self.is_test = config.test
        self.ended = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe()
        self._watch: threading.Thread | None = None
        if not config.test:
            self._watch = threading.Thread(
                target=self._wait, args=(self._process(config),), name="go-plugin-wait", daemon=True
            )
            self._watch.start()

    def last_words(self) -> tuple[str, ...]:
        return ()

    def stop(self, patience: float) -> bool:
        """Wait for the end, then stop watching."""
        ended = self.is_test or self.ended.wait(patience)
        os.close(self._wake_writer)
        if self._watch is not None:
            self._watch.join()
        os.close(self._wake_reader)
        return ended

    def _process(self, config: ReattachConfig) -> int:
        try:
            return _watched(config.pid)
        except (OSError, OverflowError) as error:  # OverflowError: no process can have that number
            self._close_pipe()
            raise ReattachError(
                f"reattachment process not found: there is no process {config.pid} ({error}); "
                "the plugin has ended, so launch a new one"
            ) from error

    def _close_pipe(self) -> None:
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _wait(self, process: int) -> None:
        poll = select.poll()
        poll.register(self._wake_reader, 0)
        if process < 0:
            self._ask_again(poll)
            return
        poll.register(process, select.POLLIN)
        if any(descriptor == process for descriptor, _ in poll.poll()):
            self.ended.set()
        os.close(process)

    def _ask_again(self, poll: select.poll) -> None:
        pid = int(self.runner.id)
        while not poll.poll(_PAUSE * 1000):
            if not _exists(pid):
                self.ended.set()
                return


def _watched(pid: int) -> int:
    """A descriptor by which to wait for the end of a process; -1 if it exists, and the system has none to give."""
    open_descriptor: Callable[[int], int] | None = getattr(os, "pidfd_open", None)  # on Linux, in most builds
    if open_descriptor is not None:
        try:
            return open_descriptor(pid)
        except OSError as error:
            if error.errno not in {errno.ENOSYS, errno.EPERM}:  # a kernel before 5.3; a sandbox that is as old
                raise
    if not _exists(pid):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return -1


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another account
    return True


def _try_to_connect(config: ReattachConfig) -> None:
    network, address = config.address
    host, _, port = address.rpartition(":")
    internet = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(socket.AF_UNIX if network == "unix" else internet, socket.SOCK_STREAM) as trial:
            trial.settimeout(_TRIAL)
            trial.connect(address if network == "unix" else (host.strip("[]"), int(port)))
    except (OSError, OverflowError, TypeError, ValueError) as error:  # TypeError: a NUL in the host's name
        raise ReattachError(
            f"reattachment process not found: nobody answers at {network} address {address!r} ({error}); "
            "the plugin has ended, so launch a new one"
        ) from error


def _loaded(text: str | bytes) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReattachError(f"cannot read a reattach config: it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReattachError(f"cannot read a reattach config: expected a JSON object, got {value!r}")
    return value
