"""gRPC through a host's relay and a plugin's, in every mode."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from doze_sdk.plugin.kernel._backend import Backend, hung_up
from doze_sdk.plugin.kernel._errors import TransportError
from doze_sdk.plugin.kernel._relay import Relay
from tests.plugin.transport.conftest import MODES, Servers, Wire, call, eventually, relay_threads, sockets

MakeWire = Callable[[str, Backend], Wire]


@pytest.fixture(params=MODES)
def wire(request: pytest.FixtureRequest, make_wire: MakeWire, servers: Servers) -> Wire:
    return make_wire(request.param, servers.backend())


def test_a_call_is_answered(wire: Wire) -> None:
    assert call(wire.channel(), "Echo", b"hello") == b"hello"


def test_fifty_megabytes_travel_both_ways(wire: Wire) -> None:
    message = os.urandom(50_000_000)

    assert call(wire.channel(), "Echo", message) == message


def test_many_calls_at_once_are_answered(wire: Wire) -> None:
    channel = wire.channel()
    echo = channel.unary_unary("/t/Echo")
    messages = [os.urandom(5000) for _ in range(200)]

    answers = [echo.future(message, timeout=30) for message in messages]

    assert [answer.result() for answer in answers] == messages


def test_streams_run_in_both_directions(wire: Wire) -> None:
    channel = wire.channel()

    counted = list(channel.unary_stream("/t/Count")(b"500", timeout=30))
    summed = channel.stream_unary("/t/Sum")(iter([bytes(1000)] * 500), timeout=30)

    assert counted == [b"%d" % i for i in range(500)]
    assert summed == b"500000"


def test_several_channels_are_served_side_by_side(wire: Wire) -> None:
    channels = [wire.channel() for _ in range(5)]

    assert [call(channel, "Echo", b"%d" % i) for i, channel in enumerate(channels)] == [b"%d" % i for i in range(5)]


def test_when_all_prepared_connections_are_used_another_server_is_started(wire: Wire, servers: Servers) -> None:
    for i in range(5):
        channel = wire.channel()
        assert call(channel, "Echo", b"%d" % i) == b"%d" % i
        channel.close()

    assert len(servers.started) == 3  # two connections are prepared at a time


def test_a_channel_connects_again_after_it_was_idle(wire: Wire) -> None:
    gateway = wire.gateway()
    channel = wire.channel(gateway, ("grpc.client_idle_timeout_ms", 1000))
    path = Path(gateway.target.removeprefix("unix:"))
    assert call(channel, "Echo", b"one") == b"one"
    assert not path.exists()
    assert eventually(path.exists)

    assert call(channel, "Echo", b"two") == b"two"
    assert not path.exists()


def test_a_closed_channel_leaves_no_connection(wire: Wire) -> None:
    gateway = wire.gateway()
    channel = wire.channel(gateway)
    before = sockets()
    call(channel, "Echo", b"hello")

    channel.close()
    gateway.close()

    # One of the connections that were made ahead is used up.
    assert eventually(lambda: sockets() < before)


def test_no_socket_of_ours_can_be_found_while_a_call_runs(wire: Wire, folder: Path) -> None:
    call(wire.channel(), "Echo", b"hello")

    assert [path for path in folder.rglob("*") if path.is_socket()] == [Path(wire.path)]


def test_another_process_cannot_use_the_target_of_a_channel(wire: Wire) -> None:
    gateway = wire.gateway()
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({gateway.target[5:]!r}); print(s.recv(1))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "b''\n"

    wire.host_errors.wait_for(TransportError, "tried to use the channel")
    assert call(wire.channel(gateway), "Echo", b"hello") == b"hello"


def test_the_folder_of_a_target_is_for_this_account_alone(wire: Wire) -> None:
    folder = Path(wire.gateway().target.removeprefix("unix:")).parent

    assert folder.stat().st_mode & 0o777 == 0o700


def test_when_the_plugins_relay_closes_the_host_sees_the_call_fail(wire: Wire) -> None:
    channel = wire.channel()
    stream = channel.unary_stream("/t/Count")(b"1000000000", timeout=30)
    next(stream)

    wire.plugin.close()

    with pytest.raises(grpc.RpcError) as caught:
        for _ in stream:
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_when_the_hosts_relay_closes_the_plugin_can_still_be_stopped(wire: Wire, servers: Servers) -> None:
    call(wire.channel(), "Echo", b"hello")

    wire.host.close()

    assert servers.started[0].stop(None).wait(10)


def test_what_a_server_sent_before_it_stopped_reaches_the_host(wire: Wire, servers: Servers) -> None:
    channel = wire.channel()
    answers = [channel.unary_unary("/t/Wait").future(bytes(100_000), timeout=30) for _ in range(5)]
    assert eventually(lambda: servers.waiting == 5)

    servers.gate.set()
    servers.stop(grace=5)
    wire.plugin.close()

    assert [len(answer.result()) for answer in answers] == [100_000] * 5


def test_closing_is_idempotent_from_any_thread(wire: Wire) -> None:
    call(wire.channel(), "Echo", b"hello")
    closers = [threading.Thread(target=wire.plugin.close) for _ in range(4)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()

    wire.plugin.close()

    wire.host.close()
    assert relay_threads() == []


def test_a_gateway_closes_twice_and_after_the_relay(wire: Wire) -> None:
    gateway = wire.gateway()
    gateway.close()
    gateway.close()

    wire.host.close()
    gateway.close()

    assert not Path(gateway.target.removeprefix("unix:")).parent.exists()


def test_a_closed_relay_says_so() -> None:
    relay = Relay()
    relay.close()

    with pytest.raises(TransportError, match="it is closed"):
        relay.dial("unix", "/nowhere")


def test_a_relay_nobody_used_closes() -> None:
    with Relay():
        assert relay_threads() == ["doze-relay"]


def test_a_forked_process_leaves_the_relay_to_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK], capture_output=True, timeout=30, check=True
    )

    assert done.stdout == b"the child is done\nthe path is still there\n"


_FORK = """
import os
from doze_sdk.plugin.kernel._relay import Relay

