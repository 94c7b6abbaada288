"""Compare weights on pictures without damage, with JPEG of four qualities, and with the mixed damage of photos.

    python -m benchmarks.photo HELDOUT_FOLDER --models clean photo --scales 2 4 > table.md

PSNR is in dB on Y against the undamaged picture. JPEG is Pillow's, 4:2:0, without other damage. The mixed damage (blur,
kernel, noise, JPEG) is drawn as in training, from seeds that only depend on the picture's position.
"""

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.quality import HALVES, enlarger
from esrt_core.engine.options import EngineOptions
from esrt_core.evaluation.dataset import Pair, find_pictures, read_pair
from esrt_core.evaluation.protocol import Enlarge, Rgb, bicubic, psnr_y
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process
from esrt_core.training.degradation import degrade, draw_damage

Harm = Callable[[Pair, int, int], Rgb]  # pair, scale, place -> LR


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["clean", "photo"])
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--half", choices=HALVES, default="report")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    paths = find_pictures(options.folder)[HALVES[options.half]]
    pool = {
        model: UpscalerPool(model, EngineOptions(threads=options.threads, precision="fp32")) for model in options.models
    }
    print(f"| {len(paths)} pictures | scale | bicubic | {' | '.join(pool)} |")
    print("|---|---|---|" + "---|" * len(pool))
    for scale in options.scales:
        pairs = [read_pair(path, None, scale, ReadLimits()) for path in paths]
        for name, harm in damages().items():
            cells = row(pairs, scale, harm, pool)
            print(f"| {name} | x{scale} | {' | '.join(f'{value:.2f}' for value in cells)} |", flush=True)


def damages() -> dict[str, Harm]:
    jpegs = {f"JPEG {quality}": partial(compressed, quality) for quality in (95, 75, 50, 30)}
    return {"undamaged": undamaged, **jpegs, "mixed damage": mixed}


def row(pairs: list[Pair], scale: int, harm: Harm, pool: dict[str, UpscalerPool]) -> list[float]:
    """Return the mean PSNR of bicubic and of every model."""
    enlargers = [by_bicubic(scale), *(enlarger(engine, scale) for engine in pool.values())]
    values = np.zeros((len(pairs), len(enlargers)))
    for place, pair in enumerate(pairs):
        lr = Frame((harm(pair, scale, place),))
        values[place] = [psnr_y(enlarge(lr).planes[0], pair.hr, scale) for enlarge in enlargers]
    return [float(value) for value in values.mean(axis=0)]


def by_bicubic(scale: int) -> Enlarge:
    return lambda frame: Frame((bicubic(frame.planes[0], scale),))


def undamaged(pair: Pair, scale: int, place: int) -> Rgb:
    return pair.lr


def compressed(quality: int, pair: Pair, scale: int, place: int) -> Rgb:
    file = io.BytesIO()
    Image.fromarray(pair.lr).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def mixed(pair: Pair, scale: int, place: int) -> Rgb:
    hr = torch.from_numpy(pair.hr.copy()).permute(2, 0, 1)[None].float() / 255
    damage = draw_damage(np.random.default_rng(place), 1)
    lr = degrade(hr, scale, damage, seed=place)[0]
    return (lr.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


if __name__ == "__main__":
    main()
