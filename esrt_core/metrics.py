"""PSNR and SSIM as the field measures them: on the luma of BT.601, studio range, border cut off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma_bt601(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return Y (H, W), 16 to 235 and unrounded, of 8-bit RGB (H, W, 3) or of gray (H, W), which counts as R = G = B.

    The formula of MATLAB's rgb2ycbcr (ITU-R BT.601, https://www.itu.int/rec/R-REC-BT.601).
    """
    if rgb.ndim == 2:
        return 16 + rgb.astype(np.float64) * (65.481 + 128.553 + 24.966) / 255
    return 16 + rgb @ (np.array([65.481, 128.553, 24.966]) / 255)


def crop_border(pixels: Array, border: int) -> Array:
    """Cut `border` px off each side of (H, W, ...)."""
    return pixels[border : pixels.shape[0] - border, border : pixels.shape[1] - border]


def psnr(first: Array, second: Array) -> float:
    """Return the peak signal-to-noise ratio in dB of two arrays of one shape in 0..255; infinite where they agree."""
    error = np.mean(np.square(first.astype(np.float64) - second))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(first: Array, second: Array) -> float:
    """Return the mean structural similarity of two planes (H, W) in 0..255, at least 11 x 11.

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, only windows wholly inside (Wang et al., "Image
    quality assessment: from error visibility to structural similarity", 2004). Raises ValueError for smaller planes.
    """
    if min(first.shape) < _WINDOW:
        raise ValueError(f"SSIM needs planes of at least {_WINDOW} x {_WINDOW} px, not {first.shape}")
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return float(np.mean(luminance * structure))


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average with the Gaussian window, valid region only: (H, W) -> (H - 10, W - 10)."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    height, width = plane.shape[0] - _WINDOW + 1, plane.shape[1] - _WINDOW + 1
    rows = sum(weight * plane[i : i + height] for i, weight in enumerate(weights))
    return np.asarray(sum(weight * rows[:, i : i + width] for i, weight in enumerate(weights)))
