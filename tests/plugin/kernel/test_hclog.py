"""Log records that no host can choke on, and the way back into `logging`."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import termios
import time
from typing import IO, TYPE_CHECKING, NoReturn

import grpc
import pytest
from hypothesis import given, settings, strategies as st

from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._hclog import LINE_LIMIT, encode_record
from tests.plugin.kernel.conftest import ECHO, PATIENCE, plugin_environment, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("not me")

    __repr__ = __str__


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("not me")


def record(
    message: object = "hello", *arguments: object, level: int = logging.INFO, **fields: object
) -> logging.LogRecord:
    made = logging.LogRecord("kv.store", level, "/src/kv.py", 12, message, arguments, None)
    made.__dict__.update(fields)
    return made


def decoded(made: logging.LogRecord) -> dict[str, object]:
    """Read a line as a Go host does: strings in three places, JSON that Go accepts, one line."""
    line = encode_record(made)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_LIMIT

    def refused(text: str) -> object:
        raise AssertionError(f"Go knows no {text}")

    values: dict[str, object] = json.loads(line, parse_constant=refused)
    assert all(isinstance(values[name], str) for name in ("@message", "@level", "@timestamp"))
    assert values["@level"] in {"trace", "debug", "info", "warn", "error"}
    assert TIMESTAMP.fullmatch(str(values["@timestamp"]))
    return values


def test_a_record_has_hclogs_five_keys_and_its_own_fields() -> None:
    values = decoded(record("put %s", "x", bytes=12, labels=["a", {"b": None}], ok=True))
    del values["@timestamp"]

    assert values == {
        "@level": "info",
        "@message": "put x",
        "@module": "kv.store",
        "@caller": "/src/kv.py:12",
        "bytes": 12,
        "labels": ["a", {"b": None}],
        "ok": True,
    }


@pytest.mark.parametrize(
    ("level", "name"),
    [(0, "trace"), (5, "trace"), (9, "trace"), (10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"),
     (50, "error"), (1000, "error")],
)  # fmt: skip
def test_each_level_becomes_one_that_hosts_know(level: int, name: str) -> None:
    assert decoded(record(level=level))["@level"] == name


@pytest.mark.parametrize("message", [None, 12, b"bytes", {"a": 1}, ["x"], 1.5, Unprintable(), Text("text")])
def test_a_message_of_any_type_is_written_as_a_string(message: object) -> None:
    decoded(record(message))


def test_a_message_that_does_not_fit_its_arguments_is_written_all_the_same() -> None:
    assert "cannot be formatted: TypeError" in str(decoded(record("%d", "x"))["@message"])


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**64,
        -(10**400),
        1e308,
        Unprintable(),
        Text("x"),
        b"\xff",
        "\ud800",
        "\x00\n\r",
        {1: 2},
    ],
    ids=range(11),
)
def test_a_field_of_any_type_is_written_as_json_that_go_reads(value: object) -> None:
    decoded(record(field=value, nested=[{"x": value}]))


def test_a_field_that_contains_itself_is_written() -> None:
    loop: list[object] = []
    loop.append(loop)

    decoded(record(loop=loop))


def test_a_tree_whose_leaves_know_their_root_is_written_once() -> None:
    root: dict[str, object] = {"name": "root"}
    root["children"] = [{"name": n, "parent": root} for n in range(3)]

    assert decoded(record(tree=root))["tree"] == {
        "name": "root",
        "children": [{"name": n, "parent": "…"} for n in range(3)],
    }


def test_a_record_is_converted_no_further_than_a_line_can_hold() -> None:
    class Counted:
        def __str__(self) -> str:
            nonlocal count
            count += 1
            return "counted"

    count = 0
    wide: object = Counted()
    for _ in range(5):
        wide = [wide] * 1000

    assert "truncated" in decoded(record(wide=wide))
    assert count < LINE_LIMIT


@pytest.mark.parametrize("huge", ["x" * 100_000, [["x"] * 1000] * 1000], ids=["text", "tree"])
def test_a_huge_field_leaves_room_for_the_others(huge: object) -> None:
    values = decoded(record(huge=huge, request="abc", user=7))

    assert (values["request"], values["user"]) == ("abc", "7")


class Mapping(dict[str, int]):
    def items(self) -> NoReturn:
        raise RuntimeError("not me")

    __iter__ = keys = __len__ = items  # type: ignore[assignment]  # on purpose


class Sequence(list[int]):
    def __iter__(self) -> NoReturn:
        raise RuntimeError("not me")


class Number(int):
    def __int__(self) -> NoReturn:
        raise RuntimeError("not me")

    __index__ = __str__ = __repr__ = __le__ = __ge__ = __int__  # type: ignore[assignment]  # on purpose


class Fraction(float):
    def __float__(self) -> NoReturn:
        raise RuntimeError("not me")

    __str__ = __repr__ = __float__  # type: ignore[assignment]  # on purpose


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Mapping(a=1), {"a": 1}),
        (Sequence([1]), [1]),
        (Number(3), 3),
        (Number(2**60), str(2**60)),
        (Fraction(0.5), 0.5),
        (Fraction("inf"), "inf"),
    ],
    ids=range(6),
)
def test_a_value_whose_own_methods_fail_is_written_as_what_it_is(value: object, written: object) -> None:
    assert decoded(record(value=value))["value"] == written


def test_a_field_may_have_a_name_that_is_no_text() -> None:
    made = record()
    made.__dict__.update({1: "one", (2, 3): "two", Text("text"): "three", Unprintable(): "four"})  # type: ignore[dict-item]  # on purpose
    values = decoded(made)

    assert (values["1"], values["(2, 3)"], values["text"]) == ("one", "two", "three")
    assert "four" in values.values()


def test_the_traceback_of_a_record_from_another_process_is_written() -> None:
    assert decoded(record(exc_text="Traceback: no"))["traceback"] == "Traceback: no"


def test_fields_cannot_take_the_place_of_hclogs_own() -> None:
    values = decoded(record("real", **{"@message": 5, "@level": None, "@timestamp": []}))

    assert values["@message"] == "real"
    assert values["_@message"] == 5


@pytest.mark.parametrize("created", [0.0, -1e12, 1e12, 1e300, float("nan"), float("inf"), "soon"])
def test_a_time_that_is_none_is_replaced(created: object) -> None:
    decoded(record(created=created))


def test_an_exception_becomes_an_error_and_a_traceback() -> None:
    try:
        raise ValueError("no such key")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    values = decoded(made)

    assert values["error"] == "ValueError: no such key"
    assert "test_hclog.py" in str(values["traceback"])


@pytest.mark.parametrize("text", ["x", "\x01", "ü", "\U0001f600", '"', "\ud800"])
def test_a_record_of_a_megabyte_is_cut_below_the_hosts_limit(text: str) -> None:
    values = decoded(record(text * 1_000_000, **{f"{text}{n}": text * 100_000 for n in range(100)}))

    assert "truncated" in values


@settings(max_examples=50, deadline=None)  # each example builds and reads a whole line
@given(
    message=st.text() | st.none() | st.binary(),
    fields=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        ),
    ),
    level=st.integers(-100, 1000),
    created=st.floats(),
)
def test_no_record_can_make_a_host_choke(
    message: object, fields: dict[str, object], level: int, created: float
) -> None:
    made = record(message, level=level)
    made.__dict__.update({name: value for name, value in fields.items() if name not in made.__dict__})
    made.created = created

    decoded(made)


def test_a_handler_writes_one_line_for_each_record() -> None:
    reader, writer = os.pipe()
    logger = logging.Logger("test")  # noqa: LOG001  (one that nobody else has)
    logger.addHandler(kernel.HclogHandler(writer))
    logger.warning("two\nlines")
    logger.error("another")
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        lines = stream.read().splitlines()

    assert [json.loads(line)["@message"] for line in lines] == ["two\nlines", "another"]


def test_a_handler_whose_reader_has_gone_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    kernel.HclogHandler(writer).handle(record())
    os.close(writer)

    assert capsys.readouterr() == ("", "")


FLOOD = b"import logging\nfor n in range(200): logging.info('%d', n, extra={'filling': 'x' * 1000})"


@pytest.fixture
def unread(short_dir: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A plugin that has logged more than a pipe holds to a host that does not read, and its address."""
    process = subprocess.Popen(ECHO, env=plugin_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    target = "unix:" + process.stdout.readline().decode().split("|")[3]
    with grpc.insecure_channel(target) as channel:
        flood = channel.unary_unary("/test.Plugin/Run").future(FLOOD)
        # It holds 64 KiB, less what is left over in each page.
        until(lambda: bytes_in(process.stderr) > 50_000, "a full pipe")
        flood.cancel()
    yield process, target
    process.kill()
    process.communicate()


def bytes_in(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def shut_down(process: subprocess.Popen[bytes], target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        channel.unary_unary("/plugin.GRPCController/Shutdown")(b"", timeout=PATIENCE)


def terminate(process: subprocess.Popen[bytes], target: str) -> None:
    process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [shut_down, terminate])
def test_a_host_that_does_not_read_the_log_can_end_the_plugin(
    unread: tuple[subprocess.Popen[bytes], str], end: Callable[[subprocess.Popen[bytes], str], None]
) -> None:
    process, target = unread
    end(process, target)

    assert process.wait(10) == 0


def test_a_hosts_pipe_is_not_made_non_blocking_for_whoever_else_has_it() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(ECHO, env=plugin_environment(), stdout=subprocess.PIPE, stderr=writer)
    assert process.stdout is not None
    process.stdout.readline()
    blocking = os.get_blocking(writer)
    terminate(process, "")
    process.communicate()
    os.close(reader)
    os.close(writer)

    assert blocking


WRITER = """
import logging, os, sys, threading, time
from doze_sdk.plugin import kernel
handler = kernel.HclogHandler(2)
logging.getLogger().addHandler(handler)
def fill(first, count):
    for n in range(first, first + count):
        logging.error("%d", n, extra={"filling": "x" * (n % 11 * 1000)})
"""


def numbers(log: bytes) -> list[int]:
    """The records of a log, each of which must be a whole line."""
    return [int(json.loads(line)["@message"]) for line in log.splitlines()]


def test_a_host_that_reads_slowly_loses_no_record(script: Callable[[str], list[str]]) -> None:
    code = WRITER + "for t in range(4): threading.Thread(target=fill, args=(t * 100, 100)).start()"
    with subprocess.Popen(script(code), stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stderr is not None
        log = b""
        while data := process.stderr.read(20_000):
            log += data
            time.sleep(0.002)

    assert sorted(numbers(log)) == list(range(400))


def test_a_record_right_before_an_abrupt_exit_arrives(script: Callable[[str], list[str]]) -> None:
    with subprocess.Popen(script(f"{WRITER}fill(0, 100); os._exit(7)"), stderr=subprocess.PIPE) as process:
        time.sleep(0.2)  # the pipe is full
        assert process.stderr is not None
        log = process.stderr.read()

    assert process.returncode == 7
    assert numbers(log) == list(range(100))


def test_a_host_that_reads_late_gets_the_newest_records_and_the_count_of_what_was_dropped(
    script: Callable[[str], list[str]],
) -> None:
    code = f"{WRITER}handler.hurry(); fill(0, 1000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        script(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        _, log = process.communicate(timeout=PATIENCE)
    lines = log.splitlines()
    (note,) = (n for n, line in enumerate(lines) if b"records were dropped here" in line)
    dropped = int(json.loads(lines[note])["@message"].split()[0])
    before, after = numbers(b"\n".join(lines[:note])), numbers(b"\n".join(lines[note + 1 :]))

    assert before == list(range(len(before)))
    assert after == list(range(len(before) + dropped, 1000))
    assert len(after) > 100


def test_a_forked_child_logs_although_nobody_reads_what_its_parent_wrote(script: Callable[[str], list[str]]) -> None:
    code = (
        WRITER
        + "reader, writer = os.pipe()\n"
        + "threading.Thread(target=fill, args=(0, 100), daemon=True).start()\n"
        + "time.sleep(0.3)\n"
        + "child = os.fork()\n"
        + "if not child: os.dup2(writer, 2); fill(7, 1); os._exit(0)\n"
        + "os.waitpid(child, 0); print(os.read(reader, 100_000).decode(), end=''); sys.stdout.flush(); os._exit(0)"
    )
    with subprocess.Popen(script(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        log = process.stdout.read()

    assert numbers(log) == [7]


def test_what_is_written_is_read_back_with_level_time_place_and_fields() -> None:
    made = record("disk %s", "full", level=logging.WARNING, disk="sda", free=0)
    read = kernel.parse_log_line(encode_record(made).rstrip(b"\n"), name="doze_sdk.plugin.kv")

    assert (read.name, read.levelname, read.getMessage()) == ("doze_sdk.plugin.kv.kv.store", "WARNING", "disk full")
    assert (read.pathname, read.lineno, read.filename) == ("/src/kv.py", 12, "kv.py")
    assert abs(read.created - made.created) < 0.001
    assert read.__dict__["fields"] == {"disk": "sda", "free": 0}


def test_the_timestamp_and_levels_of_a_go_plugin_are_understood() -> None:
    line = b'{"@level":"TRACE","@message":"m","@timestamp":"2026-08-17T10:00:00.123456+02:00","n":1}'
    read = kernel.parse_log_line(line)

    assert (read.levelno, read.levelname, read.created) == (kernel.TRACE, "TRACE", 1786953600.123456)


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (b"[TRACE] a", kernel.TRACE, "a"),
        (b"[DEBUG] a", 10, "a"),
        (b"[INFO] a", 20, "a"),
        (b"[WARN]  a", 30, "a"),
        (b"[ERROR] a", 40, "a"),
        (b"plain", 10, "plain"),
        (b"Traceback (most recent call last):", 10, "Traceback (most recent call last):"),
        (b"\xff\x00", 10, "\\xff\x00"),
        (b"{broken", 10, "{broken"),
        (b"{}", 10, "{}"),
        (b'{"@level":"critical","@message":"m"}', 10, '{"@level":"critical","@message":"m"}'),
        (b'{"@level":5,"@message":"m"}', 10, '{"@level":5,"@message":"m"}'),
        (b'{"@level":"info","@message":{"a":1}}', 20, "{'a': 1}"),
        (b'{"@level":"info"}', 20, ""),
        (b'{"@level":"info","@message":"m","@timestamp":"soon","@caller":"here"}', 20, "m"),
        (b'{"@level":"info","@message":"m","@caller":"x:' + b"9" * 5000 + b'"}', 20, "m"),
        (b"[" * 5000, 10, "[" * 5000),
        (b'{"a":' * 5000, 10, '{"a":' * 5000),
    ],
)
def test_each_line_has_a_level(line: bytes, level: int, message: str) -> None:
    read = kernel.parse_log_line(line)

    assert (read.levelno, read.getMessage()) == (level, message)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"a\ud800b", "a\ufffdb"),
        (rb"a\udc00\ud800", "a\ufffd\ufffd"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\\ud800", r"\ud800"),
        (b"a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"),
    ],
)
def test_half_a_surrogate_pair_is_replaced_so_that_any_file_takes_the_record(written: bytes, read: str) -> None:
    record = kernel.parse_log_line(b'{"@level":"info","@message":"' + written + b'","key":"' + written + b'"}')

    assert (record.levelname, record.getMessage(), record.fields) == ("INFO", read, {"key": read})
    record.getMessage().encode()


def test_blanks_around_a_record_and_its_level_do_not_matter() -> None:
    record = kernel.parse_log_line(b' \t{"@level":" Warn ","@message":"hello"}')

    assert (record.levelno, record.getMessage()) == (logging.WARNING, "hello")


def test_after_a_go_panic_untagged_lines_are_errors() -> None:
    parser = kernel.LogLineParser("kv")
    lines = [b"before", b"panic: no such key", b"goroutine 1 [running]:", b"[INFO] tagged"]

    assert [parser.parse(line).levelno for line in lines] == [10, 40, 40, 20]


def joined(members: list[tuple[str, str]]) -> str:
    """A JSON object of these members, which may have the same names."""
    return f"{{{','.join(f'{name}:{value}' for name, value in members)}}}"


# Text with half surrogate pairs too, and numbers that Python and Go read differently or not at all.
TEXTS = st.text(st.characters(exclude_categories=()))
NAMES = st.builds(json.dumps, TEXTS, ensure_ascii=st.booleans())
NUMBERS = st.sampled_from(["0", "-0", "1e999", "-1e-999", "NaN", "-Infinity", "9" * 400, "9" * 5000, "1." + "9" * 5000])
LINES = st.sampled_from([0, 1, 9, 10, 400, 4300, 4301, 60_000]).map("9".__mul__) | st.text("0123456789٣", max_size=20)
PLACES = st.builds("{}:{}".format, st.just("x") | TEXTS, LINES)
TIMES = st.datetimes(timezones=st.none() | st.timezones()).map(str) | st.just("9999-12-31T23:59:59.999999-23:59")
DEPTHS = st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth)
VALUES = st.recursive(
    (st.none() | st.booleans() | st.integers() | st.floats() | PLACES | TIMES).map(json.dumps) | NAMES | NUMBERS,
    lambda inner: (
        st.lists(inner).map(lambda items: f"[{','.join(items)}]") | st.lists(st.tuples(NAMES, inner)).map(joined)
    ),
    max_leaves=10,
)
KEYS = st.sampled_from(['"@level"', '"@message"', '"@timestamp"', '"@module"', '"@caller"']) | NAMES
MEMBERS = (
    st.tuples(st.just('"@caller"'), PLACES.map(json.dumps))
    | st.tuples(st.just('"@timestamp"'), TIMES.map(json.dumps))
    | st.tuples(KEYS, VALUES | DEPTHS)
)
LEVELS = st.sampled_from(["trace", "debug", "INFO", "Warn", "error"])


