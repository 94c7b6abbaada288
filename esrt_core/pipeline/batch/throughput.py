"""Measure the progress and throughput of a folder, and estimate the time it will take."""

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
from esrt_core.engine.threads import cpu_threads, take_cpu_threads
from esrt_core.media.frame import Frame
from esrt_core.pipeline.image.plan import UpscalePlan
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

CALIBRATION_SECONDS = 2.0
LONG_FOLDER = 2_000_000  # px through the network; for fewer, measuring would take a large part of the time
_SIDE = 240  # px of the largest sample: one tile
Clock = Callable[[], float]


class Planned(Protocol):
    """A picture to upscale: its file or address, and its plan."""

    @property
    def plan(self) -> UpscalePlan:
        """The plan."""

    @property
    def source(self) -> Path | str:
        """The picture's file or address."""


@dataclass(frozen=True)
class Status:
    """Hold the progress of a run.

    pictures      in total; `ended` ones include the `failed` ones.
    megapixels    million px of results.
    share         of the network's work that is done, 0..1.
    seconds_left  at the rate so far, None if there is no rate yet.
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
        """Pictures that were upscaled per second; those that failed do not count."""
        return (self.ended - self.failed) / self.seconds if self.seconds else 0.0

    @property
    def megapixels_per_second(self) -> float:
        """Million px of results per second."""
        return self.megapixels / self.seconds if self.seconds else 0.0


class Throughput:
    """Count finished pictures, weighted by how much computation they take.

    The rate is the network's when it last finished something: pictures leave it in groups and are written while it
    continues, so that some of the time until a picture is written belongs to pictures that are not counted yet.
    """

    def __init__(self, tasks: Sequence[Planned], pool: UpscalerPool, clock: Clock = time.perf_counter) -> None:
        self._works = {id(task): work_of(task.plan, pool) for task in tasks}
        self._total = sum(self._works.values())
        self._clock = clock
        self._started = self._computed_at = clock()
        self._pictures = len(tasks)
        self._ended = self._failed = 0
        self._megapixels = self._computed = 0.0
        self._lock = threading.Lock()

    def compute(self, task: Planned) -> None:
        """Count a task that the network has finished; may be called from any thread."""
        with self._lock:
            self._computed += self._works.pop(id(task), 0.0)
            self._computed_at = self._clock()

    def _drop(self, task: Planned) -> None:
        """Take a task that failed before it was computed out of the work: it is not speed."""
        with self._lock:
            self._total -= self._works.pop(id(task), 0.0)

    def end(self, task: Planned, failed: bool) -> Status:
        """Count a task that ended at any stage, and return the progress."""
        if failed:
            self._drop(task)
        elif id(task) in self._works:
            self.compute(task)
        self._ended += 1
        self._failed += failed
        size = task.plan.size
        self._megapixels += 0 if failed else size.width * size.height * task.plan.pages / 1e6
        with self._lock:
            share = self._computed / self._total if self._total else 1.0
            now, spent = self._clock(), self._computed_at - self._started
            left = max(0.0, spent * (1 - share) / share - (now - self._computed_at)) if share else None
        return Status(self._pictures, self._ended, self._failed, self._megapixels, share, now - self._started, left)


def work_of(plan: UpscalePlan, pool: UpscalerPool) -> float:
    """Estimate the multiply-adds of a picture over all its pages and passes."""
    pool = pool.for_chain(plan.chain)
    steps = enumerate(zip(plan.size.passes, plan.size.entering(plan.info.width, plan.info.height), strict=True))
    parts = plan.pages * (2 if plan.info.has_alpha else 1)  # alpha is a second, gray picture for the network
    return parts * sum(
        estimate_work(pool.upscaler(scale, pass_index).plan(*size)) for pass_index, (scale, size) in steps
    )


def is_long(tasks: Sequence[Planned]) -> bool:
    """Return whether the work is long enough to spend two seconds on an estimate."""
    plans = [task.plan for task in tasks]
    return sum(plan.info.width * plan.info.height * plan.pages for plan in plans) >= LONG_FOLDER


def expected_seconds(
    tasks: Sequence[Planned], workers: Sequence[UpscalerPool], clock: Clock = time.perf_counter
) -> float:
    """Estimate the seconds for all tasks by running all networks at once for two seconds on noise of the tasks' sizes.

    They share the CPU's threads and slow each other down as they will in the actual run.
    """
    total = sum(work_of(task.plan, workers[0]) for task in tasks)
    sizes = sorted((min(task.plan.info.width, _SIDE), min(task.plan.info.height, _SIDE)) for task in tasks)
    samples = sizes[len(sizes) // 16 :: max(len(sizes) // 8, 1)]
    first = tasks[0].plan
    threads = cpu_threads()

    def seconds_per_work(pool: UpscalerPool) -> float:
        take_cpu_threads(max(1, threads // len(workers)))
        return _seconds_per_work(pool.for_chain(first.chain).upscaler(first.size.passes[0]), samples, clock)

    with ThreadPoolExecutor(len(workers)) as pool:
        return total / sum(1 / seconds for seconds in pool.map(seconds_per_work, workers))


def _seconds_per_work(upscaler: "Upscaler", samples: Sequence[tuple[int, int]], clock: Clock) -> float:
    noise = np.random.default_rng(0)
    upscaler.upscale(_sample(samples[0], noise))  # the first run includes one-time preparations
    started, work = clock(), 0.0
    for size in cycle(samples):
        upscaler.upscale(_sample(size, noise))
        work += estimate_work(upscaler.plan(*size))
        if clock() - started >= CALIBRATION_SECONDS:
            break
    return (clock() - started) / work


def _sample(size: tuple[int, int], noise: np.random.Generator) -> Frame:
    return Frame((noise.integers(0, 256, (size[1], size[0], 3), np.uint8),))
