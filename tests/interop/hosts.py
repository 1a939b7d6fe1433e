"""Two hosts with one interface: go-plugin's, in a Go process that a test drives, and ours."""

from __future__ import annotations

import abc
import base64
import contextlib
import itertools
import json
import logging
import os
import ssl
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import grpc

from doze_sdk.plugin import kernel

from .pb import probe_pb2, probe_pb2_grpc
from .probe_service import HANDSHAKE, ask_callback, pattern, serve_callback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ANSWER_LIMIT = 180.0
"""Seconds for one answer of the Go host: for 50 MB under the race detector on a busy machine."""
LEVELS = {kernel.TRACE: "trace", 10: "debug", 20: "info", 30: "warn", 40: "error"}


class HostError(Exception):
    """What the host reported; `code` is gRPC's name of the status where a call failed."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Launch:
    """How a host starts a plugin, or finds a running one."""

    command: Sequence[str] | kernel.Runner = ()
    versions: Sequence[int] = (1,)
    auto_mtls: bool = False
    multiplex: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_env: bool = True
    cookie: str = ""
    """Another value of the magic cookie than the contract's."""
    start_timeout: float = 180.0
    socket_folder: Path | None = None
    """Where the Go host makes the folder for sockets, if it has a runner."""
    socket_group: str = ""
    boxed: bool = False
    """Whether the Go host starts the plugin with a runner of its own."""
    seen_as: Path | None = None
    """The symlink by which a boxed plugin sees the folder for sockets."""
    sha256: str = ""
    root_ca: Path | None = None
    reattach: Mapping[str, Any] | None = None
    """One entry of TF_REATTACH_PROVIDERS."""


@dataclass(frozen=True, slots=True)
class Facts:
    pid: int
    version: int
    language: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Killed:
    seconds: float
    forced: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A log record of the plugin as its host understood it."""

    level: str
    message: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What reached the host beside the answers of calls."""

    records: Sequence[Record]
    stdout: bytes
    stderr: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Boxed:
    """What the Go host's runner has seen."""

    from_plugin: Sequence[str]
    """Addresses of the plugin, before they were translated for the host."""
    from_host: Sequence[str]
    """Addresses of the host, before they were translated for the plugin."""
    left: Sequence[str]
    """What was in the folder for sockets when the plugin had ended."""


