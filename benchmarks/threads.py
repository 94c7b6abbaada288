"""Measure what threads of the native network cost: against as many processes, and on a machine that is busy.

    python -m benchmarks.threads --scale 4 --threads 2 --rounds 9

In every round THREADS processes upscale a picture with one thread each at the same time, and then one process upscales
as many with THREADS threads; the share is what the latter does in a second, of what the former do. Then a picture of
64 x 64 px is upscaled beside as many busy processes as there are cores, by the network alone and by the command; the
time that passes is compared with the processor time that it takes without them. Figures are medians. Nothing else may
run: what does takes its part of the cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.speed import generate, processor_time
from benchmarks.speed import processor as processor_name
from esrt_core.architecture import SCALES
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.plan import make_plan
from esrt_core.weights.store import resolve
from esrt_core.weights.tensors import load_weights

SMALL = (64, 64)  # px
SPAWN = get_context("spawn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, choices=SCALES, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, nargs=2, default=(144, 144), metavar=("W", "H"))
    options = parser.parse_args()
    print(f"x{options.scale}, {options.threads} threads, {options.rounds} rounds, {processor_name()}, ", end="")
    print(f"{os.cpu_count()} cores\n")
    width, height = options.size
    share = threads_against_processes((width, height), options.scale, options.threads, options.rounds)
    print(f"{width} x {height} px: {options.threads} threads do {share:.2f} of what as many processes do")
    enlarge = enlarger(SMALL, options.scale)
    report_busy("network, 64 x 64 px", lambda: enlarge(options.threads), options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        words = command_words(Path(folder), options.scale, options.threads)
        report_busy("command, 64 x 64 px", lambda: void(subprocess.run(words, check=True)), options.rounds)


def enlarger(size: tuple[int, int], scale: int) -> Callable[[int], None]:
    """Return what upscales a picture of smooth noise, as one tile, in so many threads."""
    network = NativeESRT(load_weights(resolve("clean", scale).path).tensors, scale)
    picture = generate(size)[0].astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
    windows = make_plan(*size, scale).windows
    return lambda threads: void(network(picture, windows, threads))


def void(_: object) -> None:
    return None


def threads_against_processes(size: tuple[int, int], scale: int, threads: int, rounds: int) -> float:
    """Return the share of the processes' pictures a second that one process with as many threads reaches."""
    workers = [start(size, scale) for _ in range(threads)]
    shares = []
    for _ in range(rounds):
        separate = sum(1 / seconds for seconds in upscale(workers, 1, threads))
        together = 1 / upscale(workers[:1], threads, threads)[0]
        shares.append(together / separate)
    for process, pipe in workers:
        pipe.send(None)
        process.join()
    return statistics.median(shares)


def start(size: tuple[int, int], scale: int) -> tuple[BaseProcess, Connection]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=work, args=(size, scale, theirs), daemon=True)
    process.start()
    return process, ours


def work(size: tuple[int, int], scale: int, pipe: Connection) -> None:
    """Upscale as many pictures in as many threads as asked for; answer with the seconds that one took."""
    enlarge = enlarger(size, scale)
    enlarge(1)
    while (asked := pipe.recv()) is not None:
        threads, pictures = asked
        began = time.perf_counter()
        for _ in range(pictures):
            enlarge(threads)
        pipe.send((time.perf_counter() - began) / pictures)


def upscale(workers: list[tuple[BaseProcess, Connection]], threads: int, pictures: int) -> list[float]:
    """Let the workers upscale at the same time; return the seconds that a picture took in each."""
    for _, pipe in workers:
        pipe.send((threads, pictures))
    return [pipe.recv() for _, pipe in workers]


def report_busy(label: str, run: Callable[[], None], rounds: int) -> None:
    """Print the time that `run` takes beside busy processes against its processor time without them."""
    run()
    quiet = statistics.median(measured(run)[1] for _ in range(rounds))
    with busy_cores():
        busy = statistics.median(measured(run)[0] for _ in range(rounds))
    print(f"{label}: {busy:.3f} s beside busy processes, {busy / quiet:.2f} of its {quiet:.3f} s of processor time")


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds that pass, and the processor's, children included."""
    wall, processor = time.perf_counter(), processor_time()
    run()
    return time.perf_counter() - wall, processor_time() - processor


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with a process that computes without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    time.sleep(1)  # until all have started
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def command_words(folder: Path, scale: int, threads: int) -> list[str]:
    source = folder / "in.png"
    Image.fromarray(generate(SMALL)[0]).save(source)
    options = ["--scale", str(scale), "--threads", str(threads), "--device", "cpu", "--model", "clean", "--overwrite"]
    return [sys.executable, "-m", "esrt_cli", "upscale", str(source), "-o", str(folder / "out.png"), "-q", *options]


if __name__ == "__main__":
    main()
