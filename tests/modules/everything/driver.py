"""A driver with every capability, whose answers depend on nothing but what it is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BufferedReader
from pathlib import Path

from doze_sdk.engine import (
    Action,
    Admin,
    Attributer,
    BackendProvider,
    Block,
    CancelRegistry,
    Config,
    ConnString,
    Converger,
    Describer,
    Description,
    Driver,
    Endpoint,
    HealthChecker,
    Hooked,
    Instance,
    Inventory,
    Lifecycle,
    Lock,
    Mirror,
    Object,
    Pin,
    Platform,
    PortBinder,
    Preamble,
    ProxyFilter,
    ProxyOptions,
    Pruner,
    Ready,
    Resource,
    Restartable,
    RestartSpec,
    SpawnPlan,
    SpawnSpec,
    Templater,
    Toolchain,
    Version,
    attr,
    hash_of,
    label,
)

EXAMPLE = """\
everything "all" {
  version = 2
  port    = 7000
  greeting = "hello"
  item "one" { size = 1 }
  item "two" {}
}
"""


class Item(Block, doc="A thing inside the engine."):
    name: str = label()
    size: int = attr(3, doc="How big it is.")


class Settings(Config):
    greeting: str = attr("hi", doc="What it says.")
    sick: str = attr("", doc="What ails it.")
    item: list[Item]


class Everything(
    Driver[Settings],
    Converger[Settings],
    Inventory[Settings],
    Pruner[Settings],
    Templater,
    Attributer[Settings],
    BackendProvider[Settings],
    Lifecycle[Settings],
    Hooked[Settings],
    HealthChecker[Settings],
    Restartable[Settings],
    PortBinder[Settings],
    Admin[Settings],
    ProxyFilter,
    Describer,
):
    type = "everything"
    config = Settings

    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:
        known = lock.get("everything", spec)
        full = known.resolved if known else f"{spec.major}.0.1"
        lock.record("everything", spec, Pin(resolved=full, source="mirror", hashes={platform.triple: "sha256:00"}))
        tools = {"ctl": Path("/opt/tools/ctl")}
        return Toolchain(engine="everything", full=full, bin_dir=Path("/opt") / full / "bin", tools=tools)

    def provision(self, instance: Instance[Settings], toolchain: Toolchain) -> None:
        for folder in (instance.data_dir, instance.socket_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (instance.data_dir / "greeting").write_text(f"{instance.spec.greeting} {toolchain.full}")

    def provisioned(self, data_dir: Path) -> bool:
        return (data_dir / "greeting").is_file()

    def plan(self, instance: Instance[Settings], toolchain: Toolchain) -> SpawnPlan:
        ready = Ready(kind="log_line", target="ready$", interval=timedelta(milliseconds=20))
        first = SpawnSpec(name="first", bin="/bin/sleep", args=("100",), dir=instance.data_dir, ready=ready)
        second = SpawnSpec(
            name="second",
            bin=toolchain.path("ctl"),
            env=(f"GREETING={instance.spec.greeting}", "PLUGIN_MIN_PORT=1"),
            tree=True,
            after=("first",),
            hooks=("true", "echo hook"),
        )
        return SpawnPlan((first, second))

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return socket_dir / f"s.{port}"

    def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
        return ConnString(env_var="EVERYTHING_URL", url=f"all://{endpoint.tcp_addr}/{instance.spec.greeting}")

    def converge(self, instance: Instance[Settings], toolchain: Toolchain, endpoint: Endpoint) -> None:
        names = " ".join(item.name for item in instance.spec.item)
        (instance.data_dir / "converged").write_text(f"{names} {toolchain.full} {endpoint.backend}")

    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        return [Object(kind="item", name=item.name, hash=hash_of(item.size)) for item in instance.spec.item]

    def prune(
        self, instance: Instance[Settings], toolchain: Toolchain, endpoint: Endpoint, removed: Sequence[Object]
    ) -> None:
        (instance.data_dir / "pruned").write_text(" ".join(item.name for item in removed))

    def ensure_template(self, toolchain: Toolchain, template_dir: Path) -> None:
        template_dir.mkdir(parents=True, exist_ok=True)
        (template_dir / "greeting").write_text(toolchain.full)

    def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
        dest_dir.mkdir(parents=True)
        (dest_dir / "greeting").write_bytes((template_dir / "greeting").read_bytes())

    def attributes(self, instance: Instance[Settings], endpoint: Endpoint) -> Mapping[str, object]:
        return {"greeting": instance.spec.greeting, "items": [item.name for item in instance.spec.item], "half": 0.5}

    def backend_url(self, instance: Instance[Settings]) -> str:
        return f"all:{instance.endpoint.backend}"

    def supervised(self, instance: Instance[Settings]) -> bool:
        return instance.spec.greeting == "supervise me"

    def pre_start(self, instance: Instance[Settings]) -> None:
        self._note(instance, "pre_start")

    def post_start(self, instance: Instance[Settings]) -> None:
        self._note(instance, "post_start")

    def pre_stop(self, instance: Instance[Settings]) -> None:
        self._note(instance, "pre_stop")

    def _note(self, instance: Instance[Settings], phase: str) -> None:
        with (instance.data_dir / "hooks").open("a") as notes:
            notes.write(f"{phase} {sorted(instance.deps)}\n")

    def check_health(self, instance: Instance[Settings]) -> None:
        if instance.spec.sick:
            raise RuntimeError(instance.spec.sick)

    def restart_policy(self, instance: Instance[Settings]) -> RestartSpec:
        return RestartSpec(policy="on_failure", backoff=timedelta(seconds=1.5), max_retries=len(instance.spec.item))

    def advertised_addr(self, instance: Instance[Settings]) -> str | None:
        return instance.endpoint.tcp_addr or None

    def resources(self, instance: Instance[Settings], endpoint: Endpoint) -> Sequence[Resource]:
        return [
            Resource(kind="item", name=item.name, status="there", info={"size": str(item.size)})
            for item in instance.spec.item
        ]

    def actions(self) -> Sequence[Action]:
        return [Action(id="drop", label="Drop it", kind="item", destructive=True, input_hint="why")]

    def run(self, instance: Instance[Settings], endpoint: Endpoint, action: str, resource: str, input: str) -> str:
        return f"{action} {resource} of {instance.name} at {endpoint.tcp_addr}: {input}"

    def preamble(self, client: socket.socket, cancels: CancelRegistry, options: ProxyOptions) -> Preamble:
        return Preamble(client=client)

    @contextmanager
    def handshake(
        self, client: socket.socket, backend: BufferedReader, backend_socket: Path, cancels: CancelRegistry
    ) -> Iterator[bool]:
        yield True

    def describe(self) -> Description:
        return Description(
            title="Everything",
            tagline="All that a driver can do",
            category="test",
            description="It answers.",
            port=7000,
            versions=("2", "3"),
            example=EXAMPLE,
            example_label="all",
            homepage="https://example.org",
            source="tests/everything",
        )


def leave(arguments: list[str]) -> int:
    """A hidden mode: say what came and leave with a code of one's own."""
    print("left", *arguments)
    return 7
