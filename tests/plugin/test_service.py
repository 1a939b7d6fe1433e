"""What the host is told when a driver raises or a call has no spec: first of all, nothing that loses data."""

from __future__ import annotations

import json
import os
import sys
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from doze_sdk.engine import (
    Config,
    ConnString,
    Driver,
    DriverError,
    Endpoint,
    EngineError,
    Instance,
    Object,
    SpawnPlan,
    SpawnSpec,
    Toolchain,
    attr,
    encode_spec,
)
from doze_sdk.plugin._proto import dozeplugin_v1_pb2 as pb
from doze_sdk.plugin._service import EngineService, PreconditionError
from tests.modules.everything.driver import Everything, Item, Settings

SPEC = encode_spec(Settings(greeting="hello", item=[Item(name="one")]))


class BrokenError(RuntimeError):
    """What these drivers raise: nothing that the SDK knows."""


def instance(spec: bytes = SPEC, name: str = "all", **fields: object) -> pb.Instance:
    return pb.Instance(name=name, type="everything", version="2", spec=spec, **fields)


def decode_request(body: str, label: str = "all", **fields: object) -> pb.DecodeRequest:
    file = f'everything "{label}" {{\n{body}\n}}\n'.encode()
    return pb.DecodeRequest(file=file, block_type="everything", block_label=label, base_dir="/", **fields)


# -- an inventory that cannot be named


class UnnamedObjects(Everything):
    def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
        raise BrokenError("no inventory today")


def test_a_config_whose_objects_cannot_be_named_is_refused_when_it_is_decoded() -> None:
    with pytest.raises(BrokenError, match="no inventory today"):
        EngineService(UnnamedObjects()).decode_config(decode_request(""))


def test_an_inventory_that_raises_is_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(BrokenError):
        EngineService(UnnamedObjects()).objects(pb.ObjectsRequest(instance=instance()))


def test_nothing_is_pruned_after_an_inventory_raised(tmp_path: Path) -> None:
    class Once(Everything):
        calls = 0

        def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
            type(self).calls += 1
            if self.calls == 1:
                raise BrokenError("only this once")
            return super().objects(instance)

    service = EngineService(Once())
    with pytest.raises(BrokenError):
        service.objects(pb.ObjectsRequest(instance=instance()))
    service.objects(pb.ObjectsRequest(instance=instance()))
    removed = [pb.Object(kind="item", name="one")]

    with pytest.raises(PreconditionError, match="doze down && doze up"):
        service.prune(pb.PruneRequest(instance=instance(data_dir=str(tmp_path)), removed=removed))

    assert not (tmp_path / "pruned").exists()


def test_another_instance_is_pruned_all_the_same(tmp_path: Path) -> None:
    class OneSick(Everything):
        def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
            if instance.name == "sick":
                raise BrokenError("sick")
            return super().objects(instance)

    service = EngineService(OneSick())
    with pytest.raises(BrokenError):
        service.objects(pb.ObjectsRequest(instance=instance(name="sick")))

    service.prune(
        pb.PruneRequest(instance=instance(data_dir=str(tmp_path)), removed=[pb.Object(kind="item", name="x")])
    )

    assert (tmp_path / "pruned").read_text() == "x"


def test_objects_without_a_spec_are_an_error_and_block_pruning() -> None:
    service = EngineService(Everything())

    with pytest.raises(PreconditionError, match="'all'"):
        service.objects(pb.ObjectsRequest(instance=instance(b"")))
    with pytest.raises(PreconditionError):
        service.prune(pb.PruneRequest(instance=instance(), removed=[pb.Object(kind="item", name="x")]))


# -- a data folder that is there


class UnsureAboutData(Everything):
    def provisioned(self, data_dir: Path) -> bool:
        raise BrokenError("cannot tell")


def test_a_question_that_raises_is_answered_by_what_the_folder_holds(tmp_path: Path) -> None:
    service = EngineService(UnsureAboutData())
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir()
    empty.mkdir()
    (full / "x").touch()

    answers = [
        service.provisioned(pb.ProvisionedRequest(data_dir=str(folder))).provisioned
        for folder in (full, empty, tmp_path / "absent")
    ]

    assert answers == [True, False, False]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder; CI and people are not root")
def test_a_folder_that_cannot_be_looked_into_counts_as_provisioned(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)

    answer = EngineService(UnsureAboutData()).provisioned(pb.ProvisionedRequest(data_dir=str(locked)))

    assert answer.provisioned


def test_half_a_data_directory_counts_as_provisioned_for_an_engine_with_templates(tmp_path: Path) -> None:
    (tmp_path / "half").touch()

    answer = EngineService(Everything()).provisioned(pb.ProvisionedRequest(data_dir=str(tmp_path)))

    assert answer.provisioned, "the host would clone a template over it, and delete it when that fails"


