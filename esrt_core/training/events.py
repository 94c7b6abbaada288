"""Events that a training run reports to its observer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Notice:
    """Carry one sentence for the user."""

    text: str


@dataclass(frozen=True)
class Unusable:
    """Name a file that cannot be used, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Started:
    """Describe the run before its first step; PSNR is on Y of the held-out pictures, dB."""

    folder: Path
    device: str
    pictures: int
    held_out: int
    bicubic_psnr: float
    start_psnr: float
    step: int
    seconds: float


@dataclass(frozen=True)
class Trained:
    """Summarize the steps since the previous event of this type (one row of log.csv)."""

    step: int
    seconds: float
    fraction: float
    loss: float
    lr: float
    patch: int
    batch: int
    pixels_per_second: float

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds until the end at the current speed, None at the very start."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction > 0 else None


@dataclass(frozen=True)
class Validated:
    """Report a validation; PSNR is on Y, dB, and `best` is true if these weights are the best so far."""

    step: int
    seconds: float
    psnr: float
    best: bool


TrainEvent = Notice | Unusable | Started | Trained | Validated
TrainObserver = Callable[[TrainEvent], None]


def ignore_event(event: TrainEvent) -> None:
    """Ignore an event."""
