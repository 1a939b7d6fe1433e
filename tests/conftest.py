"""What every test of this project shares: the rule on skipped tests, and short folders for sockets."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A checkout may belong to somebody else, and what failed once is made a test of its own.
settings.register_profile("read-only checkout", database=None)
settings.load_profile("read-only checkout")

# What no package provides. A test that is skipped for want of anything else fails in CI.
NOT_IN_CI = (
    "DOZE_BIN",  # a real doze
    "DOZE_REGISTRY",
    "HCL_SPECSUITE",
    "SIGSTORE_CONFORMANCE",
    "terraform is not on PATH",
    "shared/goldens",
    "only root can",  # CI runs the tests as an ordinary account
)

# A run in the background or under nohup ignores these signals, and its children, whose ends are tested, would too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn a skip that CI has no excuse for into a failure."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(excuse in reason for excuse in NOT_IN_CI):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped in CI, which can run it: {reason}"
    return report


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A private folder whose path leaves room for a unix socket; tmp_path is often too long."""
    folder = Path(tempfile.mkdtemp(prefix="dz", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
