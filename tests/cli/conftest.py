"""Run the program in this process, as `main` would."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from esrt_cli.app import main


@dataclass(frozen=True)
class Ran:
    """Hold what a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Run = Callable[..., Ran]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ran]:
    """Return a runner that works in `tmp_path`; `stdin` is what the command reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESRT_HOME", str(tmp_path / "home"))

    def run_(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Ran(code, out, err.decode())

    return run_
