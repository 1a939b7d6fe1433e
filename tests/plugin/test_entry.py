"""Which drivers are refused before they are served, and with which words."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from doze_sdk.engine import Config, ConfigDecoder, DecodeRequest, Driver, DriverError, attr
from doze_sdk.plugin import RemoteError, launch, load_driver
from tests.modules.everything.driver import EXAMPLE, Everything

ROOT = Path(__file__).parents[2]


@dataclass
class Unordered:
    names: set[str] = field(default_factory=set)


def made(name: str, *bases: type, **members: object) -> type:
    return type(name, (Everything, *bases), {"__module__": __name__, **members})


def leaves(_self: object) -> None:
    sys.exit("no licence")


def nothing(*_arguments: object) -> None:
    pass


class Settings(Config):
    """Arguments that nothing decodes."""

    root: str = attr(doc="Folder that is served.")


class Undeclared(Driver[Settings]):
    type = "undeclared"
    resolve = provision = provisioned = plan = backend_socket = conn_string = nothing


WRONG: list[tuple[object, str]] = [
    ("tests", "driver 'tests': expected \"package.module:Class\""),
    ("tests.plugin.no_such_module:Driver", "cannot be imported: ModuleNotFoundError"),
    (
        "tests.modules.everything.driver:Everythin",
        "module 'tests.modules.everything.driver' has no 'Everythin' (did you mean 'Everything'?)",
    ),
    ("tests.modules.everything.driver:EXAMPLE", "expected a Driver, got str"),
    (3, "driver 3: expected a Driver, got int"),
    (dict, "driver builtins:dict is no subclass of doze_sdk.engine.Driver"),
    (Driver, "lacks backend_socket(), conn_string(), plan(), provision(), provisioned(), resolve()"),
    (made("Leaving", __init__=leaves), "Leaving cannot be constructed: SystemExit: no licence"),
    (made("Configured", config={"root": str}), "Configured: config: expected a subclass of Config, got {'root':"),
    (
        Undeclared,
        "Undeclared: a Driver[Settings] without a config decodes nothing; add `config = Settings` to the class",
    ),
    (made("ByHand", ConfigDecoder, decode_config=nothing), "ByHand decodes by hand and names no spec_type"),
    (
        made("Lossy", ConfigDecoder, decode_config=nothing, spec_type=Unordered),
        "Lossy: the spec type Unordered cannot be serialised: Unordered.names: set[str] has no serialised form",
    ),
]


@pytest.mark.parametrize(("entry", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_driver_that_cannot_be_served_is_refused_with_a_sentence(entry: object, words: str) -> None:
    with pytest.raises(DriverError) as caught:
        load_driver(entry)

    assert words in str(caught.value)


@pytest.mark.parametrize("entry", ["tests.modules.everything.driver:Everything", Everything, Everything()])
def test_a_driver_may_be_named_or_given(entry: object) -> None:
    assert isinstance(load_driver(entry), Everything)


SERVED = """\
from dataclasses import dataclass
from doze_sdk.engine import ConfigDecoder
from doze_sdk.plugin import serve
from tests.modules.everything.driver import Everything

@dataclass
class Spec:
    names: set[str]

class Wrong(Everything, ConfigDecoder):
    spec_type = Spec

    def decode_config(self, body, context, base_dir, version):
        return Spec(set())

serve({driver})
"""


@pytest.mark.parametrize("driver", ["Wrong()", '"__main__:Wrong"'])
def test_a_spec_that_cannot_be_serialised_is_told_by_the_first_decoding(driver: str, tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(SERVED.format(driver=driver))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    request = DecodeRequest(file=EXAMPLE.encode(), block_type="everything", block_label="all", base_dir=Path("/"))

    with (
        launch([sys.executable, tmp_path / "start.py"], env={"DOZE_HOME": str(tmp_path), "PYTHONPATH": path}) as plugin,
        pytest.raises(RemoteError, match=r"Spec\.names: set\[str\] has no serialised form"),
    ):
        plugin.decode(request)
