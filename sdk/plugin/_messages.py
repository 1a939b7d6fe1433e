"""The contract's values as messages, and back. Nanoseconds and empty texts for "none" exist only here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..engine import (
    NO_DATA_DIR,
    NO_SOCKET_DIR,
    Dep,
    Endpoint,
    Instance,
    LockEntry,
    Pin,
    Platform,
    Ready,
    SpawnPlan,
    SpawnSpec,
    Toolchain,
    Version,
)
from ._contract import is_private
from ._proto import dozeplugin_v1_pb2 as pb

if TYPE_CHECKING:
    from ..engine import Action, Object, Resource, RestartSpec
    from ..engine._ready import ReadyKind
    from ..engine._records import RestartPolicy

_MICROSECOND = timedelta(microseconds=1)


def _path_text(path: Path | None) -> str:
    return "" if path is None or path in (NO_DATA_DIR, NO_SOCKET_DIR) else str(path)


def optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _nanoseconds(duration: timedelta) -> int:
    return duration // _MICROSECOND * 1000


def _duration(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds / 1000)


def endpoint_to(endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        unix_socket=_path_text(endpoint.unix_socket),
        tcp_addr=endpoint.tcp_addr,
        backend=_path_text(endpoint.backend),
    )


def endpoint_from(message: pb.Endpoint) -> Endpoint:
    return Endpoint(
        unix_socket=optional_path(message.unix_socket),
        tcp_addr=message.tcp_addr,
        backend=optional_path(message.backend),
    )


def _dep_from(message: pb.Dep) -> Dep:
    return Dep(
        name=message.name,
        engine=message.engine,
        socket_dir=Path(message.socket_dir) if message.socket_dir else NO_SOCKET_DIR,
        backend=optional_path(message.backend),
        url=message.url,
    )


def instance_to(instance: Instance[bytes]) -> pb.Instance:
    return pb.Instance(
        name=instance.name,
        type=instance.type,
        version=instance.version,
        data_dir=_path_text(instance.data_dir),
        socket_dir=_path_text(instance.socket_dir),
        port=instance.port,
        endpoint=endpoint_to(instance.endpoint),
        spec=instance.spec,
        deps={
            name: pb.Dep(
                name=dep.name,
                engine=dep.engine,
                socket_dir=_path_text(dep.socket_dir),
                backend=_path_text(dep.backend),
                url=dep.url,
            )
            for name, dep in instance.deps.items()
        },
    )


def instance_from(message: pb.Instance, spec: object) -> Instance[object]:
    return Instance(
        name=message.name,
        type=message.type,
        version=Version(message.version),
        spec=spec,
        data_dir=Path(message.data_dir) if message.data_dir else NO_DATA_DIR,
        socket_dir=Path(message.socket_dir) if message.socket_dir else NO_SOCKET_DIR,
        port=message.port,
        endpoint=endpoint_from(message.endpoint),
        deps={name: _dep_from(dep) for name, dep in message.deps.items()},
    )


def platform_to(platform: Platform) -> pb.Platform:
    return pb.Platform(os=platform.os, arch=platform.arch, triple=platform.triple)


def platform_from(message: pb.Platform) -> Platform:
    return Platform(os=message.os, arch=message.arch, triple=message.triple)


def toolchain_to(toolchain: Toolchain) -> pb.Toolchain:
    return pb.Toolchain(
        engine=toolchain.engine,
        full=toolchain.full,
        bin_dir=_path_text(toolchain.bin_dir),
        tools={name: str(path) for name, path in toolchain.tools.items()},
    )


def toolchain_from(message: pb.Toolchain) -> Toolchain:
    return Toolchain(
        engine=message.engine,
        full=message.full,
        bin_dir=optional_path(message.bin_dir),
        tools={name: Path(path) for name, path in message.tools.items()},
    )


def lock_entry_to(entry: LockEntry) -> pb.LockEntry:
    pin = pb.Pin(resolved=entry.pin.resolved, source=entry.pin.source, hashes=dict(entry.pin.hashes))
    return pb.LockEntry(engine=entry.engine, spec=entry.spec, pin=pin)


def lock_entry_from(message: pb.LockEntry) -> LockEntry:
    pin = Pin(resolved=message.pin.resolved, source=message.pin.source, hashes=dict(message.pin.hashes))
    return LockEntry(engine=message.engine, spec=message.spec, pin=pin)


def _ready_to(ready: Ready | None) -> pb.Ready | None:
    if ready is None:
        return None
    return pb.Ready(
        kind=ready.kind,
        target=ready.target,
        interval_ns=_nanoseconds(ready.interval),
        timeout_ns=_nanoseconds(ready.timeout),
        retries=ready.retries,
    )


def _ready_from(message: pb.Ready) -> Ready:
    # The host's own defaults for what a plugin leaves out.
    return Ready(
        kind=cast("ReadyKind", message.kind),
        target=message.target,
        interval=_duration(message.interval_ns if message.interval_ns > 0 else 10**9),
        timeout=_duration(message.timeout_ns if message.timeout_ns > 0 else 3 * 10**9),
        retries=message.retries if message.retries > 0 else 30,
    )


def _clean(env: tuple[str, ...]) -> list[str]:
    """Leave out what the host told this plugin alone; an author who passes os.environ on does not mean that."""
    return [pair for pair in env if not is_private(pair.partition("=")[0])]


def plan_to(plan: SpawnPlan) -> pb.SpawnPlan:
    return pb.SpawnPlan(
        specs=[
            pb.SpawnSpec(
                name=spec.name,
                dir=_path_text(spec.dir),
                bin=str(spec.bin),
                args=spec.args,
                env=_clean(spec.env),
                tree=spec.tree,
                after=spec.after,
                ready=_ready_to(spec.ready),
                hooks=spec.hooks,
            )
            for spec in plan.specs
        ]
    )


def plan_from(message: pb.SpawnPlan) -> SpawnPlan:
    return SpawnPlan(
        tuple(
            SpawnSpec(
                name=spec.name,
                bin=spec.bin,
                args=tuple(spec.args),
                dir=optional_path(spec.dir),
                env=tuple(spec.env),
                tree=spec.tree,
                after=tuple(spec.after),
                ready=_ready_from(spec.ready) if spec.HasField("ready") else None,
                hooks=tuple(spec.hooks),
            )
            for spec in message.specs
        )
    )


def object_to(item: Object) -> pb.Object:
    return pb.Object(kind=item.kind, name=item.name, hash=item.hash)


def object_from(message: pb.Object) -> Object:
    from ..engine import Object

    return Object(kind=message.kind, name=message.name, hash=message.hash)


def restart_to(spec: RestartSpec) -> pb.RestartSpec:
    return pb.RestartSpec(policy=spec.policy, backoff_ns=_nanoseconds(spec.backoff), max_retries=spec.max_retries)


def restart_from(message: pb.RestartSpec) -> RestartSpec:
    from ..engine import RestartSpec

    return RestartSpec(
        policy=cast("RestartPolicy", message.policy or "no"),
        backoff=_duration(max(message.backoff_ns, 0)),
        max_retries=max(message.max_retries, 0),
    )


def resource_to(resource: Resource) -> pb.Resource:
    return pb.Resource(kind=resource.kind, name=resource.name, status=resource.status, info=dict(resource.info))


def resource_from(message: pb.Resource) -> Resource:
    from ..engine import Resource

    return Resource(kind=message.kind, name=message.name, status=message.status, info=dict(message.info))


def action_to(action: Action) -> pb.Action:
    return pb.Action(
        id=action.id,
        label=action.label,
        kind=action.kind,
        destructive=action.destructive,
        input_hint=action.input_hint,
    )


def action_from(message: pb.Action) -> Action:
    from ..engine import Action

    return Action(
        id=message.id,
        label=message.label,
        kind=message.kind,
        destructive=message.destructive,
        input_hint=message.input_hint,
    )
