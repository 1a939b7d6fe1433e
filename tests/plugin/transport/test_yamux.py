"""The frames are written out by hand from the frame format: version, type, flags, stream, length, all big-endian."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings, strategies as st

from doze_sdk.plugin.kernel import _yamux as yamux
from doze_sdk.plugin.kernel._yamux import Connection, Violation

KIB = 1024


def frame(text: str, payload: bytes = b"") -> bytes:
    """`"v t flags stream length"` in hexadecimal, as it stands on the wire."""
    data = bytes.fromhex(text)
    assert len(data) == 12
    return data + payload


SYN_1 = frame("00 01 0001 00000001 00000000")
SYN_2 = frame("00 01 0001 00000002 00000000")
ACK_1 = frame("00 01 0002 00000001 00000000")
ACK_2 = frame("00 01 0002 00000002 00000000")
FIN_1 = frame("00 01 0004 00000001 00000000")
RST_1 = frame("00 01 0008 00000001 00000000")
HELLO_1 = frame("00 00 0000 00000001 00000005", b"hello")
PING_7 = frame("00 02 0001 00000000 00000007")
PONG_7 = frame("00 02 0002 00000000 00000007")
GO_AWAY = frame("00 03 0000 00000000 00000000")
GO_AWAY_PROTOCOL_ERROR = frame("00 03 0000 00000000 00000001")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def flush(connection: Connection) -> bytes:
    data = bytes(connection.outgoing)
    connection.outgoing.clear()
    return data


def server_with_stream() -> Connection:
    server = Connection(client=False)
    assert server.receive(SYN_1) == [yamux.Opened(1)]
    server.accept(1)
    assert flush(server) == ACK_1
    return server


def client_with_stream() -> Connection:
    client = Connection(client=True)
    assert client.open() == 1
    assert flush(client) == SYN_1
    assert client.receive(ACK_1) == [yamux.Acknowledged(1)]
    return client


# --- Golden transcripts ---


def test_a_client_opens_odd_streams_with_a_window_update_that_carries_syn() -> None:
    client = Connection(client=True)

    assert [client.open(), client.open()] == [1, 3]
    assert flush(client) == SYN_1 + frame("00 01 0001 00000003 00000000")


def test_a_server_opens_even_streams() -> None:
    server = Connection(client=False)

    assert server.open() == 2
    assert flush(server) == SYN_2
    assert server.receive(ACK_2) == [yamux.Acknowledged(2)]


def test_sent_bytes_travel_in_a_data_frame() -> None:
    client = client_with_stream()

    assert client.send(1, b"hello") == 5
    assert flush(client) == HELLO_1


def test_received_bytes_are_an_event() -> None:
    assert server_with_stream().receive(HELLO_1) == [yamux.Received(1, memoryview(b"hello"))]


def test_finishing_sends_fin_and_leaves_the_other_direction_open() -> None:
    client = client_with_stream()

    client.finish(1)

    assert flush(client) == FIN_1
    assert client.receive(HELLO_1) == [yamux.Received(1, memoryview(b"hello"))]
    with pytest.raises(yamux.StreamClosedError, match="stream 1"):
        client.send(1, b"more")


def test_a_stream_that_both_sides_finished_is_gone() -> None:
    client = client_with_stream()
    client.finish(1)

    assert client.receive(FIN_1) == [yamux.Finished(1)]
    assert len(client) == 0


def test_fin_on_a_data_frame_comes_after_its_bytes() -> None:
    server = server_with_stream()

    events = server.receive(frame("00 00 0004 00000001 00000005", b"hello"))

    assert events == [yamux.Received(1, memoryview(b"hello")), yamux.Finished(1)]


def test_syn_may_ride_on_a_data_frame() -> None:
    server = Connection(client=False)

    events = server.receive(frame("00 00 0001 00000001 00000005", b"hello"))

    assert events == [yamux.Opened(1), yamux.Received(1, memoryview(b"hello"))]


def test_ack_may_ride_on_a_data_frame() -> None:
    client = Connection(client=True)
    client.open()

    events = client.receive(frame("00 00 0002 00000001 00000005", b"hello"))

    assert events == [yamux.Acknowledged(1), yamux.Received(1, memoryview(b"hello"))]


def test_a_reset_drops_the_stream_in_both_directions() -> None:
    client = client_with_stream()

    client.reset(1)

    assert flush(client) == RST_1
    assert len(client) == 0


def test_a_reset_of_the_peer_is_an_event() -> None:
    server = server_with_stream()

    assert server.receive(RST_1) == [yamux.Reset(1)]
    with pytest.raises(yamux.StreamClosedError):
        server.send(1, b"more")


def test_a_ping_is_answered_with_its_value() -> None:
    server = Connection(client=False)

    assert server.receive(PING_7) == []
    assert flush(server) == PONG_7


def test_an_answered_ping_is_an_event() -> None:
    client = Connection(client=True)
    assert [client.ping(), client.ping()] == [0, 1]
    assert flush(client) == frame("00 02 0001 00000000 00000000") + frame("00 02 0001 00000000 00000001")

    assert client.receive(frame("00 02 0002 00000000 00000001")) == [yamux.Ponged(1)]


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    assert Connection(client=True).receive(PONG_7) == []


def test_go_away_is_sent_once() -> None:
    server = Connection(client=False)

    server.go_away()
    server.go_away()

    assert flush(server) == GO_AWAY


def test_closing_ends_with_go_away() -> None:
    server = server_with_stream()

    server.close()

    assert flush(server) == GO_AWAY
    assert server.ended
    assert server.receive(HELLO_1) == []


# --- Flow control ---


def test_sending_stops_at_the_peers_window_and_goes_on_when_it_grants_more() -> None:
    client = client_with_stream()

    assert client.send(1, bytes(300 * KIB)) == 256 * KIB
    assert client.send(1, b"more") == 0
    assert len(flush(client)) == 256 * KIB + 12

    assert client.receive(frame("00 01 0000 00000001 00000002")) == [yamux.Granted(1)]
    assert client.window(1) == 2
    assert client.send(1, b"more") == 2
    assert flush(client) == frame("00 00 0000 00000001 00000002", b"mo")


def test_credit_is_returned_once_half_of_the_window_is_consumed() -> None:
    server = server_with_stream()
    server.receive(frame("00 00 0000 00000001 00020000", bytes(128 * KIB)))

    server.consume(1, 128 * KIB - 1)
    assert flush(server) == b""
    server.consume(1, 1)
    assert flush(server) == frame("00 01 0000 00000001 00020000")


def test_what_was_consumed_before_the_stream_was_accepted_is_returned_with_the_ack() -> None:
    server = Connection(client=False)
    server.receive(frame("00 00 0001 00000001 00000005", b"hello"))
    server.consume(1, 5)

    server.accept(1)

    assert flush(server) == frame("00 01 0002 00000001 00000005")


def test_a_peer_that_finished_gets_no_credit() -> None:
    server = server_with_stream()
    server.receive(frame("00 00 0004 00000001 00020000", bytes(128 * KIB)))

    server.consume(1, 128 * KIB)

    assert flush(server) == b""


def test_a_larger_window_may_be_granted_with_syn() -> None:
    server = Connection(client=False)

    server.receive(frame("00 01 0001 00000001 00001000"))

    assert server.window(1) == 256 * KIB + 0x1000


def test_a_grant_beyond_32_bits_is_a_violation() -> None:
    server = server_with_stream()

    events = server.receive(frame("00 01 0000 00000001 ffffffff"))

    assert violation(events) is Violation.WINDOW


# --- What a peer must not do ---


def violation(events: list[yamux.Event]) -> Violation:
    ended = events[-1]
    assert isinstance(ended, yamux.Ended)
    assert isinstance(ended.error, yamux.ViolationError)
    return ended.error.violation


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", Violation.VERSION, id="another protocol"),
        pytest.param(frame("01 00 0000 00000001 00000000"), Violation.VERSION, id="version 1"),
        pytest.param(frame("00 04 0000 00000001 00000000"), Violation.TYPE, id="type 4"),
        pytest.param(frame("00 00 0010 00000001 00000000"), Violation.FLAGS, id="a fifth flag"),
        pytest.param(frame("00 01 0003 00000003 00000000"), Violation.FLAGS, id="SYN with ACK"),
        pytest.param(frame("00 02 0000 00000000 00000000"), Violation.FLAGS, id="ping without flags"),
        pytest.param(frame("00 02 0001 00000001 00000000"), Violation.FLAGS, id="ping on a stream"),
        pytest.param(frame("00 03 0000 00000001 00000000"), Violation.STREAM, id="GoAway on a stream"),
        pytest.param(frame("00 01 0001 00000000 00000000"), Violation.STREAM, id="SYN on stream 0"),
        pytest.param(frame("00 01 0001 00000002 00000000"), Violation.STREAM, id="SYN with our parity"),
        pytest.param(frame("00 00 0000 00000000 00000001", b"x"), Violation.UNKNOWN_STREAM, id="data on stream 0"),
        pytest.param(frame("00 00 0000 00000003 00000001", b"x"), Violation.UNKNOWN_STREAM, id="data before SYN"),
        pytest.param(frame("00 01 0000 00000003 00000001"), Violation.UNKNOWN_STREAM, id="window before SYN"),
        pytest.param(frame("00 01 0008 00000003 00000000"), Violation.UNKNOWN_STREAM, id="RST before SYN"),
        pytest.param(frame("00 01 0002 00000002 00000000"), Violation.UNKNOWN_STREAM, id="ACK of no stream of ours"),
        pytest.param(SYN_1, Violation.DUPLICATE_STREAM, id="SYN twice"),
        pytest.param(ACK_1, Violation.ORDER, id="ACK of its own stream"),
        pytest.param(FIN_1 + FIN_1, Violation.ORDER, id="FIN twice"),
        pytest.param(frame("00 00 0000 00000001 00040001"), Violation.WINDOW, id="a frame beyond the window"),
        pytest.param(
            frame("00 00 0000 00000001 00040000", bytes(256 * KIB)) + HELLO_1, Violation.WINDOW, id="beyond it in two"
        ),
        pytest.param(frame("00 00 0001 00000003 ffffffff"), Violation.WINDOW, id="4 GiB on a new stream"),
    ],
)
def test_a_broken_rule_ends_the_connection_with_a_go_away(data: bytes, rule: Violation) -> None:
    server = server_with_stream()

    events = server.receive(data)

    assert violation(events) is rule
    assert flush(server).endswith(GO_AWAY_PROTOCOL_ERROR)
    assert server.ended
    assert len(server) == 0


def test_a_second_acknowledgement_is_a_violation() -> None:
    assert violation(client_with_stream().receive(ACK_1)) is Violation.ORDER


def test_a_stream_cannot_be_opened_again_after_it_ended() -> None:
    server = server_with_stream()
    server.receive(RST_1)

    assert violation(server.receive(SYN_1)) is Violation.DUPLICATE_STREAM


def test_events_before_a_violation_are_kept() -> None:
    events = server_with_stream().receive(HELLO_1 + frame("00 09 0000 00000000 00000000"))

    assert events[0] == yamux.Received(1, memoryview(b"hello"))
    assert violation(events) is Violation.TYPE


def test_an_error_says_what_was_expected_and_what_came() -> None:
    ended = server_with_stream().receive(b"GET / HTTP/1.1\r\n")[-1]

    assert isinstance(ended, yamux.Ended)
    assert str(ended.error) == (
        "reading a yamux frame: the peer broke the rule on protocol version: expected 0, got 71, so the peer may not "
        "speak yamux"
    )


def test_frames_that_overtook_each_other_when_the_streams_were_opened_are_no_violation() -> None:
    server = Connection(client=False)

    events = server.receive(frame("00 01 0001 00000005 00000000") + SYN_1 + frame("00 01 0001 00000003 00000000"))

    assert events == [yamux.Opened(5), yamux.Opened(1), yamux.Opened(3)]


def test_data_for_a_stream_that_was_overtaken_and_not_yet_opened_is_a_violation() -> None:
    server = Connection(client=False)
    server.receive(frame("00 01 0001 00000005 00000000"))

    assert violation(server.receive(HELLO_1)) is Violation.UNKNOWN_STREAM


def test_frames_under_way_to_a_stream_that_was_reset_here_are_dropped() -> None:
    server = server_with_stream()
    server.reset(1)

    assert server.receive(HELLO_1 + FIN_1 + RST_1 + frame("00 01 0000 00000001 00000005") + PING_7) == []
    assert flush(server) == RST_1 + PONG_7


def test_the_rest_of_a_frame_whose_stream_was_reset_here_is_dropped() -> None:
    server = server_with_stream()
    server.receive(HELLO_1[:14])

    server.reset(1)

    assert server.receive(HELLO_1[14:] + PING_7) == []
    assert flush(server) == RST_1 + PONG_7


def test_data_after_fin_costs_the_stream_and_not_the_connection() -> None:
    server = server_with_stream()
    server.receive(FIN_1)

    assert server.receive(HELLO_1 + PING_7) == [yamux.Reset(1)]
    assert flush(server) == RST_1 + PONG_7


def test_more_streams_than_the_backlog_are_reset() -> None:
    server = Connection(client=False)
    for number in range(1, 513, 2):
        server.receive(frame(f"00 01 0001 {number:08x} 00000000"))

    events = server.receive(frame("00 01 0001 00000201 00000000"))

    assert events == []
    assert len(server) == 256
    assert flush(server) == frame("00 01 0008 00000201 00000000")


def test_an_accepted_stream_makes_room_in_the_backlog() -> None:
    server = Connection(client=False)
    for number in range(1, 513, 2):
        server.receive(frame(f"00 01 0001 {number:08x} 00000000"))
    server.accept(1)

    assert server.receive(frame("00 01 0001 00000201 00000000")) == [yamux.Opened(513)]


def test_no_stream_is_taken_after_our_go_away() -> None:
    server = Connection(client=False)
    server.go_away()

    assert server.receive(SYN_1) == []
    assert flush(server) == GO_AWAY + RST_1


def test_a_peer_that_pings_without_reading_is_cut_off() -> None:
    server = Connection(client=False)
    server.outgoing += b"unsent"

    events = server.receive(PING_7 * 5000)

    assert violation(events) is Violation.FLOOD
    assert len(server.outgoing) < 64 * KIB


# --- The end of a connection ---


def test_go_away_lets_open_streams_go_on_but_no_new_ones_be_opened() -> None:
    client = client_with_stream()

    assert client.receive(GO_AWAY + HELLO_1) == [yamux.WentAway(), yamux.Received(1, memoryview(b"hello"))]
    with pytest.raises(yamux.GoAwayError, match="takes no further streams"):
        client.open()


@pytest.mark.parametrize(("code", "reason"), [(1, "protocol"), (2, "internal error"), (3, "unknown")])
def test_go_away_with_a_reason_ends_the_connection(code: int, reason: str) -> None:
    client = client_with_stream()

    ended = client.receive(frame(f"00 03 0000 00000000 {code:08x}"))[-1]

    assert isinstance(ended, yamux.Ended)
    assert isinstance(ended.error, yamux.GoAwayError)
    assert ended.error.code == code
    assert reason in str(ended.error)


def test_an_end_between_two_frames_is_no_error() -> None:
    assert server_with_stream().receive_eof() == [yamux.Ended(None)]


@pytest.mark.parametrize("cut", [1, 11, 12, 16])
def test_an_end_inside_a_frame_is_an_error(cut: int) -> None:
    server = server_with_stream()
    server.receive(HELLO_1[:cut])

    ended = server.receive_eof()[-1]

    assert isinstance(ended, yamux.Ended)
    assert isinstance(ended.error, yamux.TruncatedError)


def test_nothing_happens_after_the_end() -> None:
    server = server_with_stream()
    server.receive_eof()

    assert server.receive(HELLO_1) == []
    assert server.receive_eof() == []
    assert server.expire() == []
    with pytest.raises(yamux.YamuxError, match="is over"):
        server.open()


# --- Time limits ---


def test_a_stream_that_is_not_acknowledged_within_75_seconds_ends_the_connection() -> None:
    clock = Clock()
    client = Connection(client=True, clock=clock)
    client.open()
    assert client.deadline() == clock.now + 75
    clock.now += 74.9
    assert client.expire() == []

    clock.now += 0.2
    ended = client.expire()[-1]

    assert isinstance(ended, yamux.Ended)
    assert isinstance(ended.error, yamux.UnresponsiveError)
    assert flush(client) == SYN_1 + GO_AWAY_PROTOCOL_ERROR


def test_an_acknowledged_stream_has_no_time_limit() -> None:
    assert client_with_stream().deadline() is None


def test_a_ping_that_is_not_answered_ends_the_connection() -> None:
    clock = Clock()
    client = Connection(client=True, clock=clock)
    client.ping()

    clock.now += 10.1

    ended = client.expire()[-1]
    assert isinstance(ended, yamux.Ended)
    assert isinstance(ended.error, yamux.UnresponsiveError)


def test_a_stream_that_stays_half_closed_for_five_minutes_is_reset() -> None:
    clock = Clock()
    client = Connection(client=True, clock=clock)
    client.open()
    client.receive(ACK_1)
    client.finish(1)
    clock.now += 299
    assert client.expire() == []

    clock.now += 2

    assert client.expire() == [yamux.Reset(1)]
    assert flush(client).endswith(RST_1)
    assert not client.ended


def test_no_more_streams_than_the_backlog_are_opened_ahead_of_acknowledgement() -> None:
    client = Connection(client=True)
    for _ in range(256):
        client.open()

    with pytest.raises(yamux.YamuxError, match="256 streams unacknowledged"):
        client.open()


def test_stream_numbers_run_out_with_a_sentence() -> None:
    client = Connection(client=True)
    client._next = 2**32 - 1  # nobody waits for two billion streams

    with pytest.raises(yamux.YamuxError, match="used up"):
        client.open()


# --- Properties ---

_FRAMES = st.lists(
    st.one_of(
        st.sampled_from([SYN_1, FIN_1, RST_1, PING_7, PONG_7, GO_AWAY, HELLO_1, ACK_1, SYN_2, b"\x00", b"GET"]),
        st.builds(
            lambda kind, flags, number, payload: frame(
                f"00 {kind:02x} {flags:04x} {number:08x} {len(payload):08x}", payload if kind == 0 else b""
            ),
            st.integers(0, 4),
            st.integers(0, 17),
            st.integers(0, 9),
            st.binary(max_size=40),
        ),
    ),
    max_size=12,
)


def joined(events: list[yamux.Event]) -> list[object]:
    """The events without regard to how data was cut into pieces."""
    result: list[object] = []
    for event in events:
        if not isinstance(event, yamux.Received):
            result.append(repr(event))
            continue
        last = result[-1] if result else None
        if isinstance(last, tuple) and last[0] == event.stream:
            result[-1] = (event.stream, last[1] + bytes(event.data))
        else:
            result.append((event.stream, bytes(event.data)))
    return result


@given(frames=_FRAMES, cuts=st.lists(st.integers(1, 30), min_size=1))
def test_the_events_do_not_depend_on_how_the_input_is_cut(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    whole, pieces = Connection(client=False), Connection(client=False)
    expected = joined(whole.receive(data))

    got: list[yamux.Event] = []
    position = turn = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        got += pieces.receive(data[position : position + size])
        position, turn = position + size, turn + 1

    assert joined(got) == expected
    assert pieces.outgoing == whole.outgoing


@given(data=st.binary(max_size=400))
def test_no_input_raises(data: bytes) -> None:
    connection = Connection(client=False)
    connection.receive(data)
    connection.receive_eof()


class End:
    """One end of a connection, with everything that it is to send and what it has received."""

    def __init__(self, *, client: bool) -> None:
        self.connection = Connection(client=client)
        self.wire = bytearray()
        self.to_send: dict[int, bytearray] = {}
        self.received: dict[int, bytearray] = defaultdict(bytearray)
        self.unconsumed: dict[int, int] = defaultdict(int)
        self.finished: set[int] = set()
        self.largest = 0

    def open(self, payload: bytes) -> int:
        number = self.connection.open()
        self.to_send[number] = bytearray(payload)
        return number

    def push(self, number: int, size: int) -> None:
        pending = self.to_send.get(number)
        if pending is None:
            return
        if pending:
            del pending[: self.connection.send(number, pending[:size])]
        if not pending:
            self.connection.finish(number)
            del self.to_send[number]

    def pull(self, other: End, size: int) -> None:
        self.wire += flush(other.connection)
        for event in self.connection.receive(bytes(self.wire[:size])):
            assert not isinstance(event, yamux.Ended | yamux.Reset), event
            if isinstance(event, yamux.Opened):
                self.connection.accept(event.stream)
                self.to_send[event.stream] = bytearray(b"answer to %d" % event.stream)
            elif isinstance(event, yamux.Received):
                self.received[event.stream] += event.data
                self.unconsumed[event.stream] += len(event.data)
                self.largest = max(self.largest, self.unconsumed[event.stream])
            elif isinstance(event, yamux.Finished):
                self.finished.add(event.stream)
        del self.wire[:size]

    def consume(self) -> None:
        for number, size in self.unconsumed.items():
            self.connection.consume(number, size)
        self.unconsumed.clear()


@settings(max_examples=25, deadline=None)
@given(
    payloads=st.lists(st.tuples(st.booleans(), st.integers(0, 600 * KIB)), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 300 * KIB)), min_size=8, max_size=60),
)
def test_every_byte_arrives_under_any_interleaving_with_bounded_buffers(
    payloads: list[tuple[bool, int]], steps: list[tuple[int, int]]
) -> None:
    client, server = End(client=True), End(client=False)
    expected: dict[tuple[bool, int], bytes] = {}
    for by_client, size in payloads:
        content = (b"%d " % size) * (size // 7 + 1)
        expected[by_client, (client if by_client else server).open(content)] = content

    def step(action: int, size: int) -> None:
        if action == 0:
            client.pull(server, size)
        elif action == 1:
            server.pull(client, size)
        elif action == 2:
            client.consume()
        elif action == 3:
            server.consume()
        else:
            end = client if action == 4 else server
            for number in list(end.to_send):
                end.push(number, size)

    for action, size in steps:
        step(action, size)
    for _ in range(60):
        for action in (4, 5, 0, 1, 2, 3):
            step(action, 400 * KIB)

    for (by_client, number), content in expected.items():
        sender, receiver = (client, server) if by_client else (server, client)
        assert receiver.received[number] == content
        assert sender.received[number] == b"answer to %d" % number
    assert max(client.largest, server.largest) <= yamux.WINDOW
    assert len(client.connection) == len(server.connection) == 0
