"""`modtool dev`: a module's config served without doze, as long as somebody watches."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ._errors import ConfigError, ModtoolError, UsageError, is_expected, text_of
from ._module import Module, find_module, plugin_command
from ._session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ._watch import Watch

_EXAMPLES = """\b
Examples:
  modtool dev                          serve examples/doze.hcl until Ctrl-C
  modtool dev doze.hcl --watch         boot again when a source or the config changes
  modtool dev -- curl -s localhost:8080
                                       boot, run a command, stop; its exit code is ours
"""
# How often logs and processes are looked at; a person does not see the difference to "at once".
_TICK = 0.1


class _BeforeCommand(click.Command):
    """A click command whose arguments end at the first ``--``; what stands behind it is left as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = args[: args.index("--")] if "--" in args else args
        ctx.obj = tuple(args[len(own) + 1 :])
        if len(own) < len(args) and not ctx.obj:
            raise click.UsageError("expected a command behind --", ctx)
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command("dev", cls=_BeforeCommand, epilog=_EXAMPLES)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Boot again when the module's sources or the config change.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep the engines' data here.")
@click.option("--plugin", metavar="COMMAND", help="The plugin's command, instead of the one of this folder's project.")
@click.pass_obj
def command(after: tuple[str, ...], config: Path | None, watch: bool, home: Path | None, plugin: str | None) -> int:
    """Serve the instances of CONFIG on their ports, without doze.

    The module of this folder is launched as doze launches it, decodes every block of its type, and boots the instances
    in the order of their references. Each is served on 127.0.0.1 at its `port`; connection strings and logs are printed
    here. Nothing is left running, however this ends. CONFIG is examples/doze.hcl unless named.

    With COMMAND the output is the command's own, and connection strings are in its environment.

    Not evaluated, and refused with a position: for_each, count, use, listen, tls, blocks of other modules.
    """
    if after and watch:
        raise click.UsageError("--watch does not go with a command, which runs once")
    if after:
        from ._child import check_command

        check_command(after)
    module = find_module(Path()) if plugin is None else None
    terminal = _Terminal(err=bool(after))
    session = Session(
        config=config or (_as_seen_from_here(module.example) if module else Path("doze.hcl")),
        command=_command(plugin, module),
        environ=os.environ if module is None else module.environment,
        home=home,
        say=terminal.line,
        progress=terminal.progress,
        logger=_plugin_logger(terminal),
    )
    # Also where a shell has started us in the background with SIGINT ignored.
    handlers = {signal.SIGTERM: _end, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with session:
            try:
                if after:
                    return _run(session, after)
                return _follow(session, _watch(session.config, module) if watch else None)
            except Exception as error:
                _keep_logs(session, error)
                raise
    except KeyboardInterrupt:
        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Terminal:
    """Where lines are printed, and on a terminal what is being waited for."""

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._shows = sys.stderr.isatty()
        self._shown = False

    def line(self, text: str) -> None:
        self.progress("")
        click.echo(text, err=self._err)

    def remark(self, text: str) -> None:
        self.progress("")
        click.echo(text, err=True)

    def progress(self, text: str) -> None:
        if self._shows and (text or self._shown):
            click.echo(f"\r\x1b[K{text and text + ' …'}", err=True, nl=False)
            self._shown = bool(text)


class _Records(logging.Handler):
    """Prints the plugin's log records, one line each; their tracebacks are in its log file."""

    def __init__(self, terminal: _Terminal) -> None:
        super().__init__(logging.INFO)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.remark(f"plugin | {record.levelname.lower()}: {record.getMessage()}")


def _plugin_logger(terminal: _Terminal) -> logging.Logger:
    logger = logging.getLogger("doze_sdk.modtool.plugin")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_Records(terminal))
    return logger


def _as_seen_from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _command(plugin: str | None, module: Module | None) -> list[str]:
    if plugin is not None:
        return plugin_command(plugin)
    return module.command if module else []


def _watch(config: Path, module: Module | None) -> Watch:
    from ._watch import Watch

    def files() -> Iterator[Path]:
        yield config
        if module is not None:
            yield from module.sources()

    return Watch(files)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut the clean-up short
    raise SystemExit(128 + signal.SIGTERM)


def _run(session: Session, command: tuple[str, ...]) -> int:
    """Run *command* with the connection strings in its environment."""
    from ._child import run_command

    session.boot()
    code = run_command(command, {**os.environ, **session.variables()}, session.reaper)
    if code and (ended := session.ended()):
        click.echo(ended, err=True)
    return code


def _follow(session: Session, watch: Watch | None) -> int:
    _boot(session, watch)
    while True:
        time.sleep(_TICK)
        session.print_logs()
        if watch and watch.changed():
            click.echo("a source changed, booting again", err=True)
            session.stop()
            _boot(session, watch)
        if ended := session.ended():
            session.print_logs(last=True)
            if watch is None:
                raise ModtoolError(ended)
            click.echo(ended, err=True)
            session.stop()
            _wait(watch)
            _boot(session, watch)


def _boot(session: Session, watch: Watch | None) -> None:
    """Boot; with a watch until it works: what is wrong is printed, and the next change tries again."""
    while True:
        try:
            session.boot()
        except Exception as error:
            if watch is None or not is_expected(error):
                raise
            click.echo(text_of(error), err=True)
            _wait(watch)
        else:
            return


def _wait(watch: Watch) -> None:
    click.echo("waiting for a change", err=True)
    watch.wait()


def _keep_logs(session: Session, error: Exception) -> None:
    """Say where the logs of a failed session are, unless nothing has run."""
    from ..hcl import HCLError

    if isinstance(error, HCLError | ConfigError | UsageError) or not is_expected(error):
        return
    if kept := session.keep_logs(error):
        error.add_note(f"the logs are kept in {kept}")
