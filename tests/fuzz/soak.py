"""Work for a long time in one process: python -m tests.fuzz.soak --minutes 60.

Pictures, folders with damaged pictures, a clip, exports and refused options alternate; memory, open files, threads and
temporary files are looked at all the while and must not grow after the first quarter.
"""

import argparse
import contextlib
import gc
import io
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from esrt_cli.app import main as esrt
from esrt_core.system.process import release_freed_memory
from tests.fuzz.commands import COMMANDS, prepare
from tests.fuzz.end_to_end import make_folder

MAX_GROWTH = 40e6  # bytes of memory: freed memory that does not fit the next picture stays for a while


@dataclass(frozen=True)
class Held:
    """Hold what the process holds: bytes of memory, open files, threads, and entries of the temporary folder."""

    memory: int
    files: int
    threads: int
    temporary: int


def main() -> int:
    """Work, print what is held, and return 1 if it grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="esrt-soak-") as name:
        os.environ["ESRT_HOME"] = str(Path(name, "home"))
        tempfile.tempdir = os.environ["TMPDIR"] = str(Path(name, "temporary"))
        Path(tempfile.tempdir).mkdir()
        seen = list(work(Path(name, "work"), options.minutes * 60, random.Random(options.seed)))
    quarter = seen[len(seen) // 4 :]
    early, late = quarter[: len(quarter) // 3], quarter[-(len(quarter) // 3) :]
    print(f"{len(seen)} rounds in {options.minutes:g} minutes")
    print(f"after the first quarter {early[0]}, at the end {late[-1]}")
    grown = min(held.memory for held in late) - min(held.memory for held in early)
    flat = all(
        min(getattr(held, name) for held in late) <= min(getattr(held, name) for held in early)
        for name in ("files", "threads", "temporary")
    )
    print(f"memory grew by {grown / 1e6:.1f} MB, the rest {'is flat' if flat else 'GREW'}")
    return 0 if flat and grown < MAX_GROWTH else 1


def work(folder: Path, seconds: float, rng: random.Random) -> Iterator[Held]:
    """Run rounds of mixed commands for this time; yield what is held after each."""
    prepare(folder)
    (folder / "out").mkdir()
    os.chdir(folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        make_folder(folder / "damaged", rng, 20)
        _run(["batch", "damaged", "-s", "2", "-o", "results", "--model", "tiny.safetensors", "--allow-truncated"])
        for name in ("upscale", "batch", "video", "export"):
            _run([*COMMANDS[name].arguments])
        _run(["upscale", "missing.png", "-s", "2"])
        for name in ("damaged", "results", "out"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / "out").mkdir()
        gc.collect()
        release_freed_memory()
        process = psutil.Process()
        temporary = sum(1 for _ in Path(tempfile.gettempdir()).iterdir())
        yield Held(process.memory_info().rss, process.num_fds(), process.num_threads(), temporary)


def _run(arguments: list[str]) -> None:
    if "--max-pixels" not in arguments and arguments[0] == "batch":
        arguments = [*arguments, "--max-pixels", "200000"]
    bytes_said = io.BytesIO()
    said = io.TextIOWrapper(bytes_said, "utf-8", write_through=True)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")), contextlib.redirect_stderr(said):
        code = esrt(arguments)
    text = bytes_said.getvalue().decode()
    assert code in (0, 1), text
    assert "Traceback" not in text, text


if __name__ == "__main__":
    sys.exit(main())
