from __future__ import annotations

from typing import TYPE_CHECKING

from . import generate

if TYPE_CHECKING:
    from pathlib import Path


def test_the_committed_code_is_what_the_contracts_generate(go_program: Path, tmp_path: Path):
    written = generate.generate(tmp_path)

    stale = [str(path) for path in written if (tmp_path / path).read_bytes() != (generate.ROOT / path).read_bytes()]
    assert stale == [], "run: python -m tests.interop.generate"
