"""The one typed callback through which long work reports."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Say how far a stage of the work has come.

    `done` and `total` count `unit`s (tiles, pictures, frames, steps, bytes); `total` is 0 when it is unknown.
    """

    stage: str
    done: int
    total: int
    unit: str


ProgressCallback = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Take a report and do nothing with it."""
