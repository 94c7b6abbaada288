"""Compare half precision with float32: the change in the pictures and the time saved.

    python -m benchmarks.precision --photos FOLDER --scale 2 --precision bf16

Photos come from a folder; drawings, pages of text and gradients are made here; the center of each is used as one tile.
A row holds the worst picture of its kind: PSNR of the half-precision result against the float32 one in dB over RGB
before rounding to 8 bits; after rounding, the largest difference in gray levels and the share of values that differ.
Averages over the kind are the loss in dB on Y against the undamaged picture, and the ratio of processor times with the
two precisions alternating.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.contenders import as_input, trained
from benchmarks.drawings import draw, draw_page
from esrt_core.architecture import SCALES
from esrt_core.engine.form import choose_form
from esrt_core.engine.native.form import NativeForm
from esrt_core.engine.options import PRECISIONS, EngineOptions
from esrt_core.engine.threads import take_cpu_threads
from esrt_core.evaluation.dataset import find_pictures, read_rgb
from esrt_core.evaluation.protocol import Rgb, make_lr, psnr_y
from esrt_core.media.image.picture import ReadLimits
from esrt_core.weights.checkpoint import weights_of
from esrt_core.weights.tensors import Weights

Runner = Callable[[Tensor], Tensor]

SIDE = 96  # LR px of a tile
WINDOWS = (2, 2)  # of 48 px, as the engine's


@dataclass(frozen=True)
class Row:
    """Hold the comparison of two results of one picture; see the module."""

    psnr: float
    levels: int
    share: float
    loss: float
    ratio: float


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    take_cpu_threads(options.threads)
    runners = [runner(weights_of(trained(options.scale)), precision) for precision in ("fp32", options.precision)]
    print(f"x{options.scale}, {options.precision}, {options.threads} thread(s), torch {torch.__version__}\n")
    print("| pictures | dB to float32, worst | gray levels, worst | values that differ, worst | dB lost | x time |")
    print("|---|---|---|---|---|---|")
    for kind, pictures in kinds(options):
        rows = [compare(hr, options.scale, runners) for hr in pictures]
        print(f"| {kind} ({len(rows)}) | {' | '.join(cells(rows))} |", flush=True)


def runner(weights: Weights, precision: str) -> Runner:
    """Return the form that a CPU gets in a precision, for tensors."""
    form = choose_form(weights, EngineOptions("cpu", precision=precision))

    def run(x: Tensor) -> Tensor:
        y = form(x.numpy() if isinstance(form, NativeForm) else x, WINDOWS, 1, False)
        return torch.from_numpy(y) if isinstance(form, NativeForm) else y

    return run


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scale", type=int, choices=SCALES, default=2)
    parser.add_argument("--precision", choices=[name for name in PRECISIONS if name.endswith("16")], default="bf16")
    parser.add_argument("--count", type=int, default=12, help="of drawings, pages and gradients")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def kinds(options: argparse.Namespace) -> Iterator[tuple[str, list[Rgb]]]:
    """Yield every kind of picture, SIDE * scale px a side."""
    side = SIDE * options.scale
    seeds = range(7000, 7000 + options.count)  # the training's own drawings begin at 0
    yield "photos", [middle(read_rgb(path, ReadLimits()), side) for path in find_pictures(options.photos)]
    yield "drawings", [middle(draw(seed, 480), side) for seed in seeds]
    yield "pages of text", [middle(draw_page(seed, 480), side) for seed in seeds]
    yield "gradients", [gradient(seed, side) for seed in seeds]


def middle(picture: Rgb, side: int) -> Rgb:
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def gradient(seed: int, side: int) -> Rgb:
    """Draw a slow change between two colors, straight or round, of 4 to 255 gray levels: a sky, a studio's wall."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    angle = random.uniform(0, 2 * np.pi)
    way = np.hypot(x - 0.5, y - 0.5) if seed % 3 == 0 else np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    colors = random.uniform(0, 255, (2, 3))
    colors[1] = colors[0] + (colors[1] - colors[0]) * (1 / 64, 1 / 8, 1)[seed % 3]
    part = ((way - way.min()) / np.ptp(way))[:, :, None]
    pixels: Rgb = np.rint(colors[0] * (1 - part) + colors[1] * part).astype(np.uint8)
    return pixels


@torch.inference_mode()
def compare(hr: Rgb, scale: int, runners: list[Runner]) -> Row:
    x = as_input(make_lr(hr, scale))
    results: list[Tensor] = [runner(x) for runner in runners]  # warms up
    times: list[list[float]] = [[], []]
    for _ in range(3):
        for runner, taken in zip(runners, times, strict=True):
            before = time.process_time()
            runner(x)
            taken.append(time.process_time() - before)
    exact, half = results
    error = float((half - exact).double().square().mean())
    whole, other = (to_bytes(result) for result in results)
    levels = np.abs(whole.astype(int) - other.astype(int))
    loss = psnr_y(whole, hr, scale) - psnr_y(other, hr, scale)
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    return Row(-10 * np.log10(max(error, 1e-12)), int(levels.max()), float((levels > 0).mean()), loss, ratio)


def to_bytes(result: Tensor) -> Rgb:
    return np.ascontiguousarray((result[0] * 255).round().byte().permute(1, 2, 0).numpy())


def cells(rows: list[Row]) -> Iterator[str]:
    yield f"{min(row.psnr for row in rows):.1f}"
    yield str(max(row.levels for row in rows))
    yield f"{max(row.share for row in rows):.1%}"
    yield f"{statistics.mean(row.loss for row in rows):+.4f}"
    yield f"{statistics.median(row.ratio for row in rows):.2f}"


if __name__ == "__main__":
    main()
