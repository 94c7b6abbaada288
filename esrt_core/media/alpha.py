"""Transparency: fill color under transparent pixels, and composite onto a background."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame, Plane

_RELIABLE_ALPHA = 8 / 255  # below this, 8-bit color is too coarse to be trusted
_BAND_ROWS = 256


def bleed(frame: Frame) -> Frame:
    """Return the frame with visible colors extended under its transparent pixels.

    The network mixes neighboring pixels, so the arbitrary color of transparent ones would show as a fringe. Pixels with
    an alpha of at least 8/255 keep their color exactly; the rest is filled by a push-pull pyramid (Gortler et al. 1996,
    "The Lumigraph", section 3.4). A frame that has no alpha, or is fully opaque or fully transparent, is returned
    unchanged.
    """
    if frame.alpha is None:
        return frame
    weight = np.minimum(frame.alpha.astype(np.float32) / np.float32(frame.peak * _RELIABLE_ALPHA), 1)
    if weight.min() >= 1 or weight.max() <= 0:
        return frame
    return replace(frame, planes=tuple(_spread(plane, weight) for plane in frame.planes))


def composite(frame: Frame, background: tuple[int, int, int]) -> Frame:
    """Return an opaque frame composited onto a background color, RGB in 0..255.

    A GRAY frame stays GRAY on a gray background and becomes RGB on a colored one.
    """
    if frame.alpha is None:
        return frame
    behind = np.array(background, np.float32) * np.float32(frame.peak / 255)
    color = frame.planes[0]
    if frame.space is ColorSpace.GRAY and len(set(background)) == 1:
        flat = np.empty_like(color)
        behind = behind[:1]
    else:
        flat = np.empty((frame.height, frame.width, 3), color.dtype)
    target = flat.reshape(frame.height, frame.width, -1)
    source = color.reshape(frame.height, frame.width, -1)
    for top in range(0, frame.height, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        cover = frame.alpha[rows, :, None].astype(np.float32) / np.float32(frame.peak)
        mixed = source[rows].astype(np.float32) * cover + behind * (1 - cover)
        target[rows] = mixed if frame.depth == 32 else np.rint(mixed)
    return replace(frame, planes=(flat,), space=ColorSpace.GRAY if flat.ndim == 2 else ColorSpace.RGB, alpha=None)


def _spread(plane: Plane, weight: NDArray[np.float32]) -> Plane:
    color = np.asarray(plane.reshape(*plane.shape[:2], -1), np.float32)
    filled = _pull(color, weight[..., None])
    if plane.dtype != np.float32:
        np.rint(filled, out=filled)
    unreliable = weight < 1
    result = plane.copy()
    result[unreliable] = filled.reshape(plane.shape)[unreliable]
    return result


def _pull(color: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return color (H, W, C), filled from coarser and coarser averages where weight (H, W, 1) is below 1."""
    if weight.min() >= 1 or color.shape[:2] == (1, 1):
        return color
    sums = _block_sums(weight)
    coarse = _block_sums(color * weight) / np.maximum(sums, np.float32(1e-12))
    below = _double(_pull(coarse, np.minimum(sums, 1)), color.shape[0], color.shape[1])
    return np.asarray(weight * color + (1 - weight) * below)


def _block_sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width, channels = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, channels)
    return np.asarray(blocks.sum(axis=(1, 3)), np.float32)


def _double(coarse: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return coarse values (h, w, C) at twice the size, linearly interpolated and cropped to (height, width, C)."""
    return _double_rows(np.swapaxes(_double_rows(np.swapaxes(coarse, 0, 1), width), 0, 1), height)


def _double_rows(coarse: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    before = np.concatenate([coarse[:1], coarse[:-1]])
    after = np.concatenate([coarse[1:], coarse[-1:]])
    fine = np.stack([0.75 * coarse + 0.25 * before, 0.75 * coarse + 0.25 * after], axis=1)
    return np.asarray(fine.reshape(-1, *coarse.shape[1:])[:length], np.float32)