relay = Relay()
gateway = relay.dial("unix", "/nowhere")
child = os.fork()
if not child:
    gateway.close()
    relay.close()
    os.write(1, b"the child is done\\n")
    os._exit(0)
os.waitpid(child, 0)
if os.path.exists(gateway.target.removeprefix("unix:")):
    os.write(1, b"the path is still there\\n")
relay.close()
"""


# --- Addresses ---


def test_tcp_is_dialled_too(
    servers: Servers, contexts: tuple[object, object], make_tcp: Callable[[Backend], tuple[Relay, Relay, str]]
) -> None:
    plugin, host, address = make_tcp(servers.backend())

    with plugin, host, grpc.insecure_channel(host.dial("tcp", address).target) as channel:
        assert call(channel, "Echo", b"hello") == b"hello"


@pytest.mark.parametrize(
    ("network", "address", "why"),
    [
        ("udp", "x", "expected network 'unix' or 'tcp'"),
        ("tcp", "12", "host:port"),
        ("tcp", "h:x", "host:port"),
        ("tcp", "127.0.0.1:65536", "host:port"),
        ("tcp", "127.0.0.1:" + "9" * 5000, "host:port"),
        ("tcp", "a" * 64 + ":80", "label"),
        ("unix", "/tmp/" + "a" * 103, "the path has 108 bytes"),
        ("unix", "/tmp/" + "ü" * 100_000, "the path has 200005 bytes"),
        ("unix", "\ud800", "surrogates not allowed"),
    ],
    ids=range(9),
)
def test_an_address_of_no_known_kind_is_refused(network: str, address: str, why: str) -> None:
    with Relay() as relay, pytest.raises(TransportError, match=why):
        relay.dial(network, address)


def test_an_address_where_nobody_listens_fails_the_call_and_is_reported(folder: Path) -> None:
    errors: list[object] = []
    with Relay(on_error=errors.append) as relay:
        channel = grpc.insecure_channel(relay.dial("unix", str(folder / "nobody")).target)
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, "Echo", b"hello")
        channel.close()

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    assert "No such file" in str(errors[0])


def test_a_session_that_cannot_be_dialled_is_an_error(folder: Path) -> None:
    with Relay() as relay, pytest.raises(TransportError, match="connecting to the plugin"):
        relay.dial_session("unix", str(folder / "nobody"))


# --- Backends ---


def test_a_server_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(TransportError, match="connecting to our own gRPC server"):
        Backend(lambda _target: lambda: None)


def test_a_further_server_that_cannot_be_started_costs_that_connection_only(
    make_wire: MakeWire, servers: Servers
) -> None:
    backend = servers.backend(spare=1)
    wire = make_wire("tls", backend)
    first = wire.channel()
    call(first, "Echo", b"hello")

    def fail(_target: str) -> None:
        raise RuntimeError("no room")

    backend._bind = fail  # type: ignore[misc]
    with pytest.raises(grpc.RpcError):
        call(wire.channel(), "Echo", b"hello")

    wire.plugin_errors.wait_for(TransportError, "no room")
    assert call(first, "Echo", b"still here") == b"still here"


def test_prepared_connections_that_died_are_passed_over(make_wire: MakeWire, servers: Servers) -> None:
    backend = servers.backend()
    servers.started[0].stop(None).wait()
    assert eventually(lambda: all(hung_up(sock) for sock in backend._ready))

    assert call(make_wire("tls", backend).channel(), "Echo", b"hello") == b"hello"
    assert len(servers.started) == 2
