"""MATLAB's bicubic resampling, which the field uses to make LR."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_BAND = 32  # outputs per matrix product: small enough to waste little, large enough for BLAS


def imresize(pixels: Array, out_h: int, out_w: int) -> Array:
    """Resample as MATLAB's `imresize(..., 'bicubic')` does, antialiased when it reduces.

    Takes (H, W), (H, W, C) or (N, H, W, C) and keeps the layout. uint8 gives uint8, rounded and clipped after each
    of the two directions, as MATLAB does: the field's LR pictures, bit for bit. float64 gives float64 and any other
    type float32, in the same range, neither rounded nor clipped. The cubic kernel has a = -0.5 and the border is
    mirrored (Keys, "Cubic convolution interpolation for digital image processing", 1981;
    https://www.mathworks.com/help/images/ref/imresize.html).

    Raises: ValueError for another number of dimensions.
    """
    if pixels.ndim not in (2, 3, 4):
        raise ValueError(f"pixels must have 2, 3 or 4 dimensions, not {pixels.ndim}")
    rows = 0 if pixels.ndim < 4 else 1
    steps = [(rows, out_h), (rows + 1, out_w)]
    for axis, out_size in sorted(steps, key=lambda step: step[1] / pixels.shape[step[0]]):  # MATLAB's order
        pixels = _along(pixels, axis, out_size)
    return pixels


def _along(pixels: Array, axis: int, out_size: int) -> Array:
    working = np.float64 if pixels.dtype == np.float64 else np.float32
    whole = pixels.dtype == np.uint8
    moved = np.moveaxis(pixels, axis, 0)  # (size, ...)
    result = np.empty((out_size, *moved.shape[1:]), np.uint8 if whole else working)
    for first, low, matrix in _bands(pixels.shape[axis], out_size):
        source = moved[low : low + matrix.shape[1]].astype(working, order="C").reshape(matrix.shape[1], -1)
        band = np.matmul(matrix.astype(working), source)
        if whole:
            band = np.clip(np.floor(band + 0.5), 0, 255)
        result[first : first + len(band)] = band.reshape(len(band), *moved.shape[1:])
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


@lru_cache(maxsize=64)
def _bands(size: int, out_size: int) -> tuple[tuple[int, int, NDArray[np.float64]], ...]:
    """Split the resampling matrix into bands: (first output, first input, dense block of its rows)."""
    indices, weights = _taps(size, out_size)
    bands = []
    for first in range(0, out_size, _BAND):
        columns, values = indices[first : first + _BAND], weights[first : first + _BAND]
        low, high = int(columns.min()), int(columns.max()) + 1
        matrix = np.zeros((len(columns), high - low))
        np.add.at(matrix, (np.arange(len(columns))[:, None], columns - low), values)
        bands.append((first, low, matrix))
    return tuple(bands)


def _taps(size: int, out_size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the input indices and the weights of each output: two arrays (out_size, taps)."""
    scale = out_size / size
    shrink = min(scale, 1.0)
    support = 4.0 / shrink
    center = (np.arange(out_size) + 0.5) / scale - 0.5
    left = np.floor(center - support / 2).astype(np.intp) + 1
    positions = left[:, None] + np.arange(math.ceil(support) + 1)
    weights = _cubic((center[:, None] - positions) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(positions, 2 * size)  # ..., 1, 0 | 0, 1, ..., size - 1 | size - 1, ...
    return np.minimum(mirrored, 2 * size - 1 - mirrored), weights


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
