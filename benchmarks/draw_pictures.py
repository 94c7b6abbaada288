"""Draw training pictures of our own: python -m benchmarks.draw_pictures FOLDER --count 300 --seed 0.

With --small the small pictures are written too, in a folder for each scale, for `esrt train FOLDER --lr-dir SMALL/x2`:
reduced by bicubic as the trainer does it, and a share of them saved as JPEG of quality 40 to 95 on the way.
With --photos, pictures of a folder are copied in among them; with --mixed, a part of one lies on every page instead.
"""

import argparse
import io
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.drawings import draw, draw_fine, draw_graphic, draw_page, installed
from esrt_core.evaluation.dataset import find_pictures, read_pair, read_rgb
from esrt_core.media.image.picture import ReadLimits

KINDS = {"drawing": draw, "page": draw_page, "graphic": draw_graphic, "fine": draw_fine}
QUALITIES = (40, 95)
MIXED = 7  # second number of the seed of what lies on a page


@dataclass(frozen=True)
class Order:
    """Say what is drawn: kind and side; `small` is the folder of reduced pictures, `damaged` the share that is JPEG."""

    folder: Path
    kind: str
    size: int
    small: Path | None
    scales: tuple[int, ...]
    damaged: float


def write(order: Order, seed: int) -> None:
    path = order.folder / f"{order.kind}-{seed:05d}.png"
    Image.fromarray(KINDS[order.kind](seed, order.size)).save(path, optimize=True)
    if order.small is not None:
        for scale in order.scales:
            lr = reduced(path, scale, order.damaged, np.random.default_rng((seed, scale)))
            lr.save(order.small / f"x{scale}" / path.name)


def write_mixed(order: Order, photos: list[Path], seed: int) -> None:
    """Draw a page or, every fourth time, a graphic, and lay a part of a photo on it."""
    rng = np.random.default_rng((seed, MIXED))
    page = np.array((draw_page if seed % 4 else draw_graphic)(seed, order.size))
    photo = read_rgb(photos[int(rng.integers(len(photos)))], ReadLimits())
    sides = [min(int(rng.uniform(0.4, 0.8) * order.size), length) for length in photo.shape[:2]]
    at, of = ([int(rng.integers(whole - side + 1)) for whole, side in zip(wholes, sides, strict=True)]
              for wholes in (page.shape[:2], photo.shape[:2]))  # fmt: skip
    page[at[0] : at[0] + sides[0], at[1] : at[1] + sides[1]] = photo[of[0] : of[0] + sides[0], of[1] : of[1] + sides[1]]
    Image.fromarray(page).save(order.folder / f"mixed-{seed:05d}.png", optimize=True)


def reduced(path: Path, scale: int, damaged: float, rng: np.random.Generator) -> Image.Image:
    """Return the small picture, which was a JPEG in a share of the cases."""
    lr = Image.fromarray(read_pair(path, None, scale, ReadLimits()).lr)
    if rng.random() >= damaged:
        return lr
    saved = io.BytesIO()
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    lr.save(saved, "JPEG", quality=quality, subsampling=2 if rng.random() < 0.6 else 0)
    return Image.open(saved)


def add_photo(order: Order, photo: Path, seed: int) -> None:
    """Copy a photo in among the drawings, and write its small pictures."""
    path = order.folder / f"photo-{seed:05d}{photo.suffix}"
    shutil.copyfile(photo, path)
    if order.small is not None:
        for scale in order.scales:
            lr = reduced(path, scale, order.damaged, np.random.default_rng((seed, scale)))
            lr.save(order.small / f"x{scale}" / f"{path.stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture; the others follow")
    parser.add_argument("--size", type=int, default=480, help="px a side")
    kinds = parser.add_mutually_exclusive_group()
    for option, kind, what in (
        ("--pages", "page", "text, tables, diagrams and line art only"),
        ("--graphics", "graphic", "pages, programs, comics, charts, plans and scans"),
        ("--fine", "fine", "fine lines: graph paper, floor plans, maps, contour lines, sheet music"),
    ):
        kinds.add_argument(option, dest="kind", action="store_const", const=kind, default="drawing", help=what)
    parser.add_argument("--mixed", action="store_true", help="pages on which a part of one of --photos lies")
    parser.add_argument("--small", type=Path, help="folder for the small pictures")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--damaged", type=float, default=0.25, help="share of the small pictures that was a JPEG")
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="folders of photos to copy in")
    parser.add_argument("--photo-count", type=int, default=0, help="how many photos, evenly spread over the folders")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if absent := installed.missing():
        print(f"not installed, so that other pictures are drawn: {', '.join(absent)}", file=sys.stderr)
    order = Order(options.folder, options.kind, options.size, options.small, tuple(options.scales), options.damaged)
    folders = [options.small / f"x{scale}" for scale in options.scales] if options.small else []
    for folder in (options.folder, *folders):
        folder.mkdir(parents=True, exist_ok=True)
    photos = [path for folder in options.photos for path in find_pictures(folder)]
    drawn = partial(write_mixed, order, photos) if options.mixed else partial(write, order)
    with ProcessPoolExecutor(options.jobs) as pool:
        for _ in pool.map(drawn, range(options.seed, options.seed + options.count)):
            pass
    places = np.linspace(0, len(photos) - 1, options.photo_count if photos else 0).astype(int)
    for number, place in enumerate(places):
        add_photo(order, photos[place], options.seed + number)
    print(f"{options.count} pictures of {options.size} x {options.size} px in {options.folder}")


if __name__ == "__main__":
    main()
