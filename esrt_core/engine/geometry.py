"""Positions and overlaps of tiles and attention windows, in integers, one axis at a time, without torch."""

from dataclasses import dataclass
from itertools import pairwise

WINDOW = 48  # px; about the side of an attention window, in inference and in training


@dataclass(frozen=True)
class Overlap:
    """Hold the px [start, stop) over which one tile is blended into the next; empty for a hard cut."""

    start: int
    stop: int


@dataclass(frozen=True)
class Axis:
    """Hold one axis of a tiling: `size` px covered by tiles of one `length` that begin at `starts`."""

    size: int
    length: int
    starts: tuple[int, ...]
    overlaps: tuple[Overlap, ...]

    def span(self, index: int) -> tuple[int, int]:
        """Return the px [start, stop) that a tile contributes, including its seams."""
        start = self.overlaps[index - 1].start if index else 0
        stop = self.overlaps[index].stop if index < len(self.overlaps) else self.size
        return start, stop


def split_axis(size: int, tile: int, halo: int, feather: int, window: int = WINDOW) -> Axis:
    """Cover `size` px with tiles of at most `tile` px that share at least 2 * `halo` px with their neighbors.

    All tiles have one length, the smallest with even windows, and begin at equal distances, so that no tile is mostly
    overlap. In the middle of each overlap `feather` px are blended. A `size` of up to `tile` px is one tile of exactly
    that size. If `size` is even, all starts and blended spans are even. `tile` must come from largest_side() and be at
    least 6 * `halo`; `halo` and `feather` must be even, `feather` at most 2 * `halo`.
    """
    if size <= tile:
        return Axis(size, size, (0,), ())
    overlap = 2 * halo
    count = _ceil_div(size - overlap, tile - overlap)
    needed = _ceil_div(size + (count - 1) * overlap, count)
    length = next(side for side in range(needed, tile + 1) if has_even_windows(side, window))
    travel = size - length  # of the last tile's start
    step = 2 if travel % 2 == 0 else 1
    starts = tuple(step * (i * travel // (step * (count - 1))) for i in range(count))
    overlaps = tuple(_overlap(start, previous + length, feather) for previous, start in pairwise(starts))
    return Axis(size, length, starts, overlaps)


def halved(axis: Axis) -> Axis:
    """Return the same tiling of a plane of half the size, such as chroma; everything in `axis` must be even."""
    starts = tuple(start // 2 for start in axis.starts)
    overlaps = tuple(Overlap(overlap.start // 2, overlap.stop // 2) for overlap in axis.overlaps)
    return Axis(axis.size // 2, axis.length // 2, starts, overlaps)


def largest_side(tile: int, window: int) -> int:
    """Return the largest tile side up to `tile` px with even windows."""
    return next(side for side in range(tile, 0, -1) if has_even_windows(side, window))


def has_even_windows(length: int, window: int) -> bool:
    """Return whether all windows of a side are equal and even, so that their four pieces are equal, which is faster."""
    return length % (2 * window_count(length, window)) == 0


def window_count(length: int, window: int) -> int:
    """Return the number of windows of about `window` px in a side; even windows if a sixth more or less allows it."""
    nearest = max(1, (2 * length + window) // (2 * window))
    for count in (nearest, nearest + 1, nearest - 1):
        if count and length % (2 * count) == 0 and 6 * abs(length - count * window) <= count * window:
            return count
    return nearest


def windows_of(height: int, width: int, window: int = WINDOW) -> tuple[int, int]:
    """Return the numbers (rows, columns) of attention windows in a feature map."""
    return window_count(height, window), window_count(width, window)


def _overlap(start: int, stop: int, feather: int) -> Overlap:
    """Center a seam of `feather` px in the overlap [start, stop); it starts even if the overlap does."""
    margin = (stop - start - feather) // 4 * 2
    return Overlap(start + margin, start + margin + feather)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
