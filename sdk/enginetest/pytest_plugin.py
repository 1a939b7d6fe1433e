"""The pytest entry point. It imports nothing but pytest: it loads in every test run of everybody who has the SDK."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:  # noqa: ARG001 - the hook's signature
    """Show the engines' own last words with a failed test."""
    report = yield
    backends = sys.modules.get("doze_sdk.enginetest._backend")
    if backends is not None and report.failed:  # type: ignore[attr-defined]  # a wrapper's yield is typed as None
        report.sections.extend(backends.log_sections())  # type: ignore[attr-defined]  # see above
    return report
