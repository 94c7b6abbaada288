"""Compare `esrt` with that of another checkout, on what starting it costs: small pictures, memory, a folder.

    python -m benchmarks.start --against FOLDER --rounds 5

Both run in turn with one thread; figures are medians of processor time and the largest peak memory, and the ratio is
that of the medians. The native network must be compiled in the other checkout too. Pictures are smooth noise.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# Nothing here imports torch: a child's peak memory is at least that of the process that starts it.
HERE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Case:
    """Hold the pictures of a case, as (width, height) in px, and the command that enlarges them."""

    label: str
    sizes: Sequence[tuple[int, int]]
    words: tuple[str, ...]


def cases() -> list[Case]:
    draw = np.random.default_rng(0)
    folder = [(int(width), int(height)) for width, height in draw.integers(30, 90, (200, 2))]
    return [
        Case("64 x 64 px at x4", [(64, 64)], ("upscale", "-s", "4")),
        Case("256 x 256 px at x4", [(256, 256)], ("upscale", "-s", "4")),
        Case("1000 x 750 px at x4", [(1000, 750)], ("upscale", "-s", "4")),
        Case("a folder of 200, 30 to 90 px, at x2", folder, ("batch", "-s", "2")),
    ]


@dataclass(frozen=True)
class Run:
    """Hold processor time in s and peak memory in bytes."""

    seconds: float
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"one thread, {options.rounds} rounds, {platform.platform()}\n")
    print("| | s, here | s, there | ratio | MB, here | MB, there | ratio |")
    print("|---|---|---|---|---|---|---|")
    for case in cases():
        print(row(case, options.against.resolve(), options.rounds), flush=True)


def row(case: Case, there: Path, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        make_pictures(source, case.sizes)
        runs: dict[Path, list[Run]] = {HERE: [], there: []}
        for index in range(rounds + 1):  # the first one only compiles modules
            for tree, found in runs.items():
                found.append(run(tree, case, source, Path(folder, f"out-{tree.name}-{index}")))
    seconds = [statistics.median(each.seconds for each in found[1:]) for found in runs.values()]
    peaks = [max(each.peak for each in found[1:]) / 1e6 for found in runs.values()]
    cells = (f"{a:.2f} | {b:.2f} | {a / b:.2f}" for a, b in (seconds, peaks))
    return f"| {case.label} | {' | '.join(cells)} |"


def make_pictures(folder: Path, sizes: Sequence[tuple[int, int]]) -> None:
    folder.mkdir()
    draw = np.random.default_rng(1)
    for index, (width, height) in enumerate(sizes):
        noise = Image.fromarray(draw.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8))
        noise.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def run(tree: Path, case: Case, source: Path, target: Path) -> Run:
    picture = source if case.words[0] == "batch" else source / "0.png"
    output = str(target) if case.words[0] == "batch" else f"{target}.png"
    command = [sys.executable, "-m", "esrt_cli", *case.words, str(picture), "-o", output, "--device", "cpu", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(command, cwd=tree, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{case.label} failed in {tree}")
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
