"""Every Pillow mode to the planes of a Frame.

| mode                              | frame                                                                    |
|-----------------------------------|--------------------------------------------------------------------------|
| 1, L                              | GRAY, 8 bits (1 as 0 and 255); a transparent gray value becomes alpha    |
| LA, La                            | GRAY, 8 bits, straight alpha                                             |
| P, PA                             | GRAY when the whole palette is gray, else RGB; alpha when it has some    |
| RGB, RGBX, YCbCr, HSV             | RGB, 8 bits; a transparent colour becomes alpha                          |
| RGBA, RGBa                        | RGB, 8 bits, straight alpha                                              |
| CMYK, LAB                         | RGB, 8 bits, converted to sRGB                                           |
| I;16, I;16L, I;16B, I;16N         | GRAY, 16 bits                                                            |
| I                                 | GRAY, 16 bits, see samples.integers_to_16                                |
| F                                 | GRAY, float32, see samples.normalise                                     |
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.colour import Converter, profile_fits, to_srgb
from esrt_core.media.frame import ColorSpace
from esrt_core.media.orientation import UPRIGHT, shown_size, stored_view
from esrt_core.media.picture import Page
from esrt_core.media.samples import integers_to_16, normalise, page_of

_BAND_ROWS = 256
_GRAY_MODES = ("1", "L", "LA", "La")
_WIDE_MODES = {"I": (16, np.int32), "F": (32, np.float32)}


@dataclass(frozen=True)
class Layout:
    """Say what a Pillow picture becomes: `mode` is that of its converted bands, `depth` that of the frame."""

    mode: str
    space: ColorSpace
    depth: int
    has_alpha: bool


def layout_of(image: Image.Image, icc: bytes | None) -> Layout:
    """Return the layout of a picture, opened but not necessarily decoded, with that profile."""
    if image.mode in _WIDE_MODES:
        return Layout(image.mode, ColorSpace.GRAY, _WIDE_MODES[image.mode][0], False)
    if image.mode.startswith("I;16"):
        return Layout(image.mode, ColorSpace.GRAY, 16, False)
    alpha = image.has_transparency_data
    if image.mode in _GRAY_MODES or (image.mode in ("P", "PA") and _is_gray_palette(image, icc)):
        return Layout("LA" if alpha else "L", ColorSpace.GRAY, 8, alpha)
    return Layout("RGBA" if alpha else "RGB", ColorSpace.RGB, 8, alpha)


def read_page(image: Image.Image, layout: Layout, icc: bytes | None, orientation: int = UPRIGHT) -> Page:
    """Return the picture's pixels as a page, oriented. Raises what Pillow raises at damaged data."""
    if image.mode in ("CMYK", "LAB"):
        convert, note = to_srgb(image.mode, icc)
        return replace(_read_bands(image, layout, convert, orientation), notes=(note,))
    if layout.depth == 8:
        return _read_bands(image, layout, lambda band: band.convert(layout.mode), orientation)
    values = np.empty(shown_size(*image.size, orientation)[::-1], np.asarray(image.crop((0, 0, 1, 1))).dtype)
    stored_view(values, orientation)[...] = np.asarray(image)
    if layout.depth == 32:
        samples, value_range, notes = normalise(values)
        return replace(page_of(samples, None, 32, notes), value_range=value_range)
    wide, notes = integers_to_16(values)
    return page_of(wide, None, 16, notes)


def without_needless_colour(page: Page) -> Page:
    """Return a page of 8 bits without alpha where all is opaque and without colour where all is gray."""
    frame = page.frame
    alpha = None if frame.alpha is None or frame.alpha.min() == 255 else frame.alpha
    colour = frame.planes[0]
    if frame.space is ColorSpace.RGB and _is_gray(colour):
        colour = np.ascontiguousarray(colour[..., 0])
    return replace(page, frame=page_of(colour, alpha, 8).frame)


def _read_bands(image: Image.Image, layout: Layout, convert: Converter, orientation: int) -> Page:
    """Convert band by band: beside Pillow's picture there is never more than the finished planes."""
    width, height = shown_size(*image.size, orientation)
    channels = 3 if layout.space is ColorSpace.RGB else 1
    colour = np.empty((height, width, 3) if channels == 3 else (height, width), np.uint8)
    alpha = np.empty((height, width), np.uint8) if layout.has_alpha else None
    for top in range(0, image.height, _BAND_ROWS):
        rows = slice(top, min(top + _BAND_ROWS, image.height))
        pixels = np.asarray(convert(image.crop((0, rows.start, image.width, rows.stop))))  # (rows, W[, C])
        if alpha is not None:
            stored_view(alpha, orientation)[rows] = pixels[..., -1]
            pixels = pixels[..., :3] if channels == 3 else pixels[..., 0]
        stored_view(colour, orientation)[rows] = pixels
    return page_of(colour, alpha, 8)


def _is_gray_palette(image: Image.Image, icc: bytes | None) -> bool:
    """Tell whether a palette holds grays only; with an RGB profile it stays RGB, so that the profile still fits."""
    if icc is not None and profile_fits(icc, "RGB"):
        return False
    palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    return _is_gray(palette)


def _is_gray(colours: NDArray[Any]) -> bool:
    return np.array_equal(colours[..., 0], colours[..., 1]) and np.array_equal(colours[..., 0], colours[..., 2])
