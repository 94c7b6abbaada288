"""What candidates make of one picture, side by side where they differ most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from esrt_core.evaluation.difference import Box, most_different
from esrt_core.evaluation.pairs import rgb_of
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.alpha import composite
from esrt_core.media.frame import Frame
from esrt_core.media.options import WHITE
from esrt_core.media.sheet import Row, draw_sheet

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
