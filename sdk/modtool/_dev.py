"""`modtool dev`: a module's config served without doze, as long as somebody watches."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ._errors import ModtoolError
from ._module import Module, find_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from ._session import Session

_EXAMPLES = """\b
Examples:
  modtool dev                          serve examples/doze.hcl until Ctrl-C
  modtool dev doze.hcl --watch         boot again when a source or the config changes
  modtool dev -- curl -s localhost:8080
                                       boot, run a command, stop; its exit code is ours
"""
# How often logs, processes and files are looked at; a person does not see the difference to "at once".
_TICK = 0.1


@click.command("dev", epilog=_EXAMPLES)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG] [-- COMMAND...]")
@click.option("--watch", is_flag=True, help="Boot again when the module's sources or the config change.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep the engines' data here.")
@click.option("--plugin", metavar="COMMAND", help="The plugin's command, instead of the one of this folder's project.")
@click.pass_context
def command(
    context: click.Context, arguments: tuple[str, ...], watch: bool, home: Path | None, plugin: str | None
) -> int:
    """Serve the instances of CONFIG on their ports, without doze.

    The module of this folder is launched as doze launches it, decodes every block of its type, and boots the instances
    in the order of their references. Each is served on 127.0.0.1 at its `port`; connection strings and logs are printed
    here. Nothing is left running, however this ends. CONFIG is examples/doze.hcl unless named.

    Not evaluated, and refused with a position: for_each, count, use, listen, tls, blocks of other modules.
    """
    from ._session import Session

    config, after = _split(arguments, context)
    module = None if plugin else find_module(Path())
    session = Session(
        config=config or (module.example if module else Path("doze.hcl")),
        command=shlex.split(plugin) if plugin else _command(module),
        environ=os.environ if module is None else module.environment,
        home=home,
        say=click.echo,
    )
    signal.signal(signal.SIGTERM, _end)
    try:
        with session:
            if after:
                return _run(session, after)
            return _follow(session, _Watched(session.config, module) if watch else None)
    except KeyboardInterrupt:
        return 130


def _command(module: Module | None) -> list[str]:
    return module.command if module else []


def _split(arguments: tuple[str, ...], context: click.Context) -> tuple[Path | None, tuple[str, ...]]:
    """Tell CONFIG from COMMAND; click has taken the `--` away, so it is looked for where it stood."""
    before = len(arguments)
    words = sys.argv
    if "--" in words:
        before = len(arguments) - len(words[words.index("--") + 1 :])
    if before > 1:
        raise click.UsageError(f"expected one CONFIG, got {' '.join(arguments[:before])}", context)
    return (Path(arguments[0]) if before else None), arguments[before:]


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _run(session: Session, command: tuple[str, ...]) -> int:
    """Run *command* with the connection strings in its environment."""
    session.boot()
    try:
        return subprocess.run(command, env={**os.environ, **session.variables()}, check=False).returncode
    except OSError as error:
        raise ModtoolError(f"running {command[0]}: {error.strerror}") from None


def _follow(session: Session, watched: _Watched | None) -> int:
    session.boot()
    while True:
        time.sleep(_TICK)
        session.print_logs()
        if watched and watched.changed():
            click.echo("a source changed, booting again")
            _boot_again(session, watched)
        if ended := session.ended():
            click.echo(ended, err=True)
            if watched is None:
                return 1
            session.stop()
            click.echo("waiting for a change")
            watched.wait()
            _boot_again(session, watched)


def _boot_again(session: Session, watched: _Watched) -> None:
    """Boot until it works: what is wrong is printed, and the next change tries again."""
    while True:
        session.stop()
        try:
            session.boot()
        except Exception as error:  # noqa: BLE001 - a source in the middle of an edit fails in any way there is
            click.echo(str(error), err=True)
            click.echo("waiting for a change")
            watched.wait()
        else:
            return


class _Watched:
    """The files whose change means a new boot."""

    def __init__(self, config: Path, module: Module | None) -> None:
        self._config = config
        self._module = module
        self._seen = self._state()

    def changed(self) -> bool:
        state = self._state()
        changed = state != self._seen
        self._seen = state
        return changed

    def wait(self) -> None:
        while not self.changed():
            time.sleep(_TICK)

    def _state(self) -> Mapping[Path, int]:
        state = {}
        for file in self._files():
            try:
                state[file] = file.stat().st_mtime_ns
            except FileNotFoundError:
                continue
        return state

    def _files(self) -> Iterator[Path]:
        yield self._config
        if self._module is not None:
            yield from self._module.sources()
