"""What the relay does with bytes, seen from bare sockets in place of grpcio: ends, resets, and readers that stop."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from doze_sdk.plugin.kernel._backend import Backend
from doze_sdk.plugin.kernel._errors import PluginError
from doze_sdk.plugin.kernel._pipe import Pipe
from doze_sdk.plugin.kernel._relay import Relay, TLSContexts
from tests.plugin.transport.conftest import MODES, PATIENCE, RawBackend, Servers, Wire, call, eventually

MIB = 1024 * 1024
MakeWire = Callable[[str, Backend], Wire]


@pytest.fixture(params=MODES)
def wire(request: pytest.FixtureRequest, make_wire: MakeWire, raw: RawBackend) -> Wire:
    return make_wire(request.param, raw.backend)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def read_exactly(sock: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = sock.recv(size - len(content))
        assert part, f"the connection ended after {len(content)} of {size} bytes"
        content += part
    return content


def joined(wire: Wire, raw: RawBackend, index: int = 0) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection that has carried a few bytes each way."""
    ours, theirs = wire.connect(), raw.connection(index)
    ours.sendall(b"ping")
    assert read_exactly(theirs, 4) == b"ping"
    theirs.sendall(b"pong")
    assert read_exactly(ours, 4) == b"pong"
    return ours, theirs


# --- The end of one direction ---


def test_after_one_side_has_finished_the_other_can_still_answer(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)

    ours.sendall(b"question")
    ours.shutdown(socket.SHUT_WR)
    assert read_all(theirs) == b"question"
    theirs.sendall(b"answer" * 100_000)
    theirs.shutdown(socket.SHUT_WR)

    assert read_all(ours) == b"answer" * 100_000


def test_the_plugin_may_finish_first(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)

    theirs.sendall(b"that is all")
    theirs.shutdown(socket.SHUT_WR)
    assert read_all(ours) == b"that is all"
    ours.sendall(b"thanks")
    ours.close()

    assert read_all(theirs) == b"thanks"


def test_everything_that_was_sent_before_closing_arrives(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)
    content = os.urandom(3 * MIB)
    reader = threading.Thread(target=lambda: received.append(read_all(theirs)))
    received: list[bytes] = []
    reader.start()

    ours.sendall(content)
    ours.close()

    reader.join()
    assert received == [content]


@pytest.mark.parametrize("finisher", ["host", "plugin"])
def test_whoever_finishes_still_gets_what_was_on_its_way(wire: Wire, raw: RawBackend, finisher: str) -> None:
    ends = joined(wire, raw)
    finished, other = ends if finisher == "host" else reversed(ends)
    sent = push(other, 200 * MIB)

    finished.shutdown(socket.SHUT_WR)
    other.settimeout(PATIENCE)
    assert other.recv(1) == b""
    other.shutdown(socket.SHUT_WR)

    assert len(read_all(finished)) == sent
    assert wire.host_errors + wire.plugin_errors == []


@pytest.mark.parametrize("mode", ["mux", "tls+mux"])
def test_a_connection_that_breaks_while_its_reader_stopped_ends_for_the_reader(
    make_wire: MakeWire, raw: RawBackend, mode: str
) -> None:
    wire = make_wire(mode, raw.backend)
    ours, theirs = joined(wire, raw)
    push(ours, 200 * MIB)
    assert wire.host_session is not None
    link = wire.host_session._link
    assert link is not None

    link._socket.shutdown(socket.SHUT_RDWR)

    assert eventually(lambda: not wire.host._exchange._pipes)
    read_all(theirs)
    assert eventually(lambda: not wire.plugin._exchange._pipes)


# --- Both directions at once ---


