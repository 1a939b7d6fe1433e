"""An engine that greets whoever connects, and fails in whichever way its config asks for."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from doze_sdk.engine import (
    Attributer,
    BackendProvider,
    Config,
    ConnString,
    Converger,
    Describer,
    Description,
    Driver,
    Endpoint,
    EngineError,
    Instance,
    Lifecycle,
    Lock,
    Mirror,
    Platform,
    Ready,
    SpawnPlan,
    SpawnSpec,
    Templater,
    Toolchain,
    Version,
    Versionless,
    attr,
)
from doze_sdk.plugin import self_command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXAMPLE = """\
greeter "one" {
  port     = 7101
  greeting = "hello"
}
"""


class Settings(Config):
    greeting: str = attr("hello", doc="What it says.")
    peer: str = attr("", doc="Whom it knows.")
    size: int = attr(1, doc="How big it is.")
    alone: bool = attr(False, doc="Whether it listens on its port by itself.")
    fails: Literal["", "plan", "provision", "converge", "at start", "later", "never ready", "prints"] = attr(
        "", doc="How it fails."
    )


class Greeter(
    Driver[Settings],
    Versionless,
    Attributer[Settings],
    BackendProvider[Settings],
    Converger[Settings],
    Templater,
    Lifecycle[Settings],
    Describer,
):
    type = "greeter"
    config = Settings

    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:
        return Toolchain(engine="greeter", full="1.0")

    def provision(self, instance: Instance[Settings], toolchain: Toolchain) -> None:
        if instance.spec.fails == "provision":
            raise EngineError("there is no room for another greeter")
        if instance.spec.fails == "prints":
            print("printed by the driver", flush=True)
            logging.getLogger("greeter").warning("logged by the driver")
        for folder in (instance.data_dir, instance.socket_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (instance.data_dir / "calls").open("a") as calls:
            calls.write("provision\n")

    def provisioned(self, data_dir: Path) -> bool:
        return (data_dir / "calls").is_file()

    def ensure_template(self, toolchain: Toolchain, template_dir: Path) -> None:
        template_dir.mkdir(parents=True, exist_ok=True)
        (template_dir / "calls").write_text("template\n")

    def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
        dest_dir.mkdir(parents=True, exist_ok=True)
        (dest_dir / "calls").write_bytes((template_dir / "calls").read_bytes())

    def plan(self, instance: Instance[Settings], toolchain: Toolchain) -> SpawnPlan:
        if instance.spec.fails == "plan":
            raise RuntimeError("the plan has a hole")
        socket = str(self.backend_socket(instance.socket_dir, instance.port))
        known = [f"{dep.name}={dep.url}" for dep in instance.deps.values()]
        words = [instance.spec.greeting, *filter(None, [instance.spec.peer]), *known]
        program, args = self_command("__serve", socket, instance.spec.fails, " ".join(words), package=__package__)
        if instance.spec.alone:
            socket = instance.endpoint.tcp_addr
            program, args = self_command("__serve", socket, "", " ".join(words), package=__package__)
        tries = 50 if instance.spec.fails == "never ready" else 3000
        kind: Literal["tcp", "socket"] = "tcp" if instance.spec.alone else "socket"
        ready = Ready(kind=kind, target=socket, interval=timedelta(milliseconds=10), retries=tries)
        return SpawnPlan.single(SpawnSpec(name="main", bin=program, args=args, ready=ready))

    def backend_socket(self, socket_dir: Path, port: int) -> Path:
        return socket_dir / "s"

    def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
        return ConnString(env_var="GREETER", url=f"greet://{endpoint.tcp_addr}")

    def attributes(self, instance: Instance[Settings], endpoint: Endpoint) -> Mapping[str, object]:
        return {"words": instance.spec.greeting.split(), "length": len(instance.spec.greeting)}

    def backend_url(self, instance: Instance[Settings]) -> str:
        return f"unix:{instance.name}"

    def supervised(self, instance: Instance[Settings]) -> bool:
        return instance.spec.alone

    def converge(self, instance: Instance[Settings], toolchain: Toolchain, endpoint: Endpoint) -> None:
        with (instance.data_dir / "calls").open("a") as calls:
            calls.write("converge\n")
        if instance.spec.fails == "converge":
            raise EngineError("nobody wants to be greeted")

    def describe(self) -> Description:
        return Description(
            title="Greeter",
            tagline="It greets",
            category="test",
            description="Greets whoever connects.",
            port=7101,
            example=EXAMPLE,
            example_label="one",
        )
