"""Where candidates for the same picture differ most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]  # (H, W) or (H, W, C)
_CELLS = 4  # cells along a crop's side: crops start on this grid


@dataclass(frozen=True)
class Box:
    """Hold a rectangle in px."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: Pixels) -> Pixels:
        """Return the rectangle as a view."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def overlaps(self, other: "Box") -> bool:
        """Tell whether the two share a pixel."""
        rows = self.top < other.top + other.height and other.top < self.top + self.height
        columns = self.left < other.left + other.width and other.left < self.left + self.width
        return rows and columns


def most_different(candidates: Sequence[Pixels], side: int, count: int) -> tuple[Box, ...]:
    """Return up to `count` boxes of `side` x `side` px, none overlapping, where candidates differ most, worst first.

    Candidates are equally shaped (H, W) or (H, W, C). The difference of a pixel is the largest minus the smallest of
    its values, averaged over channels and the box. A side longer than the picture is cut to it.
    """
    height, width = candidates[0].shape[:2]
    rows, columns = min(side, height), min(side, width)
    cells = cell_differences(candidates, max(rows // _CELLS, 1), max(columns // _CELLS, 1))
    window = (min(_CELLS, cells.shape[0]), min(_CELLS, cells.shape[1]))
    sums = np.lib.stride_tricks.sliding_window_view(cells, window).sum(axis=(2, 3))
    boxes: list[Box] = []
    for index in np.argsort(-sums, axis=None, kind="stable"):
        row, column = divmod(int(index), sums.shape[1])
        top = min(row * max(rows // _CELLS, 1), height - rows)
        box = Box(top, min(column * max(columns // _CELLS, 1), width - columns), rows, columns)
        if not any(box.overlaps(other) for other in boxes):
            boxes.append(box)
        if len(boxes) == count:
            break
    return tuple(boxes)


def cell_differences(candidates: Sequence[Pixels], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the summed difference in every whole cell of `rows` x `columns` px; a rest at the far edges is no cell."""
    height, width = candidates[0].shape[0] // rows, candidates[0].shape[1] // columns
    sums = np.empty((height, width))
    for cell in range(height):  # one row of cells at a time: the picture may be large
        band = np.stack([pixels[cell * rows : (cell + 1) * rows, : width * columns] for pixels in candidates])
        spread = (band.max(axis=0) - band.min(axis=0)).astype(np.float64)  # (rows, W[, C])
        if spread.ndim == 3:
            spread = spread.mean(axis=2)
        sums[cell] = spread.reshape(rows, width, columns).sum(axis=(0, 2))
    return sums
