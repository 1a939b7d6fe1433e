"""The module's log file, `$DOZE_HOME/logs/<engine type>.log`: hosts throw a plugin's stderr away.

Each host command starts its own plugin, so several processes write to one file. A record is one write to a descriptor
opened with `O_APPEND`, which the kernel keeps whole. `logging.handlers` has no such handler, and importing it costs
every start of a plugin the time of `queue`, `pickle` and `copy`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

HOME: Final = "DOZE_HOME"
"""The variable that names doze's folder; unset or empty means ``~/.doze``."""

SIZE: Final = 1024 * 1024
"""Bytes after which a file is put aside."""

KEPT: Final = 3
"""How many files stay beside the current one, as ``<type>.log.1`` (the newest) to ``<type>.log.3``."""

_LONGEST = 256 * 1024

_log = logging.getLogger("doze_sdk.plugin")


class LogFile(logging.Handler):
    """Writes records with time, level, process, logger, message and traceback.

    The file is opened at the first record. If it cannot be, one warning goes to the other handlers, and this one does
    nothing from then on. It never raises.

    Attributes:
        engine_type: names the file; may be set anew until the first record.

    """

    def __init__(self, engine_type: str, *, size: int = SIZE, kept: int = KEPT) -> None:
        super().__init__()
        self.engine_type = engine_type
        self.setFormatter(_Formatter("%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"))
        self._size = size
        self._kept = kept
        self._path = ""
        self._descriptor = -1
        self._process = 0
        self._noted = self._disabled = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._disabled:
            return
        try:
            line = _encoded(self.format(record))
        except Exception:  # noqa: BLE001 - a record runs its author's code, and logging must not raise
            self.handleError(record)
            return
        try:
            self._open_current()
            if self._is_full(len(line)) and self._put_aside():
                self._open_current()
        except OSError as error:
            self._disabled = True
            self._close_file()
            self._note("is off", error)
            return
        try:
            os.write(self._descriptor, line)
        except OSError as error:
            self._note("misses records", error)

    def close(self) -> None:
        self._close_file()
        super().close()

    def _open_current(self) -> None:
        """Open the file unless it is open and still bears its name: another process may have put it aside."""
        self._path = self._path or _path(self.engine_type)
        if self._descriptor >= 0 and self._process == os.getpid() and self._bears_its_name():
            return
        self._close_file()
        logs = os.path.dirname(self._path)  # noqa: PTH120 - pathlib is not loaded here
        for folder in (os.path.dirname(logs), logs):  # noqa: PTH120 - see above
            os.makedirs(folder, 0o700, exist_ok=True)  # noqa: PTH103 - see above
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A forked child shares the description, and with it a lock that is meant for one of them.
        self._process = os.getpid()

    def _bears_its_name(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))  # noqa: PTH116 - see above
        except FileNotFoundError:
            return False

    def _is_full(self, more: int) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and size + more > self._size

    def _put_aside(self) -> bool:
        """Rename the files; False if another process is doing so, and this record still goes to the old one."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # taken, or a file system without locks, where the file keeps growing
        try:
            # The lock belongs to this very file, and moving it is the last step: whoever holds the lock on the file
            # that bears the name is alone.
            if self._bears_its_name():
                for number in range(self._kept - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")  # noqa: PTH105 - see above
                os.replace(self._path, f"{self._path}.1")  # noqa: PTH105 - see above
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return True

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _note(self, what: str, error: OSError) -> None:
        if not self._noted:
            self._noted = True
            _log.warning("the log file %s %s: %s", self._path or f"below {HOME}", what, error.strerror)


class _Formatter(logging.Formatter):
    """The time is local, with milliseconds and its distance from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - the standard library's name
        local = time.localtime(record.created)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(record.msecs):03d}{time.strftime('%z', local)}"


def install(engine_type: str) -> LogFile:
    """Add a log file for the records of the whole process and return it."""
    handler = LogFile(engine_type)
    logging.getLogger().addHandler(handler)
    return handler


def _encoded(text: str) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > _LONGEST:
        whole = data[:_LONGEST].decode("utf-8", "ignore").encode()
        data = whole + b" ... (the record had %d bytes)" % len(data)
    return data + b"\n"


def _path(engine_type: str) -> str:
    home = os.environ.get(HOME) or os.path.expanduser("~/.doze")  # noqa: PTH111 - pathlib is not loaded here
    if home.startswith("~"):
        raise FileNotFoundError(0, f"{HOME} is not set and this account has no home folder")
    name = engine_type.replace("/", "_")
    return os.path.join(os.path.abspath(home), "logs", f"{name}.log")  # noqa: PTH100, PTH118 - see above
