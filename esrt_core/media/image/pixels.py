"""Convert decoded samples to the planes of a Frame: every Pillow mode, orientation, and any sample type and depth.

Files of more than 8 bits that Pillow reduces or refuses are decoded by others, see deep.py.

| mode                              | frame                                                                    |
|-----------------------------------|--------------------------------------------------------------------------|
| 1, L                              | GRAY, 8 bits (1 as 0 and 255); a transparent gray value becomes alpha    |
| LA, La                            | GRAY, 8 bits, straight alpha                                             |
| P, PA                             | GRAY when the whole palette is gray, else RGB; alpha when it has some    |
| RGB, RGBX, YCbCr, HSV             | RGB, 8 bits; a transparent color becomes alpha                          |
| RGBA, RGBa                        | RGB, 8 bits, straight alpha                                              |
| CMYK, LAB                         | RGB, 8 bits, converted to sRGB                                           |
| I;16, I;16L, I;16B, I;16N         | GRAY, 16 bits                                                            |
| I                                 | GRAY, 16 bits, see integers_to_16                                        |
| F                                 | GRAY, float32, see normalize                                             |
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.icc import Converter, profile_fits, to_srgb
from esrt_core.media.image.picture import Page, ValueRange

UPRIGHT = 1
_SWAPS_SIDES = (5, 6, 7, 8)
_BAND_ROWS = 256
_BAND_PIXELS = 1 << 24  # Pillow warns about crops above 89 megapixels
_GRAY_MODES = ("1", "L", "LA", "La")
_WIDE_MODES = {"I": (16, np.int32), "F": (32, np.float32)}
Samples = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Describe the frame that an image becomes; `mode` is the Pillow mode that its bands of rows are converted to."""

    mode: str
    space: ColorSpace
    depth: int
    has_alpha: bool


def layout_of(image: Image.Image, icc: bytes | None) -> Layout:
    """Return the layout of a Pillow image, opened but not necessarily decoded, with the ICC profile `icc`."""
    if image.mode in _WIDE_MODES:
        return Layout(image.mode, ColorSpace.GRAY, _WIDE_MODES[image.mode][0], False)
    if image.mode.startswith("I;16"):
        return Layout(image.mode, ColorSpace.GRAY, 16, False)
    alpha = image.has_transparency_data
    if image.mode in _GRAY_MODES or (image.mode in ("P", "PA") and _is_gray_palette(image, icc)):
        return Layout("LA" if alpha else "L", ColorSpace.GRAY, 8, alpha)
    return Layout("RGBA" if alpha else "RGB", ColorSpace.RGB, 8, alpha)


def read_page(image: Image.Image, layout: Layout, icc: bytes | None, orientation: int = UPRIGHT) -> Page:
    """Return a decoded Pillow image as a page, oriented."""
    if image.mode in ("CMYK", "LAB"):
        convert, note = to_srgb(image.mode, icc)
        return replace(_read_bands(image, layout, convert, orientation), notes=(note,))
    if layout.depth == 8:
        return _read_bands(image, layout, lambda band: band.convert(layout.mode), orientation)
    values = np.empty(shown_size(*image.size, orientation)[::-1], np.asarray(image.crop((0, 0, 1, 1))).dtype)
    stored_view(values, orientation)[...] = np.asarray(image)
    if layout.depth == 32:
        return float_page(values, None)
    wide, notes = integers_to_16(values)
    return page_of(wide, None, 16, notes)


def without_needless_color(page: Page) -> Page:
    """Return a page of 8 bits, without alpha if it is opaque everywhere and as GRAY if all its colors are gray."""
    frame = page.frame
    alpha = None if frame.alpha is None or frame.alpha.min() == 255 else frame.alpha
    color = frame.planes[0]
    if frame.space is ColorSpace.RGB and _is_gray(color):
        color = np.ascontiguousarray(color[..., 0])
    return replace(page, frame=page_of(color, alpha, 8).frame)


def as_gray(page: Page) -> Page:
    """Return a page whose colors are gray by its file's header, in one plane."""
    frame = page.frame
    if frame.space is ColorSpace.GRAY:
        return page
    plane = np.ascontiguousarray(frame.planes[0][..., 1])
    return replace(page, frame=replace(frame, planes=(plane,), space=ColorSpace.GRAY))


