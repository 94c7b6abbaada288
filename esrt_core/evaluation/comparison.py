"""Compare upscaled versions of one picture: find the regions that differ most and draw them on a contact sheet."""

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

CROPS = 3
CROP = 144  # px of the result; smaller if three crops of that size do not fit
_CELLS = 4  # cells along the side of a crop; crops start on this grid

Pixels = NDArray[Any]  # (H, W) or (H, W, C)


@dataclass(frozen=True)
class Box:
    """Hold a rectangle in px."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, pixels: Pixels) -> Pixels:
        """Return the rectangle as a view."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def overlaps(self, other: "Box") -> bool:
        """Return whether the boxes share a pixel."""
        rows = self.top < other.top + other.height and other.top < self.top + self.height
        columns = self.left < other.left + other.width and other.left < self.left + self.width
        return rows and columns


@dataclass(frozen=True)
class Candidate:
    """Hold an upscaled picture and the label of the method."""

    label: str
    frame: Frame


@dataclass(frozen=True)
class Region:
    """Hold a rectangle of the result: the source's pixels there, enlarged to its size, and each candidate's crop."""

    box: Box
    source: Rgb
    crops: tuple[Rgb, ...]

    @property
    def caption(self) -> str:
        """Return the size and position as text."""
        return f"{self.box.width} x {self.box.height} px at {self.box.left}, {self.box.top}"


def result_sheet(source: Frame, result: Frame, model: str) -> Frame:
    """Draw the source's pixels, bicubic and ESRT; this needs additional memory of the size of the result."""
    bicubic = enlarge_bicubic(source, result.width, result.height)
    return comparison_sheet(source, (Candidate("bicubic", bicubic), Candidate(f"ESRT ({model})", result)))


def comparison_sheet(source: Frame, candidates: Sequence[Candidate]) -> Frame:
    """Draw the source's pixels and the crops where candidates of one size and depth differ most."""
    regions = most_different_regions(source, candidates, CROP)
    labels = ("source", *(candidate.label for candidate in candidates))
    rows = tuple(Row(region.caption, (region.source, *region.crops)) for region in regions)
    return draw_sheet(comparison_title(source, candidates), labels, rows)


def comparison_title(source: Frame, candidates: Sequence[Candidate]) -> str:
    """Return a title with both sizes."""
    result = candidates[0].frame
    which = "the two" if len(candidates) == 2 else "they"
    return f"{source.width} x {source.height} px to {result.width} x {result.height} px: where {which} differ most"


def most_different_regions(source: Frame, candidates: Sequence[Candidate], side: int) -> tuple[Region, ...]:
    """Return up to CROPS regions of up to `side` px where candidates of one size and depth differ most, worst first."""
    result = candidates[0].frame
    pixels = [composite(candidate.frame, WHITE).planes[0] for candidate in candidates]
    boxes = most_different(pixels, crop_side(result.width, result.height, side), CROPS)
    return tuple(
        Region(
            box,
            source_pixels(source, box, result),
            tuple(to_display_rgb(crop_frame(candidate.frame, box)) for candidate in candidates),
        )
        for box in boxes
    )


def most_different(candidates: Sequence[Pixels], side: int, count: int) -> tuple[Box, ...]:
    """Return up to `count` boxes of `side` x `side` px without overlap where candidates differ most, worst first.

    Candidates have one shape (H, W) or (H, W, C). The difference of a pixel is the maximum minus the minimum of its
    values, averaged over channels and the box. A side longer than the picture is reduced to it.
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
    """Return the summed difference in every whole cell of `rows` x `columns` px, ignoring remainders."""
    height, width = candidates[0].shape[0] // rows, candidates[0].shape[1] // columns
    sums = np.empty((height, width))
    for cell in range(height):  # one row of cells at a time: the picture may be large
        band = np.stack([pixels[cell * rows : (cell + 1) * rows, : width * columns] for pixels in candidates])
        spread = (band.max(axis=0) - band.min(axis=0)).astype(np.float64)  # (rows, W[, C])
        if spread.ndim == 3:
            spread = spread.mean(axis=2)
        sums[cell] = spread.reshape(rows, width, columns).sum(axis=(0, 2))
    return sums


def crop_side(width: int, height: int, side: int) -> int:
    """Return the side in px, up to `side`, at which three crops fit without overlap, wherever the first two are."""
    short, long = min(width, height), max(width, height)
    return max(min(side, max(short // 3, min(short, long // 5))), 1)


def to_display_rgb(frame: Frame) -> Rgb:
    """Return a frame as 8-bit RGB (H, W, 3) on white."""
    return rgb_of(composite(frame, WHITE))


def crop_frame(frame: Frame, box: Box) -> Frame:
    """Return a rectangle of a frame."""
    alpha = None if frame.alpha is None else box.crop(frame.alpha)
    return replace(frame, planes=(box.crop(frame.planes[0]),), alpha=alpha)


def source_pixels(source: Frame, box: Box, result: Frame) -> Rgb:
    """Return the part of the source under a box of the result, with pixels repeated to the size of the box."""
    rows = (np.arange(box.top, box.top + box.height) * source.height) // result.height
    columns = (np.arange(box.left, box.left + box.width) * source.width) // result.width
    area = Box(int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
    pixels = to_display_rgb(crop_frame(source, area))
    return pixels[rows - area.top][:, columns - area.left]
