"""Everything that can go wrong between a host and a plugin, by what one can do about it."""

from __future__ import annotations

from typing import Final, Self


class PluginError(Exception):
    """Base of every error of the plugin layer.

    `stderr` has the last lines that the plugin wrote there, as far as they were there to be read.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.stderr: tuple[str, ...] = ()

    def with_last_words(self, lines: tuple[str, ...]) -> Self:
        """Add what the plugin wrote to stderr last, to the message too."""
        if lines:
            self.stderr = lines
            self.args = (
                f"{self.args[0]}\nthe plugin's last lines on stderr:\n" + "\n".join(f"  {line}" for line in lines),
            )
        return self


class ServeError(PluginError):
    """A plugin cannot serve: its own settings, or the host's variables, do not allow a server to be started."""


class CommandError(PluginError):
    """The plugin's command cannot be started at all: it does not exist or is not executable. Mend the path."""


class ChecksumError(PluginError):
    """The plugin's files are not the ones whose checksum is known. Do not run them; fetch them again."""


class PluginExitedError(PluginError):
    """The plugin's process ended before it was ready. Its last words are in `stderr`; read them.

    `exit_code` is negative for a signal, as in `subprocess`, and None where a runner cannot tell.
    """

    def __init__(self, message: str, *, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code: Final = exit_code


class StartTimeoutError(PluginError):
    """The plugin's process runs but did not announce itself in time. Give it more, or find out what it waits for."""


class HandshakeError(PluginError):
    """The first line on the plugin's stdout is not a handshake that this host understands. Mend the plugin.

    `line` is what came, shortened.
    """

    def __init__(self, message: str, *, line: str = "") -> None:
        super().__init__(message)
        self.line: Final = line


class IncompatibleVersionError(HandshakeError):
    """The plugin speaks another protocol version. Upgrade the older of the two."""


class UnsupportedPluginError(HandshakeError):
    """The plugin works in a way that this host does not, for example net/rpc. Ask its author for another build."""


class CertificateError(HandshakeError):
    """The plugin answers with a certificate that nobody asked for, or without the one that was asked for."""


class ReattachError(PluginError):
    """There is no plugin to attach to: the process is gone, or nobody answers at its address."""


class BrokerError(PluginError):
    """A brokered connection could not be made within its time limit."""


class TransportError(PluginError):
    """The connection between host and plugin broke, or could not be made: TLS, multiplexing, or the sockets below."""


class PeerRefusedError(TransportError):
    """Who connected is not the peer: it has no certificate, another one, or did not speak TLS in time."""


class MissingExtraError(PluginError):
    """A feature was asked for whose package is not installed. Install the extra that the message names."""


class SupervisorError(PluginError):
    """A supervised plugin cannot be kept running."""


def shortened(text: str, most: int = 110) -> str:
    """Foreign text, short enough for a message."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


for _error in list(globals().values()):
    if isinstance(_error, type) and issubclass(_error, PluginError):
        _error.__module__ = "doze_sdk.plugin.kernel"  # people should never see a private path
