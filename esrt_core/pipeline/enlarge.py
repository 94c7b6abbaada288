"""Take frames through all network passes of their plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from esrt_core.media.alpha import bleed
from esrt_core.media.frame import Frame, Plane
from esrt_core.media.resize import resize_frame, with_depth
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaled

_ROWS = 256  # blended at a time


def enlarge(frame: Frame, size: SizePlan, pool: UpscalerPool, progress: ProgressCallback = ignore_progress) -> Upscaled:
    """Enlarge a frame to the size of its plan, keeping color space, depth and alpha.

    Between passes, and before the reduction, an 8-bit frame has 16 bits, so that it is rounded to 8 only once.
    `progress` counts tiles over all passes.
    """
    return finish(enlarge_frames([prepare(frame, size)], size.passes, pool, progress)[0], size, frame.depth)


def prepare(frame: Frame, size: SizePlan) -> Frame:
    """Return the input of the first pass: color bled under alpha, and 16 bits if it will be rounded again."""
    return with_depth(bleed(frame), size.depth_between(frame.depth))


def enlarge_frames(
    frames: Sequence[Frame],
    passes: Sequence[int],
    pool: UpscalerPool,
    progress: ProgressCallback = ignore_progress,
) -> list[Upscaled]:
    """Take prepared frames through the same passes; tiles of small frames share batches. finish() completes them.

    `progress` counts tiles over all passes; it is called for a single frame only.
    """
    upscaled: list[Upscaled] = []
    report = _PassProgress(frames[0], passes, pool, progress)
    for index, scale in enumerate(passes):
        upscaler = pool.upscaler(scale, index)
        results = [upscaler.upscale(frames[0], report)] if len(frames) == 1 else list(upscaler.upscale_many(frames))
        weaker = pool.weaker() if index == 0 else None
        if weaker is not None:
            others = weaker.upscaler(scale).upscale_many(frames)
            results = [_blended(*pair, pool.chain.strength or 0) for pair in zip(others, results, strict=True)]
        report.next_pass()
        frames = [result.frame for result in results]
        upscaled = [total(pair) for pair in zip(upscaled, results, strict=True)] if upscaled else results
    return upscaled


def finish(upscaled: Upscaled, size: SizePlan, depth: int) -> Upscaled:
    """Return the output of the last pass reduced to the final size, if that is smaller, and in `depth` bits."""
    frame = resize_frame(upscaled.frame, size.width, size.height) if size.resample else upscaled.frame
    return replace(upscaled, frame=with_depth(frame, depth))


def tiles_of_passes(width: int, height: int, passes: Sequence[int], pool: UpscalerPool) -> tuple[int, ...]:
    """Return the number of tiles of every pass over a picture of (width, height) px."""
    tiles = []
    for index, scale in enumerate(passes):
        tiles.append(pool.upscaler(scale, index).plan(width, height).tiles)
        width, height = width * scale, height * scale
    return tuple(tiles)


def _blended(weak: Upscaled, strong: Upscaled, strength: float) -> Upscaled:
    """Blend two results of one frame: `strength` is the share of the second."""
    pairs = zip(weak.frame.all_planes(), strong.frame.all_planes(), strict=True)
    planes = [_mixed(*pair, strength) for pair in pairs]
    count = len(strong.frame.planes)
    frame = replace(strong.frame, planes=tuple(planes[:count]), alpha=planes[count] if planes[count:] else None)
    return replace(total([weak, strong]), frame=frame)


def _mixed(weak: Plane, strong: Plane, strength: float) -> Plane:
    """Mix two planes in float32, a band of rows at a time; integers are rounded."""
    mixed = np.empty_like(strong)
    for top in range(0, len(mixed), _ROWS):
        rows = slice(top, top + _ROWS)
        band = weak[rows].astype(np.float32)
        band += strength * (strong[rows].astype(np.float32) - band)
        mixed[rows] = band if mixed.dtype == np.float32 else np.floor(band + 0.5)
    return mixed


def total(parts: Sequence[Upscaled]) -> Upscaled:
    """Return the last frame with what the engine did for all parts (passes or pages); `tile` is the smallest."""
    return replace(
        parts[-1],
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        tile=min(part.tile for part in parts),
        computed=sum(part.computed for part in parts),
        reused=sum(part.reused for part in parts),
    )


class _PassProgress:
    """Turn the engine's reports on single passes into one count of tiles over all of them."""

    def __init__(self, frame: Frame, passes: Sequence[int], pool: UpscalerPool, progress: ProgressCallback) -> None:
        self._tiles = tiles_of_passes(frame.width, frame.height, passes, pool)
        self._progress = progress
        self._passes = 0

    def __call__(self, report: Progress) -> None:
        """Take a report of the current pass. Its total may be larger than planned: alpha has tiles too."""
        share = report.done / report.total if report.total else 0.0
        done = sum(self._tiles[: self._passes]) + round(share * self._tiles[self._passes])
        self._progress(Progress(report.stage, done, sum(self._tiles), report.unit))

    def next_pass(self) -> None:
        """Continue with the next pass."""
        self._passes += 1
