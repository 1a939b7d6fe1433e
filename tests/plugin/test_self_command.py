"""A module that is its own engine, started again from a plan, however the host had started it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from doze_sdk.engine import DriverError, Instance, Toolchain
from doze_sdk.plugin import launch, self_command

MAIN = """\
from itself.start import main

main()
"""
START = """\
from doze_sdk.plugin import serve

def main():
    serve("itself.driver:Itself", modes={"__serve": "itself.driver:work"})
"""
DRIVER = """\
from doze_sdk.engine import ConnString, Driver, SpawnPlan, SpawnSpec, Toolchain, Versionless
from doze_sdk.plugin import self_command

class Itself(Driver[None], Versionless):
    type = "itself"

    def resolve(self, spec, platform, lock, mirror):
        return Toolchain(engine=self.type)

    def provision(self, instance, toolchain):
        pass

    def provisioned(self, data_dir):
        return False

    def plan(self, instance, toolchain):
        program, args = self_command("__serve", "two words", package=__package__)
        return SpawnPlan.single(SpawnSpec(name=self.type, bin=program, args=args))

    def backend_socket(self, socket_dir, port):
        return None

    def conn_string(self, instance, endpoint):
        return ConnString()

def work(arguments):
    print("worked on", *arguments)
    return 5
"""
SCRIPT = f"""\
import sys
sys.path.insert(0, {{folder!r}})
{MAIN}"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    package = tmp_path / "src" / "itself"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("__main__", MAIN), ("start", START), ("driver", DRIVER)):
        (package / f"{name}.py").write_text(text)
    return package.parent


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def shell(source: Path, *lines: str) -> list[str]:
    text = "\n".join(["#!/bin/sh", *lines, f'exec {sys.executable} -m itself "$@"', ""])
    return [executable(source.parent / "launcher", text)]


def launcher(source: Path) -> list[str]:
    return shell(source, f"export PYTHONPATH={source}${{PYTHONPATH:+:$PYTHONPATH}}")


def relative_path(source: Path) -> list[str]:
    return shell(source, f"cd {source.parent}", "export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH}")


def start_folder(source: Path) -> list[str]:
    return shell(source, f"cd {source}")


def console_script(source: Path) -> list[str]:
    text = f"#!{sys.executable}\n{SCRIPT.format(folder=str(source))}"
    return [executable(source.parent / "console", text)]


def script_without_a_first_line(source: Path) -> list[str]:
    return [sys.executable, executable(source.parent / "script.py", SCRIPT.format(folder=str(source)))]


def archive(source: Path) -> list[str]:
    (source / "__main__.py").write_text(MAIN)
    zipapp.create_archive(source, source.parent / "itself.pyz")
    return [sys.executable, str(source.parent / "itself.pyz")]


def folder(source: Path) -> list[str]:
    (source / "__main__.py").write_text(MAIN)
    return [sys.executable, str(source)]


@pytest.mark.parametrize(
    "form",
    [launcher, relative_path, start_folder, console_script, script_without_a_first_line, archive, folder],
    ids=lambda form: form.__name__,
)
def test_a_module_starts_itself_again_from_anywhere(form: object, source: Path, tmp_path: Path) -> None:
    with launch(form(source), env={"DOZE_HOME": str(tmp_path / "home")}) as driver:
        (spec,) = driver.plan(Instance(name="x", type="itself", spec=b""), Toolchain(engine="itself")).specs
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    run = subprocess.run(
        [spec.bin, *spec.args], cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert (run.returncode, run.stdout) == (5, "worked on two words\n"), run.stderr


def test_a_process_that_is_no_module_names_the_package() -> None:
    program, arguments = self_command("__serve", package="tests.modules.greeter.driver")

    assert [program, *arguments][-4:] == [sys.executable, "-m", "tests.modules.greeter", "__serve"]


def test_a_process_that_is_no_module_must_name_a_package() -> None:
    with pytest.raises(DriverError, match="package=__package__"):
        self_command("__serve")
