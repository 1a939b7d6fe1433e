"""`boot`: a context manager around one running instance."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

from ..engine import (
    BUILTIN,
    DecodeRequest,
    Describer,
    Driver,
    EngineError,
    HealthChecker,
    Instance,
    SlowBooter,
    Version,
    capabilities,
    check_socket_path,
    decode,
)
from ..hcl import find_block, parse
from ..host import BootError, Reaper, wake
from ..plugin import RemoteDriver, launch, package_of, package_root
from ._contract import example_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..engine import ConnString, Endpoint
    from ..host import Awake

S = TypeVar("S")
LINES_SHOWN = 40
_live: list[Backend[object]] = []

# The number that today's host gives every module's instances.
PORT = 5432
_FILE = "doze.hcl"
DATA_ROOT = "DOZE_TEST_DIR"
"""Environment variable: the folder below which engines get their data. Keep it short, sockets lie in it too."""


@dataclass(frozen=True, slots=True)
class Backend(Generic[S]):
    """A booted engine.

    Attributes:
        driver: in process the given one, else the launched plugin.
        config_file: the file that was decoded, for messages.

    """

    driver: Driver[S]
    awake: Awake[S]
    config_file: Path

    @property
    def instance(self) -> Instance[S]:
        """The instance as the driver sees it."""
        return self.awake.instance

    @property
    def endpoint(self) -> Endpoint:
        """Where it is reached; `backend` is the engine's own socket."""
        return self.awake.endpoint

    @property
    def socket(self) -> Path:
        """The engine's own socket.

        Raises:
            EngineError: it has none.

        """
        if self.endpoint.backend is None:
            raise EngineError(f"engine {self.instance.type!r} has no backend socket")
        return self.endpoint.backend

    @property
    def socket_dir(self) -> Path:
        """The folder of the engine's socket."""
        return self.instance.socket_dir

    @property
    def conn_string(self) -> ConnString:
        """How a client connects, in the driver's words."""
        return self.awake.conn_string

    def log(self, name: str | None = None) -> str:
        """Return what the process *name* printed; all of them by default."""
        return self.awake.unit.log(name)

    def converge(self) -> None:
        """Converge again with the same config."""
        self.awake.converge()


@contextmanager
def boot(
    driver: Driver[S] | type[Driver[S]],
    config: str = "",
    *,
    version: str = "",
    name: str = "acc",
    via: Literal["inprocess", "plugin"] = "inprocess",
    plugin: Sequence[str | os.PathLike[str]] | None = None,
    variables: Mapping[str, bytes] | None = None,
    base_dir: Path | None = None,
    timeout: float | None = None,
) -> Iterator[Backend[S]]:
    """Decode *config*, boot the engine, and end it with the block, whatever happens in it.

    Args:
        config: the inside of the block, without the line that names it.
        version: the declared engine version; default ``builtin``.
        name: of the instance.
        via: ``inprocess`` calls the driver here; ``plugin`` starts the module as a plugin process, as a host does, and
            calls it over gRPC.
        plugin: the command of that process; default ``python -m <the driver's package>``.
        variables: ctyjson by root name, for configs that refer to something.
        base_dir: what paths in the config are relative to; default the current folder.
        timeout: seconds for each process to become ready in place of the plan's own.

    Raises:
        HCLError: the config is wrong, with positions; through the plugin it is an EngineError with the same text.
        EngineError: the driver refused, or the data folder's path is too long for a socket.
        HostError: the engine did not come up; the text holds its last words.
        PluginError: the plugin did not start.

    """
    subject = driver() if isinstance(driver, type) else driver
    source = f'{subject.type} "{name}" {{\n{config}\n}}\n'
    with _backend(subject, source, name, version, via, plugin, variables, base_dir, timeout) as backend:
        yield backend


@contextmanager
def boot_example(
    driver: Driver[S] | type[Driver[S]],
    *,
    via: Literal["inprocess", "plugin"] = "inprocess",
    plugin: Sequence[str | os.PathLike[str]] | None = None,
    base_dir: Path | None = None,
    timeout: float | None = None,
) -> Iterator[Backend[S]]:
    """Boot the example of the driver's description, as `boot` does.

    Raises:
        EngineError: the driver has no description, or its description no example.

    """
    subject = driver() if isinstance(driver, type) else driver
    description = subject.describe() if isinstance(subject, Describer) else None
    if description is None or not description.example:
        raise EngineError(f"driver {subject.type!r} describes no example; give it a Description with one")
    example, label = description.example, description.example_label
    block = find_block(parse(example, filename=_FILE), subject.type, label)
    version = example_request(description, subject.type, block).version
    with _backend(subject, example, label, version, via, plugin, None, base_dir, timeout) as backend:
        yield backend


