"""A frame made to fit what a format can hold, and notes on what that costs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.alpha import composite
from esrt_core.media.formats import Format
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import Page
from esrt_core.media.samples import restore, widen_to_16

_BAND_ROWS = 256


def fit(page: Page, target: Format, options: EncodeOptions) -> tuple[Frame, tuple[str, ...]]:
    """Return a frame of 8 or 16 bits or float32, GRAY or RGB, that the format can hold, and notes."""
    frame, notes = page.frame, []
    if frame.space is ColorSpace.YUV:
        raise ValueError("a still picture is GRAY or RGB")
    if frame.alpha is not None and not target.alpha:
        if frame.alpha.min() < frame.peak:
            colour = "#{:02x}{:02x}{:02x}".format(*options.background)
            notes.append(f"transparency laid on {colour}: {target.label} has none")
        frame = composite(frame, options.background)
    if frame.depth == 32 and target.floating:
        return (_with_range(frame, page), tuple(notes))
    if frame.depth == 32:
        frame = _to_integers(frame, 16 if target.deep else 8)
        scaled = (
            "" if page.value_range is None else f", scaled from {page.value_range.low:g}..{page.value_range.high:g}"
        )
        notes.append(f"float values reduced to {frame.depth} bits{scaled}: {target.label} holds no more")
    if frame.depth > 8 and not target.deep:
        notes.append(f"{frame.depth} bits reduced to 8: {target.label} holds no more")
        frame = _mapped(frame, 8, lambda plane: _reduced(plane, frame.peak))
    elif 8 < frame.depth < 16:
        bits = frame.depth
        frame = _mapped(frame, 16, lambda plane: widen_to_16(plane, bits))
    return frame, tuple(notes)


def _with_range(frame: Frame, page: Page) -> Frame:
    if page.value_range is None:
        return frame
    return replace(frame, planes=(restore(frame.planes[0], page.value_range),))


def _to_integers(frame: Frame, depth: int) -> Frame:
    dtype, peak = (np.uint16, 65535) if depth == 16 else (np.uint8, 255)

    def convert(plane: Plane) -> Plane:
        return np.asarray(np.rint(np.clip(plane, 0, 1) * peak), dtype)

    return _mapped(frame, depth, convert)


def _mapped(frame: Frame, depth: int, convert: Callable[[Plane], Plane]) -> Frame:
    alpha = None if frame.alpha is None else convert(frame.alpha)
    return Frame(tuple(convert(plane) for plane in frame.planes), frame.space, depth, alpha)


def _reduced(plane: Plane, peak: float) -> NDArray[np.uint8]:
    """Return 9 to 16 bits as 8, rounded, in bands so that no wide copy of the whole exists."""
    reduced = np.empty(plane.shape, np.uint8)
    for top in range(0, plane.shape[0], _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        reduced[rows] = np.rint(plane[rows].astype(np.float32) * np.float32(255 / peak))
    return reduced
