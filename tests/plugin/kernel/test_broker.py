"""Brokered connections in both directions, in all four modes."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._codec import ConnInfo, Knock
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import ECHO, PATIENCE, Caller, Launch, until

if TYPE_CHECKING:
    import grpc

MODES = [{}, {"auto_mtls": True}, {"multiplex": True}, {"auto_mtls": True, "multiplex": True}]
in_every_mode = pytest.mark.parametrize("mode", MODES, ids=["plain", "mtls", "mux", "both"])

DIAL = "with broker.dial({}) as channel:\n answer = channel.unary_unary('/test.Back/Back')(b'{}', timeout=10)"
ACCEPT = "answer = broker.accept(broker.next_id(), serve_back).service_id"


def ask(channel: grpc.Channel, request: bytes = b"x") -> bytes:
    answer: bytes = channel.unary_unary("/test.Back/Back")(request, timeout=PATIENCE)
    return answer


@in_every_mode
def test_the_plugin_calls_the_host_back(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    broker = call.plugin.broker
    accepted = broker.accept(broker.next_id(), echo_plugin.serve_back)

    assert call.run(DIAL.format(accepted.service_id, "hello")) == "back:hello"


@in_every_mode
def test_the_host_calls_what_the_plugin_accepts(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    with call.plugin.broker.dial(int(call.run(ACCEPT))) as channel:
        assert [ask(channel, b"1"), ask(channel, b"2")] == [b"back:1", b"back:2"]


@in_every_mode
def test_both_sides_may_use_the_same_number_at_once(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    call.plugin.broker.accept(7, echo_plugin.serve_back)
    call.run("broker.accept(7, serve_back)")
    with call.plugin.broker.dial(7) as channel:
        assert ask(channel) == b"back:x"

    assert call.run(DIAL.format(7, "y")) == "back:y"


@in_every_mode
def test_many_connections_are_made_at_once_in_both_directions(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)

    def there_and_back(number: int) -> tuple[bytes, str]:
        broker = call.plugin.broker
        with broker.dial(int(call.run(ACCEPT))) as channel:
            there = ask(channel, b"%d" % number)
        accepted = broker.accept(broker.next_id(), echo_plugin.serve_back)
        back = call.run(DIAL.format(accepted.service_id, number))
        accepted.stop()
        return there, back

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(there_and_back, range(18)))

    assert answers == [(b"back:%d" % n, f"back:{n}") for n in range(18)]


@in_every_mode
def test_large_messages_cross_a_brokered_connection(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    message = os.urandom(1 << 20) * 8
    with call.plugin.broker.dial(int(call.run(ACCEPT))) as channel:
        assert ask(channel, message) == b"back:" + message


@in_every_mode
def test_dialling_what_nobody_accepts_ends_at_the_time_limit(start: Launch, mode: dict[str, bool]) -> None:
    broker = start(**mode).plugin.broker
    with pytest.raises(kernel.BrokerError, match="timeout waiting for connection info"):
        broker.dial(99, timeout=0.2)


@in_every_mode
def test_a_number_is_dialled_before_it_is_accepted(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    with ThreadPoolExecutor(1) as pool:
        dialled = pool.submit(call.plugin.broker.dial, 50)
        call.run("import time; time.sleep(0.2); broker.accept(50, serve_back)")
        with dialled.result(PATIENCE) as channel:
            assert ask(channel) == b"back:x"


@in_every_mode
def test_a_stopped_server_frees_its_number(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    broker = call.plugin.broker
    first = broker.accept(5, echo_plugin.serve_back)
    with pytest.raises(kernel.BrokerError, match="it is being accepted already"):
        broker.accept(5, echo_plugin.serve_back)

    assert call.run(DIAL.format(5, "once")) == "back:once"
    first.stop()
    first.stop()
    broker.accept(5, echo_plugin.serve_back)

    assert call.run(DIAL.format(5, "again")) == "back:again"


@in_every_mode
def test_a_server_that_is_stopped_again_leaves_its_successor_alone(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    broker = call.plugin.broker
    first = broker.accept(5, echo_plugin.serve_back)
    assert call.run(DIAL.format(5, "once")) == "back:once"  # else it would find the first one's address
    first.stop()
    broker.accept(5, echo_plugin.serve_back)
    first.stop()

    with pytest.raises(kernel.BrokerError, match="it is being accepted already"):
        broker.accept(5, echo_plugin.serve_back)
    assert call.run(DIAL.format(5, "again")) == "back:again"


@in_every_mode
def test_a_number_is_taken_as_soon_as_it_is_being_accepted(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    broker = call.plugin.broker
    refused: list[str] = []

    def serve(server: grpc.Server) -> None:
        try:
            broker.accept(9, echo_plugin.serve_back)
        except kernel.BrokerError as error:
            refused.append(str(error))
        echo_plugin.serve_back(server)

    broker.accept(9, serve)

    assert refused == ["cannot accept connection 9: it is being accepted already; use next_id()"]
    assert call.run(DIAL.format(9, "once")) == "back:once"


def test_a_server_that_could_not_be_opened_frees_its_number(start: Launch) -> None:
    broker = start().plugin.broker

    def fail(_server: grpc.Server) -> None:
        raise KeyError("no such service")

    with pytest.raises(KeyError):
        broker.accept(5, fail)
    broker.accept(5, echo_plugin.serve_back)


@in_every_mode
def test_a_dead_plugin_wakes_whoever_waits(start: Launch, mode: dict[str, bool]) -> None:
    plugin = start(**mode).plugin
    threading.Timer(0.2, plugin.kill).start()
    with pytest.raises(kernel.BrokerError, match=r"the plugin's connection is closed|the plugin has left"):
        plugin.broker.dial(99, timeout=PATIENCE)
    plugin.kill()


@in_every_mode
def test_dialling_after_the_plugin_has_died_does_not_wait(start: Launch, mode: dict[str, bool]) -> None:
    call = start(**mode)
    assert call.plugin.pid is not None
    os.kill(call.plugin.pid, signal.SIGKILL)

    with pytest.raises(kernel.BrokerError, match="the plugin has left"):
        call.plugin.broker.dial(7, timeout=100 * PATIENCE)


@in_every_mode
@pytest.mark.parametrize("number", [-1, 1 << 32, 1.5, "7"])
def test_a_number_that_is_none_is_refused_and_costs_nothing_else(
    start: Launch, mode: dict[str, bool], number: int
) -> None:
    call = start(**mode)
    for make in (call.plugin.broker.dial, lambda number: call.plugin.broker.accept(number, echo_plugin.serve_back)):
        with pytest.raises(kernel.BrokerError, match="expected a number from 0 to 4294967295"):
            make(number)

    call.plugin.broker.accept(7, echo_plugin.serve_back)
    assert call.run(DIAL.format(7, "y")) == "back:y"


def test_a_number_whose_address_cannot_be_translated_is_free_again(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = start()
    broker = call.plugin.broker

    def refuse(_: kernel.Address) -> kernel.Address:
        raise kernel.PluginError("no such container")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "_to_peer", refuse)
        with pytest.raises(kernel.PluginError, match="no such container"):
            broker.accept(7, echo_plugin.serve_back)

    broker.accept(7, echo_plugin.serve_back)
    assert call.run(DIAL.format(7, "y")) == "back:y"


def test_a_server_that_cannot_be_made_leaves_no_thread(start: Launch) -> None:
    broker = start().plugin.broker
    before = threading.active_count()
    with pytest.raises(ValueError, match="unpack"):
        broker.accept(7, echo_plugin.serve_back, options=[("no pair",)])  # type: ignore[list-item]

    until(lambda: threading.active_count() == before, "the end of its thread")


def test_a_closed_broker_accepts_nothing() -> None:
    with kernel.launch(ECHO, echo_plugin.HANDSHAKE, versions={1}) as plugin:
        pass
    with pytest.raises(kernel.BrokerError, match="the plugin's connection is closed"):
        plugin.broker.accept(1, echo_plugin.serve_back)


def test_each_side_counts_from_one(start: Launch) -> None:
    call = start()

    assert [call.plugin.broker.next_id() for _ in range(3)] == [1, 2, 3]
    assert call.run("answer = broker.next_id()") == "1"


def test_an_offer_is_used_once_and_forgotten(start: Launch) -> None:
    call = start()
    identity = int(call.run(ACCEPT))
    call.plugin.broker.dial(identity).close()
    with pytest.raises(kernel.BrokerError):
        call.plugin.broker.dial(identity, timeout=0.2)


def test_an_offer_on_an_unknown_network_is_refused(start: Launch) -> None:
    broker = start().plugin.broker
    broker._take(ConnInfo(3, "carrier", "pigeon"))
    with pytest.raises(kernel.BrokerError, match="on 'carrier' 'pigeon'; expected 'unix' or 'tcp'"):
        broker.dial(3)


@pytest.mark.parametrize(
    ("network", "address"), [("unix", "/tmp/" + "a" * 200), ("tcp", "a" * 64 + ":80")], ids=["path", "host"]
)
def test_an_offer_at_an_impossible_address_costs_that_connection_alone(
    start: Launch, network: str, address: str
) -> None:
    call = start(auto_mtls=True)
    call.plugin.broker._take(ConnInfo(3, network, address))
    with pytest.raises(kernel.PluginError, match="resolving the peer's address"):
        call.plugin.broker.dial(3)

    assert call("Echo", b"x") == b"x"
    with call.plugin.broker.dial(int(call.run(ACCEPT))) as channel:
        assert ask(channel) == b"back:x"


def test_offers_that_nobody_claims_are_forgotten_after_five_seconds(
    start: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = start().plugin.broker
    monkeypatch.setattr("doze_sdk.plugin.kernel._broker.PATIENCE", 0.1)
    broker._take(ConnInfo(3, "unix", "/tmp/x"))
    with pytest.raises(kernel.BrokerError):
        broker.dial(4, timeout=0.2)
    with pytest.raises(kernel.BrokerError):
        broker.dial(3, timeout=0.01)
    broker._take(ConnInfo(5, "unix", "/tmp/x"))

    assert list(broker._infos) == [5]


def test_a_peer_that_offers_without_end_does_not_fill_the_memory(start: Launch) -> None:
    broker = start().plugin.broker
    for number in range(5000):
        broker._take(ConnInfo(number, "unix", "/tmp/x"))
        broker._take(ConnInfo(number, knock=Knock(knock=True)))

    assert len(broker._infos) <= 1024
    assert len(broker._knocks) <= 1024


def test_a_refusal_of_a_knock_is_quoted(start: Launch) -> None:
    broker = start(multiplex=True).plugin.broker
    threading.Timer(0.2, broker._take, [ConnInfo(9, knock=Knock(knock=True, ack=True, error="no room"))]).start()
    with pytest.raises(kernel.BrokerError, match="the other side refused: no room"):
        broker.dial(9)


@pytest.mark.parametrize("mode", MODES[:2], ids=["plain", "mtls"])
def test_a_knock_at_a_plugin_that_does_not_multiplex_is_refused_and_costs_nothing_else(
    start: Launch, mode: dict[str, bool]
) -> None:
    call = start(**mode)
    broker = call.plugin.broker

    def knock() -> Knock | None:
        broker._send(ConnInfo(9, knock=Knock(knock=True)))
        return broker._wait_for_info(9, PATIENCE).knock

    before = knock()
    call.run("broker.accept(9, serve_back)")
    with broker.dial(9) as channel:
        after = knock()

        assert before == after
        assert before is not None
        assert before.ack
        assert before.error == "connections are not multiplexed here; dial the address that is offered"
        assert ask(channel) == b"back:x"
    accepted = broker.accept(10, echo_plugin.serve_back)
    assert call.run(DIAL.format(accepted.service_id, "y")) == "back:y"


def test_a_knock_that_comes_too_late_is_refused(start: Launch) -> None:
    broker = start(multiplex=True).plugin.broker
    broker.accept(9, echo_plugin.serve_back)
    broker._wiring._session.close()  # type: ignore[attr-defined]
    broker._take(ConnInfo(9, knock=Knock(knock=True)))

    answer = broker._outgoing[-1].knock

    assert answer == Knock(knock=True, ack=True, error="the multiplexed connection was closed")


def test_an_answer_to_a_knock_that_is_none_is_refused(start: Launch) -> None:
    broker = start(multiplex=True).plugin.broker
    threading.Timer(0.2, broker._take, [ConnInfo(9, "unix", "/tmp/x")]).start()
    with pytest.raises(kernel.BrokerError, match="the answer is no acknowledgement"):
        broker.dial(9)


def test_the_registration_of_a_brokered_server_cannot_start_it(start: Launch) -> None:
    broker = start().plugin.broker
    for action in (
        lambda server: server.start(),
        lambda server: server.stop(None),
        lambda server: server.wait_for_termination(),
        lambda server: server.add_insecure_port("unix:/tmp/x"),
        lambda server: server.add_secure_port("unix:/tmp/x", None),
    ):
        with pytest.raises(kernel.ServeError, match="the kernel does that; only add servicers here"):
            broker.accept(1, action)


def test_dialling_and_closing_leaves_nothing_behind(start: Launch) -> None:
    call: Caller = start(auto_mtls=True, multiplex=True)
    identity = int(call.run(ACCEPT))
    for _ in range(20):
        with call.plugin.broker.dial(identity) as channel:
            ask(channel)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        with call.plugin.broker.dial(identity) as channel:
            ask(channel)

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4


@pytest.mark.parametrize("settings", [{"multiplex": True}, {"multiplex": True, "auto_mtls": True}])
def test_a_number_that_is_dialled_again_and_again_costs_the_plugin_no_further_server(
    start: Launch, settings: dict[str, bool]
) -> None:
    call = start(**settings)
    identity = int(call.run(ACCEPT))

    def dial(times: int) -> None:
        for _ in range(times):
            with call.plugin.broker.dial(identity) as channel:
                ask(channel)

    def held() -> list[int]:
        return [len(list(Path(f"/proc/{call.plugin.pid}/{what}").iterdir())) for what in ("task", "fd")]

    dial(10)
    threads, descriptors = held()
    dial(60)
    until(lambda: held()[0] <= threads + 4 and held()[1] <= descriptors + 8, "the end of the servers in between")
