"""Log records between a plugin and its host: one JSON object per line, as go-plugin's hclog writes and reads them.

A Go host takes ``@message``, ``@level`` and ``@timestamp`` for strings without looking: any other type ends the host's
process. It drops the structure of a line that is longer than 64 KiB, whose level it does not know, or whose timestamp
has not exactly six digits of a second. A `HclogHandler` cannot write such a line, whatever it is given.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import math
import os
import select
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Final, TypeAlias

    Items: TypeAlias = list[object] | tuple[object, ...] | set[object] | frozenset[object]
    Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

TRACE: Final = 5
"""hclog's lowest level, as a level of `logging`."""

LINE_LIMIT: Final = 60_000
"""Bytes of a line, below the 64 KiB that hosts read at once."""

_WRITTEN_LEVELS = (
    (logging.ERROR, "error"),
    (logging.WARNING, "warn"),
    (logging.INFO, "info"),
    (logging.DEBUG, "debug"),
)
_READ_LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_PREFIXES = {f"[{name.upper()}]".encode(): level for name, level in _READ_LEVELS.items()}
_PANICS = (b"panic: ", b"fatal error: ")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LARGEST_EXACT = 2**53  # a Go host reads numbers as float64
_DEEPEST = 6
_LONGEST = 1000  # items of one list or dictionary
_LEFT_OUT = "…"
_LONGEST_LINE_NUMBER = 9  # digits; Python itself converts no more than 4300

_CAPACITY = 1 << 20  # bytes kept for a host that does not read
_PATIENCE = 5.0  # seconds for a host that reads to take a record
_LAST_PATIENCE = 0.2  # the same when the process ends
_LONGEST_FLUSH = 1.0  # seconds; a host's own patience is two


