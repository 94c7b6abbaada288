"""What the command line says: results on standard output, everything else on standard error, one line each."""

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from esrt_core.errors import TargetError


def printable(text: str) -> str:
    """Return text on one line: control characters and bytes that are no UTF-8 (in a file's name) are escaped."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def prepare_streams() -> None:
    """Let characters that a terminal's encoding lacks be escaped, where they would stop the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@dataclass(frozen=True)
class Console:
    """Print what was asked for: `quiet` leaves errors and JSON, `verbose` adds details.

    `piped` says that standard output carries the picture itself, so that nothing else may go there.
    """

    quiet: bool = False
    verbose: bool = False
    piped: bool = False

    def result(self, line: str) -> None:
        """Print what came of one input."""
        if not self.quiet:
            self._print(printable(line), sys.stderr if self.piped else sys.stdout)

    def record(self, line: str) -> None:
        """Print one JSON object; it is asked for, so `quiet` doesn't silence it."""
        self._print(line, sys.stderr if self.piped else sys.stdout)

    def note(self, line: str) -> None:
        """Print what a user should know: a plan, a change, a loss."""
        if not self.quiet:
            self._print(printable(line), sys.stderr)

    def detail(self, line: str) -> None:
        """Print what only `verbose` asks for."""
        if self.verbose and not self.quiet:
            self._print(printable(line), sys.stderr)

    def error(self, line: str) -> None:
        """Print what went wrong."""
        self._print(f"error: {printable(line)}", sys.stderr)

    def shows_progress(self) -> bool:
        """Return whether a progress bar makes sense: standard error is a terminal that can redraw a line."""
        return not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @staticmethod
    def _print(line: str, stream: TextIO) -> None:
        try:
            stream.write(line + "\n")
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TargetError(f"{stream.name} cannot be written: {error.strerror}") from error
