"""What `modtool dev` runs: one plugin, the instances of one config, a port for each."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import Endpoint, EngineError, Instance, Version, capabilities, decode
from ..host import Reaper, Splice, make_run_folder, wake
from ..plugin import RemoteDriver, launch
from ._errors import ModtoolError
from ._stack import Declared, Stack, read_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from ..host import Awake

# The number that today's host gives every module's instances.
_PORT = 5432


@dataclass(frozen=True, slots=True)
class _Served:
    """A booted instance with what it is reached by, and where its log was printed up to."""

    declared: Declared
    awake: Awake[bytes]
    splice: Splice | None
    printed: dict[str, int]


class Session:
    """Boots the instances of a config, and stops them; again and again if need be.

    A context manager: at its end nothing runs, and a home that was not named is removed.

    Args:
        config: the file to serve.
        command: the plugin's program and arguments.
        environ: the environment of plugin and engines.
        home: where data is kept; None is a folder that goes with the session.
        say: prints a line.

    """

    def __init__(
        self,
        *,
        config: Path,
        command: Sequence[str],
        environ: Mapping[str, str],
        home: Path | None,
        say: Callable[[str], object],
    ) -> None:
        self.config = config
        self._command = command
        self._environ = environ
        self._home = home
        self._say = say
        self._whole = ExitStack()
        self._boot = ExitStack()
        self._served: list[_Served] = []

    def __enter__(self) -> Self:
        self._reaper = self._whole.enter_context(Reaper())
        if self._home is None:
            self._root = make_run_folder(reaper=self._reaper)
            self._whole.callback(shutil.rmtree, self._root, ignore_errors=True)
        else:
            self._root = _writable(self._home.absolute())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._whole:
            self.stop()

    def boot(self) -> None:
        """Read the config, take every port, then boot every instance in the order of its references.

        Raises:
            HCLError, EngineError: the config is wrong; nothing was booted.
            HostError: a port is taken, or an engine did not come up.
            PluginError: the module did not start.

        """
        with ExitStack() as boot:
            environ = {**self._environ, "DOZE_HOME": str(self._root)}
            driver = boot.enter_context(launch(self._command, env=environ, inherit_env=False))
            stack = read_stack(self.config, _type_of(driver), versionless="versionless" in capabilities(driver))
            planned = [self._decoded(driver, stack, declared) for declared in stack.instances]
            ports = [self._port(driver, boot, declared, instance) for declared, instance in planned]
            self._served = []
            for (declared, instance), splice in zip(planned, ports, strict=True):
                self._served.append(self._wake(driver, boot, declared, instance, splice))
            self._boot = boot.pop_all()

    def stop(self) -> None:
        """Stop everything that `boot` started; harmless when nothing runs."""
        self._boot.close()
        self._served = []

    def variables(self) -> dict[str, str]:
        """Return the connection strings as environment variables, a second one of a name with the instance's name."""
        variables: dict[str, str] = {}
        for served in self._served:
            conn = served.awake.conn_string
            if conn.env_var:
                taken = conn.env_var in variables
                name = f"{conn.env_var}_{served.declared.name.upper()}" if taken else conn.env_var
                variables[name] = conn.url
        return variables

    def print_logs(self) -> None:
        """Print the lines that the engines wrote since the last time, each behind its instance's name."""
        for served in self._served:
            for name, process in served.awake.unit.processes.items():
                text = process.log.read(served.printed.get(name, 0))
                complete = text[: text.rfind("\n") + 1]
                served.printed[name] = served.printed.get(name, 0) + len(complete.encode())
                for line in complete.splitlines():
                    self._say(f"{served.declared.name} | {line}")

    def ended(self) -> str:
        """Return a sentence on an engine that ended by itself; empty while all run."""
        for served in self._served:
            process = served.awake.unit.exited
            if process is not None:
                return f"{served.declared.name}: process {process.name!r} {process.exit}"
        return ""

    def _decoded(self, driver: RemoteDriver, stack: Stack, declared: Declared) -> tuple[Declared, Instance[bytes]]:
        spec = decode(driver, stack.request(declared))
        assert isinstance(spec, bytes)  # noqa: S101 - a RemoteDriver's specs are
        endpoint = Endpoint(tcp_addr="" if declared.port is None else f"127.0.0.1:{declared.port}")
        instance = Instance(
            name=declared.name, type=driver.type, version=Version(declared.version), spec=spec, endpoint=endpoint
        )
        stack.expose(declared, driver.conn_string(instance, endpoint), _attributes(driver, instance, endpoint))
        root = self._root / declared.name
        return declared, replace(instance, data_dir=root / "data", socket_dir=root / "run", port=_PORT)

    def _port(
        self, driver: RemoteDriver, boot: ExitStack, declared: Declared, instance: Instance[bytes]
    ) -> Splice | None:
        """Take the instance's port, unless the engine binds it itself."""
        if "lifecycle" in capabilities(driver) and driver.supervised(instance):
            return None
        backend = driver.backend_socket(instance.socket_dir, instance.port)
        if backend is None:
            raise EngineError(
                f"{declared.block}: the driver names no backend socket, and the instance is not supervised"
            )
        if declared.port is None:
            raise ModtoolError(f"{declared.range}: {declared.block} has no port; modtool dev serves each on one")
        splice = Splice(("127.0.0.1", declared.port), backend)
        boot.callback(splice.close)
        return splice

    def _wake(
        self,
        driver: RemoteDriver,
        boot: ExitStack,
        declared: Declared,
        instance: Instance[bytes],
        splice: Splice | None,
    ) -> _Served:
        root = instance.data_dir.parent
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        awake = wake(
            driver,
            instance,
            log_dir=root / "log",
            reaper=self._reaper,
            template_root=self._root / "_templates",
            environ=self._environ,
        )
        boot.callback(awake.stop)
        if splice:
            splice.serve()
        conn = awake.conn_string
        self._say(f"{declared.name}: {conn.env_var}={conn.url}" if conn.env_var else f"{declared.name}: awake")
        return _Served(declared, awake, splice, {})


def _type_of(driver: RemoteDriver) -> str:
    """Return the type, or the reason why the plugin names none: its driver could not be loaded."""
    if not driver.type:
        from ..enginetest import load_error

        raise EngineError(load_error(driver))
    return driver.type


def _attributes(driver: RemoteDriver, instance: Instance[bytes], endpoint: Endpoint) -> Mapping[str, object]:
    return driver.attributes(instance, endpoint) if "attributer" in capabilities(driver) else {}


def _writable(home: Path) -> Path:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".doze-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ModtoolError(f"--home {home}: {error.strerror}; name a folder that can be written to") from None
    return home
