"""What the go-plugin kernel costs, against bare gRPC and the Go plugin: `python -m benchmarks.plugin`.

Every plugin echoes the same message to the same Python client, in turns. The encrypted and multiplexed ones are driven
by `kernel.launch`, so that their numbers hold a relay at each end.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from tests.interop import toolchain

from doze_sdk.plugin import RemoteDriver, kernel, launch
from doze_sdk.plugin._proto import dozeplugin_v1_pb2 as pb
from doze_sdk.plugin.kernel import _tls

from .leftovers import Held, children, descriptors, files, memory
from .measure import ENVIRONMENT, ROOT, Bar, finish, interleaved, ratio, show, started
from .peers import kernel_plugin

if TYPE_CHECKING:
    from collections.abc import Mapping

PEERS = Path(__file__).with_name("peers")
KERNEL = [sys.executable, str(PEERS / "kernel_plugin.py")]
BARE = [sys.executable, str(PEERS / "bare_grpc.py")]
BARE_16 = [*BARE, "16"]
GO_HANDSHAKE = kernel.Handshake(cookie_key="DOZE_INTEROP_PLUGIN", cookie_value="c1c2e2c6a3b94a7cbb6b4a8b5b5d1b6e")
MODES: Mapping[str, Mapping[str, bool]] = {
    "plain": {},
    "AutoMTLS": {"auto_mtls": True},
    "multiplexed": {"multiplex": True},
    "AutoMTLS and multiplexed": {"auto_mtls": True, "multiplex": True},
}
ECHO, GO_ECHO = "/bare.Echo/Echo", "/interop.v1.Probe/Echo"
MESSAGE = b"\x0a\x80\x08" + b"x" * 1024  # field 1 of both contracts, as text of 1 KiB
CALLERS = 16
Call = Callable[[bytes], bytes]


def main() -> None:
    options = parsed()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="dz", dir="/tmp") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        go = _go(Path(folder))
        for part in (starts, calls, engine_calls, kills):
            bars += part(go)
        bars += dials(options.dials)
        bars += cycles(options.cycles, Path(folder))
    finish(bars)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plugin")
    parser.add_argument("--dials", type=int, default=10_000, help="brokered connections, over all modes and directions")
    parser.add_argument("--cycles", type=int, default=1_000, help="plugins to start and kill, over all modes")
    return parser.parse_args()


def _go(folder: Path) -> list[str] | None:
    try:
        return [str(toolchain.build(folder, race=False)), "plugin"]
    except toolchain.MissingGoError as error:
        print(f"not compared with the Go plugin: {error}")
        return None


# -- start


def starts(go: list[str] | None) -> list[Bar]:
    """Start to handshake. The bars are on processor time: until then a plugin is one thread that waits for nothing."""
    host = {"PLUGIN_PROTOCOL_VERSIONS": "1", "PLUGIN_MIN_PORT": "10000", "PLUGIN_MAX_PORT": "25000"}
    ours = {**host, kernel_plugin.HANDSHAKE.cookie_key: kernel_plugin.HANDSHAKE.cookie_value}
    encrypted = {"PLUGIN_CLIENT_CERT": _tls.generate().pem}
    plugins = {
        "kernel": (KERNEL, ours),
        "kernel, AutoMTLS": (KERNEL, {**ours, **encrypted}),
        "bare grpcio": (BARE, {}),
    }
    if go:
        theirs = {**host, GO_HANDSHAKE.cookie_key: GO_HANDSHAKE.cookie_value}
        plugins["Go"] = (go, theirs)
        plugins["Go, AutoMTLS"] = (go, {**theirs, **encrypted})
    processor: dict[str, list[float]] = {name: [] for name in plugins}

    def start(name: str) -> float:
        cost = started(*plugins[name])
        processor[name].append(cost.processor)
        return cost.wall

    wall = interleaved({name: functools.partial(start, name) for name in plugins}, rounds=25, warmup=2)
    print("start to handshake")
    show(wall)
    print("start to handshake, processor time")
    show(processor)
    return [
        Bar("start to handshake / bare grpcio", ratio(processor, "kernel", "bare grpcio"), 1.15),
        Bar("start to handshake with AutoMTLS / bare grpcio", ratio(processor, "kernel, AutoMTLS", "bare grpcio"), 1.5),
    ]


# -- calls


@contextlib.contextmanager
def _bare(command: list[str], method: str) -> Iterator[Call]:
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        path = process.stdout.readline().decode().split("|")[3]
        with grpc.insecure_channel(f"unix:{path}") as channel:
            yield channel.unary_unary(method)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def _launched(command: list[str], handshake: kernel.Handshake, method: str, **mode: bool) -> Iterator[Call]:
    with kernel.launch(command, handshake, versions={1}, env=ENVIRONMENT, inherit_env=False, **mode) as plugin:
        yield plugin.channel.unary_unary(method)


def calls(go: list[str] | None) -> list[Bar]:
    """Latency of one caller and throughput of sixteen."""
    with contextlib.ExitStack() as stack:
        peers = {
            "bare grpcio": stack.enter_context(_bare(BARE, ECHO)),
            "bare grpcio, 16 threads": stack.enter_context(_bare(BARE_16, ECHO)),
        }
        for name, mode in MODES.items():
            peers[f"kernel, {name}"] = stack.enter_context(_launched(KERNEL, kernel_plugin.HANDSHAKE, ECHO, **mode))
            if go:
                peers[f"Go, {name}"] = stack.enter_context(_launched(go, GO_HANDSHAKE, GO_ECHO, **mode))
        latency = _latencies(peers, rounds=20, count=150)
        print("one caller, 1 KiB there and back")
        show(latency, unit="us")
        whole = interleaved({name: _crowd(call) for name, call in peers.items()}, rounds=21)
    print(f"{CALLERS} callers at once, per call")
    show(whole, unit="us")
    throughput = ratio(whole, "bare grpcio, 16 threads", "kernel, plain")  # of times: theirs over ours
    return [
        Bar("p50, plain / bare grpcio", ratio(latency, "kernel, plain", "bare grpcio"), 1.1),
        Bar("p50, AutoMTLS / bare grpcio", ratio(latency, "kernel, AutoMTLS", "bare grpcio"), 1.8),
        Bar("p50, multiplexed / bare grpcio", ratio(latency, "kernel, multiplexed", "bare grpcio"), 2.0),
        Bar(f"throughput at {CALLERS} callers, plain / bare grpcio", throughput, 0.9, least=True),
    ]


def _latencies(peers: Mapping[str, Call], *, rounds: int, count: int) -> dict[str, list[float]]:
    """Time single calls, `count` of each peer in a row, so that neighbours in time are compared."""
    every: dict[str, list[float]] = {name: [] for name in peers}

    def batch(name: str, call: Call) -> float:
        seconds = [_seconds(call) for _ in range(count)]
        every[name] += seconds
        return statistics.median(seconds)

    cases = {name: (lambda name=name, call=call: batch(name, call)) for name, call in peers.items()}
    interleaved(cases, rounds=rounds, warmup=1)
    return {name: values[count:] for name, values in every.items()}  # without the warm-up


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call(MESSAGE)
    return time.perf_counter() - start


def _crowd(call: Call, each: int = 40) -> Callable[[], float]:
    """Return a function that lets many callers call, and gives the seconds that passed per call."""

    def work() -> None:
        for _ in range(each):
            call(MESSAGE)

    def crowd() -> float:
        threads = [threading.Thread(target=work) for _ in range(CALLERS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.perf_counter() - start) / (each * CALLERS)

    return crowd


def engine_calls(_go: list[str] | None) -> list[Bar]:
    """Measure one call of the engine contract, as a driver's method on one side and as a plain stub on the other."""
    folder = Path("/tmp/engine")
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "tests.modules.everything"]
        home = stack.enter_context(tempfile.TemporaryDirectory())
        env = {**ENVIRONMENT, "DOZE_HOME": home}
        driver = stack.enter_context(launch(command, env=env, cwd=ROOT))
        assert isinstance(driver, RemoteDriver)
        bare = stack.enter_context(
            _bare([sys.executable, str(PEERS / "bare_engine.py")], "/dozeplugin.v1.Engine/BackendSocket")
        )

        def ours(_message: bytes) -> bytes:
            return bytes(driver.backend_socket(folder, 7000) or b"")

        def theirs(_message: bytes) -> bytes:
            request = pb.BackendSocketRequest(socket_dir=str(folder), port=7000).SerializeToString()
            return bytes(Path(pb.BackendSocketResponse.FromString(bare(request)).path))

        results = _latencies({"doze_sdk.plugin": ours, "bare grpcio": theirs}, rounds=20, count=150)
    print("BackendSocket of the engine contract")
    show(results, unit="us")
    return [Bar("p50 of an engine call / bare grpcio", ratio(results, "doze_sdk.plugin", "bare grpcio"), 1.1)]


