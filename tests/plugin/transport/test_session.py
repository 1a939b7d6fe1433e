"""Broker multiplexing: which stream goes to whom, and what happens when one side does not keep to the agreement."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import grpc
import pytest

from doze_sdk.plugin.kernel import _yamux as yamux
from doze_sdk.plugin.kernel._backend import Backend
from doze_sdk.plugin.kernel._errors import BrokerError, PluginError, TransportError
from doze_sdk.plugin.kernel._relay import Relay, Session
from tests.plugin.transport.conftest import Errors, Servers, Wire, call, eventually, relay_threads

MakeWire = Callable[[str, Backend], Wire]


@pytest.fixture(params=["mux", "tls+mux"])
def wire(request: pytest.FixtureRequest, make_wire: MakeWire, servers: Servers) -> Wire:
    made = make_wire(request.param, servers.backend())
    assert call(made.channel(), "Name") == b"main"
    assert made.plugin_session is not None
    made.plugin_session.wait()
    return made


def sessions(wire: Wire) -> tuple[Session, Session]:
    """Of the plugin and of the host."""
    assert wire.plugin_session is not None
    assert wire.host_session is not None
    return wire.plugin_session, wire.host_session


def failure(channel: grpc.Channel, method: str = "Name") -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/t/{method}")(b"", timeout=5)
    code: grpc.StatusCode = caught.value.code()  # type: ignore[attr-defined]
    return code


# --- Where streams go ---


def test_the_stream_after_a_knock_goes_to_whom_the_knock_was_for(wire: Wire, servers: Servers) -> None:
    plugin, host = sessions(wire)
    side = servers.backend("side")

    channel = wire.channel(host.gateway(lambda: plugin.expect(side)))

    assert call(channel, "Name") == b"side"
    assert call(wire.channel(host.gateway()), "Name") == b"main"


def test_the_plugin_dials_the_host(wire: Wire, servers: Servers) -> None:
    plugin, host = sessions(wire)
    side = servers.backend("of the host")

    channel = wire.channel(plugin.gateway(lambda: host.expect(side)))

    assert call(channel, "Name") == b"of the host"


def test_many_streams_of_many_knocks_do_not_get_mixed_up(wire: Wire, servers: Servers) -> None:
    plugin, host = sessions(wire)
    sides = [servers.backend(f"side {i}") for i in range(6)]
    channels = [wire.channel(host.gateway(lambda side=side: plugin.expect(side))) for side in sides]

    answers = [channel.unary_unary("/t/Name").future(b"", timeout=10) for channel in channels]

    assert [answer.result() for answer in answers] == [b"side %d" % i for i in range(6)]


def test_a_brokered_channel_knocks_again_when_it_connects_again(wire: Wire, servers: Servers) -> None:
    plugin, host = sessions(wire)
    side = servers.backend("side")
    knocks: list[float] = []

    def knock() -> None:
        knocks.append(time.monotonic())
        plugin.expect(side)

    channel = wire.channel(host.gateway(knock), ("grpc.client_idle_timeout_ms", 1000))
    assert call(channel, "Name") == b"side"
    assert eventually(lambda: len(wire.host._exchange._pipes) == 1)

    assert call(channel, "Name") == b"side"
    assert len(knocks) == 2


def test_a_stream_that_the_host_does_not_expect_is_refused(wire: Wire) -> None:
    plugin, _ = sessions(wire)

    assert failure(wire.channel(plugin.gateway())) is grpc.StatusCode.UNAVAILABLE

    wire.host_errors.wait_for(TransportError, "nobody expects it")


def test_a_knock_that_no_stream_follows_is_forgotten(
    wire: Wire, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doze_sdk.plugin.kernel._session.KNOCK_TIMEOUT", 0.05)
    plugin, host = sessions(wire)

    plugin.expect(servers.backend("side"))

    assert eventually(lambda: not plugin._expected)
    assert call(wire.channel(host.gateway()), "Name") == b"main"


# --- Knocks that fail ---


def test_a_knock_that_is_refused_fails_the_call_and_is_reported(wire: Wire) -> None:
    def knock() -> None:
        raise BrokerError("nobody accepts 7")

    assert failure(wire.channel(sessions(wire)[1].gateway(knock))) is grpc.StatusCode.UNAVAILABLE

    wire.host_errors.wait_for(BrokerError, "nobody accepts 7")


def test_a_defect_in_a_knock_costs_that_connection_alone(wire: Wire) -> None:
    _, host = sessions(wire)

    assert failure(wire.channel(host.gateway(lambda: 1 / 0))) is grpc.StatusCode.UNAVAILABLE

    wire.host_errors.wait_for(PluginError, "ZeroDivisionError")
    assert call(wire.channel(host.gateway()), "Name") == b"main"


def test_knocks_wait_for_each_other(wire: Wire, servers: Servers) -> None:
    plugin, host = sessions(wire)
    side = servers.backend("side", spare=4)
    busy = threading.Lock()
    overlaps: list[bool] = []

    def knock() -> None:
        overlaps.append(not busy.acquire(blocking=False))
        time.sleep(0.02)
        busy.release()
        plugin.expect(side)

    channels = [wire.channel(host.gateway(knock)) for _ in range(4)]
    answers = [channel.unary_unary("/t/Name").future(b"", timeout=10) for channel in channels]

    assert [answer.result() for answer in answers] == [b"side"] * 4
    assert overlaps == [False] * 4


def test_a_session_that_closes_while_a_knock_waits_leaves_no_thread(wire: Wire) -> None:
    _, host = sessions(wire)
    knocking, answered = threading.Event(), threading.Event()

    def knock() -> None:
        knocking.set()
        answered.wait(10)

    future = wire.channel(host.gateway(knock)).unary_unary("/t/Name").future(b"", timeout=10)
    assert knocking.wait(10)
    closer = threading.Thread(target=host.close)
    closer.start()

    answered.set()

    closer.join()
    with pytest.raises(grpc.RpcError):
        future.result()
    assert relay_threads() == ["doze-relay", "doze-relay"]


# --- The end of a session ---


def test_when_the_host_closes_its_session_the_plugins_ends(wire: Wire) -> None:
    plugin, host = sessions(wire)
    # Bytes that a host has not read turn its closing into a reset; what the sessions say at first is read by then.
    time.sleep(0.2)

    host.close()

    assert eventually(lambda: plugin._failure)
    with pytest.raises(TransportError, match="closed the multiplexed connection"):
        plugin.wait()


def test_after_its_end_a_session_is_not_followed_by_another(wire: Wire) -> None:
    plugin, host = sessions(wire)
    host.close()
    assert eventually(lambda: plugin._failure)

    second = wire.host.dial_session("unix", wire.path)

    assert failure(wire.channel(second.gateway())) is grpc.StatusCode.UNAVAILABLE
    wire.plugin_errors.wait_for(TransportError, "refusing one more multiplexed connection: the only one has ended")


def test_nothing_goes_through_a_closed_session(wire: Wire, servers: Servers) -> None:
    plugin, _ = sessions(wire)
    channel = wire.channel(plugin.gateway())

    plugin.close()
    plugin.close()

    assert failure(channel) is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(TransportError, match="was closed"):
        plugin.expect(servers.backend("side"))


def test_waiting_for_a_host_that_never_comes_ends_in_time(folder: object, servers: Servers) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/plugin")
    listener.listen()
    with Relay() as relay:
        session = relay.accept_session(listener, servers.backend())

        with pytest.raises(TransportError, match=r"nobody connected within 0\.1 s"):
            session.wait(0.1)


def test_dialling_before_the_host_has_connected_fails_the_call(folder: object, servers: Servers) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/plugin")
    listener.listen()
    errors = Errors()
    with Relay(on_error=errors.append) as relay:
        session = relay.accept_session(listener, servers.backend())
        with grpc.insecure_channel(session.gateway().target) as channel:
            assert failure(channel) is grpc.StatusCode.UNAVAILABLE

    errors.wait_for(TransportError, "no multiplexed connection yet")


# --- A plugin that does not answer ---


@pytest.fixture
def silent_plugin(folder: object) -> Callable[[], socket.socket]:
    """Accepts the connection of a host; the test is the plugin."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/plugin")
    listener.listen()

    def accept() -> socket.socket:
        with listener:
            sock, _ = listener.accept()
        sock.settimeout(10)
        return sock

    return accept


def test_a_plugin_that_never_acknowledges_a_stream_ends_the_session(
    folder: object, silent_plugin: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yamux, "OPEN_TIMEOUT", 0.2)
    errors = Errors()
    with Relay(on_error=errors.append) as relay:
        session = relay.dial_session("unix", f"{folder}/plugin")
        with silent_plugin() as sock, grpc.insecure_channel(session.gateway().target) as channel:
            assert failure(channel) is grpc.StatusCode.UNAVAILABLE
            heard = b"".join(iter(lambda: sock.recv(65536), b""))

    assert heard.endswith(bytes.fromhex("00 03 0000 00000000 00000001"))
    errors.wait_for(yamux.UnresponsiveError, "to acknowledge stream 1")


def test_a_plugin_that_does_not_multiplex_ends_the_session_with_a_sentence(
    folder: object, silent_plugin: Callable[[], socket.socket]
) -> None:
    errors = Errors()
    with Relay(on_error=errors.append) as relay:
        relay.dial_session("unix", f"{folder}/plugin")
        with silent_plugin() as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\n")
            errors.wait_for(yamux.ViolationError, "may not speak yamux")
