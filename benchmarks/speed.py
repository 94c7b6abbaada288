"""Compare time and memory of the forms of our network, side by side in one run (benchmarks.peers has others).

    python -m benchmarks.speed --scale 4 > speed.md

Every contender has a process of its own; in every round each of them upscales the same picture, one after the other, so
that a busy machine slows all alike. Figures are medians of processor time over the rounds, including children; ratios
are medians of the ratios within a round.
"""

import argparse
import platform
import resource
import statistics
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks.contenders import BASELINE, CONTENDERS, Rgb
from esrt_core.architecture import SCALES
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.system.process import configure_process
from tests.engine.counting import Count


@dataclass
class Worker:
    """Hold one contender: its process and measurements, or the reason why it cannot run."""

    name: str
    pipe: Connection
    process: Any
    missing: str = ""
    seconds: list[float] = field(default_factory=list)  # of processor time, one a round
    wall: list[float] = field(default_factory=list)
    megabytes: float = 0.0


def main() -> None:
    configure_process()
    options = parse()
    pictures = read(options.pictures) if options.pictures else generate(options.size)
    workers = [start(name, options.scale, options.threads) for name in CONTENDERS if chosen(name, options.only)]
    peaks = []
    for index in range(options.rounds + 1):
        picture = pictures[index % len(pictures)]
        for worker in workers:
            measure(worker, picture, keep=index > 0)  # the first round warms up
        peaks.append(convolution_peak(options.threads))
    for worker in workers:
        if not worker.missing:
            worker.pipe.send(None)
        worker.process.join()
    report(workers, pictures, max(peaks), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, choices=SCALES, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(192, 192), metavar=("W", "H"), help="of a generated picture"
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="take these pictures, all of one size")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="contenders whose name has a word")
    return parser.parse_args()


def chosen(name: str, words: list[str]) -> bool:
    return not words or name == BASELINE or any(word.lower() in name.lower() for word in words)


def read(folder: Path) -> list[Rgb]:
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir()) if path.is_file()]
    if len({picture.shape for picture in pictures}) != 1:
        raise SystemExit(f"{folder}: expected pictures of one size")
    return pictures


def generate(size: tuple[int, int]) -> list[Rgb]:
    """Draw three pictures of smooth noise without equal tiles."""
    made = []
    for seed in range(3):
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        grain = np.random.default_rng(seed + 9).integers(-20, 21, smooth.shape)
        made.append(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    return made


def start(name: str, scale: int, threads: int) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(name, scale, threads, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is noticed
    return Worker(name, ours, process, missing=ours.recv())


def work(name: str, scale: int, threads: int, pipe: Connection) -> None:
    """Build a contender and report what it lacks; then upscale received pictures and answer with the cost."""
    configure_process()
    torch.set_num_threads(threads)
    try:
        run = CONTENDERS[name](scale, threads)
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch raises the latter
        pipe.send(f"not measured: {error}")
        return
    pipe.send("")
    while (picture := pipe.recv()) is not None:
        wall, before = time.perf_counter(), processor_time()
        run(picture)
        memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        pipe.send((processor_time() - before, time.perf_counter() - wall, memory / 1024))


def processor_time() -> float:
    """Return the processor seconds of this process and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(worker: Worker, picture: Rgb, keep: bool) -> None:
    if worker.missing:
        return
    worker.pipe.send(picture)
    try:
        seconds, wall, worker.megabytes = worker.pipe.recv()
    except EOFError:  # it failed; its traceback is on standard error
        worker.missing = "not measured: its process ended, see above"
        return
    if keep:
        worker.seconds.append(seconds)
        worker.wall.append(wall)


def convolution_peak(threads: int) -> float:
    """Return the multiply-adds per second of processor time of oneDNN's fastest 3 x 3 convolution of this kind."""
    torch.set_num_threads(threads)
    x = torch.rand(1, 32, 128, 128).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(32, 32, 3, 3).contiguous(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(20):
            before = processor_time()
            for _ in range(5):
                F.conv2d(x, weight, padding=1)
            times.append((processor_time() - before) / 5)
    return 128 * 128 * 32 * 32 * 9 / max(min(times[5:]), 1e-9)


def multiply_adds(scale: int) -> float:
    """Count the plain network's multiply-adds per LR pixel, windows of 48 px."""
    with torch.no_grad(), Count() as count:
        ESRT(ESRTConfig(scale))(torch.zeros(1, 3, 48, 48))
    return float(count.multiply_adds / 48**2)


def report(workers: list[Worker], pictures: list[Rgb], peak: float, options: argparse.Namespace) -> None:
    height, width = pictures[0].shape[:2]
    work_needed = multiply_adds(options.scale) * height * width
    print(
        f"x{options.scale}, {width} x {height} px, {options.threads} thread(s), {options.rounds} rounds, {processor()},"
    )
    print(f"torch {torch.__version__}; convolutions reach {2 * peak / 1e9:.0f} GFLOP/s of processor time.\n")
    print("| | us per LR pixel | x plain | output MP/s | peak memory, MB | share of the convolutions' peak |")
    print("|---|---|---|---|---|---|")
    baseline = next(worker for worker in workers if worker.name == BASELINE)
    for worker in workers:
        if worker.missing:
            print(f"| {worker.name} | {worker.missing} | | | | |")
            continue
        seconds = statistics.median(worker.seconds)
        speed = height * width * options.scale**2 / statistics.median(worker.wall) / 1e6
        share = f"{work_needed / peak / seconds:.0%}"  # of the plain form's multiply-adds, without overlaps
        cells = [f"{seconds / height / width * 1e6:.1f}", f"{ratio(worker, baseline):.2f}", f"{speed:.2f}"]
        print(f"| {worker.name} | {' | '.join(cells)} | {worker.megabytes:.0f} | {share} |")


def ratio(worker: Worker, baseline: Worker) -> float:
    return statistics.median(a / b for a, b in zip(worker.seconds, baseline.seconds, strict=True))


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
