"""Make the README's table: PSNR and SSIM of whole pictures, default tiles and --tta, beside the paper's figures.

    python -m benchmarks.quality --set Set5=FOLDER --set Set14=FOLDER --heldout FOLDER > table.md

Of held-out pictures, sorted by name, those at even positions are for choosing and those at odd ones for reporting.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from esrt_core.engine.options import EngineOptions
from esrt_core.evaluation.dataset import find_pictures, read_pair
from esrt_core.evaluation.protocol import Enlarge, Score, mean_score, score_picture
from esrt_core.media.image.picture import ReadLimits
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process

PAPER = {  # Lu et al., 2022, table 2
    ("Set5", 2): "38.03/.9600",
    ("Set5", 3): "34.42/.9268",
    ("Set5", 4): "32.19/.8947",
    ("Set14", 2): "33.75/.9184",
    ("Set14", 3): "30.43/.8433",
    ("Set14", 4): "28.69/.7833",
}
HALVES = {"choose": slice(0, None, 2), "report": slice(1, None, 2)}


def main() -> None:
    configure_process()
    options = parse()
    forms = {
        "whole picture": EngineOptions(threads=options.threads, precision="fp32", tile=0),
        "default tiles": EngineOptions(threads=options.threads, precision="fp32"),
        "tiles, --tta": EngineOptions(threads=options.threads, precision="fp32", tta=True),
    }
    forms = {name: form for name, form in forms.items() if name not in options.without}
    print(f"| pictures | scale | bicubic | {' | '.join(forms)} | paper |")
    print("|---|---|---|" + "---|" * len(forms) + "---|")
    pool = {name: UpscalerPool(options.model, form) for name, form in forms.items()}
    for name, paths in options.sets.items():
        for scale in options.scales:
            cells = []
            bicubic = ""
            for form, engine in pool.items():
                start = time.perf_counter()
                baseline, score = means(paths, scale, enlarger(engine, scale))
                bicubic = cell(baseline)
                cells.append(cell(score))
                print(f"{name} x{scale} {form}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
            paper = PAPER.get((name, scale), "-")
            print(f"| {name} ({len(paths)}) | x{scale} | {bicubic} | {' | '.join(cells)} | {paper} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--heldout", type=Path, metavar="FOLDER")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--model", default="clean")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--without", nargs="+", default=[], metavar="COLUMN", help="'whole picture', 'tiles, --tta'")
    options = parser.parse_args()
    options.sets = {}
    for entry in options.set:
        name, _, folder = entry.partition("=")
        options.sets[name] = find_pictures(Path(folder))
    if options.heldout:
        pictures = find_pictures(options.heldout)
        options.sets |= {f"heldout, {name}": pictures[half] for name, half in HALVES.items()}
    return options


def enlarger(pool: UpscalerPool, scale: int) -> Enlarge:
    upscaler = pool.upscaler(scale)
    return lambda frame: upscaler.upscale(frame).frame


def means(paths: Sequence[Path], scale: int, enlarge: Enlarge) -> tuple[Score, Score]:
    """Return the mean scores of bicubic and ESRT."""
    scores = []
    for path in paths:
        pair = read_pair(path, None, scale, ReadLimits())
        scores.append(score_picture(pair.name, pair.lr, pair.hr, scale, enlarge)[0])
    return mean_score([score.bicubic for score in scores]), mean_score([score.esrt for score in scores])


def cell(score: Score) -> str:
    return f"{score.psnr:.2f}/{score.ssim:.4f}".replace("/0.", "/.")


if __name__ == "__main__":
    main()
