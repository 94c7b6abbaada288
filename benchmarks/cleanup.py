"""Measure what `-s 1` gains: damaged photos, enlarged by the photo weights (x2) and reduced to their size by Lanczos.

    python -m benchmarks.cleanup HELDOUT_FOLDER > table.md

PSNR is in dB on Y against the undamaged photo (without a border of 4 px): of the damaged photo itself, of what `-s 1`
makes of it, and of clean weights in their place. JPEG is Pillow's, 4:2:0; noise is Gaussian on all channels, in levels
of 255, and rounded. Of every photo the middle is taken, at most 360 x 360 px.
"""

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.quality import HALVES
from esrt_core.api import Upscaler
from esrt_core.evaluation.dataset import find_pictures
from esrt_core.evaluation.protocol import Rgb, psnr_y
from esrt_core.system.process import configure_process

SIDE = 360
BORDER = 4
Harm = Callable[[Rgb, int], Rgb]  # photo, place -> damaged photo


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=HALVES, default="report")
    parser.add_argument("--damages", nargs="+", choices=list(damages()), default=list(damages()))
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    photos = [middle(path) for path in find_pictures(options.folder)[HALVES[options.half]]]
    models = {name: Upscaler(1, name, threads=options.threads) for name in ("photo", "clean")}
    print(f"| {len(photos)} photos | damaged | -s 1 | gain | better | clean weights |")
    print("|---|---|---|---|---|---|")
    for name in options.damages:
        harm = damages()[name]
        damaged = [harm(photo, place) for place, photo in enumerate(photos)]
        before = scores(photos, damaged)
        after, clean = (scores(photos, [model.upscale(each) for each in damaged]) for model in models.values())
        better = f"{np.count_nonzero(after > before)} of {len(photos)}"
        gain = "" if np.isinf(before).any() else f"{(after - before).mean():+.2f}"  # undamaged: exact
        cells = (f"{before.mean():.2f}", f"{after.mean():.2f}", gain, better)
        print(f"| {name} | {' | '.join(cells)} | {clean.mean():.2f} |", flush=True)


def middle(path: Path) -> Rgb:
    """Return the middle of a photo, with sides of at most SIDE px."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    top, left = (max(0, (length - SIDE) // 2) for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def damages() -> dict[str, Harm]:
    jpegs: dict[str, Harm] = {f"JPEG {quality}": partial(compressed, quality) for quality in (30, 50, 75, 90)}
    noises: dict[str, Harm] = {f"noise {sigma}": partial(noisy, sigma) for sigma in (5, 10, 20)}
    return {"undamaged": lambda photo, place: photo, **jpegs, **noises, "noise 10, JPEG 50": noisy_and_compressed}


def compressed(quality: int, photo: Rgb, place: int) -> Rgb:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def noisy(sigma: float, photo: Rgb, place: int) -> Rgb:
    noise = np.random.default_rng(place).normal(0.0, sigma, photo.shape)
    return np.rint(np.clip(photo + noise, 0, 255)).astype(np.uint8)


def noisy_and_compressed(photo: Rgb, place: int) -> Rgb:
    return compressed(50, noisy(10, photo, place), place)


def scores(photos: list[Rgb], results: list[Rgb]) -> np.ndarray:
    return np.array([psnr_y(result, photo, BORDER) for photo, result in zip(photos, results, strict=True)])


if __name__ == "__main__":
    main()
