"""`__describe`: the module's description as JSON on stdout, without host, cookie or gRPC."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TypeVar

from ..engine import Describer, Description, DriverError, check_returned, complete_description
from ._entry import load_driver, package_root
from ._failure import describe_failure

if TYPE_CHECKING:
    from ..engine import Driver

S = TypeVar("S")


def description_of(driver: Driver[S]) -> Description:
    """Return the driver's description, its tables of arguments filled from the config class."""
    if isinstance(driver, Describer):
        own = driver.describe()
        check_returned(driver, "describe", own)
    else:
        own = Description(title=driver.type)
    return complete_description(own, driver.config)


def print_description(entry: object) -> int:
    """Print the description and return the exit code.

    What the author's code prints meanwhile goes to stderr: the reader takes stdout for JSON.
    """
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        text = json.dumps(description_of(load_driver(entry)).to_json(), ensure_ascii=False)
    except DriverError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:  # noqa: BLE001 - describe() is the author's code and may raise anything
        sys.stderr.write(f"describing {entry!r}: {describe_failure(error, package_root(entry))}\n")
        return 1
    with os.fdopen(stdout, "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
    return 0
