"""A running plugin as its host sees it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import grpc

    from ._broker import Broker
    from ._reattach import ReattachConfig


class Plugin:
    """A running plugin: its channel, and the end of its life.

    A context manager: leaving the block kills the plugin.
    """

    channel: grpc.Channel
    version: int
    pid: int | None
    broker: Broker

    def ping(self, *, timeout: float = 5.0) -> None:
        """Ask the plugin's health service whether it lives. Raise `PluginError` if there is no answer."""
        raise NotImplementedError

    def kill(self) -> None:
        """Ask the plugin to stop, wait two seconds, then send SIGKILL. Bounded, and harmless when it is dead already."""
        raise NotImplementedError

    @property
    def exited(self) -> bool:
        """Whether the plugin's process has ended."""
        raise NotImplementedError

    @property
    def exit_code(self) -> int | None:
        """Exit code of the ended process, negative for a signal; None while it runs or if nobody can tell."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the plugin's process has ended; return whether it has."""
        raise NotImplementedError

    @property
    def stderr(self) -> tuple[str, ...]:
        """The last lines of the plugin's stderr, as text."""
        raise NotImplementedError

    def reattach_config(self) -> ReattachConfig:
        """What another host needs to connect to this same process. Not available under AutoMTLS."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
