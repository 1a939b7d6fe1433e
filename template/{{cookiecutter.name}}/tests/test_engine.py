"""The engine boots, in this process and through the plugin that doze starts, and answers."""

import http.client
import socket
from pathlib import Path
from typing import Literal

import pytest
from doze_sdk.enginetest import boot
{% from "literals.jinja" import import_from with context %}
{{ import_from("driver", "Driver") }}

PUBLIC = Path(__file__).parent.parent / "examples" / "public"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def get(backend: Path, url: str) -> http.client.HTTPResponse:
    connection = UnixConnection(backend)
    connection.request("GET", url)
    return connection.getresponse()


@pytest.mark.parametrize("via", ["inprocess", "plugin"])
def test_it_serves_the_folder(via: Literal["inprocess", "plugin"]) -> None:
    config = f'root = "{PUBLIC}"\nheader "Cache-Control" {% raw %}{{ value = "no-store" }}{% endraw %}'
    with boot(Driver(), config, via=via) as backend:
        response = get(backend.socket, "/")
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert b"It works." in response.read()


@pytest.mark.parametrize(("listing", "status"), [("true", 200), ("false", 404)])
def test_a_folder_without_an_index_is_listed_only_on_request(listing: str, status: int, tmp_path: Path) -> None:
    with boot(Driver(), f'root = "{tmp_path}"\nlisting = {listing}') as backend:
        assert get(backend.socket, "/").status == status
