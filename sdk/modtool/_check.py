"""`modtool check`: everything that is wrong with a module, at once."""

from __future__ import annotations

from pathlib import Path

import click

from ._errors import ModtoolError
from ._module import find_module, plugin_command

_EXAMPLES = """\b
Examples:
  modtool check
  modtool check modules/httpd
  modtool check --plugin 'python -m httpd'
"""


@click.command("check", epilog=_EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--plugin", metavar="COMMAND", help="The plugin's command, instead of the one of the folder's project.")
def command(folder: Path, plugin: str | None) -> None:
    """Launch the module of FOLDER as doze does and report everything that is wrong with it.

    Checked are the handshake, what the process prints, whether the driver loads, the description and its example, what
    the capabilities need of each other, and that spec and objects are the same in every process. The exit code is 1
    when anything is wrong, 2 when the project's [tool.doze] table is.
    """
    from ..enginetest import violations

    if plugin is None:
        module = find_module(folder)
        found = violations(module.command, cwd=folder, env=module.environment, name=module.name)
    else:
        found = violations(plugin_command(plugin), cwd=folder)
    if found:
        noun = "violation" if len(found) == 1 else "violations"
        raise ModtoolError("\n".join([*found, f"{len(found)} {noun}"]))
    click.echo("the module keeps the contract")
