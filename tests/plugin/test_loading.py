"""What a module's process looks like once its driver is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOADED = """
import gc
from concurrent.futures import ThreadPoolExecutor

import grpc

from doze_sdk.plugin._loading import Module

module = Module("tests.modules.everything.driver:Everything")
module.register(grpc.server(ThreadPoolExecutor(1)), None)
module.load()
"""


def _run(check: str, home: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", LOADED + check], check=True, env={**os.environ, "DOZE_HOME": str(home)}, timeout=60
    )


def test_the_collector_does_not_look_at_what_was_imported(tmp_path: Path) -> None:
    _run(
        "import doze_sdk.engine._driver as ours\n"
        "looked_at = {id(found) for found in gc.get_objects()}\n"
        "assert not looked_at & {id(vars(grpc)), id(grpc.Channel), id(vars(ours)), id(ours.Driver)}\n",
        tmp_path,
    )


def test_the_collector_is_on_and_finds_what_came_after_the_imports(tmp_path: Path) -> None:
    _run(
        "import weakref\n"
        "class Cycle: pass\n"
        "cycle = Cycle()\n"
        "cycle.itself, seen = cycle, weakref.ref(cycle)\n"
        "del cycle\n"
        "assert gc.isenabled() and seen() is not None\n"
        "gc.collect()\n"
        "assert seen() is None\n",
        tmp_path,
    )