def test_a_template_is_not_cloned_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    template, data = tmp_path / "template", tmp_path / "data"
    template.mkdir()
    data.mkdir()
    (template / "greeting").write_text("template")
    (data / "precious").write_text("rows")

    EngineService(Everything()).clone_template(pb.CloneTemplateRequest(template_dir=str(template), dest_dir=str(data)))

    assert sorted(path.name for path in data.iterdir()) == ["precious"]


def test_a_clone_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    class Interrupted(Everything):
        def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
            dest_dir.mkdir()
            (dest_dir / "half").touch()
            raise BrokenError("disk full")

    with pytest.raises(BrokenError):
        EngineService(Interrupted()).clone_template(
            pb.CloneTemplateRequest(template_dir=str(tmp_path), dest_dir=str(tmp_path / "data"))
        )

    assert list(tmp_path.iterdir()) == []


# -- calls without a spec


def test_a_call_without_a_spec_uses_the_one_that_was_decoded() -> None:
    service = EngineService(Everything())
    service.decode_config(decode_request('greeting = "decoded"'))

    answer = service.conn_string(pb.ConnStringRequest(instance=instance(b""), endpoint=pb.Endpoint(tcp_addr="h:1")))

    assert answer.url == "all://h:1/decoded"


def test_a_call_without_a_spec_uses_the_last_one_that_another_call_carried() -> None:
    service = EngineService(Everything())
    service.backend_url(pb.BackendURLRequest(instance=instance()))

    answer = service.conn_string(pb.ConnStringRequest(instance=instance(b"")))

    assert answer.url == "all:///hello"


def test_the_spec_of_a_stamped_block_is_not_taken_for_an_instance_of_the_blocks_name() -> None:
    service = EngineService(Everything())
    service.decode_config(decode_request('greeting = "eu"', variables={"each": b'{"key":"eu","value":"eu"}'}))

    assert service.conn_string(pb.ConnStringRequest(instance=instance(b""))).url == "all:///hi"


def test_a_spec_of_an_unknown_format_counts_as_none(tmp_path: Path) -> None:
    service = EngineService(Everything())

    with pytest.raises(PreconditionError, match="doze down && doze up"):
        service.provision(pb.ProvisionRequest(instance=instance(b"gob\x00bytes", data_dir=str(tmp_path))))


@pytest.mark.parametrize("call", ["provision", "plan", "converge", "prune", "hook", "resources", "run_action"])
def test_what_could_change_data_is_refused_without_a_spec(call: str, tmp_path: Path) -> None:
    service = EngineService(Everything())
    requests = {
        "provision": pb.ProvisionRequest,
        "plan": pb.PlanRequest,
        "converge": pb.ConvergeRequest,
        "prune": pb.PruneRequest,
        "hook": pb.HookRequest,
        "resources": pb.ResourcesRequest,
        "run_action": pb.RunActionRequest,
    }
    request = requests[call](instance=instance(b"", data_dir=str(tmp_path), socket_dir="/tmp/s"))
    if call == "hook":
        request.phase = "pre_start"

    with pytest.raises(PreconditionError, match="'all'"):
        getattr(service, call)(request)

    assert list(tmp_path.iterdir()) == []


class Needy(Driver[Settings]):
    """A driver whose config has no defaults to fall back on."""

    class Required(Config):
        name: str = attr(doc="Required.")

    type = "everything"
    config = Required
    resolve = Everything.resolve
    provision = Everything.provision
    provisioned = Everything.provisioned
    plan = Everything.plan
    backend_socket = Everything.backend_socket

    def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
        raise AssertionError("asked without a spec")


def test_without_any_spec_there_is_no_url_and_no_error() -> None:
    answer = EngineService(Needy()).conn_string(pb.ConnStringRequest(instance=instance(b"")))

    assert (answer.env_var, answer.url) == ("", "")


def test_a_driver_that_raises_for_its_defaults_gives_no_url_and_no_error() -> None:
    class Picky(Everything):
        def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
            raise BrokenError("no address")

    answer = EngineService(Picky()).conn_string(pb.ConnStringRequest(instance=instance(b"")))

    assert answer.url == ""


def test_supervised_repeats_the_answer_that_it_gave_with_a_spec() -> None:
    service = EngineService(Everything())
    supervised = encode_spec(Settings(greeting="supervise me", item=[]))

    first = service.supervised(pb.SupervisedRequest(instance=instance(supervised))).supervised
    again = service.supervised(pb.SupervisedRequest(instance=instance(b""))).supervised

    assert (first, again) == (True, True)


