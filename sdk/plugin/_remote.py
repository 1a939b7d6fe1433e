"""A launched plugin as a driver: the same methods, carried over gRPC."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING, TypeVar, cast

import grpc

from ..engine import (
    Admin,
    Advertised,
    Attributer,
    BackendProvider,
    ConfigArg,
    ConfigBlock,
    ConnString,
    Converger,
    Describer,
    Description,
    Driver,
    EngineError,
    HealthChecker,
    Hooked,
    Inventory,
    Lifecycle,
    PortBinder,
    Pruner,
    Restartable,
    Templater,
)
from . import _messages as wire
from ._contract import SERVICE
from ._methods import METHODS
from ._proto import dozeplugin_v1_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from google.protobuf.message import Message

    from ..engine import (
        Action,
        DecodeRequest,
        Endpoint,
        Instance,
        Lock,
        Mirror,
        Object,
        Platform,
        Resource,
        RestartSpec,
        SpawnPlan,
        Toolchain,
        Version,
    )
    from .kernel import Plugin

M = TypeVar("M", bound="Message")

_DESCRIBE_BUDGET = 10  # seconds


class RemoteError(EngineError):
    """The plugin answered a call with an error. The text is the plugin's own.

    Attributes:
        call: the name of the RPC.
        code: the gRPC status code's name.

    """

    __module__ = "doze_sdk.plugin"

    def __init__(self, call: str, code: str, details: str) -> None:
        super().__init__(details or f"{call}: {code}")
        self.call = call
        self.code = code


class RemoteDriver(
    Driver[bytes],
    Advertised,
    Converger[bytes],
    Inventory[bytes],
    Pruner[bytes],
    Templater,
    Attributer[bytes],
    BackendProvider[bytes],
    Lifecycle[bytes],
    Hooked[bytes],
    HealthChecker[bytes],
    Restartable[bytes],
    PortBinder[bytes],
    Admin[bytes],
    Describer,
):
    """Every method of the contract as a call to the plugin. What it really offers is `capabilities(driver)`.

    An instance's spec is the bytes that `decode` returned; they go back to the plugin as they are.
    """

    def __init__(
        self,
        plugin: Plugin,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        inherit_env: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Ask `plugin` for its engine type, for which it has `timeout` seconds."""
        self.plugin = plugin
        self._command = [os.fspath(part) for part in command]
        self._process = {"env": {**(os.environ if inherit_env else {}), **(env or {})}, "cwd": cwd}
        self._calls = {
            name: plugin.channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            for name, (request, response) in METHODS.items()
        }
        self._lock = threading.Lock()
        self._advertised: frozenset[str] | None = None
        self.type = self._call("Type", pb.Empty(), pb.TypeResponse, timeout).type  # type: ignore[misc]  # one plugin, one type

    # -- the process

    def close(self) -> None:
        """End the plugin."""
        self.plugin.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def advertised(self) -> frozenset[str]:
        """What the plugin says that it can do."""
        if self._advertised is None:
            answer = self._call("Capabilities", pb.Empty(), pb.CapabilitiesResponse)
            self._advertised = frozenset(answer.capabilities)
        return self._advertised

    def describe(self) -> Description:
        """Run the module's `__describe`.

        Raises:
            EngineError: it failed, or printed something that is no description.

        """
        try:
            run = subprocess.run(
                [*self._command, "__describe"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_DESCRIBE_BUDGET,
                check=False,
                env=cast("dict[str, str]", self._process["env"]),
                cwd=cast("str | None", self._process["cwd"]),
            )
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"{self._command[0]} __describe has printed nothing within {_DESCRIBE_BUDGET} s; see what importing "
                "the driver waits for, and do that in resolve() or provision() instead"
            ) from None
        said = run.stderr.decode(errors="replace").strip()
        if run.returncode:
            raise EngineError(f"{self._command[0]} __describe exited with code {run.returncode}: {said}")
        return _description(run.stdout)

    # -- Driver

    def decode(self, request: DecodeRequest) -> bytes:
        return self._call(
            "DecodeConfig",
            pb.DecodeRequest(
                file=request.file,
                filename=request.filename,
                block_type=request.block_type,
                block_label=request.block_label,
                variables=dict(request.variables),
                base_dir=str(request.base_dir),
                engine_version=request.version,
            ),
            pb.DecodeResponse,
        ).spec

    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:  # noqa: ARG002 - the plugin has a mirror of its own
        answer = self._call(
            "Resolve",
            pb.ResolveRequest(
                spec=spec,
                platform=wire.platform_to(platform),
                locked=[wire.lock_entry_to(entry) for entry in lock.entries],
            ),
            pb.ResolveResponse,
        )
        for entry in map(wire.lock_entry_from, answer.recorded):
            lock.record(entry.engine, entry.spec, entry.pin)
        return wire.toolchain_from(answer.toolchain)

    def provision(self, instance: Instance[bytes], toolchain: Toolchain) -> None:
        request = pb.ProvisionRequest(instance=wire.instance_to(instance), toolchain=wire.toolchain_to(toolchain))
        self._call("Provision", request, pb.Empty)

    def provisioned(self, data_dir: Path) -> bool:
        request = pb.ProvisionedRequest(data_dir=str(data_dir))
        return self._call("Provisioned", request, pb.ProvisionedResponse).provisioned

    def plan(self, instance: Instance[bytes], toolchain: Toolchain) -> SpawnPlan:
        request = pb.PlanRequest(instance=wire.instance_to(instance), toolchain=wire.toolchain_to(toolchain))
        return wire.plan_from(self._call("Plan", request, pb.SpawnPlan))

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        request = pb.BackendSocketRequest(socket_dir=str(socket_dir), port=port)
        return wire.optional_path(self._call("BackendSocket", request, pb.BackendSocketResponse).path)

    def conn_string(self, instance: Instance[bytes], endpoint: Endpoint) -> ConnString:
        request = pb.ConnStringRequest(instance=wire.instance_to(instance), endpoint=wire.endpoint_to(endpoint))
        answer = self._call("ConnString", request, pb.ConnStringResponse)
        return ConnString(env_var=answer.env_var, url=answer.url)

    # -- capabilities

    def converge(self, instance: Instance[bytes], toolchain: Toolchain, endpoint: Endpoint) -> None:
        request = pb.ConvergeRequest(
            instance=wire.instance_to(instance),
            toolchain=wire.toolchain_to(toolchain),
            endpoint=wire.endpoint_to(endpoint),
        )
        self._call("Converge", request, pb.Empty)

    def objects(self, instance: Instance[bytes]) -> Sequence[Object]:
        request = pb.ObjectsRequest(instance=wire.instance_to(instance))
        return [wire.object_from(item) for item in self._call("Objects", request, pb.ObjectsResponse).objects]

    def prune(
        self, instance: Instance[bytes], toolchain: Toolchain, endpoint: Endpoint, removed: Sequence[Object]
    ) -> None:
        request = pb.PruneRequest(
            instance=wire.instance_to(instance),
            toolchain=wire.toolchain_to(toolchain),
            endpoint=wire.endpoint_to(endpoint),
            removed=[wire.object_to(item) for item in removed],
        )
        self._call("Prune", request, pb.Empty)

    def ensure_template(self, toolchain: Toolchain, template_dir: Path) -> None:
        request = pb.EnsureTemplateRequest(toolchain=wire.toolchain_to(toolchain), template_dir=str(template_dir))
        self._call("EnsureTemplate", request, pb.Empty)

    def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
        request = pb.CloneTemplateRequest(template_dir=str(template_dir), dest_dir=str(dest_dir))
        self._call("CloneTemplate", request, pb.Empty)

    def attributes(self, instance: Instance[bytes], endpoint: Endpoint) -> Mapping[str, object]:
        request = pb.AttributesRequest(instance=wire.instance_to(instance), endpoint=wire.endpoint_to(endpoint))
        answer = self._call("Attributes", request, pb.AttributesResponse)
        return {name: json.loads(value) for name, value in answer.attrs.items()}

    def backend_url(self, instance: Instance[bytes]) -> str:
        request = pb.BackendURLRequest(instance=wire.instance_to(instance))
        return self._call("BackendURL", request, pb.BackendURLResponse).url

    def supervised(self, instance: Instance[bytes]) -> bool:
        request = pb.SupervisedRequest(instance=wire.instance_to(instance))
        return self._call("Supervised", request, pb.SupervisedResponse).supervised

    def pre_start(self, instance: Instance[bytes]) -> None:
        self._hook(instance, "pre_start")

    def post_start(self, instance: Instance[bytes]) -> None:
        self._hook(instance, "post_start")

    def pre_stop(self, instance: Instance[bytes]) -> None:
        self._hook(instance, "pre_stop")

    def check_health(self, instance: Instance[bytes]) -> None:
        self._call("CheckHealth", pb.HealthRequest(instance=wire.instance_to(instance)), pb.Empty)

    def restart_policy(self, instance: Instance[bytes]) -> RestartSpec:
        request = pb.RestartPolicyRequest(instance=wire.instance_to(instance))
        return wire.restart_from(self._call("RestartPolicy", request, pb.RestartSpec))

    def advertised_addr(self, instance: Instance[bytes]) -> str | None:
        answer = self._call("AdvertisedAddr", pb.AddrRequest(instance=wire.instance_to(instance)), pb.AddrResponse)
        return answer.addr if answer.ok else None

    def wire_addr(self) -> Path | None:
        """Return the socket to which the host hands client connections, for a plugin with `proxy_filter`."""
        return wire.optional_path(self._call("WireAddr", pb.Empty(), pb.WireAddrResponse).path)

    def resources(self, instance: Instance[bytes], endpoint: Endpoint) -> Sequence[Resource]:
        request = pb.ResourcesRequest(instance=wire.instance_to(instance), endpoint=wire.endpoint_to(endpoint))
        return [wire.resource_from(item) for item in self._call("Resources", request, pb.ResourcesResponse).resources]

    def actions(self) -> Sequence[Action]:
        return [wire.action_from(item) for item in self._call("Actions", pb.Empty(), pb.ActionsResponse).actions]

    def run(self, instance: Instance[bytes], endpoint: Endpoint, action: str, resource: str, input: str) -> str:  # noqa: A002 - the contract's word
        request = pb.RunActionRequest(
            instance=wire.instance_to(instance),
            endpoint=wire.endpoint_to(endpoint),
            action=action,
            resource=resource,
            input=input,
        )
        return self._call("RunAction", request, pb.RunActionResponse).result

    def _hook(self, instance: Instance[bytes], phase: str) -> None:
        self._call("Hook", pb.HookRequest(instance=wire.instance_to(instance), phase=phase), pb.Empty)

    def _call(self, name: str, request: Message, response: type[M], timeout: float | None = None) -> M:
        try:
            answer = self._calls[name](request, timeout=timeout)
        except grpc.RpcError as error:
            call = cast("grpc.Call", error)
            raise RemoteError(name, call.code().name, call.details() or "") from None
        except ValueError as error:  # gRPC's, for a channel that is closed
            raise RemoteError(name, "CANCELLED", f"cannot call {name}: the plugin has been closed ({error})") from None
        assert isinstance(answer, response)  # noqa: S101 - METHODS pairs name and type
        return answer


def _description(text: bytes) -> Description:
    try:
        data = json.loads(text)
        blocks = tuple(
            ConfigBlock(name=b["Name"], label=b["Label"], desc=b["Desc"], args=tuple(map(_argument, b["Args"] or ())))
            for b in data["Blocks"] or ()
        )
        return Description(
            title=data["Title"],
            tagline=data["Tagline"],
            category=data["Category"],
            description=data["Description"],
            port=data["Port"],
            versions=tuple(data["Versions"] or ()),
            example=data["Example"],
            example_label=data["ExampleLabel"],
            config=tuple(map(_argument, data["Config"] or ())),
            blocks=blocks,
            homepage=data["Homepage"],
            source=data["Source"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"__describe printed no description: {error!r} in {text[:200]!r}") from None


def _argument(data: Mapping[str, object]) -> ConfigArg:
    texts = {name: str(data[name]) for name in ("Name", "Type", "Default", "Desc", "Since", "Until")}
    return ConfigArg(**{name.lower(): text for name, text in texts.items()}, required=bool(data["Required"]))