class HclogHandler(logging.Handler):
    """Writes records as hclog lines, with ``extra`` as further fields, and exceptions as ``error`` and ``traceback``.

    A record has been written when the call that logs it returns, if the host reads. One that does not read can hold up
    neither a thread nor the end of the process: once it has taken nothing for five seconds nobody waits for it, and the
    newest MiB of records is kept for it; how many were dropped is told in a record of its own. A forked child starts
    with nothing kept.

    Args:
        descriptor: File descriptor to write to: the process's original stderr. It may be a blocking one, as long as
            no other process fills the pipe at the same moment.
    """

    def __init__(self, descriptor: int = 2, *, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._descriptor = descriptor
        self._patience = _PATIENCE
        self._forget()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = encode_record(record)
        except Exception:  # noqa: BLE001  (a record runs its author's code, and logging must not raise)
            self.handleError(record)
            return
        size = len(line)  # here, so that no signal handler can run, and log, within the sum below
        with self._condition:
            if self._process != os.getpid():
                self._forget()
            self._lines.append(line)
            self._given += size
            self._write()
            if self._taken < self._given:
                self._wait()
                self._drop()

    def hurry(self) -> None:
        """Wait no longer than a moment from now on: the process is about to end."""
        self._patience = _LAST_PATIENCE

    def flush(self) -> None:
        """Write what is left, as long as the host goes on taking it, for a second at most."""
        limit = time.monotonic() + _LONGEST_FLUSH
        while self._process == os.getpid() and self._taken < self._given and time.monotonic() < limit:
            if not _writable(self._descriptor, _LAST_PATIENCE):
                return
            with self._condition:
                self._write()

    def close(self) -> None:
        self.hurry()
        super().close()

    def _forget(self) -> None:
        # The handler's own lock, which `logging` makes anew in a forked child.
        self._condition = threading.Condition(self.lock)
        self._process = os.getpid()
        self._lines: collections.deque[bytes] = collections.deque()
        self._rest = b""  # of the line that was begun
        self._given = self._taken = 0  # bytes; taken are those that were dropped too
        self._written = 0
        self._dropped = 0  # lines
        self._writing = self._draining = self._stalled = False

    def _write(self) -> None:
        """Write what the host takes without waiting."""
        if self._writing:
            return  # a signal handler logs in the middle of this very function, which will come to its line
        self._writing = True
        try:
            while self._begin() and _writable(self._descriptor, 0):
                # No longer than what a pipe has room for when it says that it has any.
                size = os.write(self._descriptor, self._rest[: select.PIPE_BUF])
                self._rest = self._rest[size:]
                self._taken += size
                self._written += size
                self._stalled = False
        except BlockingIOError:
            pass  # another process has taken the room
        except OSError:  # nobody reads stderr any more, so nobody can be told
            self._lines.clear()
            self._rest = b""
            self._taken = self._given
        finally:
            self._writing = False
        self._condition.notify_all()

    def _begin(self) -> bool:
        if not self._rest and self._lines:
            self._rest = self._lines.popleft()
            if self._dropped:
                note = _dropping_note(self._dropped)
                size = len(note)
                self._given += size
                self._rest = note + self._rest
                self._dropped = 0
        return bool(self._rest)

    def _wait(self) -> None:
        """Give a host that reads the time to take what was logged up to now."""
        if self._writing or not self._is_drained() or self._stalled:
            return
        before, end = self._written, self._given
        if not self._condition.wait_for(lambda: self._taken >= end, self._patience) and self._written == before:
            self._stalled = True

    def _drop(self) -> None:
        while self._given - self._taken > _CAPACITY and len(self._lines) > 1:
            self._taken += len(self._lines.popleft())
            self._dropped += 1

    def _is_drained(self) -> bool:
        """Whether a thread writes what could not be written at once."""
        if sys.is_finalizing():
            return False
        if not self._draining:
            self._draining = True
            try:
                threading.Thread(target=self._drain, name="go-plugin-log", daemon=True).start()
            except RuntimeError:  # there cannot be one more; the next record will try again
                self._draining = False
        return self._draining

    def _drain(self) -> None:
        left = True
        while left:
            _writable(self._descriptor, None)
            with self._condition:
                self._write()
                self._draining = left = self._taken < self._given


def encode_record(record: logging.LogRecord) -> bytes:
    """Return `record` as one line, newline included."""
    message = _message(record)
    fields = _fields(record)
    line = _line(record, message, fields)
    if len(line) > LINE_LIMIT:
        note = f"the record had {LINE_LIMIT} bytes or more"
        line = _line(record, _cut(message, 4000), {**_shortened(fields), "truncated": note})
    return line


def install_excepthooks(logger: logging.Logger) -> None:
    """Let exceptions that nobody catches reach the host as errors: a traceback on stderr is DEBUG to it."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logger.error("uncaught exception: %s", _summary(error), exc_info=(kind, error, trace))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value
        if error is None or isinstance(error, SystemExit):
            return
        name = args.thread.name if args.thread is not None else "unknown"
        trace = (args.exc_type, error, args.exc_traceback)
        logger.error("uncaught exception in thread %s: %s", name, _summary(error), exc_info=trace)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        error = args.exc_value
        if error is None:
            return
        where = args.err_msg or "exception ignored in"
        trace = (type(error), error, args.exc_traceback)
        logger.error("%s %s: %s", where, _text(args.object), _summary(error), exc_info=trace)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data` whole, so that lines of two threads cannot mix."""
    while data:
        data = data[os.write(descriptor, data) :]


def _writable(descriptor: int, timeout: float | None) -> bool:
    """Whether a write would not wait; it may also be one that fails."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(None if timeout is None else 1000 * timeout))


def _dropping_note(count: int) -> bytes:
    message = "%d records were dropped here: the host did not read them in time"
    return encode_record(logging.LogRecord("doze_sdk.plugin", logging.WARNING, __file__, 0, message, (count,), None))


class LogLineParser:
    """Turns the lines of one plugin's stderr back into records, as a Go host does.

    Lines that are not JSON have the level of their ``[WARN]``-like prefix. After a Go panic every untagged line is an
    error. The fields of a JSON line are in the record's ``fields``, a dictionary.

    Args:
        name: Name of the records' logger; a line's ``@module`` is added to it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._panicking = False

    def parse(self, line: bytes) -> logging.LogRecord:
        """Return the record that `line`, without its newline, stands for."""
        if line.lstrip().startswith(b"{") and (values := _decoded(line)) is not None:
            return self._structured(values)
        if line.startswith(_PANICS):
            self._panicking = True
        level = logging.ERROR if self._panicking else logging.DEBUG
        for prefix, tagged in _PREFIXES.items():
            if line.startswith(prefix):
                level = tagged
                line = line.removeprefix(prefix).lstrip()
                break
        return _record(self._name, level, line.decode("utf-8", "backslashreplace"), {})

    def _structured(self, values: dict[str, Json]) -> logging.LogRecord:
        module = values.pop("@module", None)
        name = f"{self._name}.{module}" if isinstance(module, str) and module else self._name
        level = _READ_LEVELS[_text(values.pop("@level")).strip().lower()]
        record = _record(name, level, _text(values.pop("@message", "")), values)
        _set_time(record, _text(values.pop("@timestamp", "")))
        path, _, number = _text(values.pop("@caller", "")).rpartition(":")
        if path and number.isdecimal() and len(number) <= _LONGEST_LINE_NUMBER:
            record.pathname, record.lineno = path, int(number)
            record.filename = os.path.basename(path)  # noqa: PTH119  (a path of the plugin's machine)
        return record


def parse_log_line(line: bytes, *, name: str = "plugin") -> logging.LogRecord:
    """Return the record that one line of a plugin's stderr stands for. For a whole stream use a `LogLineParser`."""
    return LogLineParser(name).parse(line)


def _line(record: logging.LogRecord, message: str, fields: Mapping[str, Json]) -> bytes:
    import json

    values: dict[str, Json] = {
        "@level": _level_name(record.levelno),
        "@message": message,
        "@timestamp": _timestamp(record.created),
        "@module": _cut(_text(record.name), 200),
        "@caller": _cut(f"{_text(record.pathname)}:{_text(record.lineno)}", 300, tail=True),
        **fields,
    }
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"  # half a surrogate pair becomes an escape of JSON


def _shortened(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Keep so much that, at six bytes for a control character, the line stays below the limit."""
    kept: dict[str, Json] = {_cut(name, 60): _cut(_text(value), 400) for name, value in list(fields.items())[:5]}
    if "traceback" in fields:
        kept["traceback"] = _cut(_text(fields["traceback"]), 2500, tail=True)
    return kept


def _level_name(level: int) -> str:
    return next((name for bound, name in _WRITTEN_LEVELS if level >= bound), "trace")


def _timestamp(created: float) -> str:
    try:
        seconds, fraction = divmod(int(created * 1_000_000), 1_000_000)
        moment = time.gmtime(seconds)
    except (OverflowError, OSError, ValueError, TypeError):
        return _timestamp(time.time())
    if not 1 <= moment.tm_year <= 9999:
        return _timestamp(time.time())
    return f"{moment.tm_year:04}-{time.strftime('%m-%dT%H:%M:%S', moment)}.{fraction:06}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except Exception as error:  # noqa: BLE001  (a mismatch of format and arguments, or an argument's own code)
        return f"{_text(record.msg)} (its arguments cannot be formatted: {_summary(error)})"


def _fields(record: logging.LogRecord) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    left = 2 * LINE_LIMIT
    for key, value in vars(record).items():
        if key not in _STANDARD:
            name = _text(key)
            # Half of what is left is enough for whatever fits into a line, and a huge value leaves some for the others.
            converter = _Converter(left // 2)
            fields[f"_{name}" if name.startswith("@") else name] = converter.json(value)
            left -= left // 2 - max(0, converter.left)
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        fields.setdefault("error", _summary(record.exc_info[1]))
        fields.setdefault("traceback", _traceback(record))
    elif record.exc_text:  # the record has come from another process
        fields.setdefault("traceback", _text(record.exc_text))
    if record.stack_info:
        fields.setdefault("stack", _text(record.stack_info))
    return fields


def _traceback(record: logging.LogRecord) -> str:
    try:
        return logging.Formatter().formatException(record.exc_info or (None, None, None))
    except Exception as error:  # noqa: BLE001  (an exception's own __str__)
        return f"(the traceback cannot be formatted: {type(error).__name__})"


class _Converter:
    """Makes a value into JSON of at most `left` characters, with nothing within itself.

    The methods of the basic types are called by their names, since a subclass may have others.
    """

    def __init__(self, left: int) -> None:
        self.left = left
        self._open: set[int] = set()  # the ids of the containers around a value

    def json(self, value: object, depth: int = _DEEPEST) -> Json:
        self.left -= 1
        if self.left <= 0:
            return _LEFT_OUT
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            number = int.__int__(value)
            return number if -_LARGEST_EXACT <= number <= _LARGEST_EXACT else self.text(number)
        if isinstance(value, float):
            fraction = float.__float__(value)
            return fraction if math.isfinite(fraction) else self.text(fraction)
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            return self._container(value, depth)
        return self.text(value)

    def text(self, value: object) -> str:
        if self.left <= 0:
            return _LEFT_OUT
        text = _cut(_text(value[: self.left] if type(value) is bytes else value), self.left)
        self.left -= len(text)
        return text

    def _container(self, value: dict[object, object] | Items, depth: int) -> Json:
        if not depth or id(value) in self._open:
            return _LEFT_OUT
        self._open.add(id(value))
        try:
            # Taken at once, because another thread may change it.
            if isinstance(value, dict):
                items = list(itertools.islice(dict.items(value), _LONGEST))
                return {self.text(key): self.json(item, depth - 1) for key, item in items}
            return [self.json(item, depth - 1) for item in list(itertools.islice(_iterated(value), _LONGEST))]
        finally:
            self._open.remove(id(value))


def _iterated(value: Items) -> Iterator[object]:
    if isinstance(value, list):
        return list.__iter__(value)
    if isinstance(value, tuple):
        return tuple.__iter__(value)
    return set.__iter__(value) if isinstance(value, set) else frozenset.__iter__(value)


def _text(value: object) -> str:
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception as error:  # noqa: BLE001  (a value's own __str__)
        return f"<{type(value).__name__} that cannot be printed: {type(error).__name__}>"


def _summary(error: BaseException) -> str:
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cut(text: str, length: int, *, tail: bool = False) -> str:
    if len(text) <= length:
        return text
    return f"…{text[-length:]}" if tail else f"{text[:length]}…"


def _decoded(line: bytes) -> dict[str, Json] | None:
    import json

    try:
        values = json.loads(_with_whole_pairs(line.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    level = values.get("@level")
    return values if isinstance(level, str) and level.strip().lower() in _READ_LEVELS else None


def _with_whole_pairs(text: str) -> str:
    """Replace the escapes of half a surrogate pair, as Go does: no file or terminal could take such a character."""
    if "\\ud" not in text.lower():
        return text
    import re

    high, low = r"u[dD][89abAB][0-9a-fA-F]{2}", r"u[dD][c-fC-F][0-9a-fA-F]{2}"
    escape = re.compile(rf"\\(?:{high}\\{low}|(?P<half>{high}|{low})|.)", re.DOTALL)
    return escape.sub(lambda found: r"\ufffd" if found["half"] else found[0], text)


def _record(name: str, level: int, message: str, fields: dict[str, Json]) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "(plugin)", 0, message, None, None)
    if level == TRACE:
        record.levelname = "TRACE"
    record.fields = fields
    return record


def _set_time(record: logging.LogRecord, timestamp: str) -> None:
    from datetime import datetime

    with contextlib.suppress(ValueError, OverflowError):
        record.created = datetime.fromisoformat(timestamp).timestamp()
        record.msecs = record.created % 1 * 1000
