"""The program's streams: results on standard output, everything else on standard error, as lines or as JSON events.

Lines are wrapped between words on a terminal and whole elsewhere. With `--progress json` standard error carries nothing
but JSON objects, one a line; docs/guide.md describes them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TextIO

from esrt_core.errors import TargetError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

DEFAULT_COLUMNS = 80
_WORD = re.compile(r"\s*\S+")
_STANDARD = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def printable(text: str) -> str:
    """Return text on one line; control characters and undecodable bytes of file names are escaped."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def prepare_streams() -> None:
    """Make the standard streams usable.

    Streams that the caller has closed lead nowhere: otherwise the next file that is opened would take their number, and
    would get what is printed. Characters that the terminal's encoding lacks are escaped.
    """
    for number, name, mode in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            _open_nowhere(number)
        if getattr(sys, name) is None:  # closed, or a program without a console on Windows
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (kept open)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _open_nowhere(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def leads_nowhere(stream: TextIO) -> bool:
    """Return whether a standard stream was closed by the caller, see prepare_streams()."""
    return getattr(stream, "name", "") == os.devnull


def columns(stream: TextIO) -> int:
    """Return the width of a terminal in characters."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"]) or DEFAULT_COLUMNS
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except (OSError, ValueError):  # no terminal, or no file
        return DEFAULT_COLUMNS


def wrapped(line: str, width: int) -> list[str]:
    """Break a line between words so that it fits `width` columns; later lines are indented. Words stay whole."""
    from rich.cells import cell_len

    lines, current = [], ""
    for word in _WORD.findall(line):
        if current and cell_len(current + word) > width:
            lines.append(current)
            current, word = "", f"  {word.lstrip()}"
        current += word
    return [*lines, current]


def wants_events(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for JSON events, before it is parsed: its errors are events too."""
    return "--progress=json" in arguments or ("--progress", "json") in pairwise(arguments)


class Console:
    """Print at the requested verbosity: `quiet` keeps errors and JSON only, `verbose` adds details.

    `piped` is true if standard output carries the picture itself, so that nothing else may go there. With `events`,
    standard error carries JSON events.
    """

    _status = False  # of the process: the terminal shows what start() wrote

    def __init__(
        self, quiet: bool = False, verbose: bool = False, *, piped: bool = False, events: bool = False
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.piped = piped
        self.events = events
        self._live: Live | None = None

    def start(self, text: str) -> None:
        """Show what is being prepared until something else is printed; only on a terminal."""
        if self.shows_progress() and not self.events:
            self.erase()
            sys.stderr.write(f"\r{printable(text)[: columns(sys.stderr) - 1]}")
            sys.stderr.flush()
            Console._status = True

    def result(self, line: str) -> None:
        """Print the result of one input."""
        if not self.quiet and not (self.piped and self.events):
            self._print(printable(line), sys.stderr if self.piped else sys.stdout)

    def record(self, line: str) -> None:
        """Print one JSON object, even if `quiet`: it was requested."""
        if not (self.piped and self.events):
            self._print(line, sys.stderr if self.piped else sys.stdout, whole=True)

    def note(self, line: str) -> None:
        """Print what the user should know: a plan, a change, a loss."""
        if self.events:
            self.event("note", text=line)
        elif not self.quiet:
            self._print(printable(line), sys.stderr)

    def plan(self, line: str, /, **values: object) -> None:
        """Print a plan: as a line, or as an event with `values`."""
        if self.events:
            self.event("plan", **values)
        else:
            self.note(line)

    def detail(self, line: str) -> None:
        """Print a detail if `verbose`."""
        if self.verbose:
            self.note(line)

    def error(self, line: str, source: str | None = None) -> None:
        """Print what failed, and which input if it is one of several."""
        if self.events:
            self.event("failure", source=source, error=line)
        else:
            self._print(f"error: {printable(line)}", sys.stderr)

    def stopped(self, line: str) -> None:
        """Print that the work was stopped, which is not an error."""
        if self.events:
            self.event("note", text=line)
        else:
            self._print(printable(line), sys.stderr)

    def event(self, name: str, /, **values: object) -> None:
        """Print a JSON event, if they are wanted."""
        if self.events:
            self._print(json.dumps({"event": name, **values}, default=str), sys.stderr, whole=True)

    def shows_progress(self) -> bool:
        """Return whether to show a progress line: standard error is a terminal that can redraw one."""
        return not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @contextmanager
    def live(self, **options: Any) -> Iterator[Live]:
        """Show something that is redrawn below all lines during the block; `options` are those of rich's Live.

        Standard output is not redirected, as rich would do: what goes to a file must not appear on the terminal.
        """
        from rich.console import Console as Terminal
        from rich.live import Live

        self.erase()
        terminal = Terminal(stderr=True, highlight=False, markup=False, emoji=False)
        with Live(console=terminal, transient=True, redirect_stdout=False, redirect_stderr=False, **options) as live:
            self._live = live
            try:
                yield live
            finally:
                self._live = None

    def show(self, what: RenderableType) -> None:
        """Print a table or the like on standard output, as wide as the terminal."""
        from rich.console import Console as Terminal

        self.erase()
        Terminal(file=sys.stdout, width=self.width(), height=25).print(what)  # without a height, 80 on a dumb terminal

    def width(self) -> int:
        """Return the columns of standard output, as many as a wide terminal has if it is none."""
        return columns(sys.stdout) if sys.stdout.isatty() else 100

    def erase(self) -> None:
        """Take away what start() shows."""
        if Console._status:
            Console._status = False
            sys.stderr.write("\r" + " " * (columns(sys.stderr) - 1) + "\r")
            sys.stderr.flush()

    def _print(self, line: str, stream: TextIO, whole: bool = False) -> None:
        """Print a line, above what is live if that shares the terminal."""
        is_terminal = stream.isatty()
        self.erase()
        lines = wrapped(line, columns(stream)) if is_terminal and not whole else [line]
        try:
            if self._live is not None and is_terminal:
                from rich.text import Text

                self._live.console.print(Text("\n".join(lines)), soft_wrap=True)
                return
            stream.write("\n".join(lines) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TargetError(f"{stream.name} cannot be written: {error.strerror}") from error
