"""What type checkers see of drivers; checked by mypy, never run."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import assert_type

from doze_sdk import engine
from doze_sdk.engine import Block, Config, attr, label
from doze_sdk.hcl import Body, Context
from doze_sdk.plugin import launch, self_command, serve


class Role(Block, doc="A role."):
    name: str = label()


class Pg(Config):
    role: list[Role] = attr([])


class D(
    engine.Driver[Pg],
    engine.Converger[Pg],
    engine.Inventory[Pg],
    engine.Pruner[Pg],
    engine.Templater,
    engine.Attributer[Pg],
    engine.Lifecycle[Pg],
    engine.Restartable[Pg],
    engine.Admin[Pg],
    engine.Hooked[Pg],
    engine.ProxyFilter,
    engine.Describer,
):
    type = "pg"
    config = Pg

    def resolve(
        self, spec: engine.Version, platform: engine.Platform, lock: engine.Lock, mirror: engine.Mirror
    ) -> engine.Toolchain:
        return engine.resolve_via("postgres", spec, platform, lock, mirror, is_exact=engine.exact_dots(1))

    def provision(self, instance: engine.Instance[Pg], toolchain: engine.Toolchain) -> None:
        engine.require_version(instance.version, 3, "x")

    def provisioned(self, data_dir: Path) -> bool:
        return True

    def plan(self, instance: engine.Instance[Pg], toolchain: engine.Toolchain) -> engine.SpawnPlan:
        program, args = self_command("x")
        return engine.SpawnPlan.single(
            engine.SpawnSpec(name="x", bin=program, args=args, ready=engine.Ready(kind="tcp", target="x"))
        )

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return socket_dir

    def conn_string(self, instance: engine.Instance[Pg], endpoint: engine.Endpoint) -> engine.ConnString:
        return engine.ConnString(url=instance.spec.role[0].name)

    def converge(
        self, instance: engine.Instance[Pg], toolchain: engine.Toolchain, endpoint: engine.Endpoint
    ) -> None: ...
    def objects(self, instance: engine.Instance[Pg]) -> list[engine.Object]:
        return [engine.Object(kind="role", name=r.name, hash=engine.hash_of(r)) for r in instance.spec.role]

    def prune(
        self,
        instance: engine.Instance[Pg],
        toolchain: engine.Toolchain,
        endpoint: engine.Endpoint,
        removed: Sequence[engine.Object],
    ) -> None: ...
    def ensure_template(self, toolchain: engine.Toolchain, template_dir: Path) -> None: ...
    def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
        engine.clone_template_dir(template_dir, dest_dir)

    def attributes(self, instance: engine.Instance[Pg], endpoint: engine.Endpoint) -> Mapping[str, object]:
        return {"a": 1}

    def supervised(self, instance: engine.Instance[Pg]) -> bool:
        return False

    def restart_policy(self, instance: engine.Instance[Pg]) -> engine.RestartSpec:
        return engine.RestartSpec(policy="always")

    def resources(self, instance: engine.Instance[Pg], endpoint: engine.Endpoint) -> list[engine.Resource]:
        return []

    def actions(self) -> list[engine.Action]:
        return []

    def run(
        self,
        instance: engine.Instance[Pg],
        endpoint: engine.Endpoint,
        action: str,
        resource: str,
        input: str,  # noqa: A002 - the contract's word
    ) -> str:
        return ""

    def preamble(
        self, client: socket.socket, cancels: engine.CancelRegistry, options: engine.ProxyOptions
    ) -> engine.Preamble:
        return engine.Preamble(client=client)

    @contextmanager
    def handshake(
        self, client: socket.socket, backend: BufferedReader, backend_socket: Path, cancels: engine.CancelRegistry
    ) -> Iterator[bool]:
        yield True

    def describe(self) -> engine.Description:
        return engine.Description(title="x")


@dataclass(frozen=True)
class Hand:
    n: int = 1


class H(engine.Driver[Hand], engine.ConfigDecoder[Hand], engine.Versionless):
    type = "hand"
    spec_type = Hand

    def decode_config(self, body: Body, context: Context, base_dir: Path, version: engine.Version) -> Hand:
        return Hand()

    def resolve(
        self, spec: engine.Version, platform: engine.Platform, lock: engine.Lock, mirror: engine.Mirror
    ) -> engine.Toolchain:
        return engine.Toolchain(engine="x")

    def provision(self, instance: engine.Instance[Hand], toolchain: engine.Toolchain) -> None: ...
    def provisioned(self, data_dir: Path) -> bool:
        return True

    def plan(self, instance: engine.Instance[Hand], toolchain: engine.Toolchain) -> engine.SpawnPlan:
        return engine.SpawnPlan(())

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return None

    def conn_string(self, instance: engine.Instance[Hand], endpoint: engine.Endpoint) -> engine.ConnString:
        return engine.ConnString()


def main() -> None:
    serve("postgres.driver:D")
    serve(D())
    serve(H(), modes={"__serve": "postgres.server:main"})
    serve(3)  # type: ignore[arg-type]
    assert_type(engine.capabilities(D()), frozenset[str])
    with launch(["postgres-plugin"]) as plugin:
        assert_type(plugin.provisioned(Path("/x")), bool)
    assert_type(Pg().role, list[Role])
