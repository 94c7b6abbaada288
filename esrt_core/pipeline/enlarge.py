"""One frame through all passes of its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esrt_core.media.alpha import bleed
from esrt_core.media.frame import Frame
from esrt_core.media.resize import resize_frame, with_depth
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaled


@dataclass(frozen=True)
class Enlarged:
    """Hold a larger frame and how it came about; `tile` is the smallest one used, in px."""

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


def enlarge(frame: Frame, size: SizePlan, pool: UpscalerPool, progress: ProgressCallback = ignore_progress) -> Enlarged:
    """Enlarge a frame to the size of its plan; space, depth and alpha stay.

    Between passes, and before the reduction, an 8-bit frame has 16 bits, so that it is rounded to 8 only once.
    Progress is reported in tiles over all passes.
    """
    meter = PassProgress(tiles_of_passes(frame.width, frame.height, size, pool), progress)
    enlarged = prepared(frame, size)
    steps = []
    for pass_index, scale in enumerate(size.passes):
        steps.append(pool.upscaler(scale, pass_index).upscale(enlarged, meter))
        meter.next_pass()
        enlarged = steps[-1].frame
    return finished(_summed(steps), size, frame.depth)


def enlarge_group(
    frames: Sequence[Frame],
    passes: tuple[int, ...],
    pool: UpscalerPool,
    progress: ProgressCallback = ignore_progress,
) -> list[Enlarged]:
    """Take prepared frames through the same passes; tiles of small ones share batches. finished() is still to come.

    Progress is reported for a frame by itself.
    """
    steps: list[list[Upscaled]] = [[] for _ in frames]
    for pass_index, scale in enumerate(passes):
        upscaler = pool.upscaler(scale, pass_index)
        alone = len(frames) == 1
        made = [upscaler.upscale(frames[0], progress)] if alone else upscaler.upscale_many(frames)
        for own, upscaled in zip(steps, made, strict=True):
            own.append(upscaled)
        frames = [own[-1].frame for own in steps]
    return [_summed(own) for own in steps]


def prepared(frame: Frame, size: SizePlan) -> Frame:
    """Return a frame as the first pass takes it: color bled under its alpha, and precise where it is rounded later."""
    return with_depth(bleed(frame), size.depth_between(frame.depth))


def finished(enlarged: Enlarged, size: SizePlan, depth: int) -> Enlarged:
    """Reduce what the last pass gave to its final size, where that is smaller, and to `depth`."""
    frame = enlarged.frame
    if size.resample:
        frame = resize_frame(frame, size.width, size.height)
    return replace(enlarged, frame=with_depth(frame, depth))


def _summed(steps: Sequence[Upscaled]) -> Enlarged:
    """Put the passes of one frame together."""
    return Enlarged(
        steps[-1].frame,
        tuple(dict.fromkeys(note for step in steps for note in step.notes)),
        min(step.tile for step in steps),
        sum(step.computed for step in steps),
        sum(step.reused for step in steps),
    )


def tiles_of_passes(width: int, height: int, size: SizePlan, pool: UpscalerPool) -> tuple[int, ...]:
    """Return how many tiles every pass over a (width, height) px picture takes."""
    steps = zip(size.passes, size.entering(width, height), strict=True)
    return tuple(pool.upscaler(scale, pass_index).plan(*sides).tiles for pass_index, (scale, sides) in enumerate(steps))


class PassProgress:
    """Turn the engine's reports on single passes into one count of tiles over all of them."""

    def __init__(self, tiles: tuple[int, ...], progress: ProgressCallback) -> None:
        self._tiles = tiles
        self._progress = progress
        self._passes = 0

    def __call__(self, report: Progress) -> None:
        """Take a report of the pass in hand. Its own total may be larger than planned: alpha has tiles too."""
        share = report.done / report.total if report.total else 0.0
        done = sum(self._tiles[: self._passes]) + round(share * self._tiles[self._passes])
        self._progress(Progress(report.stage, done, sum(self._tiles), report.unit))

    def next_pass(self) -> None:
        """Go on to the next pass."""
        self._passes += 1
