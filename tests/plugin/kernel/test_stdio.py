"""What a plugin and its children write to stdout and stderr, as the host hears it."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._codec import STDERR, STDOUT, decode_stdio_data, encode_empty
from doze_sdk.plugin.kernel._stdio import STREAM, Output
from tests.plugin.kernel import echo_plugin
from tests.plugin.kernel.conftest import PATIENCE, Caller, Launch, until

MODES = [{}, {"auto_mtls": True}, {"multiplex": True}, {"auto_mtls": True, "multiplex": True}]


class Heard:
    """Collects both streams."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()

    @property
    def sinks(self) -> dict[str, object]:
        return {"on_stdout": self.stdout.extend, "on_stderr": self.stderr.extend}


@pytest.mark.parametrize("mode", MODES, ids=["plain", "mtls", "mux", "both"])
def test_prints_of_python_children_and_c_code_reach_the_host(start: Launch, mode: dict[str, bool]) -> None:
    heard = Heard()
    call = start(**heard.sinks, **mode)
    call.run("print('from python')")
    call.run("import sys; print('error of python', file=sys.stderr)")
    call.run("import subprocess; subprocess.run('echo from a child; echo error of a child >&2', shell=True)")
    call.run("import ctypes; c = ctypes.CDLL(None); c.puts(b'from c'); c.fflush(None)")
    until(lambda: heard.stdout.count(b"\n") == 3 and heard.stderr.count(b"\n") == 2, "the output")

    assert heard.stdout == b"from python\nfrom a child\nfrom c\n"
    assert heard.stderr == b"error of python\nerror of a child\n"


def test_what_is_written_just_before_the_end_still_arrives(start: Launch) -> None:
    heard = Heard()
    call = start(**heard.sinks)
    call.run("import sys; sys.stdout.write('x' * 100_000 + 'end')")
    call.plugin.kill()

    assert len(heard.stdout) == 100_003


def test_a_plugin_with_more_than_a_thousand_descriptors_hands_over_its_output(
    script: Callable[[str], list[str]],
) -> None:
    heard = Heard()
    command = script(f"""
import os, resource, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
spent = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]  # the pipes get the numbers above
from tests.plugin.kernel import echo_plugin
echo_plugin.main()
""")
    with kernel.launch(command, echo_plugin.HANDSHAKE, versions={1}, on_stdout=heard.stdout.extend) as plugin:
        Caller(plugin).run("import sys; sys.stdout.write('x' * 100_000 + 'end')")

    assert plugin.exit_code == 0
    assert len(heard.stdout) == 100_003


def test_a_plugin_is_never_blocked_by_a_host_that_does_not_read(start: Launch) -> None:
    call = start("--no-redirect")  # the stream is there, and nothing feeds it
    call("Echo")
    call = start()
    call.plugin._stdio.cancel()
    call.run("import sys\nfor _ in range(300): sys.stdout.write('x' * 65536)")

    assert call("Echo", b"still here") == b"still here"


def test_a_host_that_stops_reading_can_still_end_the_plugin(start: Launch) -> None:
    stalled = threading.Event()
    call = start(on_stdout=lambda _data: stalled.wait(PATIENCE))
    call.run(
        "import threading, os; threading.Thread(target=os.write, args=(1, b'x' * 20_000_000), daemon=True).start()"
    )
    call.plugin.kill()
    stalled.set()

    assert call.plugin.exit_code == 0  # by itself, within the two seconds that a host gives it


def test_a_late_reader_gets_the_newest_output_and_the_count_of_what_was_dropped(start: Launch) -> None:
    call = start()
    call.plugin._stdio.cancel()
    call.run("import sys\nfor n in range(64): sys.stdout.write(f'{n:03}' + 'x' * 65533)")
    call.run("print('newest')")
    received = bytearray()
    stream = call.plugin.channel.unary_stream(
        STREAM, request_serializer=encode_empty, response_deserializer=decode_stdio_data
    )(None, timeout=PATIENCE)
    for item in stream:
        received += item.data
        if received.endswith(b"newest\n"):
            break
    stream.cancel()

    assert received.startswith(b"[")
    assert b"bytes were dropped here: the host did not read them in time]\n" in received[:120]
    assert len(received) <= (1 << 20) + 200


def test_redirection_can_be_left_out_for_a_debugger(start: Launch) -> None:
    heard = Heard()
    lines: list[bytes] = []
    call = start("--no-redirect", **heard.sinks, on_log_line=lines.append)
    call.run("import sys; print('plain', file=sys.stderr, flush=True)")
    until(lambda: lines, "the line")

    assert (lines, heard.stderr) == ([b"plain"], b"")


def test_a_function_for_output_that_fails_does_not_stop_the_stream(
    start: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    def take(data: bytes) -> None:
        heard.append(data)
        raise RuntimeError("no room")

    call = start(on_stdout=take)
    call.run("print('one')")
    until(lambda: b"".join(heard) == b"one\n", "the first output")
    call.run("print('two')")
    until(lambda: b"".join(heard) == b"one\ntwo\n", "the second output")

    assert "the function given for the plugin's output failed" in caplog.text


def test_the_raw_stdout_is_quiet_after_the_handshake(start: Launch) -> None:
    call = start()
    call.run("import os; os.write(1, b'x' * 1_000_000)")

    assert call("Echo", b"x") == b"x"


def test_a_huge_write_by_c_code_that_holds_the_interpreter_does_not_deadlock(start: Launch) -> None:
    heard = Heard()
    call = start(**heard.sinks)
    call.run("import ctypes; ctypes.PyDLL(None).write(1, b'x' * 200_000, 200_000)")
    until(lambda: len(heard.stdout) == 200_000, "the output")


def test_a_reader_that_leaves_takes_nothing_from_the_next(start: Launch) -> None:
    call = start()
    call.plugin._stdio.cancel()
    call.run("import os; os.write(1, b'for the next')")
    stream = call.plugin.channel.unary_stream(
        STREAM, request_serializer=encode_empty, response_deserializer=decode_stdio_data
    )(None, timeout=PATIENCE)
    item = next(stream)
    stream.cancel()

    assert item == (STDOUT, b"for the next")


def test_the_buffer_keeps_the_newest_and_counts_the_rest() -> None:
    output = Output(capacity=400)
    for number in range(5):
        output.put(STDERR, b"abc%d" % number)

    assert [item.data for item in output._items] == [b"abc3", b"abc4"]
    assert output._dropped == {STDOUT: 0, STDERR: 12}


def test_many_small_writes_to_nobody_take_no_more_memory_than_a_few_large_ones() -> None:
    small, large = Output(), Output()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            small.put(STDOUT, bytes(2))
        after_small, _peak = tracemalloc.get_traced_memory()
        for _ in range(1000):
            large.put(STDOUT, bytes(1 << 15))
        after_large, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after_small < 2 * (after_large - after_small)
