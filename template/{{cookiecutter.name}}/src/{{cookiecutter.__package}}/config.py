"""The block that users write in doze.hcl: decoding, defaults, errors and the reference derive from these classes."""

from pathlib import Path

from doze_sdk.engine import Block, Config, attr, label


class Header(Block, doc="A header that is sent with every response."):
    """header "Cache-Control" { value = "no-store" }."""

    name: str = label(doc="Name of the header.")
    value: str = attr(doc="Its value.")


class Settings(Config):
    """An argument without a default is required; `port`, `listen` and `version` belong to the host."""

    root: Path = attr(doc="Folder to serve, relative to the config file.")
    listing: bool = attr(False, doc="Whether a folder without an index.html is answered by a list of its files.")
    header: list[Header]
