"""What is due at each step: learning rate, patch, batch, loss. Pure, and without torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FLOOR = 0.01  # of the peak: where the cosine ends
ALONE = 0.04  # share of a run in which a new upsampler is trained while the body rests


@dataclass(frozen=True)
class Stage:
    """Hold the LR patch side and the batch until `end`, a share of the run."""

    end: float
    patch: int
    batch: int


# Small patches first: more pictures a second. In the last stage attention has windows of the size that inference uses.
CPU_STAGES = (Stage(0.45, 24, 16), Stage(0.75, 32, 12), Stage(1.0, 48, 6))
GPU_STAGES = (Stage(1.0, 48, 48),)  # one: every other shape would be compiled anew


@dataclass(frozen=True)
class Point:
    """Hold what is due at one step. `body_rests` while only the upsampler is trained."""

    fraction: float
    lr_factor: float
    stage: Stage
    body_rests: bool
    mse: bool


@dataclass(frozen=True)
class Schedule:
    """Plan a run of `steps` steps, or of `seconds` when steps is None.

    Linear warm-up over `warmup` steps (again when the body joins in), one cosine from the peak to FLOOR.
    """

    steps: int | None
    seconds: float | None
    stages: Sequence[Stage]
    warmup: int
    upsampler_alone: bool = False
    mse_last: float = 0.0

    def fraction(self, step: int, seconds: float) -> float:
        """Return the share of the run that is done, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (self.seconds or 1.0))

    def at(self, step: int, seconds: float, joined: int | None) -> Point:
        """Return what is due. `joined` is the step at which the body joined in, None while it has not."""
        fraction = self.fraction(step, seconds)
        since = step if not self.upsampler_alone else step - (joined or 0)
        warm = min(1.0, (since + 1) / (self.warmup + 1))
        cosine = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * fraction))
        stage = next((stage for stage in self.stages if fraction < stage.end), self.stages[-1])
        rests = self.upsampler_alone and fraction < ALONE
        return Point(fraction, warm * cosine, stage, rests, fraction >= 1 - self.mse_last)


def plan_stages(cuda: bool, patch: int | None, batch: int | None, world: int) -> tuple[Stage, ...]:
    """Return the stages of the device, or one of the given patch and batch.

    With a patch alone the batch covers as many LR px as the device's first stage; with a batch alone the patches keep
    the stages. Batches are rounded up to a multiple of `world`, the number of processes.
    """
    stages: Sequence[Stage] = GPU_STAGES if cuda else CPU_STAGES
    if patch is not None:
        area = stages[0].batch * stages[0].patch ** 2
        stages = (Stage(1.0, patch, max(1, round(area / patch**2))),)
    return tuple(Stage(s.end, s.patch, world * math.ceil((batch or s.batch) / world)) for s in stages)