def read_deep(stored: Samples, bits: int, peak: float, image: Image.Image, orientation: int) -> Page:
    """Return decoded samples (H, W) or (H, W, C), of `bits` bits (8 or more) and 0..`peak`, as an oriented page.

    `image` is the file opened by Pillow, which holds the transparent color of a PNG without an alpha channel.
    """
    width, height = shown_size(*image.size, orientation)
    is_float = stored.dtype.kind == "f"
    dtype = np.float32 if is_float else np.uint8 if bits == 8 else np.uint16
    shown = np.empty((height, width, *stored.shape[2:]), dtype)
    stored_view(shown, orientation)[...] = stored if is_float else _full_scale(stored, peak, dtype)
    channels = 1 if shown.ndim == 2 else shown.shape[2]
    alpha = np.ascontiguousarray(shown[..., -1]) if channels in (2, 4) else None
    color = np.ascontiguousarray(shown if channels == 1 else shown[..., 0] if channels <= 2 else shown[..., :3])
    if is_float:
        return float_page(color, alpha)
    if bits == 8:
        return page_of(color, alpha, 8)
    return replace(page_of(color, _keyed_alpha(shown, image) if alpha is None else alpha, 16), bits=bits)


def shown_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return (width, height) in px after applying the EXIF orientation."""
    return (height, width) if orientation in _SWAPS_SIDES else (width, height)


def stored_view(shown: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of the oriented pixels (H, W, ...) that is indexed by the rows and columns of the file.

    Assigning stored pixels to the view orients them without a copy. The orientations 1 to 8 are those of EXIF 2.32,
    tag 0x0112.
    """
    across = np.swapaxes(shown, 0, 1)
    match orientation:
        case 2:
            return shown[:, ::-1]
        case 3:
            return shown[::-1, ::-1]
        case 4:
            return shown[::-1]
        case 5:
            return across
        case 6:
            return across[::-1]
        case 7:
            return across[::-1, ::-1]
        case 8:
            return across[:, ::-1]
    return shown


