"""Every call of the engine contract, made by a Go host, compared with the same driver in this process.

The expected messages are spelled out from the driver's values by hand: the code that converts them is under test too.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest

from doze_sdk.engine import (
    DecodeRequest,
    Dep,
    Endpoint,
    Instance,
    Lock,
    LockEntry,
    NoMirror,
    Object,
    Pin,
    Platform,
    Toolchain,
    Version,
    capabilities,
    decode,
    encode_spec,
)
from doze_sdk.plugin._proto import dozeplugin_v1_pb2
from tests.modules.everything.driver import EXAMPLE, Everything, Settings

from .conftest import opened_workshop
from .hosts import GoHost, HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
METHODS = {method.name for method in dozeplugin_v1_pb2.DESCRIPTOR.services_by_name["Engine"].methods}

TOOLCHAIN = Toolchain(engine="everything", full="2.0.1", bin_dir=Path("/opt/2.0.1/bin"), tools={"ctl": Path("/c")})
ENDPOINT = Endpoint(tcp_addr="127.0.0.1:7000", backend=Path("/run/s.5432"), unix_socket=Path("/run/front"))
PLATFORM = Platform(os="linux", arch="amd64", triple="x86_64-unknown-linux-gnu")
LOCKED = LockEntry(
    engine="everything", spec="2", pin=Pin(resolved="2.9", source="mirror", hashes={"other": "sha256:11"})
)
REMOVED = [Object(kind="item", name="gone", hash="h"), Object(kind="item", name="lost", hash="")]
DEP = Dep(name="db", engine="postgres", socket_dir=Path("/run/db"), backend=Path("/run/db/s"), url="pg://db")

TOOLCHAIN_JSON = {"engine": "everything", "full": "2.0.1", "bin_dir": "/opt/2.0.1/bin", "tools": {"ctl": "/c"}}
ENDPOINT_JSON = {"tcp_addr": "127.0.0.1:7000", "backend": "/run/s.5432", "unix_socket": "/run/front"}
PLATFORM_JSON = {"os": "linux", "arch": "amd64", "triple": "x86_64-unknown-linux-gnu"}
LOCKED_JSON = {
    "engine": "everything",
    "spec": "2",
    "pin": {"resolved": "2.9", "source": "mirror", "hashes": {"other": "sha256:11"}},
}
DEP_JSON = {
    "name": "db",
    "engine": "postgres",
    "socket_dir": "/run/db",
    "backend": "/run/db/s",
    "url": "pg://db",
}


def binary(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Scene:
    """One instance twice: for the driver in this process, and as the message to the plugin."""

    folder: Path
    spec: Settings

    @property
    def driver(self) -> Everything:
        return Everything()

    @property
    def instance(self) -> Instance[Settings]:
        return Instance(
            name="all",
            type="everything",
            version=Version("2"),
            spec=self.spec,
            data_dir=self.folder / "here" / "data",
            socket_dir=self.folder / "here" / "run",
            port=5432,
            endpoint=ENDPOINT,
            deps={"db": DEP},
        )

    @property
    def message(self) -> dict[str, object]:
        return {
            "name": "all",
            "type": "everything",
            "version": "2",
            "data_dir": str(self.folder / "there" / "data"),
            "socket_dir": str(self.folder / "there" / "run"),
            "port": 5432,
            "endpoint": ENDPOINT_JSON,
            "spec": binary(encode_spec(self.spec)),
            "deps": {"db": DEP_JSON},
        }


@dataclass(frozen=True)
class Case:
    """A call: its request, and what the driver in this process makes of the same; both may write below the folder."""

    method: str
    request: Callable[[Scene], dict[str, object]]
    expected: Callable[[Scene], object]
    note: str = ""


def nothing(_: object = None) -> dict[str, object]:
    return {}


def on_instance(scene: Scene) -> dict[str, object]:
    return {"instance": scene.message}


def at_endpoint(scene: Scene) -> dict[str, object]:
    return {"instance": scene.message, "endpoint": ENDPOINT_JSON}


def with_toolchain(scene: Scene) -> dict[str, object]:
    return {"instance": scene.message, "toolchain": TOOLCHAIN_JSON}


def with_both(scene: Scene) -> dict[str, object]:
    return {"instance": scene.message, "toolchain": TOOLCHAIN_JSON, "endpoint": ENDPOINT_JSON}


def in_phase(phase: str) -> Callable[[Scene], dict[str, object]]:
    return lambda scene: {"instance": scene.message, "phase": phase}


def nanoseconds(duration: timedelta) -> str:
    return str(duration // timedelta(microseconds=1) * 1000)


BLOCK = """\
everything "all" {
  version  = var.major
  greeting = "${local.word} wörld"
  item "one" { size = 10000000000 }
}
"""
VARIABLES = {"var": b'{"major":2}', "local": b'{"word":"h\\u003cllo"}'}


def decoded(text: str, variables: Mapping[str, bytes]) -> Callable[[Scene], object]:
    def run(scene: Scene) -> object:
        request = DecodeRequest(
            file=text.encode(),
            filename="doze.hcl",
            block_type="everything",
            block_label="all",
            variables=variables,
            base_dir=Path("/base"),
            version=Version("2"),
        )
        return {"spec": binary(encode_spec(decode(scene.driver, request)))}

    return run


def decode_request(text: str, variables: Mapping[str, bytes]) -> Callable[[Scene], dict[str, object]]:
    return lambda _: {
        "file": binary(text.encode()),
        "filename": "doze.hcl",
        "block_type": "everything",
        "block_label": "all",
        "variables": {name: binary(value) for name, value in variables.items()},
        "base_dir": "/base",
        "engine_version": "2",
    }


def resolved(*locked: LockEntry) -> Callable[[Scene], object]:
    def run(scene: Scene) -> object:
        lock = Lock(locked)
        toolchain = scene.driver.resolve(Version("2"), PLATFORM, lock, NoMirror())
        return {
            "toolchain": {
                "engine": toolchain.engine,
                "full": toolchain.full,
                "bin_dir": str(toolchain.bin_dir),
                "tools": {name: str(path) for name, path in toolchain.tools.items()},
            },
            "recorded": [
                {
                    "engine": entry.engine,
                    "spec": entry.spec,
                    "pin": {
                        "resolved": entry.pin.resolved,
                        "source": entry.pin.source,
                        "hashes": dict(entry.pin.hashes),
                    },
                }
                for entry in lock.recorded
            ],
        }

    return run


def planned(scene: Scene) -> object:
    return {
        "specs": [
            {
                "name": spec.name,
                "dir": str(spec.dir).replace("/here/", "/there/") if spec.dir else "",
                "bin": str(spec.bin),
                "args": list(spec.args),
                # the host's own variables for the plugin never reach a process of the plan
                "env": [pair for pair in spec.env if not pair.startswith("PLUGIN_")],
                "tree": spec.tree,
                "after": list(spec.after),
                "ready": spec.ready
                and {
                    "kind": spec.ready.kind,
                    "target": spec.ready.target,
                    "interval_ns": nanoseconds(spec.ready.interval),
                    "timeout_ns": nanoseconds(spec.ready.timeout),
                    "retries": spec.ready.retries,
                },
                "hooks": list(spec.hooks),
            }
            for spec in scene.driver.plan(scene.instance, TOOLCHAIN).specs
        ]
    }


def attributes(scene: Scene) -> object:
    values = scene.driver.attributes(scene.instance, ENDPOINT)
    return {
        "attrs": {name: binary(json.dumps(value, separators=(",", ":")).encode()) for name, value in values.items()}
    }


def provisioned(scene: Scene) -> object:
    (scene.folder / "there" / "data" / "greeting").write_text("x")
    (scene.folder / "here" / "data" / "greeting").write_text("x")
    return {"provisioned": scene.driver.provisioned(scene.folder / "here" / "data")}


def templated(scene: Scene) -> object:
    scene.driver.ensure_template(TOOLCHAIN, scene.folder / "here" / "template")
    return {}


def cloned(scene: Scene) -> object:
    for side in ("here", "there"):
        (scene.folder / side / "template").mkdir()
        (scene.folder / side / "template" / "greeting").write_text("from the template")
    scene.driver.clone_template(scene.folder / "here" / "template", scene.folder / "here" / "cloned")
    return {}


CASES = [
    Case("Type", nothing, lambda s: {"type": s.driver.type}),
    Case("Capabilities", nothing, lambda s: {"capabilities": sorted(capabilities(s.driver))}),
    Case("DecodeConfig", decode_request(EXAMPLE, {}), decoded(EXAMPLE, {})),
    Case("DecodeConfig", decode_request(BLOCK, VARIABLES), decoded(BLOCK, VARIABLES), "with variables"),
    Case("Resolve", lambda s: {"spec": "2", "platform": PLATFORM_JSON}, resolved()),
    Case(
        "Resolve",
        lambda s: {"spec": "2", "platform": PLATFORM_JSON, "locked": [LOCKED_JSON]},
        resolved(LOCKED),
        "from the lock",
    ),
    Case("Provision", with_toolchain, lambda s: s.driver.provision(s.instance, TOOLCHAIN) or {}),
    Case("Provisioned", lambda s: {"data_dir": str(s.folder / "there" / "data")}, provisioned),
    Case(
        "Provisioned",
        lambda s: {"data_dir": str(s.folder / "there" / "nowhere")},
        lambda s: {"provisioned": s.driver.provisioned(s.folder / "here" / "nowhere")},
        "not yet",
    ),
    Case(
        "BackendSocket",
        lambda s: {"socket_dir": "/run/all", "port": 5432},
        lambda s: {"path": str(s.driver.backend_socket(Path("/run/all"), 5432))},
    ),
    Case("ConnString", at_endpoint, lambda s: vars_of(s.driver.conn_string(s.instance, ENDPOINT), "env_var", "url")),
    Case("Plan", with_toolchain, planned),
    Case("Converge", with_both, lambda s: s.driver.converge(s.instance, TOOLCHAIN, ENDPOINT) or {}),
    Case(
        "Objects",
        on_instance,
        lambda s: {"objects": [vars_of(item, "kind", "name", "hash") for item in s.driver.objects(s.instance)]},
    ),
    Case(
        "Prune",
        lambda s: {**with_both(s), "removed": [vars_of(item, "kind", "name", "hash") for item in REMOVED]},
        lambda s: s.driver.prune(s.instance, TOOLCHAIN, ENDPOINT, REMOVED) or {},
    ),
    Case("Attributes", at_endpoint, attributes),
    Case("BackendURL", on_instance, lambda s: {"url": s.driver.backend_url(s.instance)}),
    Case("Supervised", on_instance, lambda s: {"supervised": s.driver.supervised(s.instance)}),
    Case("Hook", in_phase("pre_start"), lambda s: s.driver.pre_start(s.instance) or {}, "pre_start"),
    Case("Hook", in_phase("post_start"), lambda s: s.driver.post_start(s.instance) or {}, "post_start"),
    Case("Hook", in_phase("pre_stop"), lambda s: s.driver.pre_stop(s.instance) or {}, "pre_stop"),
    Case("CheckHealth", on_instance, lambda s: s.driver.check_health(s.instance) or {}),
    Case(
        "RestartPolicy",
        on_instance,
        lambda s: {
            "policy": s.driver.restart_policy(s.instance).policy,
            "backoff_ns": nanoseconds(s.driver.restart_policy(s.instance).backoff),
            "max_retries": s.driver.restart_policy(s.instance).max_retries,
        },
    ),
    Case("AdvertisedAddr", on_instance, lambda s: {"addr": s.driver.advertised_addr(s.instance), "ok": True}),
    Case(
        "EnsureTemplate",
        lambda s: {"toolchain": TOOLCHAIN_JSON, "template_dir": str(s.folder / "there" / "template")},
        templated,
    ),
    Case(
        "CloneTemplate",
        lambda s: {
            "template_dir": str(s.folder / "there" / "template"),
            "dest_dir": str(s.folder / "there" / "cloned"),
        },
        cloned,
    ),
    Case("WireAddr", nothing, lambda s: {"path": ANY}),
    Case(
        "Actions",
        nothing,
        lambda s: {
            "actions": [
                vars_of(item, "id", "label", "kind", "destructive", "input_hint") for item in s.driver.actions()
            ]
        },
    ),
    Case(
        "Resources",
        at_endpoint,
        lambda s: {
            "resources": [
                vars_of(item, "kind", "name", "status", "info") for item in s.driver.resources(s.instance, ENDPOINT)
            ]
        },
    ),
    Case(
        "RunAction",
        lambda s: {**at_endpoint(s), "action": "drop", "resource": "one", "input": "because"},
        lambda s: {"result": s.driver.run(s.instance, ENDPOINT, "drop", "one", "because")},
    ),
]


def vars_of(value: object, *names: str) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


def tree(folder: Path) -> dict[str, object]:
    """Every file below `folder` with its content, every folder with its permissions."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else oct(path.stat().st_mode)
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoHost]:
    """A Go host of the engine contract with the module that has every capability."""
    folder = tmp_path_factory.mktemp("engine")
    with (
        opened_workshop(lambda: request.getfixturevalue("go_program"), folder) as workshop,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("DOZE_HOME", str(folder))
        host = workshop.host("go")
        assert isinstance(host, GoHost)
        host.start_engine([sys.executable, "-m", "tests.modules.everything"])
        yield host


@pytest.fixture
def scene(short_dir: Path) -> Scene:
    for side in ("here", "there"):
        (short_dir / side / "data").mkdir(parents=True)
    request = DecodeRequest(
        file=EXAMPLE.encode(), block_type="everything", block_label="all", base_dir=Path("/"), version=Version("2")
    )
    spec = decode(Everything(), request)
    assert isinstance(spec, Settings)
    return Scene(short_dir, spec)


def test_the_cases_below_cover_every_call_of_the_contract():
    assert {case.method for case in CASES} == METHODS
    assert len(METHODS) == 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.note}".strip())
