"""One instance from asleep to awake and back: the calls that a host makes to a driver, in the host's order."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from ..engine import (
    Converger,
    Endpoint,
    EngineError,
    Hooked,
    Instance,
    Lock,
    Mirror,
    NoMirror,
    Platform,
    Templater,
    capabilities,
    check_socket_path,
)
from ._unit import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..engine import ConnString, Driver, Toolchain
    from ._account import Account
    from ._reaper import Reaper
    from ._unit import Unit

S = TypeVar("S")
_log = logging.getLogger("doze_sdk.host")


@dataclass(frozen=True, slots=True)
class Awake(Generic[S]):
    """A running instance.

    Attributes:
        instance: as the driver last saw it, with its backend socket.
        unit: its processes and their logs.

    """

    driver: Driver[S]
    instance: Instance[S]
    toolchain: Toolchain
    unit: Unit

    @property
    def endpoint(self) -> Endpoint:
        """Where it is reached."""
        return self.instance.endpoint

    @property
    def conn_string(self) -> ConnString:
        """How a client connects, in the driver's words."""
        return self.driver.conn_string(self.instance, self.endpoint)

    def converge(self) -> None:
        """Converge once more, as `up` and `sync` do, where the driver can; without `deps`, as the host does."""
        _converge(self.driver, replace(self.instance, deps={}), self.toolchain)

    def stop(self) -> None:
        """Run `pre_stop`, whose exception is only logged, and end the processes in reverse order."""
        if "hooked" in capabilities(self.driver) and isinstance(self.driver, Hooked):
            try:
                self.driver.pre_stop(self.instance)
            except Exception:  # noqa: BLE001 - an author's hook must not keep processes alive, whatever it raises
                _log.exception("pre_stop for %r", self.instance.name)
        self.unit.stop()


def wake(
    driver: Driver[S],
    instance: Instance[S],
    *,
    log_dir: Path,
    reaper: Reaper,
    lock: Lock | None = None,
    mirror: Mirror | None = None,
    template_root: Path | None = None,
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
    budget: float | None = None,
    progress: Callable[[str], object] = lambda _step: None,
) -> Awake[S]:
    """Boot *instance*: resolve, clone or provision, start its processes, converge.

    Args:
        instance: with its folders; `provision` makes them, their parents must exist. `endpoint.backend` is filled here.
        log_dir: for a log file per process.
        template_root: where prepared data directories are kept, by full version; None uses no templates.
        environ: what stands for the host's own environment; None is this process's.
        account: who the processes run as; None is whoever runs this.
        budget: seconds for readiness of each process in place of the plan's own.
        progress: called with the name of each step as it begins.

    Raises:
        EngineError: the driver refused, in its own words.
        HostError: the processes did not come up; nothing of them is left.

    """
    offered = capabilities(driver)
    backend = driver.backend_socket(instance.socket_dir, instance.port)
    if backend is not None:
        check_socket_path(backend)
    instance = replace(instance, endpoint=replace(instance.endpoint, backend=backend))
    progress("resolve")
    toolchain = driver.resolve(instance.version, Platform.host(), lock or Lock(), mirror or NoMirror())
    if template_root is not None and not driver.provisioned(instance.data_dir):
        _clone(driver, instance, toolchain, template_root, progress)
    progress("provision")
    driver.provision(instance, toolchain)
    if "hooked" in offered and isinstance(driver, Hooked):
        driver.pre_start(instance)
    progress("start")
    unit = start(
        driver.plan(instance, toolchain),
        log_dir=log_dir,
        reaper=reaper,
        engine=instance.type,
        environ=environ,
        account=account,
        budget=budget,
    )
    awake = Awake(driver, instance, toolchain, unit)
    try:
        progress("converge")
        _converge(driver, instance, toolchain)
        if "hooked" in offered and isinstance(driver, Hooked):
            driver.post_start(instance)
    except BaseException:
        unit.stop()
        raise
    return awake


def _clone(
    driver: Driver[S],
    instance: Instance[S],
    toolchain: Toolchain,
    template_root: Path,
    progress: Callable[[str], object],
) -> None:
    if not (toolchain.full and "templater" in capabilities(driver) and isinstance(driver, Templater)):
        return
    progress("template")
    template = template_root / toolchain.full
    try:
        driver.ensure_template(toolchain, template)
        driver.clone_template(template, instance.data_dir)
    except EngineError as error:
        # As the host does: provisioning from scratch makes up for a template that cannot be had.
        _log.warning("template of %s %s: %s", instance.type, toolchain.full, error)


def _converge(driver: Driver[S], instance: Instance[S], toolchain: Toolchain) -> None:
    if "converger" in capabilities(driver) and isinstance(driver, Converger):
        driver.converge(instance, toolchain, instance.endpoint)
