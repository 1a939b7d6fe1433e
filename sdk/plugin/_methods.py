"""The RPCs of the Engine service: name, request, response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._proto import dozeplugin_v1_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

METHODS: dict[str, tuple[type[Message], type[Message]]] = {
    "Type": (pb.Empty, pb.TypeResponse),
    "Capabilities": (pb.Empty, pb.CapabilitiesResponse),
    "DecodeConfig": (pb.DecodeRequest, pb.DecodeResponse),
    "Resolve": (pb.ResolveRequest, pb.ResolveResponse),
    "Provision": (pb.ProvisionRequest, pb.Empty),
    "Provisioned": (pb.ProvisionedRequest, pb.ProvisionedResponse),
    "BackendSocket": (pb.BackendSocketRequest, pb.BackendSocketResponse),
    "ConnString": (pb.ConnStringRequest, pb.ConnStringResponse),
    "Plan": (pb.PlanRequest, pb.SpawnPlan),
    "Converge": (pb.ConvergeRequest, pb.Empty),
    "Objects": (pb.ObjectsRequest, pb.ObjectsResponse),
    "Prune": (pb.PruneRequest, pb.Empty),
    "Attributes": (pb.AttributesRequest, pb.AttributesResponse),
    "BackendURL": (pb.BackendURLRequest, pb.BackendURLResponse),
    "Supervised": (pb.SupervisedRequest, pb.SupervisedResponse),
    "Hook": (pb.HookRequest, pb.Empty),
    "CheckHealth": (pb.HealthRequest, pb.Empty),
    "RestartPolicy": (pb.RestartPolicyRequest, pb.RestartSpec),
    "AdvertisedAddr": (pb.AddrRequest, pb.AddrResponse),
    "EnsureTemplate": (pb.EnsureTemplateRequest, pb.Empty),
    "CloneTemplate": (pb.CloneTemplateRequest, pb.Empty),
    "WireAddr": (pb.Empty, pb.WireAddrResponse),
    "Actions": (pb.Empty, pb.ActionsResponse),
    "Resources": (pb.ResourcesRequest, pb.ResourcesResponse),
    "RunAction": (pb.RunActionRequest, pb.RunActionResponse),
}
