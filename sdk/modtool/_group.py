"""The group of verbs; a verb's module is imported when the verb is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXAMPLES = """\b
Examples:
  modtool new httpd --namespace acme    a complete module, in ./httpd
  modtool check httpd                   does it keep the contract?
  cd httpd && modtool dev --watch       serve its example, again after each change
  modtool new --help                    what a verb does, with examples
"""


class _Verbs(click.Group):
    def __init__(self, verbs: Mapping[str, tuple[str, str]], **attributes: str) -> None:
        super().__init__(name="modtool", help=attributes["help"], epilog=attributes["epilog"])
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in self.verbs:
            return None
        command: click.Command = importlib.import_module(self.verbs[cmd_name][0], __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in self.verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.verbs:
            close = difflib.get_close_matches(args[0], self.verbs, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.verbs)}"
            ctx.fail(f"no verb {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


def group(verbs: Mapping[str, tuple[str, str]]) -> click.Group:
    """Return the command `modtool` with *verbs*: by name, the module and the line of help."""
    commands = _Verbs(verbs, help="Make, check and release doze engine modules.", epilog=_EXAMPLES)
    return click.version_option(package_name="doze-sdk", message="modtool %(version)s (doze-sdk)")(commands)
