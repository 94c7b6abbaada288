"""The schedule of a run: learning rate, patch, batch and loss at each step, without torch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FLOOR = 0.01  # share of the peak at which the cosine ends
MAX_WARMUP_SHARE = 0.1  # of a run: a short one ends its warm-up early


@dataclass(frozen=True)
class Stage:
    """Hold the side of an LR patch in px and the batch size until `end`, a share of the run."""

    end: float
    patch: int
    batch: int


# Small patches first: more pictures per second. In the last stage the attention windows are as large as in inference.
CPU_STAGES = (Stage(0.45, 24, 16), Stage(0.75, 32, 12), Stage(1.0, 48, 6))
GPU_STAGES = (Stage(1.0, 48, 48),)  # only one: every further shape would be compiled again


@dataclass(frozen=True)
class Point:
    """Hold the settings of one step; `fraction` is the share of the run that is done, `mse` true if the loss is MSE."""

    fraction: float
    lr_factor: float
    stage: Stage
    mse: bool


@dataclass(frozen=True)
class Schedule:
    """Plan a run of `steps` steps, or of `seconds` if `steps` is None.

    The learning rate rises linearly over `warmup` steps, at most MAX_WARMUP_SHARE of the run, and follows one cosine
    from the peak to FLOOR.
    """

    steps: int | None
    seconds: float | None
    stages: Sequence[Stage]
    warmup: int
    mse_last: float = 0.0

    def fraction(self, step: int, seconds: float) -> float:
        """Return the share of the run that is done, from 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (self.seconds or 1.0))

    def expected_steps(self, seconds_per_pixel: float) -> float:
        """Return the steps of the whole run if a step takes so many seconds per LR px of its batch."""
        if self.steps is not None:
            return self.steps
        return (self.seconds or 1.0) * sum(share / (px * seconds_per_pixel) for share, px in self._shares())

    def seconds_for(self, steps: int, seconds_per_pixel: float) -> float:
        """Return the seconds of a run of so many steps with these stages, at this speed."""
        if self.steps is not None:
            return steps * seconds_per_pixel * sum(share * px for share, px in self._shares())
        return steps / sum(share / (px * seconds_per_pixel) for share, px in self._shares())

    def _shares(self) -> Iterator[tuple[float, int]]:
        """Yield the share of the run and the LR px of a batch of every stage."""
        ends = (0.0, *(stage.end for stage in self.stages))
        for begin, stage in zip(ends, self.stages, strict=False):
            yield stage.end - begin, stage.batch * stage.patch**2

    def at(self, step: int, seconds: float) -> Point:
        """Return the settings of a step."""
        fraction = self.fraction(step, seconds)
        cosine = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * fraction))
        stage = next((stage for stage in self.stages if fraction < stage.end), self.stages[-1])
        warm = min(1.0, max((step + 1) / (self.warmup + 1), fraction / MAX_WARMUP_SHARE))
        return Point(fraction, warm * cosine, stage, fraction >= 1 - self.mse_last)


def plan_stages(cuda: bool, patch: int | None, batch: int | None, world: int) -> tuple[Stage, ...]:
    """Return the stages of the device, or a single one with the given patch and batch.

    If only `patch` is given, the batch has as many LR px as in the device's first stage; if only `batch` is given, the
    patches follow the device's stages. Batches are rounded up to a multiple of `world`, the number of processes.
    """
    stages: Sequence[Stage] = GPU_STAGES if cuda else CPU_STAGES
    if patch is not None:
        area = stages[0].batch * stages[0].patch ** 2
        stages = (Stage(1.0, patch, max(1, round(area / patch**2))),)
    return tuple(Stage(s.end, s.patch, world * math.ceil((batch or s.batch) / world)) for s in stages)
