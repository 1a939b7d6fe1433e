"""What `modtool dev` adds to what it cannot do without: `python -m benchmarks.dev`.

From the command to the first answered request, against the sum of its parts, each measured alone: the start of the
command itself, which its help needs as well; the plugin's to its first answer; the engine's to an answered request. A
plugin prints its handshake before it has loaded its driver, so the handshake is shown beside the answer, as is the
start of `modtool` without a command, and neither is counted.
"""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from doze_sdk.modtool import new_project
from doze_sdk.plugin import launch

from .measure import ENVIRONMENT, Bar, finish, interleaved, show, started
from .start import COOKIE

MODTOOL = [sys.executable, str(Path(sys.executable).with_name("modtool"))]


class _OverUnix(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def _until_answered(connect: type[http.client.HTTPConnection], host: str, port: int | None) -> None:
    """Ask every half millisecond until there is an answer."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = connect(host, port)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            if connection.getresponse().status == http.client.OK:
                connection.close()
                return
        connection.close()
        time.sleep(0.0005)
    raise SystemExit(f"{host}: no answer within a minute")


def _timed_start(command: list[str], cwd: Path, env: dict[str, str], host: str, port: int | None) -> float:
    connect = _OverUnix if port is None else http.client.HTTPConnection
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    _until_answered(connect, host, port)
    seconds = time.perf_counter() - start
    process.send_signal(signal.SIGINT)
    process.wait()
    return seconds


def _run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _first_answer(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    driver = launch(command, env=env, inherit_env=False)
    seconds = time.perf_counter() - start
    driver.close()
    return seconds


def main() -> None:
    work = Path(tempfile.mkdtemp(prefix="dz", dir="/tmp"))
    try:
        _measure(work)
    finally:
        shutil.rmtree(work)


def _measure(work: Path) -> None:
    project = new_project("hello", output=work)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    example = project / "examples" / "doze.hcl"
    example.write_text(example.read_text().replace("8080", str(port)))
    env = {**ENVIRONMENT, "PYTHONPATH": str(project / "src"), "DOZE_HOME": str(work)}
    module = [sys.executable, "-m", "hello_plugin"]
    backend = str(work / "s")
    engine = [*module, "__serve", "--socket", backend, "--root", str(project / "examples" / "public")]
    results = interleaved(
        {
            "modtool dev, to the first answer": lambda: _timed_start(
                [*MODTOOL, "dev"], project, dict(ENVIRONMENT), "127.0.0.1", port
            ),
            "the command: modtool dev --help": lambda: _run([*MODTOOL, "dev", "--help"]),
            "the plugin, to its first answer": lambda: _first_answer(module, env),
            "the engine, to the first answer": lambda: _timed_start(engine, work, env, backend, None),
            "(the command line: modtool --help)": lambda: _run([*MODTOOL, "--help"]),
            "(the plugin, to its handshake)": lambda: started(module, {**COOKIE, **env}).wall,
        },
        rounds=21,
        warmup=2,
    )
    show(results)
    # Round by round: a shared machine is slower in one minute than in the next.
    ratios = [whole / sum(parts) for whole, *parts, _, _ in zip(*results.values(), strict=True)]
    finish([Bar("modtool dev / command + plugin + engine", statistics.median(ratios), 1.3)])


if __name__ == "__main__":
    main()
