"""How far a folder has come, how fast, and how long it will take."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esrt_core.engine.plan import estimate_work
from esrt_core.media.frame import Frame
from esrt_core.pipeline.image.plan import UpscalePlan
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

CALIBRATION_SECONDS = 2.0
LONG_FOLDER = 2_000_000  # px through the network; below that, finding out how long it takes is a good part of the work
_SIDE = 240  # px; of the largest sample: one tile

Clock = Callable[[], float]


class Planned(Protocol):
    """Know one picture to do: its file or address, and its plan."""

    @property
    def plan(self) -> UpscalePlan:
        """What will be done."""

    @property
    def source(self) -> Path | str:
        """The picture's file or address."""


@dataclass(frozen=True)
class Status:
    """Say how far the work is: pictures, million px of results, and the share that the network has done.

    `seconds_left` is what the rest takes at the pace so far, None where there is no pace yet.
    """

    pictures: int
    ended: int
    failed: int
    megapixels: float
    share: float
    seconds: float
    seconds_left: float | None

    @property
    def pictures_per_second(self) -> float:
        """Pictures that ended, a second."""
        return self.ended / self.seconds if self.seconds else 0.0

    @property
    def megapixels_per_second(self) -> float:
        """Million px of results, a second."""
        return self.megapixels / self.seconds if self.seconds else 0.0


class Throughput:
    """Count what ends, weighted by how much computation it takes.

    The pace is that of the network when it last finished something: pictures leave it in groups and are written while
    it works on, so that at the end of one of them a part of the time belongs to pictures that are not counted yet.
    """

    def __init__(self, tasks: Sequence[Planned], pool: UpscalerPool, clock: Clock = time.perf_counter) -> None:
        self._works = {id(task): work_of(task.plan, pool) for task in tasks}
        self._total = sum(self._works.values())
        self._clock = clock
        self._started = self._computed_at = clock()
        self._pictures = len(tasks)
        self._ended = self._failed = 0
        self._megapixels = self._computed = 0.0
        self._one_at_a_time = threading.Lock()

    def compute(self, task: Planned) -> None:
        """Count a task that the network has done; safe to call from any thread."""
        with self._one_at_a_time:
            self._computed += self._works.pop(id(task), 0.0)
            self._computed_at = self._clock()

    def end(self, task: Planned, failed: bool) -> Status:
        """Count a task that ended, wherever it did, and return how far the work is."""
        if id(task) in self._works:
            self.compute(task)
        self._ended += 1
        self._failed += failed
        size = task.plan.size
        self._megapixels += 0 if failed else size.width * size.height * task.plan.pages / 1e6
        with self._one_at_a_time:
            share = self._computed / self._total if self._total else 1.0
            now, spent = self._clock(), self._computed_at - self._started
            left = max(0.0, spent * (1 - share) / share - (now - self._computed_at)) if share else None
        return Status(self._pictures, self._ended, self._failed, self._megapixels, share, now - self._started, left)


def work_of(plan: UpscalePlan, pool: UpscalerPool) -> float:
    """Return about how many multiply-adds a picture takes over all its pages and passes."""
    pool = pool.for_chain(plan.chain)
    steps = enumerate(zip(plan.size.passes, plan.size.entering(plan.info.width, plan.info.height), strict=True))
    parts = plan.pages * (2 if plan.info.has_alpha else 1)  # alpha goes through the network as a gray picture
    return parts * sum(estimate_work(pool.upscaler(scale, place).plan(*size)) for place, (scale, size) in steps)


def is_long(tasks: Sequence[Planned]) -> bool:
    """Tell whether an estimate is worth its two seconds."""
    plans = [task.plan for task in tasks]
    return sum(plan.info.width * plan.info.height * plan.pages for plan in plans) >= LONG_FOLDER


def expected_seconds(
    tasks: Sequence[Planned], workers: Sequence[UpscalerPool], clock: Clock = time.perf_counter
) -> float:
    """Estimate the time for all tasks by two seconds of all networks at once, on pictures of the tasks' sizes.

    They slow each other down, as they will in the work itself, and share the threads of the CPU.
    """
    total = sum(work_of(task.plan, workers[0]) for task in tasks)
    sizes = sorted((min(task.plan.info.width, _SIDE), min(task.plan.info.height, _SIDE)) for task in tasks)
    samples = sizes[len(sizes) // 16 :: max(len(sizes) // 8, 1)]
    first = tasks[0].plan
    from esrt_core.engine.device import cpu_threads, take_cpu_threads  # torch, which only this needs

    threads = cpu_threads()

    def seconds_per_work(pool: UpscalerPool) -> float:
        take_cpu_threads(max(1, threads // len(workers)))
        return _seconds_per_work(pool.for_chain(first.chain).upscaler(first.size.passes[0]), samples, clock)

    try:
        with ThreadPoolExecutor(len(workers)) as pool:
            return total / sum(1 / seconds for seconds in pool.map(seconds_per_work, workers))
    finally:
        take_cpu_threads(threads)


def _seconds_per_work(upscaler: "Upscaler", samples: Sequence[tuple[int, int]], clock: Clock) -> float:
    noise = np.random.default_rng(0)
    upscaler.upscale(_sample(samples[0], noise))  # the first run also prepares the kernels
    started, work = clock(), 0.0
    for size in cycle(samples):
        upscaler.upscale(_sample(size, noise))
        work += estimate_work(upscaler.plan(*size))
        if clock() - started >= CALIBRATION_SECONDS:
            break
    return (clock() - started) / work


def _sample(size: tuple[int, int], noise: np.random.Generator) -> Frame:
    return Frame((noise.integers(0, 256, (size[1], size[0], 3), np.uint8),))
