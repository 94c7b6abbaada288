"""Resample whole frames, with Lanczos for final sizes and bicubic for comparisons, and convert their bit depth."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame, Plane

Array = NDArray[Any]
_FAINT = 1e-3  # weight of a fully transparent pixel's color beside an opaque one's
_ROWS = 256  # converted at a time, so that wider intermediate values take little memory


def resize_frame(frame: Frame, width: int, height: int) -> Frame:
    """Resample a frame to `width` x `height` px with Lanczos (a = 3), antialiased when shrinking.

    Color space, depth and range are kept. Color is weighted by alpha, so that hidden color does not bleed into visible
    pixels; chroma keeps its subsampling. Values are clipped to 0..peak.
    """
    return _resize(frame, width, height, Image.Resampling.LANCZOS)


def enlarge_bicubic(frame: Frame, width: int, height: int) -> Frame:
    """Resample a frame to `width` x `height` px with Pillow's bicubic (a = -0.5), the baseline of comparisons."""
    return _resize(frame, width, height, Image.Resampling.BICUBIC)


def with_depth(frame: Frame, depth: int) -> Frame:
    """Return a frame of 8 to 16 bits in another depth of 8 to 16, rounded exactly; float frames stay float.

    Full scale stays full scale. Studio-range YUV is multiplied by a power of two and chroma keeps its zero at half of
    the values (ITU-T H.273, section 8.3).
    """
    if depth == frame.depth or 32 in (depth, frame.depth):
        return frame
    source, target = 2**frame.depth, 2**depth
    scale = _Affine(0, target - 1, source - 1, 0, target - 1)
    colors = [scale] * len(frame.planes)
    if frame.space is ColorSpace.YUV and not frame.full_range:
        colors = [_Affine(0, target, source, 0, target - 1)] * 3
    elif frame.space is ColorSpace.YUV:
        colors[1:] = [replace(scale, zero=source // 2, new_zero=target // 2)] * 2
    alpha = None if frame.alpha is None else scale(frame.alpha)
    planes = tuple(convert(plane) for convert, plane in zip(colors, frame.planes, strict=True))
    return replace(frame, planes=planes, alpha=alpha, depth=depth)


@dataclass(frozen=True)
class _Affine:
    """Convert samples by (sample - zero) * factor / divisor + new_zero, halves rounded up, clipped to 0..peak."""

    zero: int
    factor: int
    divisor: int
    new_zero: int
    peak: int

    def __call__(self, plane: Plane) -> Plane:
        out = np.empty(plane.shape, np.uint8 if self.peak < 2**8 else np.uint16)
        for top in range(0, len(plane), _ROWS):
            wide = (plane[top : top + _ROWS].astype(np.int64) - self.zero) * self.factor
            values = (wide + self.divisor // 2) // self.divisor + self.new_zero
            out[top : top + _ROWS] = np.clip(values, 0, self.peak)
        return out


def _resize(frame: Frame, width: int, height: int, kernel: Image.Resampling) -> Frame:
    if frame.alpha is not None and frame.space is not ColorSpace.YUV and (frame.alpha != frame.peak).any():
        return _resize_with_alpha(frame, frame.alpha, width, height, kernel)

    def scaled(plane: Plane) -> Plane:
        if plane.shape[:2] != (frame.height, frame.width):
            return _resize_chroma(frame, plane, width, height, kernel)
        return _resize_plane(plane, width, height, kernel, frame.peak)

    alpha = None if frame.alpha is None else scaled(frame.alpha)
    return replace(frame, planes=tuple(scaled(plane) for plane in frame.planes), alpha=alpha)


def _resize_chroma(frame: Frame, plane: Plane, width: int, height: int, kernel: Image.Resampling) -> Plane:
    """Resample a subsampled plane at the true position of its samples, as engine.color has it.

    Along a halved axis a sample is midway between two luma samples, or on the left one (studio range, horizontally).
    """
    rows = _ChromaAxis.of(frame.height, plane.shape[0], height, left=False)
    columns = _ChromaAxis.of(frame.width, plane.shape[1], width, left=not frame.full_range)
    padded = np.pad(plane, (2 * (rows.margin,), 2 * (columns.margin,)), mode="edge")
    box = (columns.start, rows.start, columns.end, rows.end)
    return _resize_plane(padded, columns.length, rows.length, kernel, frame.peak, box)


@dataclass(frozen=True)
class _ChromaAxis:
    """Map one axis of a chroma plane: `length` new samples cover start..end of the old ones after a margin."""

    margin: int
    length: int
    start: float
    end: float

    @classmethod
    def of(cls, luma: int, chroma: int, new_luma: int, left: bool) -> "_ChromaAxis":
        """Return the map for an axis of so many luma and chroma samples."""
        if chroma == luma:
            return cls(0, new_luma, 0, chroma)
        length, ratio = -(-new_luma // 2), luma / new_luma
        margin = math.ceil(ratio) + 1
        start = margin + ((1 - ratio) / 4 if left else 0)
        return cls(margin, length, start, start + length * ratio)


_Box = tuple[float, float, float, float]


def _resize_plane(
    plane: Plane, width: int, height: int, kernel: Image.Resampling, peak: float, box: _Box | None = None
) -> Plane:
    """Resample a plane, or a box (left, top, right, bottom) of it."""
    if plane.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), kernel, box))
    result = np.empty((height, width, *plane.shape[2:]), plane.dtype)
    for index in np.ndindex(plane.shape[2:]):  # Pillow's high bit depth modes have one channel
        channel = _resize_float(plane[:, :, *index], width, height, kernel, box)
        result[:, :, *index] = _quantize(channel, plane.dtype, peak)
    return result


def _resize_with_alpha(frame: Frame, alpha: Plane, width: int, height: int, kernel: Image.Resampling) -> Frame:
    weight = alpha.astype(np.float32) / frame.peak + _FAINT
    total = _resize_float(weight, width, height, kernel)
    solid = total > _FAINT / 2  # beside an edge the kernel's negative lobes can leave nothing to divide by
    divisor = np.where(solid, total, 1)
    color = frame.planes[0]
    result = np.empty((height, width, *color.shape[2:]), color.dtype)
    for index in np.ndindex(color.shape[2:]):
        channel = color[:, :, *index].astype(np.float32)
        weighted = _resize_float(channel * weight, width, height, kernel) / divisor
        plain = _resize_float(channel, width, height, kernel)
        result[:, :, *index] = _quantize(np.where(solid, weighted, plain), color.dtype, frame.peak)
    return replace(frame, planes=(result,), alpha=_resize_plane(alpha, width, height, kernel, frame.peak))


def _resize_float(
    channel: Array, width: int, height: int, kernel: Image.Resampling, box: _Box | None = None
) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
    return np.asarray(image.resize((width, height), kernel, box))


def _quantize(values: NDArray[np.float32], dtype: np.dtype[Any], peak: float) -> Plane:
    clipped = np.clip(values, 0, peak)
    return clipped if dtype == np.float32 else np.floor(clipped + 0.5).astype(dtype)
