"""What decoding a block costs, against python-hcl2 and pygohcl, which merely parse it, and how it grows.

python -m benchmarks.hcl
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hcl2
import pygohcl

from doze_sdk.hcl import (
    BOOL,
    INT,
    STRING,
    AttributeSchema,
    BlockSchema,
    ListType,
    MapType,
    Schema,
    Source,
    decode_block,
    parse_with_diagnostics,
)

from .measure import ENVIRONMENT, Bar, finish, interleaved, ratio, show

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = (Path(__file__).parent / "inputs" / "postgres.hcl").read_bytes()
VARIABLES = {
    "var": b'{"pg_version":16,"small":true,"extra":"pgcrypto","log":"all","stage":"dev"}',
    "local": b'{"owner":"team"}',
    "count": b'{"index":1}',
    "postgres": b'{"base":{"name":"base","port":5432}}',
}
_STRINGS = ListType(STRING)


def _optional(name: str, type_: object = STRING) -> AttributeSchema:
    return AttributeSchema(name, type_, required=False)


SCHEMA = Schema(
    [
        _optional("owner"),
        _optional("shared_buffers"),
        _optional("max_connections", INT),
        _optional("fsync", BOOL),
        _optional("extensions", _STRINGS),
        _optional("settings", MapType(STRING)),
    ],
    [
        BlockSchema(
            "role",
            Schema(
                [_optional("login", BOOL), _optional("password"), _optional("member_of", _STRINGS)], labels=["name"]
            ),
        ),
        BlockSchema("schema", Schema([_optional("owner")], labels=["name"])),
        BlockSchema(
            "grant",
            Schema([AttributeSchema("role", STRING), _optional("database"), AttributeSchema("privileges", _STRINGS)]),
        ),
    ],
)

# The file that stands between two decodings of the same one, so that the second finds nothing remembered.
_OTHER = b"other {}\n"


def _decode(file: bytes) -> None:
    decode_block(file, filename="doze.hcl", block_type="postgres", label="app", schema=SCHEMA, variables=VARIABLES)


def _cpu(function: Callable[[], object]) -> float:
    """The CPU seconds that a call takes; on a shared machine the clock on the wall measures the neighbours."""
    gc.disable()
    start = time.process_time()
    function()
    taken = time.process_time() - start
    gc.enable()
    return taken


def _first() -> float:
    parse_other()
    return _cpu(lambda: _decode(BLOCK))


def _further() -> float:
    _decode(BLOCK)
    return _cpu(lambda: _decode(BLOCK))


def parse_other() -> None:
    """Make the parser forget the last file."""
    from doze_sdk.hcl import parse

    parse(_OTHER, filename="other.hcl")


def _least(of: Callable[[], float], times: int = 20) -> float:
    return min(of() for _ in range(times))


def _lines(count: int) -> Source:
    text = BLOCK.decode()
    blocks = count // text.count("\n") + 1
    return Source("doze.hcl", "\n".join((text * blocks).splitlines()[:count]) + "\n")


def _import_cost() -> float:
    """CPU seconds that importing all that decoding needs takes, in a fresh process that has loaded gRPC.

    As in a module's process, the collector is on and does not look at gRPC's objects (`doze_sdk.plugin._loading`).
    """
    code = (
        "import gc, grpc, google.protobuf.message, time\n"
        "gc.freeze()\n"
        "start = time.process_time()\n"
        "from doze_sdk.hcl import Schema, AttributeSchema, decode_block\n"
        "print(time.process_time() - start)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=ENVIRONMENT)
    return float(run.stdout)


def main() -> None:
    """Measure and compare."""
    text = BLOCK.decode()
    short, long = _lines(1000), _lines(10_000)
    results = interleaved(
        {
            "decode a block, first instance": lambda: _least(_first),
            "decode a block, further instance": lambda: _least(_further),
            "python-hcl2 parses it": lambda: _least(lambda: _cpu(lambda: hcl2.loads(text)), 2),
            "pygohcl parses it": lambda: _least(lambda: _cpu(lambda: pygohcl.loads(text))),
            "parse 1,000 lines": lambda: _least(lambda: _cpu(lambda: parse_with_diagnostics(short)), 4),
            "parse 10,000 lines": lambda: _least(lambda: _cpu(lambda: parse_with_diagnostics(long)), 4),
            "import, with gRPC loaded (CPU)": _import_cost,
        },
        rounds=15,
    )
    show(results)
    first, further = "decode a block, first instance", "decode a block, further instance"
    finish(
        [
            Bar("python-hcl2 parsing / decoding", ratio(results, "python-hcl2 parses it", first), 10, least=True),
            Bar("decoding / pygohcl parsing", ratio(results, first, "pygohcl parses it"), 3),
            Bar("10,000 lines / 1,000 lines", ratio(results, "parse 10,000 lines", "parse 1,000 lines"), 11),
            Bar("a further instance / the first", ratio(results, further, first), 0.35),
            Bar("import, milliseconds of CPU", min(results["import, with gRPC loaded (CPU)"]) * 1e3, 5),
        ]
    )


if __name__ == "__main__":
    main()