@pytest.mark.parametrize("closer", ["host", "plugin"])
def test_when_one_end_closes_the_other_end_cannot_write_for_long(
    wire: Wire, raw: RawBackend, closer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doze_sdk.plugin.kernel._pipe.LINGER", 0.3)
    ends = joined(wire, raw)
    closed, other = ends if closer == "host" else reversed(ends)

    closed.close()

    assert other.recv(1) == b""
    with pytest.raises(OSError):
        for _ in range(1000):
            other.send(b"anybody there")
            time.sleep(0.01)


@pytest.mark.parametrize("closer", ["host", "plugin"])
def test_a_reset_arrives_as_a_broken_connection(wire: Wire, raw: RawBackend, closer: str) -> None:
    ends = joined(wire, raw)
    closed, other = ends if closer == "host" else reversed(ends)

    other.sendall(b"never read")
    assert eventually(lambda: closed.recv(1, socket.MSG_PEEK))
    closed.close()  # with unread bytes, which is a reset on a unix socket

    with pytest.raises(OSError):
        for _ in range(1000):
            if not other.recv(1):
                other.send(b"anybody there")
            time.sleep(0.01)


# --- Readers that stop ---


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def push(sock: socket.socket, size: int) -> int:
    """Write until `size` bytes have gone, or nothing has for a while; return how many."""
    chunk = bytes(MIB)
    sent = 0
    sock.settimeout(0.3)
    try:
        while sent < size:
            sent += sock.send(chunk)
    except TimeoutError:
        pass
    return sent


@pytest.mark.parametrize("writer", ["host", "plugin"])
def test_a_reader_that_stops_stops_the_writer_within_bounded_memory(wire: Wire, raw: RawBackend, writer: str) -> None:
    ends = joined(wire, raw)
    source, sink = ends if writer == "host" else reversed(ends)
    before = memory()

    sent = push(source, 200 * MIB)

    assert sent < 8 * MIB
    assert memory() - before < 16 * MIB
    read_exactly(sink, sent)
    source.settimeout(10)
    source.sendall(b"on we go")
    assert read_exactly(sink, 8) == b"on we go"


def test_readers_that_stop_on_both_sides_do_not_block_each_other_for_good(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)
    sizes = (push(ours, 200 * MIB), push(theirs, 200 * MIB))

    for sock, size in ((theirs, sizes[0]), (ours, sizes[1])):
        read_exactly(sock, size)

    assert min(sizes) > 0


def test_a_slow_reader_gets_every_byte_in_order(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)
    block = os.urandom(MIB)
    sent, received = hashlib.sha256(), hashlib.sha256()

    def write() -> None:
        for i in range(24):
            content = block[i:] + block[:i]
            sent.update(content)
            ours.sendall(content)
        ours.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    turn = 0
    while content := theirs.recv(300_000):
        received.update(content)
        turn += 1
        if turn % 10 == 0:
            time.sleep(0.01)
    writer.join()

    assert received.digest() == sent.digest()


def test_a_writer_whose_reader_stopped_is_told_when_the_reader_dies(wire: Wire, raw: RawBackend) -> None:
    ours, theirs = joined(wire, raw)
    push(ours, 200 * MIB)

    theirs.close()

    ours.settimeout(10)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        while True:
            ours.send(bytes(MIB))


@pytest.mark.parametrize("mode", ["mux", "tls+mux"])
def test_a_stream_whose_reader_stopped_does_not_hold_up_the_others(
    make_wire: MakeWire, raw: RawBackend, mode: str
) -> None:
    wire = make_wire(mode, raw.backend)
    stuck, _ = joined(wire, raw, 0)
    push(stuck, 200 * MIB)

    ours, theirs = joined(wire, raw, 1)
    ours.sendall(bytes(MIB // 2))

    assert read_exactly(theirs, MIB // 2) == bytes(MIB // 2)


def test_closing_does_not_wait_for_a_reader_that_stopped(wire: Wire, raw: RawBackend) -> None:
    ours, _ = joined(wire, raw)
    push(ours, 200 * MIB)

    wire.host.close()
    wire.plugin.close()


# --- Defects of our own, and of the application's ---


@pytest.mark.parametrize("side", ["host", "plugin"])
def test_a_defect_met_by_one_connection_ends_that_one_alone_and_is_logged(
    wire: Wire, raw: RawBackend, side: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = joined(wire, raw, 0), joined(wire, raw, 1)
    deliver = Pipe._deliver

    def fail(pipe: Pipe, data: memoryview) -> None:
        if data == b"defect":
            raise KeyError("a defect")
        deliver(pipe, data)

    monkeypatch.setattr(Pipe, "_deliver", fail)
    source, sink = first if side == "plugin" else reversed(first)

    source.sendall(b"defect")

    assert ended(source)
    assert ended(sink)
    assert eventually(lambda: "KeyError: 'a defect'" in caplog.text)
    for one, other in (second, reversed(second), joined(wire, raw, 2)):
        one.sendall(b"on we go")
        assert read_exactly(other, 8) == b"on we go"


def ended(sock: socket.socket) -> bool:
    """Whether a connection ends, in whichever way."""
    try:
        return not sock.recv(1)
    except ConnectionResetError:
        return True


def test_a_listener_for_errors_that_raises_costs_nothing(
    raw: RawBackend, folder: Path, contexts: tuple[TLSContexts, TLSContexts], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_error: PluginError) -> None:
        raise KeyError("on_error")

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "plugin"))
    listener.listen()
    with Relay(tls=contexts[0], on_error=fail) as relay, socket.socket(socket.AF_UNIX) as intruder:
        relay.listen(listener, raw.backend)
        intruder.connect(str(folder / "plugin"))
        intruder.sendall(b"garbage" * 100)
        assert ended(intruder)

        assert eventually(lambda: not relay._exchange._pipes)
        assert relay._exchange.loop.run(lambda: "alive") == "alive"
    assert "KeyError: 'on_error'" in caplog.text


# --- Many connections ---


@pytest.mark.parametrize("mode", MODES)
def test_connections_come_and_go_without_a_trace(make_wire: MakeWire, servers: Servers, mode: str) -> None:
    wire = make_wire(mode, servers.backend(spare=8))

    def use() -> None:
        gateway = wire.gateway()
        channel = wire.channel(gateway)
        call(channel, "Echo", b"hello")
        channel.close()
        gateway.close()

    use()
    assert eventually(lambda: not wire.plugin._exchange._pipes)
    before = descriptors()
    for _ in range(6):
        use()

    # Each connection uses up one that was made ahead, with its far end in the server.
    assert eventually(lambda: descriptors() <= before - 12)
    assert not wire.plugin._exchange._pipes
    assert not wire.host._exchange._pipes


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
