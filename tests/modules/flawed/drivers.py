"""A driver that keeps the contract, and one for each way in which a driver may not. The variable FLAW chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doze_sdk.engine import (
    Config,
    ConfigArg,
    ConfigDecoder,
    ConnString,
    Converger,
    Describer,
    Description,
    Driver,
    Endpoint,
    EngineError,
    HealthChecker,
    Instance,
    Inventory,
    Lock,
    Mirror,
    Object,
    Platform,
    Pruner,
    SpawnPlan,
    SpawnSpec,
    Toolchain,
    Version,
    Versionless,
    attr,
)
from doze_sdk.hcl import Body, Context, evaluate

EXAMPLE = """\
flawed "one" {
  port  = 7401
  words = ["a", "b"]
}
"""
PAGE = Description(
    title="Flawed",
    tagline="It has a flaw",
    category="test",
    description="A module of the tests.",
    port=7401,
    example=EXAMPLE,
    example_label="one",
)


class Settings(Config):
    words: list[str] = attr([], doc="What it knows.")


class _Plain(Driver[Settings], Versionless, Describer):
    """What every one of them answers."""

    type = "flawed"
    config = Settings
    page = PAGE

    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:
        return Toolchain(engine="flawed")

    def provision(self, instance: Instance[Settings], toolchain: Toolchain) -> None: ...

    def provisioned(self, data_dir: Path) -> bool:
        return True

    def plan(self, instance: Instance[Settings], toolchain: Toolchain) -> SpawnPlan:
        return SpawnPlan.single(SpawnSpec(name="main", bin="/bin/true"))

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return socket_dir / "s"

    def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
        return ConnString(env_var="FLAWED", url=f"flawed://{endpoint.tcp_addr}")

    def describe(self) -> Description:
        return self.page


class _Objects(Inventory[Settings]):
    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        return [Object(kind="word", name=word) for word in instance.spec.words]


class _Prunes(Pruner[Settings]):
    def prune(
        self, instance: Instance[Settings], toolchain: Toolchain, endpoint: Endpoint, removed: Sequence[Object]
    ) -> None: ...


class _Converges(Converger[Settings]):
    def converge(self, instance: Instance[Settings], toolchain: Toolchain, endpoint: Endpoint) -> None: ...


class Sound(_Plain, _Converges, _Objects, _Prunes):
    pass


# -- what it prints


class PrintsWhileServing(Sound):
    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        print("asked for the socket")
        return super().backend_socket(socket_dir, port)


# -- the description


class IncompletePage(Sound):
    page = replace(PAGE, tagline="", category="")


class UndescribedArgument(Sound):
    page = replace(PAGE, config=(ConfigArg(name="words", type="list(string)"),))


class ForgottenArgument(Sound):
    page = replace(PAGE, config=(ConfigArg(name="others", type="string", desc="Not the one of the example."),))


class RaisingPage(Sound):
    def describe(self) -> Description:
        raise RuntimeError("the page is blank")


class VersionsOfAVersionless(Sound):
    page = replace(PAGE, versions=("1",))


# -- the example


class WrongLabel(Sound):
    page = replace(PAGE, example_label="two")


class BrokenExample(Sound):
    page = replace(PAGE, example=EXAMPLE.replace("words", "wrods"))


class UnparsableExample(Sound):
    page = replace(PAGE, example="flawed {{")


class ExampleWithoutPort(Sound):
    page = replace(PAGE, example=EXAMPLE.replace("port", "# port"))


# -- capabilities


class PrunerWithoutInventory(_Plain, _Converges, _Prunes):
    pass


class InventoryWithoutConverger(_Plain, _Objects, _Prunes):
    pass


class InventoryWithoutPruner(_Plain, _Converges, _Objects):
    pass


class HealthWithoutLifecycle(Sound, HealthChecker[Settings]):
    def check_health(self, instance: Instance[Settings]) -> None: ...


class NoSocket(Sound):
    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return None


# -- answers


class OwnAddress(Sound):
    def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
        return ConnString(env_var="FLAWED", url="flawed://localhost")


class NamesFolders(Sound):
    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        return [Object(kind="word", name=str(instance.data_dir / word)) for word in instance.spec.words]


class NeedsFolders(Sound):
    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        names = (instance.data_dir / "no such file of the tests").read_text().split()
        return [Object(kind="word", name=name) for name in names]


class UnorderedObjects(Sound):
    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        return [Object(kind="word", name=word) for word in set("abcdefg")]


# -- decoding by hand


@dataclass(frozen=True)
class Spec:
    words: tuple[str, ...]


class _ByHand(_Plain, ConfigDecoder[Settings]):
    config = None
    spec_type = Spec
    page = replace(PAGE, config=(ConfigArg(name="words", type="list(string)", desc="What it knows."),))

    def decode_config(self, body: Body, context: Context, base_dir: Path, version: Version) -> Spec:
        values: Mapping[str, object] = {
            name: evaluate(attribute.expression, context) for name, attribute in body.attributes.items()
        }
        self.check(values)
        words = values.get("words")
        return Spec(tuple(map(str, words)) if isinstance(words, tuple) else ())

    def check(self, values: Mapping[str, object]) -> None: ...


class TakesEverything(_ByHand):
    pass


class RefusesWithoutAPlace(_ByHand):
    def check(self, values: Mapping[str, object]) -> None:
        if set(values) > {"words"}:
            raise EngineError(f"unknown: {', '.join(values)}")


class DescribesAStranger(Sound):
    page = replace(
        PAGE,
        config=(
            ConfigArg(name="words", type="list(string)", desc="What it knows."),
            ConfigArg(name="stranger", type="string", desc="Nobody knows it."),
        ),
    )


class UnorderedSpec(_ByHand):
    def check(self, values: Mapping[str, object]) -> None:
        if "no_such_argument_xyz" in values:
            raise EngineError("example.hcl:2,3: no_such_argument_xyz is unknown")

    def decode_config(self, body: Body, context: Context, base_dir: Path, version: Version) -> Spec:
        super().decode_config(body, context, base_dir, version)
        return Spec(tuple(set("abcdefg")))


# -- several at once


class Hopeless(_Plain, _Objects, HealthChecker[Settings]):
    page = replace(PAGE, title="", versions=("1",), config=(ConfigArg(name="stranger", type="string"),))

    def check_health(self, instance: Instance[Settings]) -> None: ...

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        print("noise")
        return None

    conn_string = OwnAddress.conn_string

    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        return [Object(kind="word", name=word) for word in {*"abcdef", str(instance.data_dir)}]
