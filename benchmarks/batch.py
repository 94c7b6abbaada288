"""Compare the time for a folder of small pictures with that of the bare network on the same tiles.

    python benchmarks/batch.py --pictures 200 --format png --rounds 2

Both run in turn in one process, in the opposite order in every other round, so that warming up does not burden either;
on a busy machine the ratio of their processor times means more than that of wall-clock times. The bare network gets the
same decoded frames in the same order, without files, manifest or codecs. Every run has an engine of its own, or it
would reuse tiles computed by the previous run. Memory is the resident set, sampled all the time: its peak until the
tenth picture is done, and its peak after that.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.media.image.decode import decode
from esrt_core.media.image.picture import ReadLimits
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import plan_folder
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import StopRequest, run_folder
from esrt_core.pipeline.enlarge import prepare
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.sizes import SizeRequest, exact, plan_size
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process


def draw_pictures(folder: Path, count: int, extension: str) -> None:
    """Write pictures of 64 to 200 px a side that compress like photos: smooth shapes and a little noise."""
    rng = np.random.default_rng(0)
    for index in range(count):
        width, height = rng.integers(64, 201, 2)
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin(x / rng.uniform(3, 30) + y / rng.uniform(3, 30) + phase) for phase in range(3)]
        pixels = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 4, (height, width, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index:04}.{extension}")


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / 1e6


class Watch:
    """Sample the memory while the block runs; `peaks` holds the peak between the calls of next()."""

    def __init__(self) -> None:
        self.peaks = [0.0]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def next(self) -> None:
        """Begin a new peak."""
        self.peaks.append(resident_megabytes())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.peaks[-1] = max(self.peaks[-1], resident_megabytes())


@dataclass(frozen=True)
class Spent:
    """Hold wall-clock seconds, and processor seconds of all threads together."""

    clock: float
    processor: float


@contextmanager
def measured(spent: list[Spent]) -> Iterator[None]:
    """Append the time that the block takes."""
    clock, processor = time.perf_counter(), time.process_time()
    yield
    spent.append(Spent(time.perf_counter() - clock, time.process_time() - processor))


def run_bare(folder: Path, pool: UpscalerPool, size: SizeRequest, spent: list[Spent]) -> None:
    """Measure the bare network."""
    frames = [next(iter(decode(path, ReadLimits()).pages)).frame for path in sorted(folder.iterdir())]
    plans = [plan_size(size, frame.width, frame.height, pool.scales) for frame in frames]
    ready = [prepare(frame, plan) for frame, plan in zip(frames, plans, strict=True)]
    upscaler = pool.upscaler(plans[0].passes[0])
    with measured(spent):
        for _ in upscaler.upscale_many(ready):
            pass


def run_batch(options: FolderOptions, pool: UpscalerPool, memory: list[float], spent: list[Spent]) -> None:
    """Measure a run after planning, and the peak memory until the end of each picture."""
    plan = plan_folder(options, pool)
    workers = make_workers(plan)
    with Watch() as watch, measured(spent):
        result = run_folder(plan, workers, lambda _: watch.next(), StopRequest())
    memory += watch.peaks
    assert result.done == len(plan.tasks)


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--format", default="png")
    parser.add_argument("--scale", default="4")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    engine = EngineOptions(asked.device, asked.threads)
    size = SizeRequest(exact(asked.scale, "--scale"))
    with tempfile.TemporaryDirectory() as work:
        source, target = Path(work, "in"), Path(work, "out")
        source.mkdir()
        draw_pictures(source, asked.pictures, asked.format)
        upscale = UpscaleOptions(size, model=asked.model, engine=engine)
        options = FolderOptions((str(source),), str(target), upscale, devices=(asked.device,))
        bare: list[Spent] = []
        whole: list[Spent] = []
        for turn in range(asked.rounds):
            memory: list[float] = []
            for bare_now in (True, False) if turn % 2 == 0 else (False, True):
                if bare_now:
                    run_bare(source, UpscalerPool(asked.model, engine), size, bare)
                else:
                    run_batch(options, UpscalerPool(asked.model, engine), memory, whole)
            print(
                f"{asked.pictures} {asked.format}: bare {bare[-1].clock:.2f} s, batch {whole[-1].clock:.2f} s; "
                f"processors {bare[-1].processor:.2f} s, {whole[-1].processor:.2f} s; "
                f"memory at most {max(memory[:10]):.0f} MB in the first ten, {max(memory[10:], default=0):.0f} later",
                flush=True,
            )
            shutil.rmtree(target)
    for name in ("clock", "processor"):
        ratios = [getattr(after, name) / getattr(before, name) for before, after in zip(bare, whole, strict=True)]
        print(f"median x {statistics.median(ratios):.3f} by {name}")


if __name__ == "__main__":
    main()