def test_supervised_without_any_spec_is_false_for_a_driver_that_raises() -> None:
    class Unsure(Everything):
        def supervised(self, instance: Instance[Settings]) -> bool:
            raise BrokenError("who knows")

    answer = EngineService(Unsure()).supervised(pb.SupervisedRequest(instance=instance(b"")))

    assert not answer.supervised


def test_health_without_a_spec_is_good() -> None:
    class Sick(Needy, Everything):
        conn_string = Needy.conn_string

        def check_health(self, instance: Instance[Settings]) -> None:
            raise BrokenError("sick")

    service = EngineService(Sick())
    service.check_health(pb.HealthRequest(instance=instance(b"")))

    with pytest.raises(BrokenError, match="sick"):
        service.check_health(pb.HealthRequest(instance=instance(encode_spec(Needy.Required(name="x")))))


# -- plans


def test_a_plan_never_hands_the_plugins_variables_to_an_engine(tmp_path: Path) -> None:
    class Leaky(Everything):
        def plan(self, instance: Instance[Settings], toolchain: Toolchain) -> SpawnPlan:
            env = ("DOZE_PLUGIN=engine", "PLUGIN_MIN_PORT=1", "PLUGIN_CLIENT_CERT=x", "KEPT=yes", "MY_PLUGIN=kept")
            return SpawnPlan.single(SpawnSpec(name="x", bin="/bin/true", env=env))

    request = pb.PlanRequest(instance=instance(data_dir=str(tmp_path), socket_dir="/tmp/s"))
    plan = EngineService(Leaky()).plan(request)

    assert list(plan.specs[0].env) == ["KEPT=yes", "MY_PLUGIN=kept"]


def test_readiness_crosses_with_a_short_interval_and_a_budget_of_thirty_seconds() -> None:
    toolchain = pb.Toolchain(tools={"ctl": "/bin/true"})
    plan = EngineService(Everything()).plan(pb.PlanRequest(instance=instance(socket_dir="/tmp/s"), toolchain=toolchain))
    ready = plan.specs[0].ready

    assert ready.interval_ns == 20_000_000
    assert ready.interval_ns * ready.retries == 30_000_000_000


@pytest.mark.parametrize("call", ["provision", "plan"])
def test_a_socket_path_over_the_limit_is_refused_before_anything_boots(call: str, tmp_path: Path) -> None:
    request = {"provision": pb.ProvisionRequest, "plan": pb.PlanRequest}[call](
        instance=instance(data_dir=str(tmp_path / "data"), socket_dir="/tmp/" + "x" * 120)
    )

    with pytest.raises(EngineError, match="107"):
        getattr(EngineService(Everything()), call)(request)

    assert not (tmp_path / "data").exists()


def test_attributes_cross_as_the_languages_values() -> None:
    class Rich(Everything):
        def attributes(self, instance: Instance[Settings], endpoint: Endpoint) -> Mapping[str, object]:
            return {"all": (None, True, 1, 0.5, MappingProxyType({"ö": "<"}))}

    answer = EngineService(Rich()).attributes(pb.AttributesRequest(instance=instance()))

    assert json.loads(answer.attrs["all"]) == [None, True, 1, 0.5, {"ö": "<"}]


# -- what authors get wrong


@pytest.mark.parametrize("answer", [None, [], ["file"], 0, ""])
def test_an_answer_of_another_type_never_reads_as_empty(answer: object, tmp_path: Path) -> None:
    class Sloppy(Everything):
        def provisioned(self, data_dir: Path) -> bool:
            return answer

    (tmp_path / "data").touch()

    assert EngineService(Sloppy()).provisioned(pb.ProvisionedRequest(data_dir=str(tmp_path))).provisioned


@pytest.mark.parametrize("error", [SystemExit("bye"), KeyboardInterrupt(), CancelledError()])
def test_a_question_that_ends_the_program_is_answered_by_what_the_folder_holds(
    error: BaseException, tmp_path: Path
) -> None:
    class Leaving(Everything):
        def provisioned(self, data_dir: Path) -> bool:
            raise error

    (tmp_path / "data").touch()

    assert EngineService(Leaving()).provisioned(pb.ProvisionedRequest(data_dir=str(tmp_path))).provisioned


def test_nothing_is_pruned_after_an_inventory_ended_the_program() -> None:
    class Leaving(Everything):
        def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
            sys.exit("bye")

    service = EngineService(Leaving())
    with pytest.raises(SystemExit):
        service.objects(pb.ObjectsRequest(instance=instance()))

    with pytest.raises(PreconditionError):
        service.prune(pb.PruneRequest(instance=instance(), removed=[pb.Object(kind="item", name="one")]))


