"""Transparency: color under it, and a background behind it."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame, Plane

_SURE_ALPHA = 8 / 255  # below this, 8-bit color is too coarse to be believed
_BAND_ROWS = 256


def bleed(frame: Frame) -> Frame:
    """Return the frame with the color of its shapes spread under what is transparent.

    A network mixes neighbors, so the arbitrary color of transparent pixels would show as a fringe. Pixels of alpha
    8/255 and more keep their color exactly; the rest is filled by a push-pull pyramid (Gortler et al. 1996, "The
    Lumigraph", section 3.4). A frame without alpha, or all opaque or all transparent, is returned as it is.
    """
    if frame.alpha is None:
        return frame
    weight = np.minimum(frame.alpha.astype(np.float32) / np.float32(frame.peak * _SURE_ALPHA), 1)
    if weight.min() >= 1 or weight.max() <= 0:
        return frame
    return replace(frame, planes=tuple(_spread(plane, weight) for plane in frame.planes))


def composite(frame: Frame, background: tuple[int, int, int]) -> Frame:
    """Return an opaque frame on a background of RGB values 0 to 255.

    A gray frame stays gray on a gray background and becomes RGB on a colored one.
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
    unsure = weight < 1
    spread = plane.copy()
    spread[unsure] = filled.reshape(plane.shape)[unsure]
    return spread


def _pull(color: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return color (H, W, C), filled where weight (H, W, 1) is below 1 from ever coarser averages."""
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
    """Return coarse values at twice the size, linearly interpolated, cut to (height, width)."""
    return _double_rows(np.swapaxes(_double_rows(np.swapaxes(coarse, 0, 1), width), 0, 1), height)


def _double_rows(coarse: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    before = np.concatenate([coarse[:1], coarse[:-1]])
    after = np.concatenate([coarse[1:], coarse[-1:]])
    fine = np.stack([0.75 * coarse + 0.25 * before, 0.75 * coarse + 0.25 * after], axis=1)
    return np.asarray(fine.reshape(-1, *coarse.shape[1:])[:length], np.float32)
