"""What candidates make of one picture, side by side where they differ most.

Where candidates for the same picture differ most.

The sheet beside a result: bicubic and ESRT where they differ most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.evaluation.dataset import rgb_of
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.alpha import composite
from esrt_core.media.contact_sheet import Row, draw_sheet
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import WHITE
from esrt_core.media.resize import enlarge_bicubic

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


CROPS = 3
CROP = 144  # px of the result; less where that many would not fit


@dataclass(frozen=True)
class Candidate:
    """Hold an enlarged picture and what people call the way it was made."""

    label: str
    frame: Frame


@dataclass(frozen=True)
class Place:
    """Hold one rectangle of the result: the source's pixels under it, and every candidate's crop."""

    box: Box
    source: Rgb
    crops: tuple[Rgb, ...]

    @property
    def caption(self) -> str:
        """Say where it is."""
        return f"{self.box.width} x {self.box.height} px at {self.box.left}, {self.box.top}"


def comparison_sheet(source: Frame, candidates: Sequence[Candidate]) -> Frame:
    """Draw the crops where candidates of one size and depth differ most, the source's pixels before them."""
    places = differing_places(source, candidates, CROP)
    labels = ("source", *(candidate.label for candidate in candidates))
    rows = tuple(Row(place.caption, (place.source, *place.crops)) for place in places)
    return draw_sheet(comparison_title(source, candidates), labels, rows)


def comparison_title(source: Frame, candidates: Sequence[Candidate]) -> str:
    """Say what is compared."""
    result = candidates[0].frame
    which = "the two" if len(candidates) == 2 else "they"
    return f"{source.width} x {source.height} px to {result.width} x {result.height} px: where {which} differ most"


def differing_places(source: Frame, candidates: Sequence[Candidate], side: int) -> tuple[Place, ...]:
    """Return up to CROPS places of up to `side` px where candidates of one size and depth differ most, worst first."""
    result = candidates[0].frame
    pixels = [composite(candidate.frame, WHITE).planes[0] for candidate in candidates]
    boxes = most_different(pixels, crop_side(result.width, result.height, side), CROPS)
    return tuple(
        Place(
            box,
            pixels_of(source, box, result),
            tuple(displayed(cut(candidate.frame, box)) for candidate in candidates),
        )
        for box in boxes
    )


def crop_side(width: int, height: int, side: int) -> int:
    """Return the side in px, up to `side`, at which three crops fit without overlap, wherever the first two lie."""
    short, long = min(width, height), max(width, height)
    return max(min(side, max(short // 3, min(short, long // 5))), 1)


def displayed(frame: Frame) -> Rgb:
    """Return a frame as 8-bit RGB (H, W, 3) on white."""
    return rgb_of(composite(frame, WHITE))


def cut(frame: Frame, box: Box) -> Frame:
    """Return a rectangle of a frame."""
    alpha = None if frame.alpha is None else box.cut(frame.alpha)
    return replace(frame, planes=(box.cut(frame.planes[0]),), alpha=alpha)


def pixels_of(source: Frame, box: Box, result: Frame) -> Rgb:
    """Return the part of the source under a box of the result, its pixels repeated to the box's size."""
    rows = (np.arange(box.top, box.top + box.height) * source.height) // result.height
    columns = (np.arange(box.left, box.left + box.width) * source.width) // result.width
    area = Box(int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
    pixels = displayed(cut(source, area))
    return pixels[rows - area.top][:, columns - area.left]


def result_sheet(source: Frame, result: Frame, model: str) -> Frame:
    """Draw the source's pixels, bicubic and ESRT. Needs as much memory again as the result."""
    bicubic = enlarge_bicubic(source, result.width, result.height)
    return comparison_sheet(source, (Candidate("bicubic", bicubic), Candidate(f"ESRT ({model})", result)))