# -- kill


def kills(go: list[str] | None) -> list[Bar]:
    """Measure how much longer `kill` takes than the process needs to be gone, and how long that is."""
    exits: dict[str, list[float]] = {}

    def kill(name: str, command: list[str], handshake: kernel.Handshake, **mode: bool) -> float:
        whole, own = _kill(command, handshake, **mode)
        exits.setdefault(name, []).append(own)
        return whole - own

    cases = {
        name: functools.partial(kill, name, KERNEL, kernel_plugin.HANDSHAKE, **mode) for name, mode in MODES.items()
    }
    if go:
        cases["Go"] = functools.partial(kill, "Go", go, GO_HANDSHAKE)
    over = interleaved(cases, rounds=15)
    print("from the request to the end of the process")
    show(exits)
    print("from there to the return of kill")
    show(over)
    return [
        Bar(f"kill, {name}: ms after the process's end", statistics.median(over[name]) * 1000, 20) for name in MODES
    ]


def _kill(command: list[str], handshake: kernel.Handshake, **mode: bool) -> tuple[float, float]:
    """Return the seconds of `kill`, and how many of them had passed when the process was gone."""
    plugin = kernel.launch(command, handshake, versions={1}, env=ENVIRONMENT, inherit_env=False, **mode)
    plugin.ping()
    assert plugin.pid is not None
    gone: list[float] = []
    process = os.pidfd_open(plugin.pid)

    def watch() -> None:
        select.select([process], [], [])
        gone.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    plugin.kill()
    end = time.perf_counter()
    watcher.join()
    os.close(process)
    return end - start, min(gone[0], end) - start


