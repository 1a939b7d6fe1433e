"""`modtool new`: a new module from the template."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._answers import defaults, problem
from ._project import LICENCES, check_free, default_author, new_project, template_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.tree import Tree

_EXAMPLES = """\b
Examples:
  modtool new httpd
  modtool new my_queue --namespace acme --licence MIT --output modules
  modtool new httpd --no-input
"""


_LICENCE = click.Choice(LICENCES, case_sensitive=False)


@click.command("new", epilog=_EXAMPLES)
@click.argument("name")
@click.option("--namespace", metavar="NS", help="Where the module is published: [a-z0-9][a-z0-9-]*.")
@click.option("--description", metavar="TEXT", help="One sentence about the engine.")
@click.option("--author", metavar="TEXT", help="Who is named in the licence and the metadata.")
@click.option("--licence", type=_LICENCE, metavar="ID", help=f"{', '.join(LICENCES)}.")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), default=Path(), help="Where NAME is made.")
@click.option("--no-input", is_flag=True, help="Ask nothing; what is not given has its default.")
def command(
    name: str,
    namespace: str | None,
    description: str | None,
    author: str | None,
    licence: str | None,
    output: Path,
    no_input: bool,
) -> None:
    """Make a complete module project in the folder NAME.

    NAME is the engine type, the keyword of its block in doze.hcl: [a-z][a-z0-9_]*, and none of the host's own words.

    The project serves the files of a folder over HTTP and passes its tests as it is; change it from there. On a
    terminal, what the options leave open is asked for.
    """
    given = {"namespace": namespace, "description": description, "author": author, "licence": licence}
    if not no_input and sys.stdin.isatty():
        given = _asked(name, given, output)
    project = new_project(
        name,
        namespace=given["namespace"],
        description=given["description"],
        author=given["author"],
        licence=given["licence"] or LICENCES[0],
        output=output,
    )
    _show(project)


def _asked(name: str, given: dict[str, str | None], output: Path) -> dict[str, str | None]:
    """Ask for what is not given, after what is given has been found fit."""
    if refused := problem("name", name):
        raise click.BadParameter(refused, param_hint="NAME")
    check_free(output.resolve() / name)
    suggested = defaults(template_folder())
    questions = {
        "namespace": ("Namespace under which it is published", suggested["namespace"]),
        "description": ("One sentence about the engine", suggested["description"]),
        "author": ("Author", default_author(name)),
    }
    answers = dict(given)
    for key, (question, default) in questions.items():
        if answers[key] is None:
            answers[key] = click.prompt(question, default=default, value_proc=_checked(key))
    if answers["licence"] is None:
        answers["licence"] = click.prompt("Licence", default=LICENCES[0], type=_LICENCE)
    return answers


def _checked(key: str) -> Callable[[str], str]:
    def check(answer: str) -> str:
        if refused := problem(key, answer):
            raise click.BadParameter(refused)
        return answer

    return check


def _show(project: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    console = Console(highlight=False, soft_wrap=True)
    console.print(_branch(Tree(escape(str(project))), project))
    folder = project.relative_to(Path.cwd()) if project.is_relative_to(Path.cwd()) else project
    click.echo(f"\nNext:\n  cd {folder}\n  make test          its own tests, in a virtual environment that this makes")
    click.echo("  make dev           boot examples/doze.hcl without doze")


def _branch(tree: Tree, folder: Path) -> Tree:
    from rich.markup import escape

    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
        branch = tree.add(escape(entry.name))
        if entry.is_dir():
            _branch(branch, entry)
    return tree
