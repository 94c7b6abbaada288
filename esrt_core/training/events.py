"""What a training run reports while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Notice:
    """Say one sentence that the user should know."""

    text: str


@dataclass(frozen=True)
class Unusable:
    """Name a file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Started:
    """Describe the run before its first step. PSNR on Y of the held-out pictures, dB."""

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
    """Sum up the steps since the last such report (one row of log.csv)."""

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
        """Seconds until the end at the present pace, None at the very start."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction > 0 else None


@dataclass(frozen=True)
class Validated:
    """Report a validation. PSNR on Y, dB; `best` says that these weights are the best so far."""

    step: int
    seconds: float
    psnr: float
    best: bool


TrainEvent = Notice | Unusable | Started | Trained | Validated
TrainObserver = Callable[[TrainEvent], None]


def ignore_event(event: TrainEvent) -> None:
    """Take a report and do nothing with it."""
