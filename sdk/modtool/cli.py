"""The command line `modtool`: its verbs, and the one place where errors become exit codes.

0: done. 1: the thing that was looked at is wrong. 2: the command line or a configuration is. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ._errors import UsageError, is_expected, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "new": ("._new", "Make a complete module project in a new folder."),
    "check": ("._check", "Launch a module as doze does and say all that is wrong with it."),
    "dev": ("._dev", "Serve the instances of a config on their ports, without doze."),
}
"""The module of each verb, which has a click command called `command`, and the verb's line in `modtool --help`.

The lines stand here because that help would otherwise load what every verb needs, gRPC included.
"""

_EXTRA = frozenset({"click", "rich", "cookiecutter"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; *arguments* are those of the process unless given."""
    # gRPC tells of connections that end as they should, amid what a person reads; it looks at this once, when it loads.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        return _fail(f"the package {package!r} is missing; install it with: pip install 'doze-sdk[modtool]'", 2)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not is_expected(error):
            raise
        return _fail(text_of(error), 2 if isinstance(error, UsageError) else 1)


def _run(arguments: Sequence[str]) -> int:
    import click

    from ._group import group

    try:
        result = group(VERBS).main(list(arguments), prog_name="modtool", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    return result if isinstance(result, int) else 0


def _fail(text: str, code: int) -> int:
    """Say *text* on stderr; several lines stand as they are, they may hold a piece of a config."""
    print(text if "\n" in text else f"modtool: {text}", file=sys.stderr)  # noqa: T201 - the command line's voice
    return code
