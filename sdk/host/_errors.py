"""What goes wrong between a plan and a running unit, by what the reader can do about it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ._log import Excerpt
    from ._process import Exit


class HostError(Exception):
    """Base of every error that this package raises on purpose; its text is written for the person at the terminal."""

    __module__ = "doze_sdk.host"


class PlanError(HostError):
    """A plan that cannot be run at all: the author changes the driver. Nothing was started.

    Attributes:
        violations: everything that is wrong with the plan, in the order of its specs.

    """

    __module__ = "doze_sdk.host"

    def __init__(self, violations: Sequence[str]) -> None:
        self.violations = tuple(violations)
        super().__init__("\n".join(self.violations))


class FolderError(HostError):
    """A folder that cannot be made or written to."""

    __module__ = "doze_sdk.host"


class AccountError(HostError):
    """An account that does not exist, may not be assumed, or cannot reach what it should run."""

    __module__ = "doze_sdk.host"


class ListenError(HostError):
    """An address on which nothing can listen: it is not this machine's, or it needs rights that we lack."""

    __module__ = "doze_sdk.host"


class PortInUseError(ListenError):
    """Another program listens on the port: the user stops it or picks another port.

    Attributes:
        port: the number.
        holder: who listens there, as text; empty where it cannot be seen.

    """

    __module__ = "doze_sdk.host"

    def __init__(self, host: str, port: int, holder: str) -> None:
        self.port, self.holder = port, holder
        by = f"by {holder}" if holder else f"by another program (`ss -ltnp 'sport = :{port}'` as root shows which)"
        super().__init__(f"port {port} on {host} is in use {by}; stop it or choose another port")


class StopError(HostError):
    """A process that SIGKILL did not end, as happens in uninterruptible disk sleep."""

    __module__ = "doze_sdk.host"


class BootError(HostError):
    """A plan that did not become ready. Everything that it had started is stopped, and the logs are kept.

    Attributes:
        engine: the name given to `start`; empty when there was none.
        process: the name of the spec at which the boot ended.
        excerpt: the last lines of its log and where the whole log is; None if it never ran.
        rows: what else is known, as pairs of a label and a text.
        hint: what to do next. A caller that knows better than this package may set it.

    """

    __module__ = "doze_sdk.host"

    def __init__(
        self,
        headline: str,
        *,
        engine: str,
        process: str,
        rows: Sequence[tuple[str, str]] = (),
        excerpt: Excerpt | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(headline)
        self.headline = headline
        self.engine = engine
        self.process = process
        self.rows = tuple(rows)
        self.excerpt = excerpt
        self.hint = hint

    def move_log(self, folder: Callable[[], Path]) -> None:
        """Take the log out of a folder that is about to be removed.

        Args:
            folder: makes the folder to put it into; called only if the log has more lines than the text shows.

        """
        excerpt = self.excerpt
        if excerpt is None or excerpt.path is None:
            return
        kept = None
        if excerpt.total > len(excerpt.lines):
            kept = folder() / excerpt.path.name
            shutil.copyfile(excerpt.path, kept)
        self.excerpt = replace(excerpt, path=kept)

    def __str__(self) -> str:
        lines = [self.headline]
        lines += [f"  {label:<8} {text}" for label, text in self.rows]
        if self.excerpt is not None:
            lines.append(f"  {'log':<8} {self.excerpt.title}")
            lines += [f"    {line}" for line in self.excerpt.lines]
        if self.hint:
            lines.append(f"  {'hint':<8} {self.hint}")
        return "\n".join(lines)


class StartError(BootError):
    """A process that could not be started: no such program, no such folder, no permission."""

    __module__ = "doze_sdk.host"


class ExitedError(BootError):
    """A process that ended before its first successful probe.

    Attributes:
        exit: its exit code or signal, and after how many seconds.
        tries: how often it had been probed.
        last_error: what the last probe said; empty without one.

    """

    __module__ = "doze_sdk.host"

    exit: Exit
    tries: int = 0
    last_error: str = ""


class NotReadyError(BootError):
    """A process that still runs but did not pass its probe within the budget.

    Attributes:
        pid: of the process, which is stopped by now.
        tries: how often it was probed.
        last_error: what the last probe said.

    """

    __module__ = "doze_sdk.host"

    pid: int = 0
    tries: int = 0
    last_error: str = ""


class HookError(BootError):
    """A hook that failed; the headline ends with the host's own words about it."""

    __module__ = "doze_sdk.host"
