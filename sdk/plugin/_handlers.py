"""The Engine service on a gRPC server: which method answers which call, and what becomes of an exception."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from ..engine import DriverError, EngineError
from ._entry import load_driver, package_root
from ._failure import LIMIT, describe_failure
from ._methods import METHODS
from ._proto import dozeplugin_v1_pb2 as pb
from ._service import EngineService, PreconditionError, holds_anything

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias

    from google.protobuf.message import Message

    from ._logfile import LogFile

    Method: TypeAlias = Callable[[Message], Message]
    Answer: TypeAlias = Callable[[bytes, grpc.ServicerContext], bytes]

_log = logging.getLogger("doze_sdk.plugin")
_TAIL = 1000
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def answers(entry: object, log_file: LogFile) -> dict[str, Answer]:
    """Load the driver that *entry* names and return what answers each call; name *log_file* after its engine type.

    A driver that cannot be loaded is served all the same: the host would report a plugin that exits as "unknown engine"
    and nothing more, while the answer to DecodeConfig reaches the user word for word.
    """
    try:
        driver = load_driver(entry)
        log_file.engine_type = driver.type
        methods = _methods_of(EngineService(driver))
    except DriverError as error:
        _log.exception("the driver cannot be served")
        methods = _methods_without_a_driver(error)
    root = package_root(entry)
    return {name: _guarded(name, request, methods[name], root) for name, (request, _) in METHODS.items()}


def _methods_of(service: EngineService) -> dict[str, Method]:
    return {name: getattr(service, _WORD.sub("_", name).lower()) for name in METHODS}


def _methods_without_a_driver(error: DriverError) -> dict[str, Method]:
    text = str(error)

    def refuse(_request: Message) -> NoReturn:
        raise PreconditionError(text)

    def provisioned(request: Message) -> Message:
        assert isinstance(request, pb.ProvisionedRequest)  # noqa: S101 - the table of methods pairs them
        return pb.ProvisionedResponse(provisioned=holds_anything(Path(request.data_dir)))

    harmless: dict[str, Method] = {
        "Type": lambda _: pb.TypeResponse(),
        # Else the host refuses a block without `version` before it asks for the decoding that brings the real error.
        "Capabilities": lambda _: pb.CapabilitiesResponse(capabilities=["versionless"]),
        "ConnString": lambda _: pb.ConnStringResponse(),
        "Supervised": lambda _: pb.SupervisedResponse(),
        "Provisioned": provisioned,
    }
    return {name: harmless.get(name, refuse) for name in METHODS}


def _guarded(name: str, request: type[Message], method: Method, root: str | None) -> Answer:
    def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return method(request.FromString(data)).SerializeToString()
        except BaseException as error:  # noqa: BLE001 - the boundary to the author's code, which may raise anything: after sys.exit() gRPC would never answer
            code, details = _status(name, error, root)
            context.abort(code, _limited(details))
        raise AssertionError("unreachable: abort() raises")

    return answer


def _limited(details: str) -> str:
    """Return *details* as gRPC takes them: text that UTF-8 can hold, within `LIMIT` bytes; the place is at its end."""
    data = details.encode("utf-8", "backslashreplace")
    if len(data) <= LIMIT:
        return data.decode()
    return f"{data[: LIMIT - _TAIL].decode('utf-8', 'ignore')} … {data[-_TAIL:].decode('utf-8', 'ignore')}"


def _status(name: str, error: BaseException, root: str | None) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, PreconditionError):
        return grpc.StatusCode.FAILED_PRECONDITION, str(error)
    # Only a config that is wrong needs the language at all: a plugin that starts does not load it.
    from ..hcl import HCLError

    if isinstance(error, HCLError):
        return grpc.StatusCode.INVALID_ARGUMENT, error.rendered()
    _log.error("%s failed", name, exc_info=error, extra={"rpc": name})
    code = grpc.StatusCode.FAILED_PRECONDITION if isinstance(error, EngineError) else grpc.StatusCode.UNKNOWN
    return code, describe_failure(error, root)