@settings(deadline=None)  # an example may have thousands of digits
@given(st.lists(MEMBERS), LEVELS, st.binary())
def test_no_line_can_break_the_parser(members: list[tuple[str, str]], level: str, rest: bytes) -> None:
    made = joined([('"@level"', json.dumps(level)), *members]).encode("utf-8", "surrogatepass")
    valid = joined([*members, ('"@level"', json.dumps(level))]).encode("utf-8", "surrogatepass")
    alone = [joined([member, ('"@level"', json.dumps(level))]).encode("utf-8", "surrogatepass") for member in members]
    for line in (*alone, made, valid, made[:-1] + b"," + rest, rest):
        read = kernel.parse_log_line(line)

        assert read.levelno in {kernel.TRACE, 10, 20, 30, 40}
        logging.Formatter("%(asctime)s %(name)s %(pathname)s:%(lineno)d %(message)s").format(read)


HOOKS = """
import logging, sys, threading
from doze_sdk.plugin import kernel
from doze_sdk.plugin.kernel._hclog import install_excepthooks
logging.getLogger().addHandler(kernel.HclogHandler(2))
install_excepthooks(logging.getLogger("plugin"))
class Sticky:
    def __del__(self): raise ValueError("in del")
sticky = Sticky()
del sticky
thread = threading.Thread(target=lambda: [][0], name="worker")
thread.start()
thread.join()
raise KeyError("at the end")
"""


def test_exceptions_that_nobody_catches_are_records_of_their_own(script: Callable[[str], list[str]]) -> None:
    result = subprocess.run(script(HOOKS), capture_output=True, timeout=PATIENCE, check=False)
    records = [kernel.parse_log_line(line) for line in result.stderr.splitlines()]

    assert result.returncode == 1
    assert [r.levelname for r in records] == ["ERROR"] * 3
    assert [str(r.__dict__["fields"]["error"]) for r in records] == [
        "ValueError: in del",
        "IndexError: list index out of range",
        "KeyError: 'at the end'",
    ]
