"""What type checkers and editors see of config classes; checked by mypy, never run.

Each wrong line is ignored under its error code, and an ignore that is not needed is an error itself.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Literal, assert_type

from doze_sdk.engine import Block, Config, Description, Validation, attr, complete_description, decode_config, label


class Role(Block, doc="A role."):
    name: str = label()
    login: bool | None = attr(True, doc="Whether clients may connect.")
    kind: Literal["user", "group"] = attr("user", doc="What it is.")
    limit: int = attr("none", doc="A default of another type.")  # type: ignore[assignment]

    def validate(self, v: Validation) -> None:
        v.error("no", at="login")
        v.error("no", key=1.5)  # type: ignore[arg-type]


class Health(Block, doc="Health."):
    interval: timedelta = attr(timedelta(seconds=1), doc="How often.")


class Server(Config, unique=("role.name",)):
    root: Path = attr(doc="A folder.")
    settings: dict[str, str] = attr({}, doc="Settings.", gate={"io_method": 18})
    save: str | None = attr(None, doc="A schedule.", since=7)
    role: list[Role] = attr([])
    health: Health
    backup: Health | None = attr(None)


server = Server(root=Path("/srv"), health=Health(), role=[Role(name="app", login=None)])

assert_type(server.root, Path)
assert_type(server.save, str | None)
assert_type(server.role[0].kind, Literal["user", "group"])
assert_type(dataclasses.replace(server, save="x"), Server)

Health(timedelta(seconds=1))  # type: ignore[call-arg]
Server(root="/srv", health=Health())  # type: ignore[arg-type]
Server(root=Path("/srv"))  # type: ignore[call-arg]
Server(root=Path("/srv"), health=Health(), rot=1)  # type: ignore[call-arg]
Role()  # type: ignore[call-arg]
Role(name="x", kind="robot")  # type: ignore[arg-type]
dataclasses.replace(server, save=5)  # type: ignore[arg-type]
server.save = "x"  # type: ignore[misc]

decoded = decode_config(
    Server, file=b"", filename="doze.hcl", block_type="server", block_label="app", base_dir=Path("/srv")
)
assert_type(decoded, Server)
complete_description(Description(title="Server"), Server)
complete_description(Description(title="Server"), Role)  # type: ignore[arg-type]
