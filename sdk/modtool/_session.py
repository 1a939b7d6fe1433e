"""What `modtool dev` runs: one plugin, the instances of one config, a port for each."""

from __future__ import annotations

import fcntl
import importlib
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

# The packages' names are looked up where they are used: what comes after the plugin's start is imported during it.
from .. import engine, hcl, host, plugin
from ._errors import ConfigError, ModtoolError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from ..engine import Dep, Instance
    from ..host import Awake, Follower, Reaper, Splice
    from ..plugin import RemoteDriver
    from ._stack import Declared, Stack

# The number that today's host gives every module's instances.
_PORT = 5432
_SHORTER = "give the instance a shorter name, or --home a shorter folder"


class _Ready(NamedTuple):
    """An instance that nothing is wrong with, before it is booted."""

    declared: Declared
    instance: Instance[bytes]
    supervised: bool


class _Served(NamedTuple):
    """A booted instance, and a reader for each of its logs by what its lines are marked with."""

    declared: Declared
    awake: Awake[bytes]
    logs: Mapping[str, Follower]


class Session:
    """Boots the instances of a config, and stops them; again and again if need be.

    A context manager: at its end nothing runs, and a home that was not named is removed.

    Args:
        config: the file to serve.
        command: the plugin's program and arguments.
        environ: the environment of plugin and engines.
        home: where data is kept; None is a folder that goes with the session.
        say: prints a line of an engine's or the plugin's output, or a connection string.
        progress: shows which step of which instance has begun; an empty text when all are done.
        logger: gets the plugin's log records.

    """

    def __init__(
        self,
        *,
        config: Path,
        command: Sequence[str],
        environ: Mapping[str, str],
        home: Path | None,
        say: Callable[[str], object],
        progress: Callable[[str], object],
        logger: logging.Logger,
    ) -> None:
        self.config = config
        self.reaper: Reaper
        self._command = command
        self._environ = environ
        self._home = home
        self._say = say
        self._progress = progress
        self._logger = logger
        self._whole = ExitStack()
        self._boot = ExitStack()
        self._driver: RemoteDriver | None = None
        self._served: list[_Served] = []

    def __enter__(self) -> Self:
        with ExitStack() as whole:
            # Its own start takes no time from ours as long as the plugin does not start as well.
            self.reaper = whole.enter_context(host.Reaper())
            if self._home is None:
                self._root = host.make_run_folder(reaper=self.reaper)
                whole.callback(shutil.rmtree, self._root, ignore_errors=True)
            else:
                self._root = self._home.absolute()
                whole.enter_context(_taken(self._root))
            self._whole = whole.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._whole:
            self.stop()

    def boot(self) -> None:
        """Read the config, take every port, then boot every instance in the order of its references.

        Raises:
            ConfigError, ParseError: the config is wrong; nothing was booted.
            ModtoolError: the module did not start, a port is taken, a folder cannot be used; nothing was booted.
            EngineError, HostError: an engine did not come up.

        """
        with ExitStack() as boot:
            boot.callback(self._progress, "")
            self._progress("launching the module")
            driver = self._driver = boot.enter_context(self._launched())
            try:
                self._boot_all(driver, boot)
            except plugin.RemoteError as error:
                if error.code == "UNAVAILABLE":
                    raise engine.EngineError(_last_words(driver)) from None
                raise
            self._boot = boot.pop_all()

    def _boot_all(self, driver: RemoteDriver, boot: ExitStack) -> None:
        from ._stack import read_stack

        stack = read_stack(self.config, _type_of(driver), versionless="versionless" in engine.capabilities(driver))
        planned = self._planned(driver, stack)
        splices = self._take_places(driver, boot, planned)
        self._served = []
        for ready in planned:
            self._served.append(self._wake(driver, boot, ready, splices.get(ready.declared.name)))

    def stop(self) -> None:
        """Stop everything that `boot` started; harmless when nothing runs."""
        self._boot.close()
        self._driver = None
        self._served = []

    def variables(self) -> dict[str, str]:
        """Return the connection strings as environment variables, a second one of a name with the instance's name."""
        variables: dict[str, str] = {}
        for served in self._served:
            name, url = self._connection(served, variables)
            if name:
                variables[name] = url
        return variables

    def print_logs(self, *, last: bool = False) -> None:
        """Print the lines that the engines wrote since the last time, each behind its instance's name.

        With *last* a line that is not finished is printed too.
        """
        for served in self._served:
            for mark, log in served.logs.items():
                with suppress(FileNotFoundError):  # an engine may remove its own log
                    for line in [*log.lines(), *filter(None, [last and log.rest()])]:
                        self._say(f"{mark} | {line}")

    def ended(self) -> str:
        """Return a sentence on an engine or plugin that ended by itself; empty while all run."""
        for served in self._served:
            process = served.awake.unit.exited
            if process is not None:
                return f"{served.declared.name}: process {process.name!r} {process.exit}"
        if self._driver is not None and self._driver.plugin.exited:
            return _last_words(self._driver)
        return ""

    def keep_logs(self, error: Exception) -> Path | None:
        """Copy the logs out of a home that goes with this session, and return their folder; None if they stay.

        The *error* that ends the session names the copy from then on.
        """
        logs = sorted(self._root.glob("**/*.log")) if self._home is None else []
        if not logs:
            return None
        import tempfile

        kept = Path(tempfile.mkdtemp(prefix="modtool-dev-"))
        for log in logs:
            target = kept / log.relative_to(self._root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)
        if isinstance(error, host.BootError):
            error.move_log(lambda: kept)
        return kept

    def _launched(self) -> RemoteDriver:
        environ = {**self._environ, "DOZE_HOME": str(self._root)}
        try:
            return plugin.launch(
                self._command,
                env=environ,
                inherit_env=False,
                start_timeout=plugin.START_BUDGET,
                logger=self._logger,
                on_stdout=self._output,
                on_stderr=self._output,
                meanwhile=self._prepare,
            )
        except plugin.kernel.PluginError as error:
            from ..enginetest import start_error

            raise ModtoolError(start_error(error, self._command)) from None

    def _prepare(self) -> None:
        """Do what has to be done before the plugin is asked, while it starts."""
        importlib.import_module("._stack", __package__)
        _ = host.wake, host.Splice, hcl.evaluate, hcl.HOST_FUNCTIONS, hcl.to_json

    def _output(self, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            self._say(f"plugin | {line}")

    def _connection(self, served: _Served, taken: Mapping[str, str]) -> tuple[str, str]:
        conn = served.awake.conn_string
        name = conn.env_var
        return (f"{name}_{served.declared.name.upper()}" if name in taken else name), conn.url

    def _planned(self, driver: RemoteDriver, stack: Stack) -> list[_Ready]:
        """Decode every block; everything that is wrong with any of them is raised as one error."""
        planned = []
        refused = []
        for declared in stack.instances:
            try:
                planned.append(self._decoded(driver, stack, declared))
            except plugin.RemoteError as error:
                if error.code == "UNAVAILABLE":
                    raise
                stack.report(declared, str(error))
                refused.append(error)
        if stack.problems:
            raise ConfigError(stack.problems)
        if refused:
            raise refused[0]
        return planned

    def _decoded(self, driver: RemoteDriver, stack: Stack, declared: Declared) -> _Ready:
        spec = engine.decode(driver, stack.request(declared))
        assert isinstance(spec, bytes)  # noqa: S101 - a RemoteDriver's specs are
        endpoint = engine.Endpoint(tcp_addr="" if declared.port is None else f"127.0.0.1:{declared.port}")
        instance = engine.Instance(
            name=declared.name, type=driver.type, version=engine.Version(declared.version), spec=spec, endpoint=endpoint
        )
        offered = engine.capabilities(driver)
        attributes = driver.attributes(instance, endpoint) if "attributer" in offered else {}
        stack.expose(declared, driver.conn_string(instance, endpoint), attributes)
        supervised = "lifecycle" in offered and driver.supervised(instance)
        if declared.port is None and not supervised:
            stack.report_missing_port(declared)
        root = self._root / declared.name
        placed = replace(instance, data_dir=root / "data", socket_dir=root / "run", port=_PORT)
        return _Ready(declared, placed, supervised)

    def _take_places(self, driver: RemoteDriver, boot: ExitStack, planned: Sequence[_Ready]) -> dict[str, Splice]:
        """Make every folder and take every port, before anything boots; all that is in the way is one error."""
        splices: dict[str, Splice] = {}
        problems = []
        for ready in planned:
            try:
                if splice := self._place(driver, ready):
                    boot.callback(splice.close)
                    splices[ready.declared.name] = splice
            except (host.HostError, engine.EngineError, ModtoolError) as error:
                problems.append(f"{ready.declared.range}: {ready.declared.block}: {error}")
        if problems:
            raise ModtoolError("\n".join(problems))
        return splices

    def _place(self, driver: RemoteDriver, ready: _Ready) -> Splice | None:
        instance, port = ready.instance, ready.declared.port
        backend = driver.backend_socket(instance.socket_dir, instance.port)
        if backend is not None:
            engine.check_socket_path(backend, hint=_SHORTER)
        _writable(instance.data_dir.parent)
        if ready.supervised:
            if port is not None:  # the engine takes it itself, much later
                host.Splice(("127.0.0.1", port), Path("/")).close()
            return None
        if backend is None:
            raise ModtoolError("the driver names no backend socket, and the instance is not supervised")
        assert port is not None  # noqa: S101 - one without is a problem of the config
        return host.Splice(("127.0.0.1", port), backend)

    def _wake(self, driver: RemoteDriver, boot: ExitStack, ready: _Ready, splice: Splice | None) -> _Served:
        declared, instance = ready.declared, ready.instance
        name = declared.name
        awake = host.wake(
            driver,
            replace(instance, deps=dict(self._deps(driver, declared))),
            log_dir=instance.data_dir.parent / "log",
            reaper=self.reaper,
            template_root=self._root / "_templates",
            environ=self._environ,
            progress=lambda step: self._progress(f"{name}: {step}"),
        )
        boot.callback(awake.stop)
        if splice:
            splice.serve()
        processes = awake.unit.processes
        marks = {process: name if len(processes) == 1 else f"{name}/{process}" for process in processes}
        served = _Served(declared, awake, {marks[key]: process.log.follow() for key, process in processes.items()})
        variable, url = self._connection(served, self.variables())
        self._progress("")
        self._say(f"{name}: {variable}={url}" if variable else f"{name}: awake")
        return served

    def _deps(self, driver: RemoteDriver, declared: Declared) -> Iterator[tuple[str, Dep]]:
        """Yield what the host tells an instance about those that it refers to."""
        for served in self._served:
            needed = served.awake.instance
            if needed.name in declared.needs:
                yield (
                    needed.name,
                    engine.Dep(
                        name=needed.name,
                        engine=needed.type,
                        socket_dir=needed.socket_dir,
                        backend=needed.endpoint.backend,
                        url=driver.backend_url(needed) if "backend_url" in engine.capabilities(driver) else "",
                    ),
                )


def _type_of(driver: RemoteDriver) -> str:
    """Return the type, or the reason why the plugin names none: its driver could not be loaded."""
    if not driver.type:
        from ..enginetest import load_error

        raise engine.EngineError(load_error(driver))
    return driver.type


def _last_words(driver: RemoteDriver) -> str:
    """Say how the plugin ended."""
    process = driver.plugin
    process.wait(1.0)  # its connection is lost a moment before its exit code is there
    code = process.exit_code or 0
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    return "\n  ".join([f"the plugin's process {process.pid} ended by itself ({how})", *process.stderr])


@contextmanager
def _taken(home: Path) -> Iterator[None]:
    """Make *home* if need be, and keep others out of it: two engines must not run on the same data."""
    _writable(home)
    with (home / ".modtool-dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModtoolError(f"--home {home}: another modtool dev uses it; name another folder") from None
        yield


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".doze-writable").touch()
        (folder / ".doze-writable").unlink()
    except OSError as error:
        raise ModtoolError(f"writing to {folder}: {error.strerror}; name a folder that can be written to") from None
