"""The contract between doze and a module: `Driver`, its capabilities, the values they exchange, config classes.

    from doze_sdk.engine import Config, Driver, attr

    class Httpd(Config):
        root: str = attr(doc="Folder to serve.")

    class HttpdDriver(Driver[Httpd]):
        type = "httpd"
        config = Httpd
        ...

Names load at their first use, so a module pays for what it mentions: every command of the host starts every plugin.
"""

from __future__ import annotations

from .._lazy import exports

_HOME = {
    "Action": "._records",
    "Admin": "._capabilities",
    "Advertised": "._capabilities",
    "Attributer": "._capabilities",
    "BUILTIN": "._version",
    "BackendProvider": "._capabilities",
    "Block": "._config",
    "CancelRegistry": "._proxy",
    "CancelTarget": "._proxy",
    "Config": "._config",
    "ConfigArg": "._description",
    "ConfigBlock": "._description",
    "ConfigClassError": "._errors",
    "ConfigDecoder": "._capabilities",
    "ConnString": "._values",
    "Converger": "._capabilities",
    "DecodeRequest": "._decoding",
    "Dep": "._values",
    "Describer": "._capabilities",
    "Description": "._description",
    "Driver": "._driver",
    "DriverError": "._errors",
    "DurationError": "._errors",
    "Endpoint": "._values",
    "EngineError": "._errors",
    "ErrorWriter": "._capabilities",
    "ExactDots": "._version",
    "Fetched": "._resolve",
    "HealthChecker": "._capabilities",
    "Hooked": "._capabilities",
    "Instance": "._values",
    "Inventory": "._capabilities",
    "Lifecycle": "._capabilities",
    "Lock": "._resolve",
    "LockEntry": "._resolve",
    "LockedError": "._errors",
    "Mirror": "._resolve",
    "NO_DATA_DIR": "._values",
    "NO_SOCKET_DIR": "._values",
    "NoMirror": "._resolve",
    "Object": "._records",
    "Pin": "._resolve",
    "Platform": "._toolchain",
    "PortBinder": "._capabilities",
    "Preamble": "._proxy",
    "ProxyFilter": "._capabilities",
    "ProxyOptions": "._proxy",
    "Pruner": "._capabilities",
    "RESERVED_TYPES": "._names",
    "Ready": "._ready",
    "Resource": "._records",
    "RestartSpec": "._records",
    "Restartable": "._capabilities",
    "SOCKET_PATH_LIMIT": "._socket_path",
    "SlowBooter": "._capabilities",
    "SocketPathError": "._errors",
    "SpawnPlan": "._spawning",
    "SpawnSpec": "._spawning",
    "SpecError": "._errors",
    "TemplateError": "._errors",
    "Templater": "._capabilities",
    "Toolchain": "._toolchain",
    "ToolchainError": "._errors",
    "Validation": "._config_decoding",
    "Version": "._version",
    "VersionError": "._errors",
    "Versionless": "._capabilities",
    "attr": "._field",
    "capabilities": "._capabilities",
    "check_returned": "._returned",
    "check_socket_path": "._socket_path",
    "check_spec_type": "._spec",
    "clear_stale_lock": "._stale_lock",
    "clone_template_dir": "._template",
    "complete_description": "._reference",
    "decode_config": "._config_decoding",
    "decode_spec": "._spec",
    "describe_args": "._reference",
    "describe_blocks": "._reference",
    "encode_spec": "._spec",
    "decode": "._decoding",
    "ensure_template_dir": "._template",
    "exact_dots": "._version",
    "format_duration": "._duration",
    "hash_of": "._hash",
    "hcl_schema": "._config_decoding",
    "json_schema": "._reference",
    "label": "._field",
    "markdown_reference": "._reference",
    "name_problem": "._names",
    "parse_duration": "._duration",
    "require_version": "._version",
    "require_version_below": "._version",
    "resolve_via": "._resolve",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list; TYPE_CHECKING below names each for type checkers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._capabilities import (
        Admin as Admin,
        Advertised as Advertised,
        Attributer as Attributer,
        BackendProvider as BackendProvider,
        ConfigDecoder as ConfigDecoder,
        Converger as Converger,
        Describer as Describer,
        ErrorWriter as ErrorWriter,
        HealthChecker as HealthChecker,
        Hooked as Hooked,
        Inventory as Inventory,
        Lifecycle as Lifecycle,
        PortBinder as PortBinder,
        ProxyFilter as ProxyFilter,
        Pruner as Pruner,
        Restartable as Restartable,
        SlowBooter as SlowBooter,
        Templater as Templater,
        Versionless as Versionless,
        capabilities as capabilities,
    )
    from ._config import Block as Block, Config as Config
    from ._config_decoding import Validation as Validation, decode_config as decode_config, hcl_schema as hcl_schema
    from ._decoding import DecodeRequest as DecodeRequest, decode as decode
    from ._description import ConfigArg as ConfigArg, ConfigBlock as ConfigBlock, Description as Description
    from ._driver import Driver as Driver
    from ._duration import format_duration as format_duration, parse_duration as parse_duration
    from ._errors import (
        ConfigClassError as ConfigClassError,
        DriverError as DriverError,
        DurationError as DurationError,
        EngineError as EngineError,
        LockedError as LockedError,
        SocketPathError as SocketPathError,
        SpecError as SpecError,
        TemplateError as TemplateError,
        ToolchainError as ToolchainError,
        VersionError as VersionError,
    )
    from ._field import attr as attr, label as label
    from ._hash import hash_of as hash_of
    from ._names import RESERVED_TYPES as RESERVED_TYPES, name_problem as name_problem
    from ._proxy import (
        CancelRegistry as CancelRegistry,
        CancelTarget as CancelTarget,
        Preamble as Preamble,
        ProxyOptions as ProxyOptions,
    )
    from ._ready import Ready as Ready
    from ._records import Action as Action, Object as Object, Resource as Resource, RestartSpec as RestartSpec
    from ._reference import (
        complete_description as complete_description,
        describe_args as describe_args,
        describe_blocks as describe_blocks,
        json_schema as json_schema,
        markdown_reference as markdown_reference,
    )
    from ._resolve import (
        Fetched as Fetched,
        Lock as Lock,
        LockEntry as LockEntry,
        Mirror as Mirror,
        NoMirror as NoMirror,
        Pin as Pin,
        resolve_via as resolve_via,
    )
    from ._returned import check_returned as check_returned
    from ._socket_path import SOCKET_PATH_LIMIT as SOCKET_PATH_LIMIT, check_socket_path as check_socket_path
    from ._spawning import SpawnPlan as SpawnPlan, SpawnSpec as SpawnSpec
    from ._spec import check_spec_type as check_spec_type, decode_spec as decode_spec, encode_spec as encode_spec
    from ._stale_lock import clear_stale_lock as clear_stale_lock
    from ._template import clone_template_dir as clone_template_dir, ensure_template_dir as ensure_template_dir
    from ._toolchain import Platform as Platform, Toolchain as Toolchain
    from ._values import (
        NO_DATA_DIR as NO_DATA_DIR,
        NO_SOCKET_DIR as NO_SOCKET_DIR,
        ConnString as ConnString,
        Dep as Dep,
        Endpoint as Endpoint,
        Instance as Instance,
    )
    from ._version import (
        BUILTIN as BUILTIN,
        ExactDots as ExactDots,
        Version as Version,
        exact_dots as exact_dots,
        require_version as require_version,
        require_version_below as require_version_below,
    )

__getattr__, __dir__ = exports(__name__, _HOME)
