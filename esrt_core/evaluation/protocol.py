"""The field's protocol: LR by MATLAB's bicubic, PSNR and SSIM on BT.601 studio-range luma without the border."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.evaluation.resample import imresize
from esrt_core.media.frame import Frame
from esrt_core.media.resize import enlarge_bicubic

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_SSIM_SIDE = 11

Array = NDArray[Any]
Rgb = NDArray[np.uint8]  # (H, W, 3)
Enlarge = Callable[[Frame], Frame]


@dataclass(frozen=True)
class Score:
    """Hold PSNR in dB and SSIM, both on Y."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class PictureScore:
    """Hold the scores of one picture, upscaled by bicubic and by ESRT."""

    name: str
    bicubic: Score
    esrt: Score


def score_picture(name: str, lr: Rgb, hr: Rgb, scale: int, enlarge: Enlarge) -> tuple[PictureScore, Rgb]:
    """Upscale an 8-bit LR picture by bicubic and by `enlarge`; return the scores and `enlarge`'s result (sH, sW, 3)."""
    baseline = measure(bicubic(lr, scale), hr, scale)
    result = enlarge(Frame((lr,))).planes[0]
    return PictureScore(name, baseline, measure(result, hr, scale)), result


def measure(result: Rgb, hr: Rgb, scale: int) -> Score:
    """Return PSNR and SSIM on Y of two 8-bit pictures (H, W, 3), without a border of `scale` px.

    Y is BT.601 studio range in floating point, computed from the rounded RGB result.

    Raises: MediaError if less than SSIM's window is left.
    """
    if min(hr.shape[:2]) < _SSIM_SIDE + 2 * scale:
        size = f"{hr.shape[1]} x {hr.shape[0]} px"
        raise MediaError(f"{size} are too small to measure at x{scale}; each side needs {smallest_side(scale)} px")
    ours, truth = _inner_luma(result, hr, scale)
    return Score(psnr(ours, truth), ssim(ours, truth))


def psnr_y(result: Rgb, hr: Rgb, scale: int) -> float:
    """Return PSNR in dB on Y of two 8-bit pictures (H, W, 3), without a border of `scale` px."""
    return psnr(*_inner_luma(result, hr, scale))


def mean_score(scores: list[Score]) -> Score:
    """Return the mean of at least one score."""
    return Score(
        float(np.mean([score.psnr for score in scores])),
        float(np.mean([score.ssim for score in scores])),
    )


def bicubic(lr: Rgb, scale: int) -> Rgb:
    """Upscale 8-bit (H, W, 3) by Pillow's bicubic, the baseline."""
    height, width = lr.shape[:2]
    return enlarge_bicubic(Frame((lr,)), width * scale, height * scale).planes[0]


def make_lr(hr: Rgb, scale: int) -> Rgb:
    """Reduce 8-bit HR, whose sides are multiples of `scale` s, by MATLAB's bicubic: (H, W, 3) to (H/s, W/s, 3)."""
    return imresize(hr, hr.shape[0] // scale, hr.shape[1] // scale)


def crop_to_multiple(hr: NDArray[Any], scale: int) -> NDArray[Any]:
    """Crop (H, W, ...) at the bottom and right until both sides are multiples of `scale`."""
    height, width = (side - side % scale for side in hr.shape[:2])
    return hr[:height, :width]


def smallest_side(scale: int) -> int:
    """Return the smallest side in HR px that can be measured at `scale`."""
    return -(-(_SSIM_SIDE + 2 * scale) // scale) * scale


def luma_bt601(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return Y (H, W), 16 to 235 and unrounded, of 8-bit RGB (H, W, 3) or of gray (H, W), treated as R = G = B.

    The formula is that of MATLAB's rgb2ycbcr (ITU-R BT.601, https://www.itu.int/rec/R-REC-BT.601).
    """
    if rgb.ndim == 2:
        return 16 + rgb.astype(np.float64) * (65.481 + 128.553 + 24.966) / 255
    return 16 + rgb @ (np.array([65.481, 128.553, 24.966]) / 255)


def crop_border(pixels: Array, border: int) -> Array:
    """Crop `border` px from each side of (H, W, ...)."""
    return pixels[border : pixels.shape[0] - border, border : pixels.shape[1] - border]


def psnr(first: Array, second: Array) -> float:
    """Return the peak signal-to-noise ratio in dB of two arrays of one shape in 0..255, infinite if they are equal."""
    error = np.mean(np.square(first.astype(np.float64) - second))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(first: Array, second: Array) -> float:
    """Return the mean structural similarity of two planes (H, W) in 0..255, at least 11 x 11.

    The window is an 11 x 11 Gaussian with sigma 1.5, K1 = 0.01, K2 = 0.03, and only windows wholly inside count (Wang
    et al., "Image quality assessment: from error visibility to structural similarity", 2004).

    Raises: ValueError if a plane is smaller.
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
    """Average with the Gaussian window in the valid region: (H, W) to (H - 10, W - 10)."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    height, width = plane.shape[0] - _WINDOW + 1, plane.shape[1] - _WINDOW + 1
    rows = sum(weight * plane[i : i + height] for i, weight in enumerate(weights))
    return np.asarray(sum(weight * rows[:, i : i + width] for i, weight in enumerate(weights)))


def _inner_luma(result: Rgb, hr: Rgb, scale: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if result.shape != hr.shape:
        raise ValueError(f"pictures of {result.shape} and {hr.shape} cannot be compared")
    return luma_bt601(crop_border(result, scale)), luma_bt601(crop_border(hr, scale))
