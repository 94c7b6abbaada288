"""The typed callback through which long work reports its progress."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Report how much of one stage is done.

    `done` and `total` count `unit`s (tiles, pictures, frames, steps, bytes); `total` is 0 if unknown.
    """

    stage: str
    done: int
    total: int
    unit: str


ProgressCallback = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Ignore a progress report."""
