"""What a module costs before it answers, against bare gRPC and pyvider: `python -m benchmarks.start`.

Start is timed from the spawn to the newline of the handshake, as a host waits for it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .measure import ENVIRONMENT, ROOT, Bar, finish, interleaved, ratio, show, started

PEERS = Path(__file__).with_name("peers")
COOKIE = {
    "DOZE_PLUGIN": "engine",
    "PLUGIN_PROTOCOL_VERSIONS": "1",
    "PLUGIN_MIN_PORT": "10000",
    "PLUGIN_MAX_PORT": "25000",
}
LIGHT = "import dataclasses, enum, pathlib, re, datetime, typing"


def _run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return time.perf_counter() - start


def main() -> None:
    python = sys.executable
    with tempfile.TemporaryDirectory() as home:
        doze = {**COOKIE, "DOZE_HOME": home}
        starts = interleaved(
            {
                "doze-sdk: a module": lambda: started([python, "-m", "tests.modules.everything"], doze).wall,
                "bare grpcio": lambda: started([python, str(PEERS / "bare_grpc.py")], {}).wall,
                "pyvider-rpcplugin": lambda: started([python, str(PEERS / "pyvider_plugin.py")], COOKIE).wall,
            },
            rounds=21,
            warmup=2,
        )
    show(starts)
    whole = interleaved(
        {
            "a module run by hand": lambda: _run([python, "-m", "tests.modules.everything"]),
            "python -c pass": lambda: _run([python, "-c", "pass"]),
            "import doze_sdk.engine, and what a driver uses of it": lambda: _run(
                [python, "-c", "from doze_sdk.engine import Config, Driver, Instance, SpawnPlan, attr"]
            ),
            "import doze_sdk.engine": lambda: _run([python, "-c", "import doze_sdk.engine"]),
            LIGHT: lambda: _run([python, "-c", LIGHT]),
        },
        rounds=31,
        warmup=2,
    )
    show(whole)
    finish(
        [
            Bar("start to handshake / bare grpcio", ratio(starts, "doze-sdk: a module", "bare grpcio"), 1.15),
            Bar("start to handshake / pyvider", ratio(starts, "doze-sdk: a module", "pyvider-rpcplugin"), 0.45),
            Bar("run by hand / python -c pass", ratio(whole, "a module run by hand", "python -c pass"), 2.5),
            Bar("import doze_sdk.engine / light modules", ratio(whole, "import doze_sdk.engine", LIGHT), 1.25),
            Bar(
                "the names that a driver uses / light modules",
                ratio(whole, "import doze_sdk.engine, and what a driver uses of it", LIGHT),
                1.25,
            ),
        ]
    )


if __name__ == "__main__":
    main()