def test_an_inventory_that_is_no_list_is_refused_when_the_block_is_decoded() -> None:
    class Lazy(Everything):
        def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
            return (1 / 0 for _ in "a")

    with pytest.raises(DriverError, match=r"objects\(\) returned a wrong value: expected a list or tuple"):
        EngineService(Lazy()).decode_config(decode_request(""))


@pytest.mark.parametrize(
    ("call", "method", "request_"),
    [
        ("resolve", "resolve", pb.ResolveRequest(spec="2")),
        ("plan", "plan", pb.PlanRequest(instance=instance(socket_dir="/tmp/s"))),
        ("backend_socket", "backend_socket", pb.BackendSocketRequest(socket_dir="/tmp/s")),
        ("conn_string", "conn_string", pb.ConnStringRequest(instance=instance())),
        ("objects", "objects", pb.ObjectsRequest(instance=instance())),
        ("attributes", "attributes", pb.AttributesRequest(instance=instance())),
        ("backend_url", "backend_url", pb.BackendURLRequest(instance=instance())),
        ("supervised", "supervised", pb.SupervisedRequest(instance=instance())),
        ("restart_policy", "restart_policy", pb.RestartPolicyRequest(instance=instance())),
        ("advertised_addr", "advertised_addr", pb.AddrRequest(instance=instance())),
        ("resources", "resources", pb.ResourcesRequest(instance=instance())),
        ("actions", "actions", pb.Empty()),
        ("run_action", "run", pb.RunActionRequest(instance=instance())),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_method_that_returns_something_else_is_named(call: str, method: str, request_: object) -> None:
    wrong = type("Wrong", (Everything,), {method: lambda *_arguments: object()})()

    with pytest.raises(DriverError, match=rf"^{method}\(\) returned a wrong value: expected "):
        getattr(EngineService(wrong), call)(request_)


def test_a_method_that_changes_its_instances_spec_changes_it_for_nobody_else() -> None:
    class Meddling(Everything):
        def objects(self, instance: Instance[Settings]) -> Sequence[Object]:
            return [Object(kind="item", name=instance.spec.item.pop().name)]

    service = EngineService(Meddling())
    spec = service.decode_config(decode_request('item "one" {}')).spec
    request = pb.ObjectsRequest(instance=instance(spec))

    assert service.objects(request) == service.objects(request)
    assert spec == encode_spec(Settings(item=[Item(name="one")]))


# -- templates, again


def test_a_templater_that_makes_nothing_is_told_so(tmp_path: Path) -> None:
    class Idle(Everything):
        def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
            pass

    with pytest.raises(DriverError, match=r"clone_template\(\) made no folder"):
        EngineService(Idle()).clone_template(
            pb.CloneTemplateRequest(template_dir=str(tmp_path), dest_dir=str(tmp_path / "data"))
        )

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_filled_while_its_clone_is_made_is_left_alone(tmp_path: Path) -> None:
    destination = tmp_path / "data"

    class Slow(Everything):
        def clone_template(self, template_dir: Path, dest_dir: Path) -> None:
            dest_dir.mkdir()
            destination.mkdir()
            (destination / "live").touch()

    EngineService(Slow()).clone_template(pb.CloneTemplateRequest(template_dir=str(tmp_path), dest_dir=str(destination)))

    assert [path.name for path in tmp_path.rglob("*")] == ["data", "live"]


def test_a_file_where_the_data_folder_should_be_is_not_cloned_over(tmp_path: Path) -> None:
    destination = tmp_path / "data"
    destination.write_text("precious")
    service = EngineService(Everything())

    service.clone_template(pb.CloneTemplateRequest(template_dir=str(tmp_path), dest_dir=str(destination)))

    assert destination.read_text() == "precious"
    assert service.provisioned(pb.ProvisionedRequest(data_dir=str(destination))).provisioned


# -- a spec that another release wrote


OLD = b"gob\x00bytes"


def test_without_a_readable_spec_a_driver_that_raises_gives_no_url_and_no_error() -> None:
    class Picky(Everything):
        def conn_string(self, instance: Instance[Settings], endpoint: Endpoint) -> ConnString:
            raise BrokenError("no address")

    assert EngineService(Picky()).conn_string(pb.ConnStringRequest(instance=instance(OLD))).url == ""


def test_supervised_repeats_its_answer_for_a_spec_that_it_cannot_read() -> None:
    service = EngineService(Everything())
    supervised = encode_spec(Settings(greeting="supervise me", item=[]))
    service.supervised(pb.SupervisedRequest(instance=instance(supervised)))
    service.decode_config(decode_request('greeting = "other"'))

    assert service.supervised(pb.SupervisedRequest(instance=instance(OLD))).supervised
