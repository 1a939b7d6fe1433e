from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from doze_sdk.engine import (
    RESERVED_TYPES,
    ConnString,
    Driver,
    DriverError,
    Endpoint,
    EngineError,
    Instance,
    Lock,
    Mirror,
    Platform,
    SpawnPlan,
    Toolchain,
    Version,
)

if TYPE_CHECKING:
    from pathlib import Path


class Plain(Driver[None]):
    """A driver with nothing but what each must have."""

    type = "plain"

    def resolve(self, spec: Version, platform: Platform, lock: Lock, mirror: Mirror) -> Toolchain:
        return Toolchain(engine="plain")

    def provision(self, instance: Instance[None], toolchain: Toolchain) -> None:
        pass

    def provisioned(self, data_dir: Path) -> bool:
        return True

    def plan(self, instance: Instance[None], toolchain: Toolchain) -> SpawnPlan:
        return SpawnPlan(())

    def backend_socket(self, socket_dir: Path, port: int) -> Path | None:
        return None

    def conn_string(self, instance: Instance[None], endpoint: Endpoint) -> ConnString:
        return ConnString()


def test_a_driver_with_the_seven_members_can_be_made() -> None:
    assert Plain().type == "plain"
    assert Plain().config is None


@pytest.mark.parametrize("method", ["resolve", "provision", "provisioned", "plan", "backend_socket", "conn_string"])
def test_a_driver_that_lacks_a_method_cannot_be_made(method: str) -> None:
    lacking = type("Lacking", (Plain,), {method: getattr(Driver, method)})
    with pytest.raises(TypeError, match=method):
        lacking()


@pytest.mark.parametrize("name", sorted(RESERVED_TYPES))
def test_a_type_that_the_host_reserves_is_refused_when_the_class_is_defined(name: str) -> None:
    with pytest.raises(DriverError, match=rf"^driver Mine: type: '{name}' is reserved by the host$"):
        type("Mine", (Plain,), {"type": name})


@pytest.mark.parametrize("name", ["", "My-Engine", "9p"])
def test_a_type_that_is_no_keyword_is_refused_when_the_class_is_defined(name: str) -> None:
    with pytest.raises(
        DriverError, match=rf"^driver Mine: type: expected \[a-z\]\[a-z0-9_\]\*, got {re.escape(repr(name))}"
    ):
        type("Mine", (Plain,), {"type": name})


def test_a_type_that_is_no_text_is_refused() -> None:
    with pytest.raises(DriverError, match="driver Mine: type: expected a text, got 3"):
        type("Mine", (Plain,), {"type": 3})


def test_an_abstract_class_between_needs_no_type() -> None:
    class Family(Driver[None]):
        pass

    class Member(Plain, Family):
        type = "member"

    assert Member().type == "member"


def test_the_error_is_one_of_the_engine_package() -> None:
    assert issubclass(DriverError, EngineError)
    assert DriverError.__module__ == "doze_sdk.engine"
