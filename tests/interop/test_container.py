"""A plugin of go-plugin in a real container, whose only way out is the folder of sockets that is mounted in it."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import subprocess
import tarfile
import uuid
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import kernel

from . import toolchain
from .conftest import MODES, Workshop
from .hosts import HostError, Launch, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INSIDE = "/sockets"


class Container:
    """Runs an image whose entry point is a plugin, without a network."""

    def __init__(self, image: str) -> None:
        self.name = image
        self.id = f"doze-interop-{uuid.uuid4().hex}"
        self._outside = ""
        self._client: kernel.ProcessRunner

    @property
    def pid(self) -> int | None:
        return None

    def start(self, environment: Mapping[str, str], socket_folder: str) -> tuple[int, int]:
        self._outside = socket_folder
        variables = {**environment, "PLUGIN_UNIX_SOCKET_DIR": INSIDE}
        self._client = kernel.ProcessRunner(
            [
                *("docker", "run", "--rm", "--pull", "never", "--name", self.id, "--network", "none"),
                *("--user", f"{os.getuid()}:{os.getgid()}"),
                *("--mount", f"type=bind,source={socket_folder},target={INSIDE}"),
                *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
                self.name,
            ]
        )
        return self._client.start(os.environ, socket_folder)

    def wait(self) -> int | None:
        return self._client.wait()

    def kill(self) -> None:
        _docker("rm", "--force", self.id)

    def diagnose(self) -> str:
        return f"is there an image {self.name}?"

    def to_host(self, address: kernel.Address) -> kernel.Address:
        return address._replace(address=address.address.replace(INSIDE, self._outside, 1))

    def to_plugin(self, address: kernel.Address) -> kernel.Address:
        return address._replace(address=address.address.replace(self._outside, INSIDE, 1))


def _docker(*arguments: str, data: bytes | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that holds one statically linked program and nothing else."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a container needs a Docker daemon that this account may use; `docker info` fails")
    try:
        program = toolchain.build(tmp_path_factory.mktemp("static"), race=False, cgo=False)
    except toolchain.MissingGoError as error:
        pytest.skip(f"the plugin in the container needs Go: {error}")
    name = f"doze-interop:{uuid.uuid4().hex}"
    _docker("import", "--change", 'ENTRYPOINT ["/plugin", "plugin"]', "-", name, data=_archive(program))
    yield name
    _docker("rmi", name)


def _archive(program: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(program, "plugin")
    return packed.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_a_plugin_in_a_container_is_reached_and_reaches_the_host(workshop: Workshop, image: str, mode: str) -> None:
    host = workshop.host("python")
    container = Container(image)
    host.start(dataclasses.replace(MODES[mode], command=container, inherit_env=False))
    host.echo(1000)

    assert host.upstream(["a"]) == ["host:A"]
    assert host.offer(["b"]) == ["plugin:B"]
    host.write("STDOUT", b"printed in there\n", writer="SELF")
    assert eventually(lambda: b"printed in there\n" in host.seen().stdout)
    host.kill()
    assert container.id not in _docker("ps", "--all", "--format", "{{.Names}}")


@pytest.mark.usefixtures("image")
def test_a_container_without_its_image_is_diagnosed_by_its_runner(workshop: Workshop) -> None:
    host = workshop.host("python")
    with pytest.raises(HostError, match="No such image: doze-interop:none") as caught:
        host.start(Launch(Container("doze-interop:none"), inherit_env=False))

    assert "is there an image doze-interop:none?" in str(caught.value)