def test_a_call_from_go_has_the_result_and_the_effects_of_the_driver_in_this_process(
    engine: GoHost, scene: Scene, case: Case
):
    expected = case.expected(scene)

    answer = engine.invoke(case.method, case.request(scene))

    assert answer == expected
    assert tree(scene.folder / "there") == tree(scene.folder / "here")


def test_the_wire_address_is_a_socket_that_answers(engine: GoHost):
    address = engine.invoke("WireAddr", {})["path"]

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def test_the_words_of_an_exception_reach_the_go_host_with_their_place(engine: GoHost, scene: Scene):
    sick = Scene(scene.folder, Settings(greeting="hello", sick="the pump is dry"))

    with pytest.raises(HostError, match=r"the pump is dry \(.*everything/driver\.py:\d+\)"):
        engine.invoke("CheckHealth", on_instance(sick))


def test_a_mistake_in_the_config_reaches_the_go_host_with_its_position(engine: GoHost, scene: Scene):
    request = decode_request(EXAMPLE.replace("greeting", "greting"), {})

    with pytest.raises(HostError, match=r'doze\.hcl:4,3-10: Unsupported argument; .*Did you mean "greeting"\?'):
        engine.invoke("DecodeConfig", request(scene))


def test_without_a_spec_an_inventory_is_refused_and_never_empty(engine: GoHost, scene: Scene):
    unknown: dict[str, Any] = {**scene.message, "name": "never seen", "spec": ""}

    with pytest.raises(HostError) as caught:
        engine.invoke("Objects", {"instance": unknown})

    assert caught.value.code == "FailedPrecondition"
