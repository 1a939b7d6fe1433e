"""The feature table of docs/go-plugin.md names tests that exist, and a feature without one is no feature."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "go-plugin.md"
COLUMNS = 5


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[-1])


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_feature_is_compared_and_proved(row: list[str]) -> None:
    assert len(row) == COLUMNS
    assert all(row)
    assert named(row)


@pytest.mark.parametrize("name", sorted({name for row in rows() for name in named(row)}))
def test_a_test_that_the_table_names_exists(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((TESTS / file).read_text())

    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_table_is_there() -> None:
    assert len(rows()) > 30
