"""What a small doze does on one machine: it runs the processes of a spawn plan and leaves nothing behind.

    from pathlib import Path

    from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
    from doze_sdk.host import Reaper, Splice, make_run_folder, start

    with Reaper() as reaper:
        folder = make_run_folder(reaper=reaper)
        socket = folder / "s"
        spec = SpawnSpec(name="main", bin="redis-server", args=("--port", "0", "--unixsocket", str(socket)),
                         dir=folder, ready=Ready(kind="socket", target=str(socket)))
        with (
            Splice(("127.0.0.1", 6379), backend=socket),
            start(SpawnPlan.single(spec), log_dir=folder, reaper=reaper) as unit,
        ):
            unit.wait()

It knows neither pytest nor a terminal. Verdicts (ready, failed, stopped) are doze's; where this package differs, its
documentation says so. Linux is what it is tested on.
"""

from __future__ import annotations

from .._lazy import exports

_HOME = {
    "Account": "._account",
    "AccountError": "._errors",
    "Awake": "._instance",
    "BootError": "._errors",
    "Excerpt": "._log",
    "Exit": "._process",
    "ExitedError": "._errors",
    "FolderError": "._errors",
    "Follower": "._log",
    "HookError": "._errors",
    "HostError": "._errors",
    "KILL": "._process",
    "Ladder": "._process",
    "ListenError": "._errors",
    "LogFile": "._log",
    "NotReadyError": "._errors",
    "PlanError": "._errors",
    "PortInUseError": "._errors",
    "Process": "._process",
    "Reaper": "._reaper",
    "STOP_LADDER": "._process",
    "Splice": "._splice",
    "StartError": "._errors",
    "StopError": "._errors",
    "Unit": "._unit",
    "make_run_folder": "._socket_path",
    "start": "._unit",
    "wake": "._instance",
}
__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list; TYPE_CHECKING below names each for type checkers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._account import Account as Account
    from ._errors import (
        AccountError as AccountError,
        BootError as BootError,
        ExitedError as ExitedError,
        FolderError as FolderError,
        HookError as HookError,
        HostError as HostError,
        ListenError as ListenError,
        NotReadyError as NotReadyError,
        PlanError as PlanError,
        PortInUseError as PortInUseError,
        StartError as StartError,
        StopError as StopError,
    )
    from ._instance import Awake as Awake, wake as wake
    from ._log import Excerpt as Excerpt, Follower as Follower, LogFile as LogFile
    from ._process import KILL as KILL, STOP_LADDER as STOP_LADDER, Exit as Exit, Ladder as Ladder, Process as Process
    from ._reaper import Reaper as Reaper
    from ._socket_path import make_run_folder as make_run_folder
    from ._splice import Splice as Splice
    from ._unit import Unit as Unit, start as start

__getattr__, __dir__ = exports(__name__, _HOME)
