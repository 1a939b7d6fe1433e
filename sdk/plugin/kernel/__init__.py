"""The go-plugin protocol in Python, both ends, for any gRPC contract.

The plugin's side is a module's ``__main__``::

    from doze_sdk.plugin import kernel

    HANDSHAKE = kernel.Handshake(cookie_key="BASIC_PLUGIN", cookie_value="hello")


    def register(server, broker):
        from . import kv_pb2_grpc, service

        kv_pb2_grpc.add_KVServicer_to_server(service.KV(), server)


    kernel.serve(HANDSHAKE, versions={1: register})

and the host's side drives it::

    with kernel.launch(["./kv-plugin"], HANDSHAKE, versions={1}) as plugin:
        stub = kv_pb2_grpc.KVStub(plugin.channel)

Importing this package loads next to nothing, and `serve` imports gRPC only after it has seen the magic cookie.
"""

from ..._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import protobuf as protobuf
    from ._broker import Accepted as Accepted, Broker as Broker
    from ._errors import (
        BrokerError as BrokerError,
        CertificateError as CertificateError,
        ChecksumError as ChecksumError,
        CommandError as CommandError,
        HandshakeError as HandshakeError,
        IncompatibleVersionError as IncompatibleVersionError,
        MissingExtraError as MissingExtraError,
        PeerRefusedError as PeerRefusedError,
        PluginError as PluginError,
        PluginExitedError as PluginExitedError,
        ReattachError as ReattachError,
        ServeError as ServeError,
        StartTimeoutError as StartTimeoutError,
        SupervisorError as SupervisorError,
        TransportError as TransportError,
        UnsupportedPluginError as UnsupportedPluginError,
    )
    from ._handshake import Handshake as Handshake
    from ._hclog import (
        TRACE as TRACE,
        HclogHandler as HclogHandler,
        LogLineParser as LogLineParser,
        parse_log_line as parse_log_line,
    )
    from ._launch import launch as launch
    from ._listener import Address as Address
    from ._plugin import Plugin as Plugin
    from ._reattach import ReattachConfig as ReattachConfig, reattach as reattach
    from ._reflection import add_reflection as add_reflection
    from ._runner import ProcessRunner as ProcessRunner, Runner as Runner
    from ._secure import SecureConfig as SecureConfig
    from ._serve import serve as serve
    from ._serve_test import ServedPlugin as ServedPlugin, serve_test as serve_test
    from ._supervisor import Supervisor as Supervisor
    from ._tls import TLSContexts as TLSContexts

_HOME = {
    "Accepted": "._broker",
    "Address": "._listener",
    "Broker": "._broker",
    "BrokerError": "._errors",
    "CertificateError": "._errors",
    "ChecksumError": "._errors",
    "CommandError": "._errors",
    "Handshake": "._handshake",
    "HandshakeError": "._errors",
    "HclogHandler": "._hclog",
    "IncompatibleVersionError": "._errors",
    "LogLineParser": "._hclog",
    "MissingExtraError": "._errors",
    "PeerRefusedError": "._errors",
    "Plugin": "._plugin",
    "PluginError": "._errors",
    "PluginExitedError": "._errors",
    "ProcessRunner": "._runner",
    "ReattachConfig": "._reattach",
    "ReattachError": "._errors",
    "Runner": "._runner",
    "SecureConfig": "._secure",
    "ServeError": "._errors",
    "ServedPlugin": "._serve_test",
    "StartTimeoutError": "._errors",
    "Supervisor": "._supervisor",
    "SupervisorError": "._errors",
    "TRACE": "._hclog",
    "TLSContexts": "._tls",
    "TransportError": "._errors",
    "UnsupportedPluginError": "._errors",
    "add_reflection": "._reflection",
    "launch": "._launch",
    "parse_log_line": "._hclog",
    "protobuf": ".protobuf",
    "reattach": "._reattach",
    "serve": "._serve",
    "serve_test": "._serve_test",
}

__all__ = sorted(_HOME)  # noqa: PLE0605  (a list built from the table above, so that the two cannot differ)

__getattr__, __dir__ = exports(__name__, _HOME)
