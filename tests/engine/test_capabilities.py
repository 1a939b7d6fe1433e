from __future__ import annotations

import pytest

from doze_sdk import engine
from doze_sdk.engine import Advertised, DecodeRequest, capabilities
from tests.engine.test_driver import Plain

STRINGS = {
    "Versionless": "versionless",
    "Converger": "converger",
    "Inventory": "inventory",
    "Pruner": "pruner",
    "Templater": "templater",
    "Attributer": "attributer",
    "BackendProvider": "backend_url",
    "Lifecycle": "lifecycle",
    "Hooked": "hooked",
    "HealthChecker": "health",
    "Restartable": "restartable",
    "PortBinder": "port_binder",
    "ProxyFilter": "proxy_filter",
    "Admin": "admin",
}


def with_capability(*names: str) -> Plain:
    """A driver with these mix-ins, whose abstract methods are there and do nothing."""
    kinds = tuple(getattr(engine, name) for name in names)
    methods = {
        method: lambda self, *args: None for kind in kinds for method in getattr(kind, "__abstractmethods__", ())
    }
    driver: Plain = type("Mixed", (Plain, *kinds), methods)()
    return driver


def test_a_plain_driver_offers_its_plan() -> None:
    assert capabilities(Plain()) == {"spawner"}


@pytest.mark.parametrize(("name", "string"), STRINGS.items())
def test_a_mix_in_is_a_capability(name: str, string: str) -> None:
    assert capabilities(with_capability(name)) == {"spawner", string}


def test_all_mix_ins_are_all_strings() -> None:
    assert capabilities(with_capability(*STRINGS)) == {"spawner", *STRINGS.values()}


@pytest.mark.parametrize("name", ["Describer", "ConfigDecoder", "SlowBooter", "ErrorWriter"])
def test_what_has_no_string_does_not_cross_the_wire(name: str) -> None:
    assert capabilities(with_capability(name)) == {"spawner"}


@pytest.mark.parametrize("name", sorted(set(STRINGS) - {"Versionless", "Hooked"}))
def test_a_mix_in_demands_its_methods(name: str) -> None:
    lacking = type("Lacking", (Plain, getattr(engine, name)), {})
    with pytest.raises(TypeError, match="abstract"):
        lacking()


def test_hooks_are_overridden_one_by_one() -> None:
    hooked = with_capability("Hooked")
    for phase in ("pre_start", "post_start", "pre_stop"):
        getattr(hooked, phase)(None)


def test_a_launched_plugin_offers_what_it_advertised_whatever_its_class_can_do() -> None:
    class Remote(Plain, Advertised):
        @property
        def advertised(self) -> frozenset[str]:
            return frozenset({"spawner", "from_the_future"})

        def decode(self, request: DecodeRequest) -> object:
            return b""

        def converge(self) -> None:
            pass

    assert capabilities(Remote()) == {"spawner", "from_the_future"}
