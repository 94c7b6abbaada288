"""Measure what `--model auto` costs before a picture is enlarged: python -m benchmarks.look PHOTO ...

Looks at the top left part of every photo, of several sizes, on one core, undamaged and as it is read from a JPEG, whose
grid is found at once. Beside it is what the network takes for the same part at x2. Figures are the smallest processor
times of the rounds, in ms, and their means over the photos.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.damages import saved
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.plan import make_plan
from esrt_core.evaluation.damage import look
from esrt_core.evaluation.dataset import read_rgb
from esrt_core.evaluation.prediction import Container, predict_gains
from esrt_core.evaluation.protocol import Rgb, make_lr
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.system.process import configure_process
from esrt_core.weights.store import resolve
from esrt_core.weights.tensors import load_weights

SIDES = (32, 64, 96, 192, 240)  # px
SCALE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    configure_process()
    network = NativeESRT(load_weights(resolve("clean", SCALE).path).tensors, SCALE)
    photos = [make_lr(read_rgb(path, ReadLimits()), SCALE) for path in options.photos]  # undamaged: twice as fine
    print("| px | undamaged: look | predict | was a JPEG: look | predict | network x2 | share |")
    print("|---|---|---|---|---|---|---|")
    for side in SIDES:
        times = np.mean([measure(network, photo[:side, :side], options.rounds) for photo in photos], axis=0)
        share = (times[0] + times[1]) / times[4]
        print(f"| {side} | {' | '.join(f'{each:.1f}' for each in times)} | {share:.1%} |", flush=True)


def measure(network: NativeESRT, pixels: Rgb, rounds: int) -> list[float]:
    """Return the times of look and prediction, undamaged and as a JPEG, and of the network, ms."""
    found = []
    for each in (pixels, saved("JPEG", 75, "4:2:0", pixels, np.random.default_rng(0)).lr):
        frames = [Frame((np.ascontiguousarray(each),))]
        seen = look(frames)
        found.append(fastest(lambda frames=frames: look(frames), rounds))  # type: ignore[misc]
        found.append(fastest(lambda seen=seen: predict_gains(seen, Container(), SCALE), rounds))  # type: ignore[misc]
    tile = np.ascontiguousarray(pixels.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255))
    windows = make_plan(pixels.shape[1], pixels.shape[0], SCALE).windows
    return [*found, fastest(lambda: network(tile, windows), rounds)]


def fastest(work: Callable[[], object], rounds: int) -> float:
    """Return the smallest processor time of some rounds, ms."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
