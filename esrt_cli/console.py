"""Print results on standard output and everything else on standard error, one line each."""

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from esrt_core.errors import TargetError


def printable(text: str) -> str:
    """Return text on one line; control characters and undecodable bytes of file names are escaped."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def prepare_streams() -> None:
    """Escape characters that the terminal's encoding lacks instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@dataclass(frozen=True)
class Console:
    """Print at the requested verbosity: `quiet` keeps errors and JSON only, `verbose` adds details.

    `piped` is true if standard output carries the picture itself, so that nothing else may go there.
    """

    quiet: bool = False
    verbose: bool = False
    piped: bool = False

    def result(self, line: str) -> None:
        """Print the result of one input."""
        if not self.quiet:
            self._print(printable(line), sys.stderr if self.piped else sys.stdout)

    def record(self, line: str) -> None:
        """Print one JSON object, even if `quiet`: it was requested."""
        self._print(line, sys.stderr if self.piped else sys.stdout)

    def note(self, line: str) -> None:
        """Print what the user should know: a plan, a change, a loss."""
        if not self.quiet:
            self._print(printable(line), sys.stderr)

    def detail(self, line: str) -> None:
        """Print a detail if `verbose`."""
        if self.verbose and not self.quiet:
            self._print(printable(line), sys.stderr)

    def error(self, line: str) -> None:
        """Print an error."""
        self._print(f"error: {printable(line)}", sys.stderr)

    def shows_progress(self) -> bool:
        """Return whether to show a progress bar: standard error is a terminal that can redraw a line."""
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