def integers_to_16(samples: Samples) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Return integers as uint16, and a note if they do not fit.

    Values within 0..65535 are unchanged. Otherwise unsigned integers keep their upper 16 bits, and the range of signed
    ones is stretched to 0..65535.
    """
    low, high = int(samples.min()), int(samples.max())
    if low >= 0 and high <= 65535:
        return samples.astype(np.uint16), ()
    if samples.dtype.kind == "u":
        bits = samples.dtype.itemsize * 8
        return (samples >> (bits - 16)).astype(np.uint16), (f"{bits} bits reduced to 16",)
    stretched = (samples.astype(np.float64) - low) * (65535 / (high - low))
    return np.rint(stretched).astype(np.uint16), (f"values from {low} to {high} stretched over 16 bits",)


def widen_to_16(samples: Samples, peak: float) -> NDArray[np.uint16]:
    """Return unsigned samples of 0..`peak` scaled to 0..65535."""
    return _full_scale(samples, peak, np.uint16)


def normalize(samples: Samples) -> tuple[NDArray[np.float32], ValueRange | None, tuple[str, ...]]:
    """Return float samples scaled to 0..1, the range they were scaled from (None if unchanged), and notes.

    Samples within 0..1 are unchanged. Otherwise the range from the lowest value (at most 0) to the highest (at least 1)
    is mapped to 0..1, which `restore` undoes. Infinity becomes the highest finite value, what else is not finite the
    lowest.
    """
    values = samples.astype(np.float32)
    notes: tuple[str, ...] = ()
    finite = np.isfinite(values)
    if not finite.all():
        known = values[finite] if finite.any() else np.zeros(1, np.float32)
        values = np.where(finite, values, np.where(values == np.inf, known.max(), known.min()))
        notes = ("infinite values replaced by the highest and lowest finite ones, undefined ones by the lowest",)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1.0)
    if (low, high) == (0.0, 1.0):
        return values, None, notes
    values = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
    return values, ValueRange(low, high), notes


def restore(samples: NDArray[np.float32], value_range: ValueRange) -> NDArray[np.float32]:
    """Undo `normalize`: return samples of 0..1 scaled back to `value_range`."""
    span = value_range.high - value_range.low
    return (samples.astype(np.float64) * span + value_range.low).astype(np.float32)


def raw_samples(data: bytes, stored: DTypeLike, count: int, at: int) -> Samples:
    """Return `count` samples of a file from offset `at`.

    Raises: MediaError if some are missing.
    """
    dtype = np.dtype(stored)
    held = max(len(data) - at, 0) // dtype.itemsize
    if held < count:
        raise MediaError(f"{count - held:,} of {count:,} samples are missing")
    return np.frombuffer(data, dtype, count, at)


def page_of(color: Samples, alpha: Samples | None, depth: int, notes: tuple[str, ...] = ()) -> Page:
    """Return a page of color samples (H, W) or (H, W, 3) that already have the dtype and full scale of `depth`."""
    space = ColorSpace.GRAY if color.ndim == 2 else ColorSpace.RGB
    return Page(Frame((color,), space, depth, alpha), notes=notes)


def unmixed(color: Samples, alpha: Samples, matte: float | Samples) -> Samples:
    """Return colors (H, W) or (H, W, C) without a matte that has the share 1 - `alpha`, (H, W); 0 where alpha is 0.

    `matte` is one value, or one for each channel.
    """
    share = alpha.astype(np.float32).reshape(alpha.shape + (1,) * (color.ndim - 2))
    own = color.astype(np.float32) - np.asarray(matte, np.float32) * (1 - share)
    with np.errstate(over="ignore"):  # of a float alpha near 0
        return np.divide(own, share, out=np.zeros_like(own), where=share > 0)


def float_page(color: Samples, alpha: Samples | None) -> Page:
    """Return a page of float color samples of any range and alpha of 0..1, see normalize."""
    values, value_range, notes = normalize(color)
    clipped = None if alpha is None else np.clip(np.nan_to_num(alpha.astype(np.float32)), 0, 1)
    return replace(page_of(values, clipped, 32, notes), value_range=value_range)


def _full_scale(samples: Samples, peak: float, dtype: DTypeLike) -> Samples:
    most = np.iinfo(np.dtype(dtype)).max
    if peak == most:
        return np.asarray(samples, dtype)
    return np.asarray(np.rint(samples.astype(np.float32) * np.float32(most / peak)), dtype)


def _keyed_alpha(shown: NDArray[np.uint16], image: Image.Image) -> NDArray[np.uint16] | None:
    """Return an alpha plane that is 0 at pixels of the file's transparent color (PNG's tRNS), or None."""
    key = image.info.get("transparency")
    if not isinstance(key, int | tuple):
        return None
    same = shown == np.array(key, np.uint16)
    transparent = same if same.ndim == 2 else same.all(axis=2)
    return np.where(transparent, np.uint16(0), np.uint16(65535))


def _read_bands(image: Image.Image, layout: Layout, convert: Converter, orientation: int) -> Page:
    """Convert in bands of rows, so that memory holds Pillow's image and the finished planes only."""
    width, height = shown_size(*image.size, orientation)
    channels = 3 if layout.space is ColorSpace.RGB else 1
    color = np.empty((height, width, 3) if channels == 3 else (height, width), np.uint8)
    alpha = np.empty((height, width), np.uint8) if layout.has_alpha else None
    band = max(1, min(_BAND_ROWS, _BAND_PIXELS // image.width))
    for top in range(0, image.height, band):
        rows = slice(top, min(top + band, image.height))
        pixels = np.asarray(convert(image.crop((0, rows.start, image.width, rows.stop))))  # (rows, W[, C])
        if alpha is not None:
            stored_view(alpha, orientation)[rows] = pixels[..., -1]
            pixels = pixels[..., :3] if channels == 3 else pixels[..., 0]
        stored_view(color, orientation)[rows] = pixels
    return page_of(color, alpha, 8)


def _is_gray_palette(image: Image.Image, icc: bytes | None) -> bool:
    """Return whether a palette has grays only; with an RGB profile it stays RGB, so that the profile still fits."""
    if icc is not None and profile_fits(icc, "RGB"):
        return False
    palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    return _is_gray(palette)


def _is_gray(colors: NDArray[Any]) -> bool:
    return np.array_equal(colors[..., 0], colors[..., 1]) and np.array_equal(colors[..., 0], colors[..., 2])
