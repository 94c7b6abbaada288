"""Make the small pictures of a training set as programs damage them: python -m benchmarks.damaged_pairs SMALL SET ...

For `esrt train SET ... --lr-dir SMALL/x2`: `--degrade photo` knows noise and JPEG, but phones save HEIC, and clips are
H.264. Every picture is reduced, a share of them (--soft) by a random kernel after a blur as `--degrade photo` draws
them. Then it gets one of the damages that the fitting of `--model auto` draws from, encoded by the libraries that
people use; one of these is none at all, and --undamaged is the share of pictures that gets none in any case.
"""

import argparse
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.damages import drawn, undamaged
from esrt_core.evaluation.dataset import find_pictures, read_pair
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.image.picture import ReadLimits
from esrt_core.training.degradation import degrade, draw_damage


@dataclass(frozen=True)
class Order:
    """Say where the small pictures of which scales go and which shares are what; `seed` draws the damages."""

    folder: Path
    scales: tuple[int, ...]
    seed: int
    soft: float
    undamaged: float


def write(order: Order, path: Path) -> None:
    for scale in order.scales:
        random = np.random.default_rng((order.seed, zlib.crc32(path.name.encode()), scale))
        pair = read_pair(path, None, scale, ReadLimits())
        lr = softened(pair.hr, scale, random) if random.random() < order.soft else pair.lr
        choices = drawn(random)
        damage = choices[list(choices)[int(random.integers(len(choices)))]]
        if random.random() < order.undamaged:
            damage = undamaged
        Image.fromarray(damage(lr, random).lr).save(order.folder / f"x{scale}" / f"{path.stem}.png")


def softened(hr: Rgb, scale: int, random: np.random.Generator) -> Rgb:
    """Reduce by a random kernel after a random blur, without noise and JPEG, which follow."""
    soft = replace(draw_damage(random, 1), noise=np.zeros(1), quality=np.zeros(1, int))
    pixels = torch.from_numpy(hr).movedim(-1, 0)[None] / 255  # (1, 3, H, W)
    lr = degrade(pixels, scale, soft, seed=0)[0].movedim(0, -1)
    return np.ascontiguousarray((lr * 255).round().to(torch.uint8).numpy())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+", help="folders")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--soft", type=float, default=0.5)
    parser.add_argument("--undamaged", type=float, default=0.0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    order = Order(options.small, tuple(options.scales), options.seed, options.soft, options.undamaged)
    for scale in order.scales:
        (order.folder / f"x{scale}").mkdir(parents=True, exist_ok=True)
    paths = [path for folder in options.pictures for path in find_pictures(folder)]
    with ProcessPoolExecutor(options.jobs) as pool:
        for _ in pool.map(partial(write, order), paths, chunksize=8):
            pass
    print(f"{len(paths)} pictures, small and damaged, in {order.folder}")


if __name__ == "__main__":
    main()
