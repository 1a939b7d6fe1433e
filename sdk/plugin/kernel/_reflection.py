"""gRPC server reflection, v1 and v1alpha, so that tools such as grpcurl can ask a plugin what it serves.

Written by hand, because `grpcio-reflection` serves v1alpha alone, occupies a worker for each client, and puts a
generated module into protobuf's global pool. The messages are those of grpc/reflection/v1/reflection.proto.
"""

from __future__ import annotations

import grpc

from ._codec import bytes_field, decode_text, fields, number_field, text_field
from ._threads import STREAM_THREADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

# Field numbers of the answers in ServerReflectionResponse, and gRPC's status codes.
_FILES, _NUMBERS, _SERVICES, _ERROR = 4, 5, 6, 7
_NOT_FOUND, _UNIMPLEMENTED = 5, 12


def add_reflection(server: grpc.Server, *files: FileDescriptor) -> None:
    """Let clients ask `server` for the services of `files`.

    For use where servicers are registered::

        kernel.add_reflection(server, kv_pb2.DESCRIPTOR)

    The files may be of any descriptor pool.
    """
    catalogue = _Catalogue(files)
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service, {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(_Answers(catalogue))}
            )
            for service in SERVICES
        )
    )


class _Answers:
    experimental_thread_pool = STREAM_THREADS
    experimental_non_blocking = False

    def __init__(self, catalogue: _Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield bytes_field(2, request) + self._catalogue.answer(request)


class _Catalogue:
    """What can be asked about a set of files and those that they import."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        self._files: dict[str, FileDescriptor] = {}
        self._symbols: dict[str, FileDescriptor] = {}
        self._extensions: dict[str, dict[int, FileDescriptor]] = {}
        served = list(files)
        self._services = sorted(service.full_name for file in served for service in file.services_by_name.values())
        for file in served:
            self._add(file)

    def answer(self, request: bytes) -> bytes:
        """Return the part of a response that answers `request`."""
        for field, value in fields(request):
            match field, value:  # the numbers are those of ServerReflectionRequest
                case 3, bytes(name):
                    return self._file(self._files.get(decode_text(name)), f"file {name!r}")
                case 4, bytes(symbol):
                    return self._file(self._symbols.get(decode_text(symbol)), f"symbol {symbol!r}")
                case 5, bytes(extension):
                    return self._extension(extension)
                case 6, bytes(type_name):
                    return self._numbers(decode_text(type_name))
                case 7, bytes():
                    return bytes_field(_SERVICES, b"".join(bytes_field(1, text_field(1, s)) for s in self._services))
                case _:
                    pass  # the host's name, which need not be known
        return _error(_UNIMPLEMENTED, "the request asks for nothing that is known here")

    def _add(self, file: FileDescriptor) -> None:
        if file.name in self._files:
            return
        self._files[file.name] = file
        for dependency in file.dependencies:
            self._add(dependency)
        for service in file.services_by_name.values():
            self._symbols[service.full_name] = file
            self._symbols.update(dict.fromkeys((method.full_name for method in service.methods), file))
        self._symbols.update(dict.fromkeys((enum.full_name for enum in file.enum_types_by_name.values()), file))
        self._add_extensions(file.extensions_by_name.values(), file)
        for message in file.message_types_by_name.values():
            self._add_message(message, file)

    def _add_message(self, message: Descriptor, file: FileDescriptor) -> None:
        self._symbols[message.full_name] = file
        self._symbols.update(dict.fromkeys((enum.full_name for enum in message.enum_types), file))
        self._add_extensions(message.extensions, file)
        for nested in message.nested_types:
            self._add_message(nested, file)

    def _add_extensions(self, extensions: Iterable[FieldDescriptor], file: FileDescriptor) -> None:
        for extension in extensions:
            self._symbols[extension.full_name] = file
            if extension.containing_type is not None:
                self._extensions.setdefault(extension.containing_type.full_name, {})[extension.number] = file

    def _file(self, file: FileDescriptor | None, what: str) -> bytes:
        if file is None:
            return _error(_NOT_FOUND, f"{what} is not known here")
        found: dict[str, bytes] = {}
        _collect(file, found)
        return bytes_field(_FILES, b"".join(bytes_field(1, serialized) for serialized in found.values()))

    def _extension(self, request: bytes) -> bytes:
        values = dict(fields(request))
        name, number = values.get(1, b""), values.get(2, 0)
        type_name = decode_text(name) if isinstance(name, bytes) else ""
        file = self._extensions.get(type_name, {}).get(number) if isinstance(number, int) else None
        return self._file(file, f"extension {number!r} of {type_name!r}")

    def _numbers(self, type_name: str) -> bytes:
        if type_name not in self._symbols:
            return _error(_NOT_FOUND, f"type {type_name!r} is not known here")
        numbers = b"".join(number_field(2, number) for number in sorted(self._extensions.get(type_name, {})))
        return bytes_field(_NUMBERS, text_field(1, type_name) + numbers)


def _collect(file: FileDescriptor, found: dict[str, bytes]) -> None:
    if file.name not in found:
        found[file.name] = file.serialized_pb
        for dependency in file.dependencies:
            _collect(dependency, found)


def _error(code: int, message: str) -> bytes:
    return bytes_field(_ERROR, number_field(1, code) + text_field(2, message))
