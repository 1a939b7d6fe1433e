"""The processes of a plan, run as one unit."""

from __future__ import annotations

import os
import re
import shlex
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

from ..engine import check_socket_path
from ._errors import ExitedError, FolderError, HookError, HostError, NotReadyError, StartError
from ._plan import Step, environment_of, host_environment, program_of, quoted, steps_of
from ._probe import LIVENESS, Gate, Outcome, await_alive, await_ready, budget_of
from ._process import KILL, STOP_LADDER, Command, Ladder, Process, await_event, start_process
from ._shell import Shell, output_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from ..engine import SpawnPlan
    from ._account import Account
    from ._reaper import Reaper

HOOK_BUDGET: Final = 300.0
"""Seconds that a hook may run where no budget is given: `doze up` gives an instance five minutes."""


class Unit:
    """The running processes of a plan: they end together.

    Attributes:
        processes: by name, in the order of their start.

    """

    def __init__(self, processes: Mapping[str, Process], hooks: tuple[Process, ...], ladder: Ladder) -> None:
        self.processes: Final = processes
        self._hooks = hooks
        self._ladder = ladder
        self._ended: Process | None = None
        self._stopped = False
        self._stopping = threading.Lock()

    @property
    def pid(self) -> int:
        """The pid of the process that was started first, which stands for the unit."""
        return next(iter(self.processes.values())).pid

    @property
    def exited(self) -> Process | None:
        """The process that ended by itself and with which the unit has ended; None while all of them run.

        After `stop` it stays what it was before.
        """
        if self._ended is None and not self._stopped:
            self._ended = next((process for process in self.processes.values() if process.exit is not None), None)
        return self._ended

    def wait(self, timeout: float | None = None) -> Process | None:
        """Wait until any process ends, stop the others, and return the one that ended first.

        Returns None after *timeout* seconds; None as timeout waits for ever.
        """
        ended = await_event(self.processes.values(), {}, None if timeout is None else time.monotonic() + timeout)
        if not isinstance(ended, Process):
            return None
        first = self.exited
        self.stop()
        return first

    def mark(self) -> Mapping[str, int]:
        """Return where the logs end now, for `log`."""
        return {name: process.log.mark() for name, process in self.processes.items()}

    def log(self, name: str | None = None, *, since: Mapping[str, int] | None = None) -> str:
        """Return the log of one process, or of all of them with a heading each, from *since* on (a `mark`).

        Raises:
            HostError: the unit has no process of that name.

        """
        since = since or {}
        if name is None and len(self.processes) > 1:
            return "".join(
                f"==> {member} <==\n{process.log.read(since.get(member, 0))}\n"
                for member, process in self.processes.items()
            )
        name = next(iter(self.processes)) if name is None else name
        if name not in self.processes:
            raise HostError(f"no process {name!r} in this unit; it has {', '.join(self.processes)}")
        return self.processes[name].log.read(since.get(name, 0))

    def stop(self, ladder: Ladder | None = None) -> None:
        """End the processes in reverse order of their start, and everything left of their groups. Idempotent.

        Args:
            ladder: other signals and waits than doze's own.

        Raises:
            StopError: one of them is still there; the others are ended all the same.

        """
        with self._stopping:
            _ = self.exited
            self._stopped = True
            _stop_all(self.processes.values(), self._hooks, ladder or self._ladder)

    def kill(self) -> None:
        """End everything with SIGKILL, as a crash of the engine would."""
        self.stop(KILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start(
    plan: SpawnPlan,
    *,
    log_dir: Path,
    reaper: Reaper | None,
    engine: str = "",
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
    budget: float | None = None,
    ladder: Ladder = STOP_LADDER,
) -> Unit:
    """Start the processes of a plan as doze does: each in turn, waiting until it is ready and its hooks have run.

        with Reaper() as reaper, start(plan, log_dir=Path("logs"), reaper=reaper) as unit:
            print(unit.log("main"))

    Args:
        log_dir: gets one file per process, ``<name>.log``, appended to; it is made if need be and stays.
        reaper: ends the processes if this one dies. None leaves them to themselves in that case.
        engine: a name for error messages.
        cwd: what stands for doze's own working folder: processes without `dir` and `exec` probes run there.
        environ: what stands for doze's own environment: processes without `env` and `exec` probes get it, and its PATH
            finds bare program names. The plugin's cookie and go-plugin's variables are taken out of it.
        account: runs processes, probes and hooks as somebody else, who has to be able to enter `cwd` and each `dir`.
        budget: seconds for each readiness probe instead of the probe's own interval x retries, and for each hook.
        ladder: how to stop; for tests of engines that are known to ignore SIGINT.

    Raises:
        PlanError: the plan is wrong in itself. Nothing was started.
        FolderError: `log_dir` cannot be written to. Nothing was started.
        AccountError: the account cannot reach a program or enter a working folder. Nothing was started.
        engine.SocketPathError: the target of a socket probe is too long for a socket. Nothing was started.
        BootError: a process or hook failed; what had been started is stopped.

    """
    steps = steps_of(plan)
    _prepare_log_dir(log_dir)
    boot = _Boot(
        engine=engine,
        log_dir=log_dir,
        reaper=reaper,
        cwd=Path.cwd() if cwd is None else cwd,
        environ=host_environment(os.environ if environ is None else environ),
        account=account,
        budget=budget,
    )
    logs = _log_names(steps)
    programs = boot.programs(steps)
    boot.check_sockets(steps)
    processes: list[Process] = []
    hooks: list[Process] = []
    try:
        for step in steps:
            boot.launch(step, programs[step.spec.name], logs[step.spec.name], processes)
            boot.await_ready(step, logs[step.spec.name], processes)
            boot.run_hooks(step, logs[step.spec.name], processes[-1], hooks)
    except BaseException:  # Ctrl-C as well: nobody else knows of these processes
        _stop_all(processes, hooks, ladder)
        raise
    return Unit({process.name: process for process in processes}, tuple(hooks), ladder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boot:
    """What all steps of a boot have in common."""

    engine: str
    log_dir: Path
    reaper: Reaper | None
    cwd: Path
    environ: Mapping[str, str]
    account: Account | None
    budget: float | None

    def programs(self, steps: tuple[Step, ...]) -> dict[str, str]:
        """Find the program of every step before the first one runs."""
        found = {}
        for step in steps:
            try:
                program = program_of(step.spec, self.environ)
            except FileNotFoundError as error:
                raise self._start_error(step, str(error)) from None
            folder = self.cwd / (step.spec.dir or "")
            if self.account is not None:
                self.account.check_reach(folder / program)
            if self.account is not None and folder.is_dir():
                self.account.check_reach(folder, "enter")
            found[step.spec.name] = program
        return found

    def check_sockets(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            ready = step.spec.ready
            if ready is not None and ready.kind == "socket" and not ready.target.startswith("@"):
                check_socket_path(self.cwd / ready.target)

    def launch(self, step: Step, program: str, log: str, processes: list[Process]) -> None:
        spec = step.spec
        command = Command(
            argv=(program, *spec.args),
            cwd=self.cwd / (spec.dir or ""),
            env=environment_of(spec, self.environ),
            account=self.account,
        )
        try:
            start_process(
                spec.name,
                command,
                self.log_dir / f"{log}.log",
                reaper=self.reaper,
                into=processes,
                tree=spec.tree,
            )
        except OSError as error:
            raise self._start_error(step, _why_not_started(command, error)) from error

    def await_ready(self, step: Step, log: str, processes: Sequence[Process]) -> None:
        process = processes[-1]
        shell = Shell(
            cwd=self.cwd,
            env=self.environ,
            account=self.account,
            reaper=self.reaper,
            output=self.log_dir / f"{log}.probe.log",
        )
        gate = Gate(process, processes, shell)
        if step.spec.ready is None or step.probe is None:
            budget = LIVENESS
            outcome = await_alive(gate)
        else:
            budget = budget_of(step.spec.ready) if self.budget is None else self.budget
            outcome = await_ready(gate, step.spec.ready, step.probe, budget)
        if outcome.ended is not None:
            self._raise_exited(step, outcome, outcome.ended)
        if not outcome.ready:
            self._raise_not_ready(step, outcome, process, budget)
        shell.output.unlink(missing_ok=True)

    def run_hooks(self, step: Step, log: str, process: Process, hooks: list[Process]) -> None:
        spec = step.spec
        shell = Shell(
            cwd=self.cwd / (spec.dir or ""),
            env=environment_of(spec, self.environ),
            account=self.account,
            reaper=self.reaper,
            output=self.log_dir / f"{log}.hooks.log",
        )
        for command in spec.hooks:
            try:
                # Kept until the unit stops: what a hook leaves behind belongs to its process group.
                hook = shell.start(command, hooks)
            except OSError as error:
                self._raise_hook(command, str(error), process)
            budget = HOOK_BUDGET if self.budget is None else self.budget
            end = hook.wait(budget)
            if end is None:
                self._raise_hook(command, f"still running after {budget:g} s: {output_of(hook)}", process)
            if end.code != 0:
                self._raise_hook(command, f"{end.status}: {output_of(hook)}", process)

    def _title(self) -> str:
        return f"engine {quoted(self.engine)}" if self.engine else "the plan"

    def _start_error(self, step: Step, why: str) -> StartError:
        return StartError(
            f"{self._title()} did not start: starting {quoted(step.spec.name)}: {why}",
            engine=self.engine,
            process=step.spec.name,
        )

    def _raise_hook(self, command: str, why: str, process: Process) -> NoReturn:
        raise HookError(
            f"{self._title()} did not start: {process.name} hook {quoted(command)}: {why}",
            engine=self.engine,
            process=process.name,
            excerpt=process.log.tail(),
        )

    def _raise_exited(self, step: Step, outcome: Outcome, ended: Process) -> NoReturn:
        assert ended.exit is not None  # that is why it is here
        if step.spec.ready is None:
            when = f"within the {LIVENESS:g} s that it has to stay alive"
        elif ended.name != step.spec.name:
            when = f"while {quoted(step.spec.name)} was not ready yet"
        else:
            when = "before its first successful probe"
        error = ExitedError(
            f"{self._title()} did not start: process {quoted(ended.name)} {ended.exit}, {when}",
            engine=self.engine,
            process=ended.name,
            rows=[("command", shlex.join(ended.argv)), *_probe_row(step, outcome)],
            excerpt=ended.log.tail(),
        )
        error.exit, error.tries, error.last_error = ended.exit, outcome.tries, outcome.last_error
        raise error

    def _raise_not_ready(self, step: Step, outcome: Outcome, process: Process, budget: float) -> NoReturn:
        hint = f"the probe allows interval x retries = {budget:g} s; raise its retries" if self.budget is None else ""
        error = NotReadyError(
            f"{self._title()}: process {quoted(process.name)} (pid {process.pid}) is running but was not ready after "
            f"{budget:g} s ({outcome.tries} {'probe' if outcome.tries == 1 else 'probes'})",
            engine=self.engine,
            process=process.name,
            rows=_probe_row(step, outcome),
            excerpt=process.log.tail(),
            hint=hint,
        )
        error.pid, error.tries, error.last_error = process.pid, outcome.tries, outcome.last_error
        raise error


def _probe_row(step: Step, outcome: Outcome) -> list[tuple[str, str]]:
    ready = step.spec.ready
    if ready is None:
        return []
    tries = f" ({outcome.tries} {'try' if outcome.tries == 1 else 'tries'})"
    last = f" -> {outcome.last_error}" if outcome.last_error else ""
    return [("probe", f"{ready.kind}: {ready.target}{last}{tries}")]


def _why_not_started(command: Command, error: OSError) -> str:
    why = error.strerror or str(error)
    if not command.cwd or not command.cwd.is_dir():
        return f"no folder {command.cwd} to run it in"
    if command.account is not None and error.filename is None:
        return f"cannot run {command.argv[0]} as {command.account.name!r}: {why}"
    return f"cannot run {command.argv[0]}: {why}"


def _stop_all(processes: Iterable[Process], hooks: Iterable[Process], ladder: Ladder) -> None:
    """Stop everything in reverse order; a hook that still runs is not asked, as in doze."""
    errors = []
    for process, signals in reversed(
        [*((process, ladder) for process in processes), *((hook, KILL) for hook in hooks)]
    ):
        try:
            process.stop(signals)
        except HostError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _prepare_log_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"cannot make the folder for logs {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FolderError(f"cannot write to the folder for logs {folder}; it has to be writable")


def _log_names(steps: tuple[Step, ...]) -> dict[str, str]:
    """Give every step a file name of its own, whatever characters its name has."""
    names: dict[str, str] = {}
    for number, step in enumerate(steps):
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", step.spec.name).lstrip(".")[:100] or "process"
        names[step.spec.name] = plain if plain not in names.values() else f"{plain}-{number}"
    return names
