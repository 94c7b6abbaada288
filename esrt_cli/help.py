"""Help in one form: placeholders in capitals, no types, no brackets around what is required, whole summaries.

On a narrow terminal descriptions stand below what they describe, and examples are continued with a backslash. Values
of commands that have this help are converted without pydantic if they are simple.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from esrt_cli.values import take_simple_values

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

MOST_COLUMNS = 100
TWO_COLUMNS = 64  # columns; with fewer, the second column would hold one or two words a line
EXAMPLE = "    "


def help_width() -> int:
    """Return the width of help texts for this terminal."""
    return max(min(shutil.get_terminal_size().columns, MOST_COLUMNS) - 2, 30)


def write_rows(formatter: HelpFormatter, rows: Sequence[tuple[str, str]]) -> None:
    """Write names and their descriptions: side by side, or on a narrow terminal one below the other."""
    if formatter.width >= TWO_COLUMNS:
        formatter.write_dl(rows)
        return
    for name, text in rows:
        indent = " " * (formatter.current_indent + 4)
        lines = [indent.removesuffix("    ") + name, *_wrapped(text, formatter.width, indent)]
        formatter.write("\n".join(lines) + "\n")


def fold_examples(text: str, width: int) -> str:
    """Return help whose examples fit `width` columns, continued as a shell does."""
    return "\n".join(part for line in text.splitlines() for part in _folded(line, width))


def _folded(line: str, width: int) -> Iterator[str]:
    if len(line) <= width or not line.startswith(EXAMPLE) or line.startswith(f"{EXAMPLE} "):
        yield line
        return
    lines = _wrapped(line.strip(), width - 2, EXAMPLE + "  ")
    yield from (f"{each} \\" for each in [EXAMPLE + lines[0].strip(), *lines[1:-1]])
    yield lines[-1]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


class Command(TyperCommand):
    """A command whose help names arguments as `IN...` and `[VALUE]`, and whose simple values are taken as they come."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse a command line."""
        _take_simple_values(self, ctx)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Context) -> str:
        """Return the help for this terminal."""
        ctx.terminal_width = help_width()
        return fold_examples(super().get_help(ctx), ctx.terminal_width)

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
                    write_rows(formatter, rows)


class Group(TyperGroup):
    """A group whose list of commands has whole summaries, and whose simple values are taken as they come."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse a command line up to the command."""
        _take_simple_values(self, ctx)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Context) -> str:
        """Return the help for this terminal."""
        ctx.terminal_width = help_width()
        return fold_examples(super().get_help(ctx), ctx.terminal_width)

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write options and commands, each command with the first sentence of its help."""
        records = (param.get_help_record(ctx) for param in self.get_params(ctx))
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, command.get_short_help_str(limit=1000)) for name, command in found.items() if command]
        for title, each in (("Options", [record for record in records if record]), ("Commands", rows)):
            with formatter.section(title):
                write_rows(formatter, each)


def _take_simple_values(command: TyperCommand | TyperGroup, ctx: Context) -> None:
    for parameter in command.get_params(ctx):
        if isinstance(parameter, (TyperArgument, TyperOption)):
            take_simple_values(parameter)
