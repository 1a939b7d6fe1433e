"""Regenerates the messages of the engine contract: `python -m tests.plugin.proto` (or `make proto`).

The messages live in a descriptor pool of their own, so that a module that also imports somebody else's
`dozeplugin.v1`, or any other file of that name, has no conflict.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parents[2] / "sdk" / "plugin" / "_proto"
NAME = "dozeplugin_v1"
SHARED_POOL = "_descriptor_pool.Default()"
OWN_POOL = "_descriptor_pool.DescriptorPool()"


def generate(target: Path) -> None:
    """Write `dozeplugin_v1_pb2.py` and its stub to the folder *target*."""
    code = protoc.main(["protoc", f"-I{FOLDER}", f"--python_out={target}", f"--pyi_out={target}", f"{NAME}.proto"])
    if code:
        raise SystemExit(code)
    module = target / f"{NAME}_pb2.py"
    text = module.read_text()
    if text.count(SHARED_POOL) != 1:
        raise SystemExit(f"{module}: expected {SHARED_POOL} once; this protoc writes something else")
    module.write_text(text.replace(SHARED_POOL, OWN_POOL))


if __name__ == "__main__":
    generate(FOLDER)
    sys.stdout.write(f"wrote {FOLDER / NAME}_pb2.py\n")