@contextmanager
def _backend(  # noqa: PLR0913, PLR0917 - the parameters of boot
    subject: Driver[S],
    source: str,
    label: str,
    version: str,
    via: str,
    plugin: Sequence[str | os.PathLike[str]] | None,
    variables: Mapping[str, bytes] | None,
    base_dir: Path | None,
    timeout: float | None,
) -> Iterator[Backend[S]]:
    with ExitStack() as stack:
        reaper = stack.enter_context(Reaper())
        root = stack.enter_context(_instance_root(reaper))
        environ = _environment(subject)
        driver = subject
        if via == "plugin":
            command = plugin or [sys.executable, "-m", package_of(subject)]
            # The plugin's specs are bytes, whatever the driver's own are; a Backend treats both as opaque.
            driver = cast("Driver[S]", stack.enter_context(_plugin(command, root, environ)))
        elif via != "inprocess":
            raise EngineError(f'boot: via: expected "inprocess" or "plugin", got {via!r}')
        request = DecodeRequest(
            file=source.encode(),
            filename=_FILE,
            block_type=driver.type,
            block_label=label,
            variables=variables or {},
            base_dir=(base_dir or Path.cwd()).absolute(),
            version=Version(version or BUILTIN),
        )
        _check_version(driver, version)
        instance = _instance(driver, request, root)
        try:
            awake = wake(
                driver,
                instance,
                log_dir=root / "log",
                reaper=reaper,
                template_root=root / "t",
                environ=environ,
                budget=_budget(subject) if timeout is None else timeout,
            )
        except BootError as error:
            error.move_log(lambda: Path(tempfile.mkdtemp(prefix="dz-failed-")))
            raise
        stack.callback(awake.stop)
        if "health" in capabilities(driver) and isinstance(driver, HealthChecker):
            driver.check_health(awake.instance)
        with _told(Backend(driver, awake, Path(request.filename))) as backend:
            yield backend


def _instance(driver: Driver[S], request: DecodeRequest, root: Path) -> Instance[S]:
    instance = Instance(
        name=request.block_label,
        type=driver.type,
        version=request.version,
        spec=cast("S", decode(driver, request)),
        data_dir=root / "d",
        socket_dir=root / "s",
        port=PORT,
    )
    socket = driver.backend_socket(instance.socket_dir, instance.port)
    if socket is not None:
        check_socket_path(socket, hint=f"set {DATA_ROOT} to a shorter directory")
    return instance


@contextmanager
def _told(backend: Backend[S]) -> Iterator[Backend[S]]:
    """Attach the engine's last words to whatever goes wrong while it runs."""
    _live.append(cast("Backend[object]", backend))
    try:
        yield backend
    except BaseException as error:  # pytest's own outcomes are no Exceptions
        error.add_note("\n".join("\n".join(section) for section in log_sections()))
        raise
    finally:
        _live.remove(cast("Backend[object]", backend))


def log_sections() -> list[tuple[str, str]]:
    """Return a title and the last lines for each process of each running backend."""
    return [
        (f"engine log: {name} of {backend.instance.name}", "\n".join(backend.log(name).splitlines()[-LINES_SHOWN:]))
        for backend in _live
        for name in backend.awake.unit.processes
    ]


@contextmanager
def _plugin(
    command: Sequence[str | os.PathLike[str]], root: Path, environ: Mapping[str, str]
) -> Iterator[RemoteDriver]:
    with launch(command, env={**environ, "DOZE_HOME": str(root / "home")}, inherit_env=False) as driver:
        yield driver


def _environment(driver: Driver[S]) -> dict[str, str]:
    """Return this process's environment, so changed that a child finds the driver's package as this process does."""
    place = package_root(driver) or getattr(sys.modules[type(driver).__module__], "__file__", None)
    if place is None:
        return dict(os.environ)
    folder = str(Path(place).absolute().parent)
    if folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        return dict(os.environ)  # a child looks there anyway, and behind the standard library
    return {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])}


def _budget(driver: Driver[S]) -> float | None:
    # Asked of the driver itself: a plugin cannot tell, there is no RPC for it.
    return driver.boot_budget().total_seconds() if isinstance(driver, SlowBooter) else None


def _check_version(driver: Driver[S], version: str) -> None:
    if not version and "versionless" not in capabilities(driver):
        raise EngineError(f'boot: engine {driver.type!r} has versions; name one: boot(…, version="…")')


@contextmanager
def _instance_root(reaper: Reaper) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="dz", dir=_data_root()))
    reaper.adopt_folder(root)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        reaper.release_folder(root)


def _data_root() -> Path:
    """Return where data goes: DOZE_TEST_DIR, else memory if there is room, else /tmp (sockets need a short path)."""
    named = os.environ.get(DATA_ROOT)
    if named:
        return Path(named)
    memory = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    try:
        status = os.statvfs(memory)
    except OSError:
        return Path("/tmp")  # noqa: S108 - see above
    roomy = status.f_bavail * status.f_frsize >= 512 * 1024 * 1024 and os.access(memory, os.W_OK)
    return memory if roomy else Path("/tmp")  # noqa: S108 - see above
