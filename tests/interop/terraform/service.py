# ruff: noqa: N802  (gRPC names the methods)
"""A Terraform provider with one resource and one data source: files of the folder that it is configured with."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack

from . import tfplugin6_pb2 as tf, tfplugin6_pb2_grpc

if TYPE_CHECKING:
    import grpc

    from doze_sdk.plugin import kernel

TYPE: Final = "interop_file"
UNKNOWN: Final = msgpack.ExtType(0, b"\0")
"""How Terraform writes a value that is known only after apply."""

log = logging.getLogger("interop")


def decoded(value: tf.DynamicValue) -> Any:
    return msgpack.unpackb(value.msgpack) if value.msgpack else json.loads(value.json)


def encoded(value: object) -> tf.DynamicValue:
    return tf.DynamicValue(msgpack=msgpack.packb(value))


def attribute(name: str, kind: str, **flags: bool) -> tf.Schema.Attribute:
    return tf.Schema.Attribute(name=name, type=json.dumps(kind).encode(), **flags)


def schema(*attributes: tf.Schema.Attribute) -> tf.Schema:
    return tf.Schema(block=tf.Schema.Block(attributes=attributes))


def problem(summary: str, detail: str, name: str) -> tf.Diagnostic:
    path = tf.AttributePath(steps=[tf.AttributePath.Step(attribute_name=name)])
    return tf.Diagnostic(severity=tf.Diagnostic.ERROR, summary=summary, detail=detail, attribute=path)


class Provider(tfplugin6_pb2_grpc.ProviderServicer):
    def __init__(self, note: str) -> None:
        self._note = note
        self._folder = Path()

    def GetProviderSchema(
        self, request: tf.GetProviderSchema.Request, context: grpc.ServicerContext
    ) -> tf.GetProviderSchema.Response:
        resource = schema(
            attribute("name", "string", required=True),
            attribute("content", "string", required=True),
            attribute("id", "string", computed=True),
            attribute("size", "number", computed=True),
        )
        source = schema(attribute("name", "string", required=True), attribute("content", "string", computed=True))
        return tf.GetProviderSchema.Response(
            provider=schema(attribute("folder", "string", required=True)),
            resource_schemas={TYPE: resource},
            data_source_schemas={TYPE: source},
        )

    def ValidateProviderConfig(
        self, request: tf.ValidateProviderConfig.Request, context: grpc.ServicerContext
    ) -> tf.ValidateProviderConfig.Response:
        return tf.ValidateProviderConfig.Response()

    def ValidateResourceConfig(
        self, request: tf.ValidateResourceConfig.Request, context: grpc.ServicerContext
    ) -> tf.ValidateResourceConfig.Response:
        return tf.ValidateResourceConfig.Response(diagnostics=_bad_names(decoded(request.config)))

    def ValidateDataResourceConfig(
        self, request: tf.ValidateDataResourceConfig.Request, context: grpc.ServicerContext
    ) -> tf.ValidateDataResourceConfig.Response:
        return tf.ValidateDataResourceConfig.Response(diagnostics=_bad_names(decoded(request.config)))

    def UpgradeResourceState(
        self, request: tf.UpgradeResourceState.Request, context: grpc.ServicerContext
    ) -> tf.UpgradeResourceState.Response:
        return tf.UpgradeResourceState.Response(upgraded_state=tf.DynamicValue(json=request.raw_state.json))

    def ConfigureProvider(
        self, request: tf.ConfigureProvider.Request, context: grpc.ServicerContext
    ) -> tf.ConfigureProvider.Response:
        self._folder = Path(decoded(request.config)["folder"])
        log.info("configured", extra={"launch": self._note, "terraform": request.terraform_version})
        return tf.ConfigureProvider.Response()

    def ReadResource(self, request: tf.ReadResource.Request, context: grpc.ServicerContext) -> tf.ReadResource.Response:
        state = decoded(request.current_state)
        path = self._folder / state["name"]
        return tf.ReadResource.Response(new_state=encoded(_state(path) if path.exists() else None))

    def PlanResourceChange(
        self, request: tf.PlanResourceChange.Request, context: grpc.ServicerContext
    ) -> tf.PlanResourceChange.Response:
        prior, proposed = decoded(request.prior_state), decoded(request.proposed_new_state)
        if proposed is None or proposed == prior:
            return tf.PlanResourceChange.Response(planned_state=encoded(proposed))
        renamed = prior is not None and prior["name"] != proposed["name"]
        replace = [tf.AttributePath(steps=[tf.AttributePath.Step(attribute_name="name")])] if renamed else []
        identity = UNKNOWN if prior is None or renamed else prior["id"]
        planned = {**proposed, "id": identity, "size": UNKNOWN}
        return tf.PlanResourceChange.Response(planned_state=encoded(planned), requires_replace=replace)

    def ApplyResourceChange(
        self, request: tf.ApplyResourceChange.Request, context: grpc.ServicerContext
    ) -> tf.ApplyResourceChange.Response:
        prior, planned = decoded(request.prior_state), decoded(request.planned_state)
        if planned is None:
            (self._folder / prior["name"]).unlink()
            return tf.ApplyResourceChange.Response(new_state=encoded(None))
        path = self._folder / planned["name"]
        path.write_text(planned["content"])
        log.warning("wrote a file", extra={"path": str(path)})
        return tf.ApplyResourceChange.Response(new_state=encoded(_state(path)))

    def ReadDataSource(
        self, request: tf.ReadDataSource.Request, context: grpc.ServicerContext
    ) -> tf.ReadDataSource.Response:
        name = decoded(request.config)["name"]
        path = self._folder / name
        if not path.exists():
            text = f"The folder {self._folder} has no file {name!r}."
            return tf.ReadDataSource.Response(diagnostics=[problem("There is no such file", text, "name")])
        return tf.ReadDataSource.Response(state=encoded({"name": name, "content": path.read_text()}))

    def StopProvider(self, request: tf.StopProvider.Request, context: grpc.ServicerContext) -> tf.StopProvider.Response:
        return tf.StopProvider.Response()


def _state(path: Path) -> dict[str, object]:
    return {"name": path.name, "content": path.read_text(), "id": str(path), "size": path.stat().st_size}


def _bad_names(config: Any) -> list[tf.Diagnostic]:
    name = config["name"]
    if not isinstance(name, str) or "/" not in name:
        return []
    return [problem("A name cannot be a path", f"The name {name!r} has a slash.", "name")]


def register(note: str, server: grpc.Server, broker: kernel.Broker) -> None:
    tfplugin6_pb2_grpc.add_ProviderServicer_to_server(Provider(note), server)