# -- what is left


def dials(count: int) -> list[Bar]:
    """Make brokered connections in all modes and both directions; compare what both processes hold over time."""
    bars: list[Bar] = []
    for name, mode in MODES.items():
        with kernel.launch(
            KERNEL, kernel_plugin.HANDSHAKE, versions={1}, env=ENVIRONMENT, inherit_env=False, **mode
        ) as plugin:
            assert plugin.pid is not None
            seconds = _dial_all(plugin, count // len(MODES), host := Held("self"), there := Held(plugin.pid))
        print(f"{count // len(MODES)} brokered connections, {name}: {seconds * 1000:.2f} ms each")
        for side, held in (("host", host), ("plugin", there)):
            print(f"  {side}: {held}")
            bars += held.bars(f"dials, {name}, {side}")
    return bars


def _dial_all(plugin: kernel.Plugin, count: int, *held: Held) -> float:
    call = {name: plugin.channel.unary_unary(f"/bare.Connections/{name}") for name in ("Dial", "Offer", "Withdraw")}
    start = time.perf_counter()
    for number in range(count):
        if number % 2:
            offered = call["Offer"](b"", timeout=30)
            with plugin.broker.dial(int(offered)) as channel:
                assert channel.unary_unary("/bare.Back/Echo")(offered, timeout=30) == offered
            call["Withdraw"](offered, timeout=30)
        else:
            asked = plugin.broker.next_id()
            accepted = plugin.broker.accept(asked, kernel_plugin.add_back)
            assert call["Dial"](str(asked).encode(), timeout=30) == str(asked).encode()
            accepted.stop()
        if number % max(1, count // 100) == 0:
            for process in held:
                process.look()
    return (time.perf_counter() - start) / count


def cycles(count: int, folder: Path) -> list[Bar]:
    """Start plugins, call them and kill them; compare what this process holds over time."""
    before = (children(), descriptors("self"), files(folder), set(threading.enumerate()))
    held = Held("self")
    modes = list(MODES.values())
    start = time.perf_counter()
    for number in range(count):
        mode = modes[number % len(modes)]
        with _launched(KERNEL, kernel_plugin.HANDSHAKE, ECHO, **mode) as echo:
            assert echo(MESSAGE) == MESSAGE
        if number % max(1, count // 100) == 0:
            held.look()
    print(f"{count} plugins started, called and killed: {(time.perf_counter() - start) / count * 1000:.0f} ms each")
    print(f"  host: {held}, now {memory('self') / 2**20:.1f} MiB")
    after = (children(), descriptors("self"), files(folder), set(threading.enumerate()))
    left = [thing for was, now in zip(before, after, strict=True) for thing in now - was]
    for thing in left:
        print(f"  left: {thing}")
    return [*held.bars("start and kill, host"), Bar("processes, descriptors, files and threads left", len(left), 0)]


if __name__ == "__main__":
    main()
