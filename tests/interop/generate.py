"""Writes the generated code of the interop tests: `python -m tests.interop.generate`.

It needs Go, whose plugins of protoc are pinned in go.mod, and grpcio-tools, which brings protoc itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

from . import toolchain

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

GO = {
    "probe": HERE / "pb" / "probe.proto",
    "kv": ROOT / "examples" / "kv" / "kv" / "kv.proto",
    "engine": ROOT / "sdk" / "plugin" / "_proto" / "dozeplugin_v1.proto",
}
"""Go package below gopb, and the file that it is generated from."""

PYTHON = [
    (Path(), "tests/interop/pb/probe.proto"),
    (Path(), "tests/interop/terraform/tfplugin6.proto"),
    (Path("examples/kv"), "kv/kv.proto"),
]
"""Folder from which Python imports, and the file below it."""


def generate(target: Path) -> list[Path]:
    """Write everything below the folder *target*, laid out as in the repository; return what was written."""
    written: list[Path] = []
    with tempfile.TemporaryDirectory() as programs:
        plugins = ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"]
        subprocess.run([toolchain.go(), "build", "-o", programs, *plugins], cwd=HERE, check=True)
        for package, source in GO.items():
            written += _go(package, source, Path(programs), target)
    for folder, name in PYTHON:
        (target / folder).mkdir(parents=True, exist_ok=True)
        _protoc(ROOT / folder, name, *(f"--{kind}_out={target / folder}" for kind in ("python", "pyi", "grpc_python")))
        stem = name.removesuffix(".proto")
        written += [folder / f"{stem}{suffix}" for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")]
    return written


def _go(package: str, source: Path, programs: Path, target: Path) -> list[Path]:
    folder = Path("tests/interop/gopb") / package
    out = target / folder
    out.mkdir(parents=True, exist_ok=True)
    options = []
    for kind in ("go", "go-grpc"):
        options += [
            f"--plugin=protoc-gen-{kind}={programs / f'protoc-gen-{kind}'}",
            f"--{kind}_out={out}",
            f"--{kind}_opt=paths=source_relative",
            f"--{kind}_opt=M{source.name}=interop/gopb/{package}",
        ]
    _protoc(source.parent, source.name, *options)
    return [folder / f"{source.stem}.pb.go", folder / f"{source.stem}_grpc.pb.go"]


def _protoc(folder: Path, name: str, *options: str) -> None:
    if protoc.main(["protoc", f"-I{folder}", *options, name]):
        raise SystemExit(f"protoc failed for {folder / name}")


if __name__ == "__main__":
    sys.stdout.write("".join(f"wrote {path}\n" for path in generate(ROOT)))
