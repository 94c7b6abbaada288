"""Compare tile, halo, window and blending: the cost of each and its loss against the whole picture.

    python -m benchmarks.geometry --data FOLDER_OF_HR_PICTURES --scale 2 > table.md
    python -m benchmarks.geometry --data FOLDER_OF_HR_PICTURES --scale 3 --side 84 --windows 24 48 60

The second command uses corners of 84 x 84 px of the LR pictures, each as one tile, and only compares windows.

LR pictures are made by the field's bicubic. Each row runs in a process of its own, whose peak memory is reported.
Results are compared as float32, before rounding; PSNR is on Y of the rounded ones.
"""

import argparse
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from esrt_core.architecture import SCALES
from esrt_core.engine.batching import TileCache, run_tiles
from esrt_core.engine.form import choose_form
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import Plan, Tiling, tiled_plan, whole_plan
from esrt_core.engine.threads import take_cpu_threads
from esrt_core.engine.tiles import TiledFrame
from esrt_core.evaluation.dataset import read_rgb
from esrt_core.evaluation.protocol import crop_to_multiple, make_lr, psnr_y
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.weights.store import resolve
from esrt_core.weights.tensors import load_weights

NEAR = 4  # LR px; what counts as near a seam
EVERYTHING = 4096  # px; a tile that no picture here exceeds
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """Hold one row of the table; tile 0 is the paper's form, EVERYTHING the whole picture with windows."""

    tile: int
    halo: int = 8
    window: int = 48
    feather: int = 8

    def plan(self, width: int, height: int, scale: int) -> Plan:
        if self.tile == 0:
            return whole_plan(width, height, scale)
        return tiled_plan(
            width, height, scale, Tiling(self.tile, self.halo, self.window, self.window, self.feather, 18_432)
        )

    def label(self) -> str:
        if self.tile == 0:
            return "| whole | - | whole | - |"
        if self.tile == EVERYTHING:
            return f"| whole | - | {self.window} | - |"
        return f"| {self.tile} | {self.halo} | {self.window} | {self.feather or 'cut'} |"


@dataclass(frozen=True)
class Outcome:
    """Hold the results of one form on all pictures."""

    results: list[Pixels]
    seconds: float
    peak_bytes: int


def forms(windows: Sequence[int]) -> Iterator[Form]:
    """Yield the rows: one setting changes at a time, or only the windows if these are given."""
    yield Form(0)
    if windows:
        yield from (Form(EVERYTHING, window=window) for window in windows)
        return
    yield Form(EVERYTHING)
    yield from (Form(tile) for tile in (64, 96, 128))
    yield from (Form(128, halo=halo, feather=min(8, halo)) for halo in (2, 4, 6, 12, 16))
    yield Form(128, halo=6)
    yield from (Form(128, feather=feather) for feather in (0, 4, 12, 16))
    yield from (Form(128, window=window) for window in (24, 32, 64, 128))


def run_form(form: Form, pictures: list[NDArray[np.uint8]], scale: int) -> Outcome:
    """Upscale LR pictures in float32 with one thread."""
    take_cpu_threads(1)
    network = choose_form(load_weights(resolve("auto", scale).path), EngineOptions("cpu"))
    results, start = [], time.process_time()
    for lr in pictures:
        frame = Frame((lr.astype(np.float32) / 255,), depth=32)
        transfer = network.transfer()
        picture = TiledFrame(frame, form.plan(frame.width, frame.height, scale), transfer)
        with network.computing():
            run_tiles([picture], network, TileCache(0), transfer, lambda done: None)
        transfer.flush()
        results.append(picture.finished()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Outcome(results, time.process_time() - start, peak)


def near_seams(plan: Plan) -> NDArray[np.bool_]:
    """Mark the output px within NEAR input px of the middle of a seam."""
    rows, columns = (
        np.any(
            [abs(np.arange(axis.size) + 0.5 - (seam.start + seam.stop) / 2) < NEAR for seam in axis.overlaps], axis=0
        )
        if axis.overlaps
        else np.zeros(axis.size, bool)
        for axis in (plan.rows, plan.columns)
    )
    mask: NDArray[np.bool_] = np.kron(rows[:, None] | columns, np.ones((plan.scale, plan.scale), bool))
    return mask


def describe(form: Form, outcome: Outcome, whole: Outcome, hr: list[NDArray[np.uint8]], scale: int) -> str:
    """Make a row of the table."""
    rounded = [np.rint(result * 255).astype(np.uint8) for result in outcome.results]
    quality = np.mean([psnr_y(result, truth, scale) for result, truth in zip(rounded, hr, strict=True)])
    pixels = sum(result.shape[0] * result.shape[1] for result in outcome.results) / scale**2
    cost = f"{outcome.seconds / pixels * 1e6:.1f} | {outcome.peak_bytes / 2**20:.0f} |"
    if form.tile == 0:
        return f"{form.label()} {quality:.3f} | - | - | {cost}"
    errors = [abs(a - b) for a, b in zip(outcome.results, whole.results, strict=True)]
    agreement = np.mean([-10 * np.log10(np.mean(np.square(error))) for error in errors])
    masks = [near_seams(form.plan(e.shape[1] // scale, e.shape[0] // scale, scale)) for e in errors]
    near = np.concatenate([error[mask].ravel() for error, mask in zip(errors, masks, strict=True)])
    far = np.concatenate([error[~mask].ravel() for error, mask in zip(errors, masks, strict=True)])
    overlaps = f"{near.mean() / far.mean():.2f}" if near.size else "-"
    return f"{form.label()} {quality:.3f} | {agreement:.1f} | {overlaps} | {cost}"


def machine() -> str:
    """Name the processor and torch."""
    listing = (
        subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout if sys.platform == "linux" else ""
    )
    names = [line.split(":", 1)[1].strip() for line in listing.splitlines() if line.startswith("Model name")]
    return f"{names[0] if names else platform.processor()}, torch {torch.__version__}, one thread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of HR pictures")
    parser.add_argument("--scale", type=int, default=2, choices=SCALES)
    parser.add_argument("--first", type=int, default=0, help="index of the first picture, by name")
    parser.add_argument("--step", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--side", type=int, help="take this corner of the LR pictures, px")
    parser.add_argument("--windows", type=int, nargs="+", default=[], metavar="PX", help="compare these alone")
    options = parser.parse_args()
    scale = options.scale
    paths = sorted(path for path in options.data.iterdir() if path.is_file())[options.first :: options.step]
    end = options.side and options.side * scale
    hr = [crop_to_multiple(read_rgb(path, ReadLimits()), scale)[:end, :end] for path in paths]
    lr = [make_lr(picture, scale) for picture in hr]
    print(f"x{scale}, {len(lr)} pictures (every {options.step}. from {options.first}), {machine()}\n")
    print(
        "| tile | halo | window | blend | PSNR | against whole, dB | near seams / elsewhere | us per LR px | peak MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    whole = None
    for form in forms(options.windows):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            outcome = process.submit(run_form, form, lr, scale).result()
        whole = whole or outcome
        print(describe(form, outcome, whole, hr, scale), flush=True)


if __name__ == "__main__":
    main()
