"""The sheet that shows what the network did for a picture: bicubic beside ESRT, where they differ most."""

from dataclasses import replace

import numpy as np

from esrt_core.evaluation.difference import Box, most_different
from esrt_core.media.alpha import composite
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.options import WHITE
from esrt_core.media.resize import enlarge_bicubic
from esrt_core.media.sheet import Rgb, Row, draw_sheet
from esrt_core.pipeline.depth import with_depth

CROPS = 3
CROP = 144  # px of the result; less where that many would not fit


def comparison_sheet(source: Frame, result: Frame, model: str) -> Frame:
    """Draw the crops where bicubic and ESRT differ most: the source's pixels, bicubic, ESRT.

    Needs as much memory again as the result.
    """
    bicubic = enlarge_bicubic(source, result.width, result.height)
    side = crop_side(result.width, result.height)
    boxes = most_different([composite(each, WHITE).planes[0] for each in (bicubic, result)], side, CROPS)
    rows = tuple(
        Row(
            f"{box.width} x {box.height} px at {box.left}, {box.top}",
            (pixels_of(source, box, result), displayed(cut(bicubic, box)), displayed(cut(result, box))),
        )
        for box in boxes
    )
    title = f"{source.width} x {source.height} px to {result.width} x {result.height} px: where the two differ most"
    return draw_sheet(title, ("source", "bicubic", f"ESRT ({model})"), rows)


def crop_side(width: int, height: int) -> int:
    """Return the side in px at which three crops fit without overlap, wherever the first two lie."""
    short, long = min(width, height), max(width, height)
    return max(min(CROP, max(short // 3, min(short, long // 5))), 1)


def displayed(frame: Frame) -> Rgb:
    """Return a small frame as 8-bit RGB (H, W, 3)."""
    colour = composite(frame, WHITE).planes[0]
    if frame.depth == 32:
        colour = np.floor(np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)
    else:
        colour = with_depth(Frame((colour,), frame.space, frame.depth), 8).planes[0]
    return np.stack([colour] * 3, axis=-1) if frame.space == ColorSpace.GRAY else colour


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
