"""Terraform itself as the host: it uses AutoMTLS, and another go-plugin and gRPC than the Go program of these tests."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel

from ..hosts import eventually, marked
from . import provider

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "example.org/doze/interop"
CONFIGURATION = """
terraform {{
  required_providers {{
    interop = {{
      source = "example.org/doze/interop"
    }}
  }}
}}

provider "interop" {{
  folder = "{folder}"
}}

resource "interop_file" "greeting" {{
  name    = "{name}"
  content = "{content}"
}}

data "interop_file" "greeting" {{
  name = interop_file.greeting.name
}}

output "size" {{
  value = interop_file.greeting.size
}}

output "read" {{
  value = data.interop_file.greeting.content
}}
"""


class Terraform:
    """The terraform command in a folder of its own, cut off from registries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.log = folder / "terraform.log"
        self.mark = f"DOZE_INTEROP_RUN={uuid.uuid4().hex}"
        self.files.mkdir()
        self.variables = {
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_DATA_DIR": str(folder / "data"),
            "TF_IN_AUTOMATION": "1",
            "TF_LOG_PATH": str(self.log),
            "TF_LOG": "TRACE",
            "CHECKPOINT_DISABLE": "1",
            "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens there: a look at a registry would fail
            **dict([self.mark.split("=")]),
        }
        (folder / "terraform.rc").write_text("")
        self.write()

    def write(self, *, name: str = "greeting.txt", content: str = "hello") -> None:
        text = CONFIGURATION.format(folder=self.files, name=name, content=content)
        (self.folder / "main.tf").write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def do(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outputs(self) -> dict[str, object]:
        return {name: output["value"] for name, output in json.loads(self.do("output", "-json")).items()}


@pytest.fixture
def terraform(tmp_path: Path) -> Iterator[Terraform]:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH: these tests run a provider under it")
    made = Terraform(tmp_path)
    yield made
    assert eventually(lambda: marked(made.mark) == []), marked(made.mark)


@pytest.fixture
def overridden(terraform: Terraform) -> Terraform:
    """Terraform that starts our provider as a program, through dev_overrides."""
    program = terraform.folder / "bin" / "terraform-provider-interop"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(provider.__file__)}"\n')
    program.chmod(0o755)
    override = f'provider_installation {{\n  dev_overrides {{\n    "{ADDRESS}" = "{program.parent}"\n  }}\n}}\n'
    (terraform.folder / "terraform.rc").write_text(override)
    return terraform


def test_plan_apply_and_destroy(overridden: Terraform):
    file = overridden.files / "greeting.txt"

    planned = overridden.do("plan")
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in planned
    assert "(known after apply)" in planned
    assert not file.exists()

    overridden.do("apply", "-auto-approve")
    assert file.read_text() == "hello"
    assert overridden.outputs() == {"size": 5, "read": "hello"}
    assert "No changes." in overridden.do("plan")

    overridden.do("destroy", "-auto-approve")
    assert not file.exists()


def test_a_changed_argument_is_an_update_and_a_changed_name_a_replacement(overridden: Terraform):
    overridden.do("apply", "-auto-approve")

    overridden.write(content="hällo")
    assert "0 to add, 1 to change, 0 to destroy" in overridden.do("plan")
    overridden.do("apply", "-auto-approve")
    assert overridden.outputs() == {"size": 6, "read": "hällo"}

    overridden.write(name="other.txt")
    assert "must be replaced" in overridden.do("plan")
    overridden.do("apply", "-auto-approve")
    assert [path.name for path in overridden.files.iterdir()] == ["other.txt"]


def test_what_was_changed_outside_is_found(overridden: Terraform):
    overridden.do("apply", "-auto-approve")
    (overridden.files / "greeting.txt").unlink()

    assert "1 to add" in overridden.do("plan")


def test_an_error_of_the_provider_is_shown_at_its_place_in_the_configuration(overridden: Terraform):
    overridden.write(name="../escape")

    done = overridden.run("plan")

    assert done.returncode == 1
    assert "Error: A name cannot be a path" in done.stderr
    assert "The name '../escape' has a slash." in done.stderr
    assert "main.tf line 15" in done.stderr


def test_terraform_uses_auto_mtls_and_shows_the_providers_log_records_at_their_level(overridden: Terraform):
    overridden.do("apply", "-auto-approve")

    lines = overridden.log.read_text().splitlines()
    configured = next(line for line in lines if "configured: " in line)
    wrote = next(line for line in lines if "wrote a file: " in line)
    assert "[INFO]" in configured
    assert "launch=AutoMTLS" in configured
    assert "[WARN]" in wrote
    assert f"path={overridden.files / 'greeting.txt'}" in wrote


def test_the_provider_ends_when_terraform_asks_it_to(overridden: Terraform):
    overridden.do("apply", "-auto-approve")

    log = overridden.log.read_text()
    assert "provider: plugin exited" in log
    assert "failed to exit gracefully" not in log


def test_terraform_attaches_to_a_provider_that_a_debugger_would_run(terraform: Terraform):
    versions = {provider.VERSION: functools.partial(provider.register, "attached")}
    with kernel.serve_test(versions=versions) as served:
        entry = kernel.ReattachConfig.to_terraform({ADDRESS: served.reattach_config()})
        terraform.variables["TF_REATTACH_PROVIDERS"] = entry

        terraform.do("plan")
        terraform.do("apply", "-auto-approve")
        assert terraform.outputs() == {"size": 5, "read": "hello"}
        terraform.do("destroy", "-auto-approve")

        assert not served.wait(0)
    assert list(terraform.files.iterdir()) == []
