from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Platform(_message.Message):
    __slots__ = ("os", "arch", "triple")
    OS_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    TRIPLE_FIELD_NUMBER: _ClassVar[int]
    os: str
    arch: str
    triple: str
    def __init__(self, os: _Optional[str] = ..., arch: _Optional[str] = ..., triple: _Optional[str] = ...) -> None: ...

class Toolchain(_message.Message):
    __slots__ = ("engine", "full", "bin_dir", "tools")
    class ToolsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    BIN_DIR_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    engine: str
    full: str
    bin_dir: str
    tools: _containers.ScalarMap[str, str]
    def __init__(self, engine: _Optional[str] = ..., full: _Optional[str] = ..., bin_dir: _Optional[str] = ..., tools: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Pin(_message.Message):
    __slots__ = ("resolved", "source", "hashes")
    class HashesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    resolved: str
    source: str
    hashes: _containers.ScalarMap[str, str]
    def __init__(self, resolved: _Optional[str] = ..., source: _Optional[str] = ..., hashes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class LockEntry(_message.Message):
    __slots__ = ("engine", "spec", "pin")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    engine: str
    spec: str
    pin: Pin
    def __init__(self, engine: _Optional[str] = ..., spec: _Optional[str] = ..., pin: _Optional[_Union[Pin, _Mapping]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("unix_socket", "tcp_addr", "backend")
    UNIX_SOCKET_FIELD_NUMBER: _ClassVar[int]
    TCP_ADDR_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    unix_socket: str
    tcp_addr: str
    backend: str
    def __init__(self, unix_socket: _Optional[str] = ..., tcp_addr: _Optional[str] = ..., backend: _Optional[str] = ...) -> None: ...

class Dep(_message.Message):
    __slots__ = ("name", "engine", "socket_dir", "backend", "url")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SOCKET_DIR_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    name: str
    engine: str
    socket_dir: str
    backend: str
    url: str
    def __init__(self, name: _Optional[str] = ..., engine: _Optional[str] = ..., socket_dir: _Optional[str] = ..., backend: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("name", "type", "version", "data_dir", "socket_dir", "port", "endpoint", "spec", "deps")
    class DepsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Dep
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Dep, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    SOCKET_DIR_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    version: str
    data_dir: str
    socket_dir: str
    port: int
    endpoint: Endpoint
    spec: bytes
    deps: _containers.MessageMap[str, Dep]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., version: _Optional[str] = ..., data_dir: _Optional[str] = ..., socket_dir: _Optional[str] = ..., port: _Optional[int] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., spec: _Optional[bytes] = ..., deps: _Optional[_Mapping[str, Dep]] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("kind", "target", "interval_ns", "timeout_ns", "retries")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_NS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    target: str
    interval_ns: int
    timeout_ns: int
    retries: int
    def __init__(self, kind: _Optional[str] = ..., target: _Optional[str] = ..., interval_ns: _Optional[int] = ..., timeout_ns: _Optional[int] = ..., retries: _Optional[int] = ...) -> None: ...

class SpawnSpec(_message.Message):
    __slots__ = ("name", "dir", "bin", "args", "env", "tree", "after", "ready", "hooks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIR_FIELD_NUMBER: _ClassVar[int]
    BIN_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    dir: str
    bin: str
    args: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.RepeatedScalarFieldContainer[str]
    tree: bool
    after: _containers.RepeatedScalarFieldContainer[str]
    ready: Ready
    hooks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., dir: _Optional[str] = ..., bin: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ..., env: _Optional[_Iterable[str]] = ..., tree: bool = ..., after: _Optional[_Iterable[str]] = ..., ready: _Optional[_Union[Ready, _Mapping]] = ..., hooks: _Optional[_Iterable[str]] = ...) -> None: ...

class SpawnPlan(_message.Message):
    __slots__ = ("specs",)
    SPECS_FIELD_NUMBER: _ClassVar[int]
    specs: _containers.RepeatedCompositeFieldContainer[SpawnSpec]
    def __init__(self, specs: _Optional[_Iterable[_Union[SpawnSpec, _Mapping]]] = ...) -> None: ...

class RestartSpec(_message.Message):
    __slots__ = ("policy", "backoff_ns", "max_retries")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    policy: str
    backoff_ns: int
    max_retries: int
    def __init__(self, policy: _Optional[str] = ..., backoff_ns: _Optional[int] = ..., max_retries: _Optional[int] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ("kind", "name", "hash")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    hash: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class TypeResponse(_message.Message):
    __slots__ = ("type",)
    TYPE_FIELD_NUMBER: _ClassVar[int]
    type: str
    def __init__(self, type: _Optional[str] = ...) -> None: ...

class CapabilitiesResponse(_message.Message):
    __slots__ = ("capabilities",)
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("file", "block_type", "block_label", "variables", "base_dir", "engine_version", "filename")
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    FILE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_TYPE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_LABEL_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    BASE_DIR_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    block_type: str
    block_label: str
    variables: _containers.ScalarMap[str, bytes]
    base_dir: str
    engine_version: str
    filename: str
    def __init__(self, file: _Optional[bytes] = ..., block_type: _Optional[str] = ..., block_label: _Optional[str] = ..., variables: _Optional[_Mapping[str, bytes]] = ..., base_dir: _Optional[str] = ..., engine_version: _Optional[str] = ..., filename: _Optional[str] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: bytes
    def __init__(self, spec: _Optional[bytes] = ...) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("spec", "platform", "locked")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    spec: str
    platform: Platform
    locked: _containers.RepeatedCompositeFieldContainer[LockEntry]
    def __init__(self, spec: _Optional[str] = ..., platform: _Optional[_Union[Platform, _Mapping]] = ..., locked: _Optional[_Iterable[_Union[LockEntry, _Mapping]]] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("toolchain", "recorded")
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    toolchain: Toolchain
    recorded: _containers.RepeatedCompositeFieldContainer[LockEntry]
    def __init__(self, toolchain: _Optional[_Union[Toolchain, _Mapping]] = ..., recorded: _Optional[_Iterable[_Union[LockEntry, _Mapping]]] = ...) -> None: ...

class ProvisionRequest(_message.Message):
    __slots__ = ("instance", "toolchain")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    toolchain: Toolchain
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., toolchain: _Optional[_Union[Toolchain, _Mapping]] = ...) -> None: ...

class ProvisionedRequest(_message.Message):
    __slots__ = ("data_dir",)
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    data_dir: str
    def __init__(self, data_dir: _Optional[str] = ...) -> None: ...

class ProvisionedResponse(_message.Message):
    __slots__ = ("provisioned",)
    PROVISIONED_FIELD_NUMBER: _ClassVar[int]
    provisioned: bool
    def __init__(self, provisioned: bool = ...) -> None: ...

class BackendSocketRequest(_message.Message):
    __slots__ = ("socket_dir", "port")
    SOCKET_DIR_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    socket_dir: str
    port: int
    def __init__(self, socket_dir: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class BackendSocketResponse(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class ConnStringRequest(_message.Message):
    __slots__ = ("instance", "endpoint")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    endpoint: Endpoint
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class ConnStringResponse(_message.Message):
    __slots__ = ("env_var", "url")
    ENV_VAR_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    env_var: str
    url: str
    def __init__(self, env_var: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("instance", "toolchain")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    toolchain: Toolchain
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., toolchain: _Optional[_Union[Toolchain, _Mapping]] = ...) -> None: ...

class EnsureTemplateRequest(_message.Message):
    __slots__ = ("toolchain", "template_dir")
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_DIR_FIELD_NUMBER: _ClassVar[int]
    toolchain: Toolchain
    template_dir: str
    def __init__(self, toolchain: _Optional[_Union[Toolchain, _Mapping]] = ..., template_dir: _Optional[str] = ...) -> None: ...

class CloneTemplateRequest(_message.Message):
    __slots__ = ("template_dir", "dest_dir")
    TEMPLATE_DIR_FIELD_NUMBER: _ClassVar[int]
    DEST_DIR_FIELD_NUMBER: _ClassVar[int]
    template_dir: str
    dest_dir: str
    def __init__(self, template_dir: _Optional[str] = ..., dest_dir: _Optional[str] = ...) -> None: ...

class WireAddrResponse(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class ConvergeRequest(_message.Message):
    __slots__ = ("instance", "toolchain", "endpoint")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    toolchain: Toolchain
    endpoint: Endpoint
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., toolchain: _Optional[_Union[Toolchain, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class ObjectsRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class ObjectsResponse(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[Object]
    def __init__(self, objects: _Optional[_Iterable[_Union[Object, _Mapping]]] = ...) -> None: ...

class PruneRequest(_message.Message):
    __slots__ = ("instance", "toolchain", "endpoint", "removed")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TOOLCHAIN_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    toolchain: Toolchain
    endpoint: Endpoint
    removed: _containers.RepeatedCompositeFieldContainer[Object]
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., toolchain: _Optional[_Union[Toolchain, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., removed: _Optional[_Iterable[_Union[Object, _Mapping]]] = ...) -> None: ...

class AttributesRequest(_message.Message):
    __slots__ = ("instance", "endpoint")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    endpoint: Endpoint
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class AttributesResponse(_message.Message):
    __slots__ = ("attrs",)
    class AttrsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    ATTRS_FIELD_NUMBER: _ClassVar[int]
    attrs: _containers.ScalarMap[str, bytes]
    def __init__(self, attrs: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class BackendURLRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class BackendURLResponse(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class SupervisedRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class SupervisedResponse(_message.Message):
    __slots__ = ("supervised",)
    SUPERVISED_FIELD_NUMBER: _ClassVar[int]
    supervised: bool
    def __init__(self, supervised: bool = ...) -> None: ...

class HookRequest(_message.Message):
    __slots__ = ("instance", "phase")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    phase: str
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., phase: _Optional[str] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class RestartPolicyRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class AddrRequest(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class AddrResponse(_message.Message):
    __slots__ = ("addr", "ok")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    addr: str
    ok: bool
    def __init__(self, addr: _Optional[str] = ..., ok: bool = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("kind", "name", "status", "info")
    class InfoEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    status: str
    info: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[str] = ..., info: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("id", "label", "kind", "destructive", "input_hint")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESTRUCTIVE_FIELD_NUMBER: _ClassVar[int]
    INPUT_HINT_FIELD_NUMBER: _ClassVar[int]
    id: str
    label: str
    kind: str
    destructive: bool
    input_hint: str
    def __init__(self, id: _Optional[str] = ..., label: _Optional[str] = ..., kind: _Optional[str] = ..., destructive: bool = ..., input_hint: _Optional[str] = ...) -> None: ...

class ActionsResponse(_message.Message):
    __slots__ = ("actions",)
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    def __init__(self, actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ...) -> None: ...

class ResourcesRequest(_message.Message):
    __slots__ = ("instance", "endpoint")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    endpoint: Endpoint
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class ResourcesResponse(_message.Message):
    __slots__ = ("resources",)
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    def __init__(self, resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ...) -> None: ...

class RunActionRequest(_message.Message):
    __slots__ = ("instance", "endpoint", "action", "resource", "input")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    endpoint: Endpoint
    action: str
    resource: str
    input: str
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., action: _Optional[str] = ..., resource: _Optional[str] = ..., input: _Optional[str] = ...) -> None: ...

class RunActionResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: str
    def __init__(self, result: _Optional[str] = ...) -> None: ...
