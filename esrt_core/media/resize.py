"""Resample whole frames, with Lanczos for final sizes and bicubic for comparisons, and convert their bit depth."""

from dataclasses import replace
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
    """Return a frame of 8 to 16 bits in another depth of 8 to 16, rounded exactly; float frames stay float."""
    if depth == frame.depth or 32 in (depth, frame.depth):
        return frame
    source, target = 2**frame.depth - 1, 2**depth - 1

    def converted(plane: Plane) -> Plane:
        out = np.empty(plane.shape, np.uint8 if depth == 8 else np.uint16)
        for top in range(0, len(plane), _ROWS):
            wide = plane[top : top + _ROWS].astype(np.uint64)
            out[top : top + _ROWS] = (wide * target + source // 2) // source
        return out

    alpha = None if frame.alpha is None else converted(frame.alpha)
    return replace(frame, planes=tuple(converted(plane) for plane in frame.planes), alpha=alpha, depth=depth)


def _resize(frame: Frame, width: int, height: int, kernel: Image.Resampling) -> Frame:
    if frame.alpha is not None and frame.space is not ColorSpace.YUV and (frame.alpha != frame.peak).any():
        return _resize_with_alpha(frame, frame.alpha, width, height, kernel)

    def scaled(plane: Plane) -> Plane:
        rows, columns = round(frame.height / plane.shape[0]), round(frame.width / plane.shape[1])
        return _resize_plane(plane, -(-width // columns), -(-height // rows), kernel, frame.peak)

    alpha = None if frame.alpha is None else scaled(frame.alpha)
    return replace(frame, planes=tuple(scaled(plane) for plane in frame.planes), alpha=alpha)


def _resize_plane(plane: Plane, width: int, height: int, kernel: Image.Resampling, peak: float) -> Plane:
    if plane.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), kernel))
    result = np.empty((height, width, *plane.shape[2:]), plane.dtype)
    for index in np.ndindex(plane.shape[2:]):  # Pillow's high bit depth modes have one channel
        channel = _resize_float(plane[:, :, *index], width, height, kernel)
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


def _resize_float(channel: Array, width: int, height: int, kernel: Image.Resampling) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
    return np.asarray(image.resize((width, height), kernel))


def _quantize(values: NDArray[np.float32], dtype: np.dtype[Any], peak: float) -> Plane:
    clipped = np.clip(values, 0, peak)
    return clipped if dtype == np.float32 else np.floor(clipped + 0.5).astype(dtype)
