"""Commands whose help has one form: placeholders in capitals, no types, no brackets around what is required, whole
summaries. And whose values are converted without pydantic where that is simple.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from esrt_cli.values import take_simple_values

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

MOST_COLUMNS = 100


def help_width() -> int:
    """Return the width of help texts for this terminal."""
    return max(min(shutil.get_terminal_size().columns, MOST_COLUMNS) - 2, 30)


class Command(TyperCommand):
    """A command whose help names arguments as `IN...` and `[VALUE]`, and whose simple values are taken as they come."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse a command line."""
        _take_simple_values(self, ctx)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return the arguments of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments and options, each with its placeholder alone."""
        arguments, options = [], []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(param, TyperArgument):
                arguments.append((record[0].partition(" <")[0], record[1]))
            else:
                options.append(record)
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """A group whose list of commands has whole summaries, and whose simple values are taken as they come."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse a command line up to the command."""
        _take_simple_values(self, ctx)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands, each with the first sentence of its help."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, command.get_short_help_str(limit=1000)) for name, command in found.items() if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _take_simple_values(command: TyperCommand | TyperGroup, ctx: Context) -> None:
    for parameter in command.get_params(ctx):
        if isinstance(parameter, (TyperArgument, TyperOption)):
            take_simple_values(parameter)
