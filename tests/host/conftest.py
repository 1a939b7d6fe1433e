import shutil
import sys
from pathlib import Path

import pytest

from doze_sdk.engine import SpawnSpec
from doze_sdk.host import make_run_folder

ENGINES = Path(__file__).parents[1] / "engines"


@pytest.fixture
def folder():
    """A folder short enough for sockets."""
    made = make_run_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def logs(folder):
    return folder / "logs"


@pytest.fixture
def engine():
    """Make the spec of one of the programs in tests/engines."""

    def spec(program, *args, name="main", **fields):
        arguments = ("-I", "-S", str(ENGINES / f"{program}.py"), *map(str, args))
        return SpawnSpec(name=name, bin=sys.executable, args=arguments, **fields)

    return spec
