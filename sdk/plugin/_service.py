"""The Engine service: each of the host's 25 calls, answered by an author's driver.

The host swallows some errors in a way that loses data: an error from Objects reads as "declares nothing", one from
Provisioned as "empty", one from CloneTemplate makes it delete the data folder. The answers here are chosen so that no
exception of a driver can get that far.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..engine import (
    Admin,
    Attributer,
    BackendProvider,
    ConnString,
    Converger,
    DecodeRequest,
    Driver,
    DriverError,
    EngineError,
    HealthChecker,
    Hooked,
    Instance,
    Inventory,
    Lifecycle,
    Lock,
    NoMirror,
    PortBinder,
    ProxyFilter,
    Pruner,
    Restartable,
    RestartSpec,
    Templater,
    Version,
    capabilities,
    check_returned,
    check_socket_path,
    decode,
    encode_spec,
)
from . import _messages as wire
from ._proto import dozeplugin_v1_pb2 as pb
from ._specs import MISSING, Specs

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._wire import WireServer

_log = logging.getLogger("doze_sdk.plugin")
_C = TypeVar("_C")


class PreconditionError(EngineError):
    """The call cannot be answered without risking data; the text says what the user can do."""


class EngineService:
    """Answers the calls for one driver. Each method takes the request message and returns the response message.

    Whatever it raises becomes the status of the call; `_server` does that.
    """

    def __init__(self, driver: Driver[object]) -> None:
        self.driver = driver
        self._specs = Specs(driver)
        self._supervised: dict[str, bool] = {}
        # Instances whose objects could not be named in this process: what the host wants pruned may be everything.
        self._unnamed: set[str] = set()
        self._wire: WireServer | None = None
        self._wire_lock = threading.Lock()

    # -- what the plugin is

    def type(self, _request: pb.Empty) -> pb.TypeResponse:
        return pb.TypeResponse(type=self.driver.type)

    def capabilities(self, _request: pb.Empty) -> pb.CapabilitiesResponse:
        return pb.CapabilitiesResponse(capabilities=sorted(capabilities(self.driver)))

    # -- config

    def decode_config(self, request: pb.DecodeRequest) -> pb.DecodeResponse:
        spec = decode(
            self.driver,
            DecodeRequest(
                file=request.file,
                filename=request.filename,
                block_type=request.block_type,
                block_label=request.block_label,
                variables=dict(request.variables),
                base_dir=Path(request.base_dir),
                version=Version(request.engine_version),
            ),
        )
        data = encode_spec(spec)
        if not ({"each", "count"} & set(request.variables)):  # a stamped instance is not named like its block
            self._specs.remember(request.block_label, data)
        return pb.DecodeResponse(spec=data)

    def conn_string(self, request: pb.ConnStringRequest) -> pb.ConnStringResponse:
        spec = self._config(request.instance)
        if spec is MISSING:
            return pb.ConnStringResponse()
        endpoint = wire.endpoint_from(request.endpoint)
        instance = wire.instance_from(request.instance, spec)
        answer = self._lenient(
            request.instance,
            lambda: self._checked("conn_string", self.driver.conn_string(instance, endpoint)),
            ConnString(),
        )
        return pb.ConnStringResponse(env_var=answer.env_var, url=answer.url)

    def attributes(self, request: pb.AttributesRequest) -> pb.AttributesResponse:
        spec = self._config(request.instance)
        if spec is MISSING or not isinstance(self.driver, Attributer):
            return pb.AttributesResponse()
        endpoint = wire.endpoint_from(request.endpoint)
        instance = wire.instance_from(request.instance, spec)
        values = self._checked("attributes", self.driver.attributes(instance, endpoint))
        return pb.AttributesResponse(attrs={name: _ctyjson(value) for name, value in values.items()})

    # -- boot

    def resolve(self, request: pb.ResolveRequest) -> pb.ResolveResponse:
        lock = Lock(wire.lock_entry_from(entry) for entry in request.locked)
        platform = wire.platform_from(request.platform)
        toolchain = self._checked("resolve", self.driver.resolve(Version(request.spec), platform, lock, NoMirror()))
        return pb.ResolveResponse(
            toolchain=wire.toolchain_to(toolchain), recorded=[wire.lock_entry_to(entry) for entry in lock.recorded]
        )

    def provision(self, request: pb.ProvisionRequest) -> pb.Empty:
        instance = self._instance(request.instance, "provision")
        self._check_socket(instance)
        self.driver.provision(instance, wire.toolchain_from(request.toolchain))
        return pb.Empty()

    def provisioned(self, request: pb.ProvisionedRequest) -> pb.ProvisionedResponse:
        data_dir = Path(request.data_dir)
        try:
            answer = self._checked("provisioned", self.driver.provisioned(data_dir))
        except BaseException:  # noqa: BLE001 - whatever the author's code raises, sys.exit() too, must not read as "empty"
            _log.exception("provisioned(%s) gave no answer; whether the folder holds anything is one", data_dir)
            answer = holds_anything(data_dir)
        # A template is cloned only over "not provisioned", and the host deletes the folder when a clone dies half-way:
        # for a Templater every folder that holds something counts as provisioned. `provision` runs all the same.
        if not answer and isinstance(self.driver, Templater):
            answer = holds_anything(data_dir)
        return pb.ProvisionedResponse(provisioned=answer)

    def ensure_template(self, request: pb.EnsureTemplateRequest) -> pb.Empty:
        _capability(self.driver, Templater).ensure_template(
            wire.toolchain_from(request.toolchain), Path(request.template_dir)
        )
        return pb.Empty()

    def clone_template(self, request: pb.CloneTemplateRequest) -> pb.Empty:
        import shutil
        import tempfile

        destination = Path(request.dest_dir)
        if holds_anything(destination):
            _log.error("not cloning a template into %s: it already holds something", destination)
            return pb.Empty()
        templater = _capability(self.driver, Templater)
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="_clone-", dir=destination.parent))
        try:
            clone = scratch / "clone"
            templater.clone_template(Path(request.template_dir), clone)
            if not clone.is_dir():
                raise DriverError(f"clone_template() made no folder at the dest_dir that it was given, {clone}")
            _move(clone, destination)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return pb.Empty()

    def plan(self, request: pb.PlanRequest) -> pb.SpawnPlan:
        instance = self._instance(request.instance, "plan")
        self._check_socket(instance)
        toolchain = wire.toolchain_from(request.toolchain)
        return wire.plan_to(self._checked("plan", self.driver.plan(instance, toolchain)))

    def backend_socket(self, request: pb.BackendSocketRequest) -> pb.BackendSocketResponse:
        path = self._checked("backend_socket", self.driver.backend_socket(Path(request.socket_dir), request.port))
        return pb.BackendSocketResponse(path="" if path is None else str(path))

    def hook(self, request: pb.HookRequest) -> pb.Empty:
        hooked = _capability(self.driver, Hooked)
        phases = {"pre_start": hooked.pre_start, "post_start": hooked.post_start, "pre_stop": hooked.pre_stop}
        if request.phase not in phases:
            raise EngineError(f"hook: expected one of {', '.join(phases)}, got {request.phase!r}")
        phases[request.phase](self._instance(request.instance, request.phase))
        return pb.Empty()

    # -- what a config declares inside the engine

    def converge(self, request: pb.ConvergeRequest) -> pb.Empty:
        _capability(self.driver, Converger).converge(
            self._instance(request.instance, "converge"),
            wire.toolchain_from(request.toolchain),
            wire.endpoint_from(request.endpoint),
        )
        return pb.Empty()

    def objects(self, request: pb.ObjectsRequest) -> pb.ObjectsResponse:
        if not isinstance(self.driver, Inventory):
            return pb.ObjectsResponse()
        try:
            instance = self._instance(request.instance, "objects")
            objects = self._checked("objects", self.driver.objects(instance))
            return pb.ObjectsResponse(objects=[wire.object_to(item) for item in objects])
        except BaseException:
            # Not only a failed objects(): anything that makes the host see an error here makes it see no objects.
            self._unnamed.add(request.instance.name)
            raise

    def prune(self, request: pb.PruneRequest) -> pb.Empty:
        name = request.instance.name
        if name in self._unnamed:
            raise PreconditionError(
                f"not removing anything from {name!r}: its objects could not be named earlier in this process, so the "
                "host may take everything for removed; mend that error, then run `doze down && doze up`"
            )
        pruner = _capability(self.driver, Pruner)
        pruner.prune(
            self._instance(request.instance, "prune"),
            wire.toolchain_from(request.toolchain),
            wire.endpoint_from(request.endpoint),
            [wire.object_from(item) for item in request.removed],
        )
        return pb.Empty()

    # -- a running instance

    def backend_url(self, request: pb.BackendURLRequest) -> pb.BackendURLResponse:
        spec = self._config(request.instance)
        if spec is MISSING or not isinstance(self.driver, BackendProvider):
            return pb.BackendURLResponse()
        instance = wire.instance_from(request.instance, spec)
        return pb.BackendURLResponse(url=self._checked("backend_url", self.driver.backend_url(instance)))

    def supervised(self, request: pb.SupervisedRequest) -> pb.SupervisedResponse:
        driver, name = self.driver, request.instance.name
        if not isinstance(driver, Lifecycle):
            return pb.SupervisedResponse()
        # True first and false later opens a proxy on the engine's own port, false then true leaves the port dead: a
        # call without a spec repeats the answer that was given with one.
        if name in self._supervised and not self._has_spec(request.instance):
            return pb.SupervisedResponse(supervised=self._supervised[name])
        spec = self._config(request.instance)
        if spec is MISSING:
            return pb.SupervisedResponse()
        instance = wire.instance_from(request.instance, spec)
        last = self._supervised.get(name, False)
        answer = self._lenient(request.instance, lambda: self._checked("supervised", driver.supervised(instance)), last)
        self._supervised[name] = answer
        return pb.SupervisedResponse(supervised=answer)

    def check_health(self, request: pb.HealthRequest) -> pb.Empty:
        spec = self._config(request.instance)
        if spec is not MISSING and isinstance(self.driver, HealthChecker):
            self.driver.check_health(wire.instance_from(request.instance, spec))
        return pb.Empty()

    def restart_policy(self, request: pb.RestartPolicyRequest) -> pb.RestartSpec:
        spec = self._config(request.instance)
        if spec is MISSING or not isinstance(self.driver, Restartable):
            return wire.restart_to(RestartSpec())
        instance = wire.instance_from(request.instance, spec)
        return wire.restart_to(self._checked("restart_policy", self.driver.restart_policy(instance)))

    def advertised_addr(self, request: pb.AddrRequest) -> pb.AddrResponse:
        spec = self._config(request.instance)
        if spec is MISSING or not isinstance(self.driver, PortBinder):
            return pb.AddrResponse()
        instance = wire.instance_from(request.instance, spec)
        address = self._checked("advertised_addr", self.driver.advertised_addr(instance))
        return pb.AddrResponse(addr=address or "", ok=address is not None)

    def wire_addr(self, _request: pb.Empty) -> pb.WireAddrResponse:
        with self._wire_lock:
            if self._wire is None:
                from ._wire import WireServer

                self._wire = WireServer(_capability(self.driver, ProxyFilter))
        return pb.WireAddrResponse(path=str(self._wire.address()))

    # -- dashboards

    def actions(self, _request: pb.Empty) -> pb.ActionsResponse:
        actions = self._checked("actions", self.driver.actions()) if isinstance(self.driver, Admin) else ()
        return pb.ActionsResponse(actions=[wire.action_to(action) for action in actions])

    def resources(self, request: pb.ResourcesRequest) -> pb.ResourcesResponse:
        resources = _capability(self.driver, Admin).resources(
            self._instance(request.instance, "resources"), wire.endpoint_from(request.endpoint)
        )
        self._checked("resources", resources)
        return pb.ResourcesResponse(resources=[wire.resource_to(resource) for resource in resources])

    def run_action(self, request: pb.RunActionRequest) -> pb.RunActionResponse:
        result = _capability(self.driver, Admin).run(
            self._instance(request.instance, "run"),
            wire.endpoint_from(request.endpoint),
            request.action,
            request.resource,
            request.input,
        )
        return pb.RunActionResponse(result=self._checked("run", result))

    # -- specs

    def _instance(self, message: pb.Instance, call: str) -> Instance[object]:
        """Return the instance with a spec that was really decoded, for calls where defaults would change data."""
        spec = self._specs.of(message.name, message.spec)
        if spec is MISSING:
            raise PreconditionError(
                f"{call}: the host sent no config for {message.name!r} that this release of the module can read; "
                "run `doze down && doze up`"
            )
        return wire.instance_from(message, spec)

    def _config(self, message: pb.Instance) -> object:
        """Return the best known spec, for calls that only tell something: the last one, else the defaults."""
        spec = self._specs.of(message.name, message.spec)
        return self._specs.default() if spec is MISSING else spec

    def _has_spec(self, message: pb.Instance) -> bool:
        """Tell whether the host sent a spec, in a form that this release of the module can read."""
        return self._specs.read(message.spec) is not MISSING

    def _lenient(self, message: pb.Instance, call: Callable[[], _C], fallback: _C) -> _C:
        """Call the driver; without a spec from the host its exception must not become an error."""
        try:
            return call()
        except Exception:
            if self._has_spec(message):
                raise
            _log.exception("the driver raised for %r in a call without a config", message.name)
            return fallback

    def _checked(self, method: str, value: _C) -> _C:
        """Return *value*, which the driver's *method* returned, if the contract allows it."""
        check_returned(self.driver, method, value)
        return value

    def _check_socket(self, instance: Instance[object]) -> None:
        path = self._checked("backend_socket", self.driver.backend_socket(instance.socket_dir, instance.port))
        if path is not None:
            check_socket_path(path)


def _capability(driver: Driver[object], kind: type[_C]) -> _C:
    if not isinstance(driver, kind):
        raise EngineError(f"the driver of {driver.type!r} is no {kind.__name__}")
    return driver


def holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # something is there, a file perhaps, or cannot be looked into: it must not be cloned over


def _move(clone: Path, destination: Path) -> None:
    try:
        clone.rename(destination)
    except OSError:
        if not holds_anything(destination):
            raise
        # Filled since we looked. An error would make the host delete it.
        _log.exception("not moving a clone to %s: it holds something by now", destination)


def _ctyjson(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict).encode()