class Host(abc.ABC):
    """Drives one plugin that serves the Probe contract."""

    language: str

    @abc.abstractmethod
    def start(self, launch: Launch) -> int:
        """Start the plugin or attach to it; return the version that was agreed on."""

    @abc.abstractmethod
    def reattachment(self) -> Mapping[str, Any]:
        """What another host needs to connect to the same plugin."""

    @abc.abstractmethod
    def ping(self) -> None: ...

    @abc.abstractmethod
    def echo(self, size: int, *, count: int = 1, concurrency: int = 1) -> None:
        """Make `count` calls, `concurrency` at a time, and compare each answer with what was sent."""

    @abc.abstractmethod
    def count(self, frames: int, size: int) -> int:
        """Receive a stream; return how many frames came, each as it was made."""

    @abc.abstractmethod
    def total(self, frames: int, size: int) -> tuple[int, int]:
        """Send a stream; return how many frames and bytes the plugin counted."""

    @abc.abstractmethod
    def chat(self, turns: int, size: int) -> None:
        """Send and receive in turns on one stream."""

    @abc.abstractmethod
    def upstream(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        """Let the plugin call this host back, `times` times, each over a brokered connection of its own."""

    @abc.abstractmethod
    def offer(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        """Call what the plugin accepted, `times` times, each over a brokered connection of its own."""

    @abc.abstractmethod
    def upstream_to(self, service_id: int) -> None:
        """Let the plugin dial a number, whether or not this host has accepted it."""

    @abc.abstractmethod
    def nest(self, command: Sequence[str]) -> Facts:
        """Let the plugin start a plugin of its own; return what that one says of itself."""

    @abc.abstractmethod
    def write(self, stream: str, data: bytes, *, writer: str = "SELF", times: int = 1) -> None: ...

    @abc.abstractmethod
    def log(self, level: str, message: str, fields: Mapping[str, str]) -> None: ...

    @abc.abstractmethod
    def facts(self, variables: Sequence[str] = ()) -> Facts: ...

    @abc.abstractmethod
    def sleep(self, seconds: float) -> Future[object]:
        """Begin a call that takes that long."""

    @abc.abstractmethod
    def linger(self, seconds: int) -> int:
        """Let the plugin start a process that holds its stdout and stderr; return its pid."""

    @abc.abstractmethod
    def fail(self, code: int, message: str) -> None: ...

    @abc.abstractmethod
    def die(self, status: int) -> None: ...

    @abc.abstractmethod
    def seen(self) -> Seen: ...

    @abc.abstractmethod
    def exited(self) -> bool: ...

    @abc.abstractmethod
    def kill(self) -> Killed: ...

    @abc.abstractmethod
    def close(self) -> None:
        """Kill the plugin and end the host."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class GoHost(Host):
    """The Go program in host mode, over its stdin and stdout."""

    language = "go"

    def __init__(self, program: Path, log: Path) -> None:
        self._log = log
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [program, "host"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin: IO[bytes] = self.process.stdin
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        self._reattachment: Mapping[str, Any] | None = None

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                answer = json.loads(line)
                with self._lock:
                    future = self._waiting.pop(answer["ID"])
                if "Error" in answer:
                    future.set_exception(HostError(answer["Error"], answer.get("Code", "")))
                else:
                    future.set_result(answer["Result"])
        with self._lock:
            left = list(self._waiting.values())
            self._waiting.clear()
        for future in left:
            future.set_exception(HostError("the Go host ended"))

    def begin(self, op: str, **fields: object) -> Future[Any]:
        number = next(self._numbers)
        future: Future[Any] = Future()
        with self._lock:
            self._waiting[number] = future
        line = json.dumps({"Timeout": ANSWER_LIMIT, **fields, "ID": number, "Op": op}) + "\n"
        self._stdin.write(line.encode())
        self._stdin.flush()
        return future

    def call(self, op: str, **fields: object) -> Any:
        return self.begin(op, **fields).result(ANSWER_LIMIT)

    def start(self, launch: Launch) -> int:
        result = self.call(
            "start",
            Contract="probe",
            Command=[str(part) for part in launch.command],
            Env=[f"{name}={value}" for name, value in launch.env.items()],
            SkipHostEnv=not launch.inherit_env,
            Cookie=launch.cookie,
            Versions=list(launch.versions),
            AutoMTLS=launch.auto_mtls,
            Multiplex=launch.multiplex,
            StartTimeout=launch.start_timeout,
            SocketFolder=str(launch.socket_folder or ""),
            SocketGroup=launch.socket_group,
            Runner=launch.boxed,
            SeenAs=str(launch.seen_as or ""),
            SHA256=launch.sha256,
            RootCA=str(launch.root_ca or ""),
            Reattach=launch.reattach,
        )
        self._reattachment = result.get("reattach")
        version: int = result["version"]
        return version

    def reattachment(self) -> Mapping[str, Any]:
        assert self._reattachment is not None
        return self._reattachment

    def boxed(self) -> Boxed:
        return Boxed(**{name: found or [] for name, found in self.call("boxed").items()})

    def start_engine(self, command: Sequence[str]) -> None:
        """Start a plugin that serves the engine contract, as doze does."""
        self.call("start", Contract="engine", Command=list(command), StartTimeout=180)

    def invoke(self, method: str, request: Mapping[str, object]) -> Mapping[str, Any]:
        """Call a method of the engine contract; messages are in protobuf's JSON form."""
        answer: Mapping[str, Any] = self.call("invoke", Method=f"dozeplugin.v1.Engine.{method}", Request=request)
        return answer

    def ping(self) -> None:
        self.call("ping")

    def echo(self, size: int, *, count: int = 1, concurrency: int = 1) -> None:
        self.call("echo", Size=size, Count=count, Concurrency=concurrency)

    def count(self, frames: int, size: int) -> int:
        result: int = self.call("count", Count=frames, Size=size)["frames"]
        return result

    def total(self, frames: int, size: int) -> tuple[int, int]:
        result = self.call("total", Count=frames, Size=size)
        return result["frames"], result["bytes"]

    def chat(self, turns: int, size: int) -> None:
        self.call("chat", Count=turns, Size=size)

    def upstream(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        result: list[str] = self.call("upstream", Texts=list(texts), Count=times, Size=size)["texts"]
        return result

    def offer(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        result: list[str] = self.call("offer", Texts=list(texts), Count=times, Size=size)["texts"]
        return result

    def upstream_to(self, service_id: int) -> None:
        self.call("upstream_to", Code=service_id)

    def nest(self, command: Sequence[str]) -> Facts:
        return _facts(self.call("nest", Command=list(command)))

    def write(self, stream: str, data: bytes, *, writer: str = "SELF", times: int = 1) -> None:
        self.call("write", Stream=stream, Writer=writer, Data=base64.b64encode(data).decode(), Count=times)

    def log(self, level: str, message: str, fields: Mapping[str, str]) -> None:
        self.call("log", Level=level, Message=message, Fields=dict(fields))

    def facts(self, variables: Sequence[str] = ()) -> Facts:
        return _facts(self.call("facts", Variables=list(variables)))

    def sleep(self, seconds: float) -> Future[object]:
        return self.begin("sleep", Seconds=seconds)

    def linger(self, seconds: int) -> int:
        pid: int = self.call("linger", Seconds=seconds)["pid"]
        return pid

    def fail(self, code: int, message: str) -> None:
        self.call("fail", Code=code, Message=message)

    def die(self, status: int) -> None:
        self.call("die", Code=status)

    def seen(self) -> Seen:
        result = self.call("seen")
        return Seen(
            records=[_record(line) for line in result["records"]],
            stdout=base64.b64decode(result["stdout"] or ""),
            stderr=base64.b64decode(result["stderr"] or ""),
            raw=base64.b64decode(result["raw"] or ""),
        )

    def exited(self) -> bool:
        result: bool = self.call("state")["exited"]
        return result

    def kill(self) -> Killed:
        return Killed(**self.call("kill"))

    def close(self) -> None:
        """End the host; a data race that Go's detector saw, or a panic, is a failure."""
        with contextlib.suppress(BrokenPipeError):  # the host was killed
            self._stdin.close()
        code = self.process.wait(ANSWER_LIMIT)
        self._reader.join(ANSWER_LIMIT)
        words = self._log.read_text(errors="replace")
        assert "DATA RACE" not in words, words
        assert "panic: " not in words, words
        assert code in {0, -9}, f"the Go host ended with {code}:\n{words}"


def _facts(result: Mapping[str, Any]) -> Facts:
    return Facts(**{**result, "variables": result["variables"] or {}})


def _record(line: Mapping[str, Any]) -> Record:
    fields = {name: value for name, value in line.items() if not name.startswith("@") and name != "timestamp"}
    return Record(level=line["@level"], message=line["@message"], fields=fields)


class PythonHost(Host):
    """Our kernel as host, in this process."""

    language = "python"

    def __init__(self) -> None:
        self._plugin: kernel.Plugin | None = None
        self._records: list[Record] = []
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._raw = bytearray()
        self._pool = ThreadPoolExecutor(1)

    @property
    def plugin(self) -> kernel.Plugin:
        assert self._plugin is not None, "start it first"
        return self._plugin

    @property
    def _stub(self) -> probe_pb2_grpc.ProbeStub:
        return probe_pb2_grpc.ProbeStub(self.plugin.channel)

    def start(self, launch: Launch) -> int:
        try:
            self._plugin = self._reattached(launch) if launch.reattach else self._launched(launch)
        except kernel.PluginError as error:
            raise HostError(str(error)) from error
        return self._plugin.version

    def reattachment(self) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = json.loads(self.plugin.reattach_config().to_json())
        return entry

    def _launched(self, launch: Launch) -> kernel.Plugin:
        logger = logging.getLogger(f"interop.host.{id(self)}")
        logger.setLevel(1)
        logger.propagate = False
        logger.addHandler(_Collector(self._records))
        return kernel.launch(
            launch.command,
            kernel.Handshake(cookie_key=HANDSHAKE.cookie_key, cookie_value=launch.cookie or HANDSHAKE.cookie_value),
            versions=set(launch.versions),
            env=launch.env,
            inherit_env=launch.inherit_env,
            start_timeout=launch.start_timeout,
            auto_mtls=launch.auto_mtls,
            multiplex=launch.multiplex,
            tls=_client_tls(launch.root_ca) if launch.root_ca else None,
            socket_group=launch.socket_group,
            secure=kernel.SecureConfig(launch.sha256) if launch.sha256 else None,
            logger=logger,
            on_stdout=self._stdout.extend,
            on_stderr=self._stderr.extend,
            on_log_line=lambda line: self._raw.extend(line.rstrip(b"\n") + b"\n"),
        )

    def _reattached(self, launch: Launch) -> kernel.Plugin:
        config = kernel.ReattachConfig.from_json(json.dumps(launch.reattach))
        return kernel.reattach(config, on_stdout=self._stdout.extend, on_stderr=self._stderr.extend)

    def ping(self) -> None:
        try:
            self.plugin.ping(timeout=60)
        except kernel.PluginError as error:
            raise HostError(str(error)) from error

    def echo(self, size: int, *, count: int = 1, concurrency: int = 1) -> None:
        def once(seed: int) -> None:
            sent = pattern(size, seed)
            got = self._stub.Echo(probe_pb2.Blob(data=sent), timeout=ANSWER_LIMIT).data
            assert got == sent, f"echo {seed}: sent {size} bytes, got {len(got)} that differ"

        with _status(), ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(once, range(count)))

    def count(self, frames: int, size: int) -> int:
        came = 0
        for came, blob in enumerate(self._stub.Count(probe_pb2.CountRequest(frames=frames, size=size)), start=1):
            assert blob.data == pattern(size, came - 1), f"frame {came - 1} differs"
        return came

    def total(self, frames: int, size: int) -> tuple[int, int]:
        reply = self._stub.Total(probe_pb2.Blob(data=pattern(size, frame)) for frame in range(frames))
        return reply.frames, reply.bytes

    def chat(self, turns: int, size: int) -> None:
        may_send = threading.Semaphore(1)

        def requests() -> Iterator[probe_pb2.Blob]:
            for turn in range(turns):
                may_send.acquire(timeout=ANSWER_LIMIT)
                yield probe_pb2.Blob(data=pattern(size, turn))

        answered = 0
        for answered, blob in enumerate(self._stub.Chat(requests()), start=1):
            assert blob.data == pattern(size, answered - 1), f"turn {answered - 1} differs"
            may_send.release()
        assert answered == turns

    def upstream(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        answers: list[str] = []
        for _ in range(times):
            service_id = self.plugin.broker.next_id()
            accepted = serve_callback(self.plugin.broker, service_id, "host:")
            request = probe_pb2.UpstreamRequest(service_id=service_id, texts=texts, echo_size=size)
            with _status():
                reply = self._stub.Upstream(request, timeout=ANSWER_LIMIT)
            assert reply.echoed == size
            answers += reply.texts
            accepted.stop()
        return answers

    def offer(self, texts: Sequence[str], *, times: int = 1, size: int = 0) -> list[str]:
        answers: list[str] = []
        for _ in range(times):
            offer = self._stub.Offer(probe_pb2.OfferRequest(prefix="plugin:"))
            got, echoed = ask_callback(self.plugin.broker, offer.service_id, texts, size)
            assert echoed == size
            answers += got
        return answers

    def upstream_to(self, service_id: int) -> None:
        with _status():
            self._stub.Upstream(probe_pb2.UpstreamRequest(service_id=service_id), timeout=ANSWER_LIMIT)

    def nest(self, command: Sequence[str]) -> Facts:
        with _status():
            return _facts_of(self._stub.Nest(probe_pb2.NestRequest(command=command)))

    def write(self, stream: str, data: bytes, *, writer: str = "SELF", times: int = 1) -> None:
        request = probe_pb2.WriteRequest(data=data, times=times)
        request.stream = probe_pb2.Stream.Value(stream)
        request.writer = probe_pb2.Writer.Value(writer)
        with _status():
            self._stub.Write(request)

    def log(self, level: str, message: str, fields: Mapping[str, str]) -> None:
        self._stub.Log(probe_pb2.LogRequest(level=level, message=message, fields=fields))

    def facts(self, variables: Sequence[str] = ()) -> Facts:
        with _status():
            return _facts_of(self._stub.Facts(probe_pb2.FactsRequest(variables=variables)))

    def sleep(self, seconds: float) -> Future[object]:
        def call() -> None:
            with _status():
                self._stub.Sleep(probe_pb2.SleepRequest(milliseconds=int(seconds * 1000)))

        return self._pool.submit(call)

    def linger(self, seconds: int) -> int:
        pid: int = self._stub.Linger(probe_pb2.LingerRequest(seconds=seconds)).pid
        return pid

    def fail(self, code: int, message: str) -> None:
        with _status():
            self._stub.Fail(probe_pb2.FailRequest(code=code, message=message))

    def die(self, status: int) -> None:
        with _status():
            self._stub.Die(probe_pb2.DieRequest(status=status))

    def seen(self) -> Seen:
        return Seen(
            records=list(self._records),
            stdout=bytes(self._stdout),
            stderr=bytes(self._stderr),
            raw=bytes(self._raw),
        )

    def exited(self) -> bool:
        return self.plugin.exited

    def kill(self) -> Killed:
        began = time.monotonic()
        self.plugin.kill()
        return Killed(seconds=time.monotonic() - began, forced=self.plugin.exit_code == -9)

    def close(self) -> None:
        if self._plugin is not None:
            self._plugin.kill()
        self._pool.shutdown()


def _facts_of(reply: probe_pb2.FactsReply) -> Facts:
    return Facts(pid=reply.pid, version=reply.version, language=reply.language, variables=dict(reply.variables))


class _Collector(logging.Handler):
    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        self._records.append(Record(level=LEVELS[record.levelno], message=record.getMessage(), fields=fields))


@contextlib.contextmanager
def _status() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        name = "".join(part.title() for part in error.code().name.split("_"))
        raise HostError(error.details() or "", name) from error


def _client_tls(root_ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=root_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def marked(mark: str) -> list[str]:
    """Running processes whose environment holds `mark`, as ``pid: command``; this process does not count."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended, or belongs to somebody else
            if mark.encode() in (folder / "environ").read_bytes() and alive(int(folder.name)):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{folder.name}: {command}")
    return found


def eventually(condition: Callable[[], bool], *, limit: float = 30.0) -> bool:
    """Wait until `condition` holds; return whether it came to hold within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
