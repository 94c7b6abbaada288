"""Compare `esrt upscale` with the bare engine, and its cost per pixel over sizes of pictures.

    python -m benchmarks.command --scale 2 --sizes 250x250 512x512 2000x2000 --threads 1

Every round of a size runs in turn: a Python that only imports NumPy; the engine in a warmed-up process; `esrt upscale`
on a PNG. Figures are medians of processor time over the rounds. The command's lower bound is the engine's time plus the
time to import NumPy. Pictures are smooth noise without equal tiles.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import Rgb, command, engine
from benchmarks.speed import generate, processor, processor_time
from esrt_core.architecture import SCALES
from esrt_core.system.process import configure_process


@dataclass(frozen=True)
class Cost:
    """Hold processor times in s."""

    numpy: float
    engine: float
    command: float


def main() -> None:
    configure_process()
    options = parse()
    run_engine, run_command = engine("fp32")(options.scale, options.threads), command(options.scale, options.threads)
    print(f"x{options.scale}, {options.threads} thread(s), {options.rounds} rounds, {processor()}\n")
    print("| picture, px | import NumPy, s | engine, s | command, s | command / bound | us per px: engine, command |")
    print("|---|---|---|---|---|---|")
    for width, height in options.sizes:
        picture = generate((width, height))[0]
        run_engine(picture[:256, :256])  # warms up
        costs = [cost(picture, run_engine, run_command) for _ in range(options.rounds)]
        print(row(width, height, costs), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, choices=SCALES, default=2)
    parser.add_argument("--sizes", type=size, nargs="+", default=[(512, 512)], metavar="WxH")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def cost(picture: Rgb, run_engine: Callable[[Rgb], None], run_command: Callable[[Rgb], None]) -> Cost:
    return Cost(taken(import_numpy), taken(lambda: run_engine(picture)), taken(lambda: run_command(picture)))


def taken(run: Callable[[], object]) -> float:
    """Return the processor time of a call, with that of children that ended meanwhile, in s."""
    before = processor_time()
    run()
    return processor_time() - before


def import_numpy() -> None:
    subprocess.run([sys.executable, "-c", "import numpy"], check=True)


def row(width: int, height: int, costs: list[Cost]) -> str:
    numpy, bare, whole = (
        statistics.median(values) for values in zip(*((c.numpy, c.engine, c.command) for c in costs), strict=True)
    )
    pixels = width * height / 1e6
    ratio = statistics.median(c.command / (c.engine + c.numpy) for c in costs)
    return (
        f"| {width} x {height} | {numpy:.2f} | {bare:.2f} | {whole:.2f} | {ratio:.2f} | "
        f"{bare / pixels:.1f}, {whole / pixels:.1f} |"
    )


if __name__ == "__main__":
    main()
