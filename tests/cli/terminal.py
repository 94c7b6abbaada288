"""Run the program in a pseudo-terminal, read its screen, and press keys."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
CTRL_C = b"\x03"
# A session of its own with the pseudo-terminal as its controlling one: only so Ctrl-C becomes a signal.
START = "import os, sys; os.login_tty(0); from esrt_cli.app import main; sys.exit(main())"
GIVE_UP = 90.0  # seconds; a test that waits so long has failed
STYLE = re.compile(r"\x1b\[([\d;]*)m")
CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Terminal:
    """A terminal of some columns in which a command runs; `written` is all that it has written."""

    def __init__(self, arguments: Sequence[object], folder: Path, columns: int, **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns)
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        home = {"PYTHONPATH": str(ROOT), "ESRT_HOME": str(folder / "home"), "TERM": "xterm-256color"}
        command = [sys.executable, "-c", START, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env={**kept, **home, **environment}
        )
        os.close(slave)
        self.written = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns: int) -> None:
        """Change the width."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read until something new on the screen matches; fail if the program ends before."""
        start, deadline = len(self.written), time.monotonic() + GIVE_UP
        while True:
            found = re.search(pattern, CONTROL.sub("", self.written[start:]))
            if found:
                return found
            assert self._read(deadline), f"the program ended without {pattern!r}: {self.written[-300:]!r}"

    def end(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + GIVE_UP
        while self._read(deadline):
            pass
        return self.process.wait(GIVE_UP)

    @property
    def lines(self) -> list[str]:
        """All that stood on a line at some time, without control sequences."""
        return [line for line in re.split(r"[\r\n]+", CONTROL.sub("", self.written)) if line.strip()]

    @property
    def styles(self) -> set[str]:
        """The codes of all colors and styles."""
        return {code for codes in STYLE.findall(self.written) for code in codes.split(";")}

    def _read(self, deadline: float) -> bool:
        """Read what there is; return False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"it has not come for {GIVE_UP} s: {self.written[-300:]!r}"
        try:
            content = os.read(self._master, 65536)
        except OSError:  # Linux's word for the end
            return False
        self.written += content.decode(errors="replace")
        return bool(content)
