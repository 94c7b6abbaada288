"""Draw training pictures of our own: python -m benchmarks.draw_pictures FOLDER --count 300 --seed 0."""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.drawings import draw, draw_page


def write(folder: Path, size: int, pages: bool, seed: int) -> None:
    picture = draw_page(seed, size) if pages else draw(seed, size)
    Image.fromarray(picture).save(folder / f"{'page' if pages else 'drawing'}-{seed:05d}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture; the others follow")
    parser.add_argument("--size", type=int, default=480, help="px a side")
    parser.add_argument("--pages", action="store_true", help="text, tables, diagrams and line art only")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = range(options.seed, options.seed + options.count)
        for _ in pool.map(partial(write, options.folder, options.size, options.pages), seeds):
            pass
    print(f"{options.count} pictures of {options.size} x {options.size} px in {options.folder}")


if __name__ == "__main__":
    main()
