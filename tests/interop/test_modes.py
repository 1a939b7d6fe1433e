"""What works between a host and a plugin in every mode: plain, AutoMTLS, multiplexed, and both."""

from __future__ import annotations

import pytest

from .hosts import Host, HostError, eventually

MIB = 1 << 20


def test_the_health_service_answers(connected: Host):
    connected.ping()


def test_a_call_returns_what_was_sent(connected: Host):
    connected.echo(1000)


def test_an_empty_message_crosses(connected: Host):
    connected.echo(0)


def test_fifty_megabytes_cross_in_one_message_and_come_back(connected: Host):
    connected.echo(50 * MIB)


def test_many_callers_at_once_each_get_their_own_answer(connected: Host):
    connected.echo(2000, count=1000, concurrency=64)


def test_large_messages_of_several_callers_do_not_mix(connected: Host):
    connected.echo(3 * MIB, count=12, concurrency=4)


def test_a_stream_from_the_plugin_arrives_whole_and_in_order(connected: Host):
    assert connected.count(500, 10_000) == 500


def test_a_stream_from_the_host_arrives_whole(connected: Host):
    assert connected.total(500, 10_000) == (500, 5_000_000)


def test_both_ends_of_a_stream_can_talk_in_turns(connected: Host):
    connected.chat(200, 1000)


def test_the_plugin_calls_the_host_back_through_the_broker(connected: Host):
    assert connected.upstream(["a", "b"]) == ["host:A", "host:B"]


def test_the_host_calls_what_the_plugin_accepted_through_the_broker(connected: Host):
    assert connected.offer(["a", "b"]) == ["plugin:A", "plugin:B"]


def test_brokered_connections_can_be_made_again_and_again_in_both_directions(connected: Host):
    for turn in range(5):
        assert connected.upstream([f"x{turn}"], times=2) == [f"host:X{turn}"] * 2
        assert connected.offer([f"y{turn}"], times=2) == [f"plugin:Y{turn}"] * 2


def test_a_brokered_connection_carries_large_messages(connected: Host):
    assert connected.upstream(["a"], size=8 * MIB) == ["host:A"]
    assert connected.offer(["a"], size=8 * MIB) == ["plugin:A"]


def test_calls_on_the_main_connection_go_on_while_brokered_ones_run(connected: Host):
    sleeping = connected.sleep(0.5)
    assert connected.upstream(["a"], times=3) == ["host:A"] * 3
    sleeping.result(30)


def test_an_error_keeps_its_code_and_text(connected: Host):
    with pytest.raises(HostError, match="the disk is full: ä") as caught:
        connected.fail(9, "the disk is full: ä")

    assert caught.value.code == "FailedPrecondition"


def test_an_error_may_be_as_long_as_a_traceback(connected: Host):
    with pytest.raises(HostError, match="a line of a traceback\n" * 5000) as caught:
        connected.fail(2, "a line of a traceback\n" * 5000)

    assert caught.value.code == "Unknown"


@pytest.mark.parametrize("writer", ["SELF", "CHILD"])
@pytest.mark.parametrize("stream", ["STDOUT", "STDERR"])
def test_what_the_plugin_and_its_children_print_reaches_the_host(connected: Host, stream: str, writer: str):
    text = f"printed on {stream} by {writer}\n".encode()

    connected.write(stream, text, writer=writer)

    assert eventually(lambda: text in (connected.seen().stdout if stream == "STDOUT" else connected.seen().stderr))


@pytest.mark.parametrize("writer", ["SELF", "CHILD"])
def test_megabytes_without_a_newline_reach_the_host_whole(connected: Host, writer: str):
    before = len(connected.seen().stdout)

    connected.write("STDOUT", b"0123456789abcdef" * 64, writer=writer, times=2000)

    assert eventually(lambda: len(connected.seen().stdout) == before + 1024 * 2000)
    assert connected.seen().stdout[before:] == b"0123456789abcdef" * 64 * 2000


@pytest.mark.parametrize("level", ["trace", "debug", "info", "warn", "error"])
def test_a_log_record_keeps_its_level_message_and_fields(connected: Host, level: str):
    message = f'a record at {level} with "quotes", a\ttab and ünïcode'
    fields = {"file": "/etc/passwd", "odd key": "ä"}

    connected.log(level, message, fields)

    assert eventually(lambda: any(record.message == message for record in connected.seen().records))
    record = next(record for record in connected.seen().records if record.message == message)
    assert record.level == level
    assert {name: record.fields[name] for name in fields} == fields
