"""The `esrt` program: its list of commands, and the one handler that turns errors into a line and an exit code."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from esrt_cli.commands.batch import batch
from esrt_cli.commands.compare import compare
from esrt_cli.commands.config import config
from esrt_cli.commands.evaluate import evaluate
from esrt_cli.commands.export import export
from esrt_cli.commands.info import info
from esrt_cli.commands.models import models
from esrt_cli.commands.train import train
from esrt_cli.commands.upscale import upscale
from esrt_cli.commands.video import video
from esrt_cli.config import apply_config
from esrt_cli.console import Console, prepare_streams, wants_events
from esrt_cli.help import Command, Group
from esrt_cli.signals import Interrupted, interruptible
from esrt_core.errors import EsrtError, StopError
from esrt_core.system.process import configure_process

PROGRAM = "esrt"

SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(cls=Group, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=SETTINGS)

# A command's module imports only what parsing needs; its work is imported when the command runs.
app.command(cls=Command)(upscale)
app.command(cls=Command)(batch)
app.command(cls=Command)(video)
app.command(cls=Command)(train)
app.command("eval", cls=Command)(evaluate)
app.add_typer(models, name="models")
app.command(cls=Command)(export)
app.command(cls=Command)(compare)
app.command(cls=Command)(info)
app.add_typer(config, name="config")


def program_version() -> str:
    """Return the installed version, or "0 (not installed)"."""
    from importlib.metadata import PackageNotFoundError, version  # slow, and hardly ever needed

    try:
        return version("esrt-upscaler")
    except PackageNotFoundError:
        return "0 (not installed)"


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Upscale pictures with ESRT, the Efficient Super-Resolution Transformer.

    \b
    Examples:
      esrt upscale photo.jpg
      esrt batch photos -s 2
      esrt video clip.mp4 --preview
      esrt upscale --help
    """
    if show_version:
        typer.echo(f"{PROGRAM} {program_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    elif context.invoked_subcommand != "config":  # which must work even if the file is damaged
        apply_config(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    0: all is done. 1: something could not be done. 2: the command line does not parse. 130, 143: stopped by a signal.
    """
    prepare_streams()
    configure_process()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn developers; users get the program's own messages
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(events=wants_events(arguments))
    if console.events:
        console.event("start", version=program_version(), arguments=arguments)
    try:
        with interruptible():
            code = _run(arguments, console)
    except Interrupted as stop:
        after = f" after {stop.reached}" if stop.reached else ""
        console.stopped(f"{stop}{after}; no partial files were written; rerun to start again")
        code = stop.exit_code
    console.erase()
    console.event("end", exit_code=code)
    return code


def _run(arguments: Sequence[str], console: Console) -> int:
    try:
        code = app(arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except StopError as error:
        console.stopped(str(error))
        return error.exit_code
    except EsrtError as error:
        console.error(str(error))
        return 1
    except TyperException as error:
        console.error(f"{error.format_message().rstrip('.')}; see '{_help_command(error)}'")
        return error.exit_code
    except MemoryError:
        console.error("out of memory; a smaller --tile or a smaller size needs less")
        return 1
    except BrokenPipeError:
        # The reader has gone (`| head`). Leave nothing to flush, or the interpreter complains on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return int(code or 0)


def _help_command(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else PROGRAM} --help"
