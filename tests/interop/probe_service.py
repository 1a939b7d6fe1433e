# ruff: noqa: N802  (gRPC names the methods)
"""The Probe contract as our plugin serves it, and the Callback contract that either side serves to the other."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import grpc

from doze_sdk.plugin import kernel

from .pb import probe_pb2, probe_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HANDSHAKE = kernel.Handshake(cookie_key="DOZE_INTEROP_PLUGIN", cookie_value="c1c2e2c6a3b94a7cbb6b4a8b5b5d1b6e")
LEVELS = {"trace": kernel.TRACE, "debug": 10, "info": 20, "warn": 30, "error": 40}


def pattern(size: int, seed: int) -> bytes:
    """The content of a blob. Its period is a prime, so that a part that is lost, doubled or swapped shows."""
    cycle = bytes((value + seed) % 251 for value in range(251))
    return (cycle * (size // 251 + 1))[:size]


class Callback(probe_pb2_grpc.CallbackServicer):
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def Upper(self, request: probe_pb2.Text, context: grpc.ServicerContext) -> probe_pb2.Text:  # noqa: N802  (gRPC's name)
        return probe_pb2.Text(text=self._prefix + request.text.upper())

    def Echo(self, request: probe_pb2.Blob, context: grpc.ServicerContext) -> probe_pb2.Blob:  # noqa: N802  (gRPC's name)
        return request


def serve_callback(broker: kernel.Broker, service_id: int, prefix: str) -> kernel.Accepted:
    """Serve Callback under a number that the other side will dial."""

    def register(server: grpc.Server) -> None:
        probe_pb2_grpc.add_CallbackServicer_to_server(Callback(prefix), server)

    return broker.accept(service_id, register)


def ask_callback(broker: kernel.Broker, service_id: int, texts: Sequence[str], size: int) -> tuple[list[str], int]:
    """Dial a number; return the answers to each text, and how many bytes of an echo came back."""
    with broker.dial(service_id) as channel:
        stub = probe_pb2_grpc.CallbackStub(channel)
        answers = [stub.Upper(probe_pb2.Text(text=text)).text for text in texts]
        return answers, len(stub.Echo(probe_pb2.Blob(data=pattern(size, 0))).data)


class Probe(probe_pb2_grpc.ProbeServicer):
    def __init__(self, version: int, broker: kernel.Broker) -> None:
        self._version = version
        self._broker = broker
        self._log = logging.getLogger("probe")
        self._lingering: list[subprocess.Popen[bytes]] = []

    def Echo(self, request: probe_pb2.Blob, context: grpc.ServicerContext) -> probe_pb2.Blob:
        return request

    def Count(self, request: probe_pb2.CountRequest, context: grpc.ServicerContext) -> Iterator[probe_pb2.Blob]:
        for frame in range(request.frames):
            yield probe_pb2.Blob(data=pattern(request.size, frame))

    def Total(self, requests: Iterator[probe_pb2.Blob], context: grpc.ServicerContext) -> probe_pb2.TotalReply:
        sizes = [len(blob.data) for blob in requests]
        return probe_pb2.TotalReply(frames=len(sizes), bytes=sum(sizes))

    def Chat(self, requests: Iterator[probe_pb2.Blob], context: grpc.ServicerContext) -> Iterator[probe_pb2.Blob]:
        yield from requests

    def Upstream(self, request: probe_pb2.UpstreamRequest, context: grpc.ServicerContext) -> probe_pb2.UpstreamReply:
        try:
            texts, echoed = ask_callback(self._broker, request.service_id, request.texts, request.echo_size)
        except kernel.BrokerError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"dial {request.service_id}: {error}")
        return probe_pb2.UpstreamReply(texts=texts, echoed=echoed)

    def Offer(self, request: probe_pb2.OfferRequest, context: grpc.ServicerContext) -> probe_pb2.OfferReply:
        service_id = self._broker.next_id()
        serve_callback(self._broker, service_id, request.prefix)
        return probe_pb2.OfferReply(service_id=service_id)

    def Write(self, request: probe_pb2.WriteRequest, context: grpc.ServicerContext) -> probe_pb2.Empty:
        data = request.data * request.times
        stream = sys.stdout if request.stream == probe_pb2.STDOUT else sys.stderr
        if request.writer == probe_pb2.SELF:
            stream.buffer.write(data)
            stream.flush()
        else:
            subprocess.run(["cat"], input=data, stdout=stream, check=True)
        return probe_pb2.Empty()

    def Log(self, request: probe_pb2.LogRequest, context: grpc.ServicerContext) -> probe_pb2.Empty:
        self._log.log(LEVELS[request.level], request.message, extra=dict(request.fields))
        return probe_pb2.Empty()

    def Facts(self, request: probe_pb2.FactsRequest, context: grpc.ServicerContext) -> probe_pb2.FactsReply:
        found = {name: os.environ[name] for name in request.variables if name in os.environ}
        return probe_pb2.FactsReply(pid=os.getpid(), version=self._version, language="python", variables=found)

    def Nest(self, request: probe_pb2.NestRequest, context: grpc.ServicerContext) -> probe_pb2.FactsReply:
        with kernel.launch(request.command, HANDSHAKE, versions={1}) as inner:
            return probe_pb2_grpc.ProbeStub(inner.channel).Facts(probe_pb2.FactsRequest())

    def Sleep(self, request: probe_pb2.SleepRequest, context: grpc.ServicerContext) -> probe_pb2.Empty:
        time.sleep(request.milliseconds / 1000)
        return probe_pb2.Empty()

    def Linger(self, request: probe_pb2.LingerRequest, context: grpc.ServicerContext) -> probe_pb2.LingerReply:
        child = subprocess.Popen(["sleep", str(request.seconds)])
        self._lingering.append(child)
        return probe_pb2.LingerReply(pid=child.pid)

    def Fail(self, request: probe_pb2.FailRequest, context: grpc.ServicerContext) -> probe_pb2.Empty:
        code = next(code for code in grpc.StatusCode if code.value[0] == request.code)
        context.abort(code, request.message)

    def Die(self, request: probe_pb2.DieRequest, context: grpc.ServicerContext) -> probe_pb2.Empty:
        os._exit(request.status)


def register(version: int, server: grpc.Server, broker: kernel.Broker) -> None:
    probe_pb2_grpc.add_ProbeServicer_to_server(Probe(version, broker), server)
