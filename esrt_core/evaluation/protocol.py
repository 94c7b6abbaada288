"""The field's protocol: an LR picture made by MATLAB's bicubic, the result measured on Y with its border cut off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame
from esrt_core.media.resize import enlarge_bicubic
from esrt_core.metrics import crop_border, luma_bt601, psnr, ssim
from esrt_core.resample import imresize

Rgb = NDArray[np.uint8]  # (H, W, 3)
Enlarge = Callable[[Frame], Frame]
_SSIM_SIDE = 11


@dataclass(frozen=True)
class Score:
    """Hold PSNR in dB and SSIM, both on Y."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class PictureScore:
    """Hold what one picture measures, enlarged by bicubic and by ESRT."""

    name: str
    bicubic: Score
    esrt: Score


def smallest_side(scale: int) -> int:
    """Return the smallest side in HR px that can be measured at `scale`."""
    return -(-(_SSIM_SIDE + 2 * scale) // scale) * scale


def crop_to_multiple(hr: NDArray[Any], scale: int) -> NDArray[Any]:
    """Cut rows and columns off the end of (H, W, ...) until both sides are multiples of `scale`."""
    height, width = (side - side % scale for side in hr.shape[:2])
    return hr[:height, :width]


def make_lr(hr: Rgb, scale: int) -> Rgb:
    """Shrink 8-bit HR, whose sides are multiples of `scale`, by MATLAB's bicubic: (H, W, 3) -> (H/s, W/s, 3)."""
    return imresize(hr, hr.shape[0] // scale, hr.shape[1] // scale)


def psnr_y(result: Rgb, hr: Rgb, scale: int) -> float:
    """Return PSNR in dB on Y of two 8-bit pictures (H, W, 3), `scale` px of border cut off."""
    return psnr(*_inner_luma(result, hr, scale))


def measure(result: Rgb, hr: Rgb, scale: int) -> Score:
    """Return PSNR and SSIM on Y of two 8-bit pictures (H, W, 3), `scale` px of border cut off.

    BT.601 studio-range Y in floating point of the rounded RGB result. Raises MediaError where less than SSIM's window
    is left.
    """
    if min(hr.shape[:2]) < _SSIM_SIDE + 2 * scale:
        size = f"{hr.shape[1]} x {hr.shape[0]} px"
        raise MediaError(f"{size} is too small to measure at x{scale}: each side needs {smallest_side(scale)} px")
    ours, truth = _inner_luma(result, hr, scale)
    return Score(psnr(ours, truth), ssim(ours, truth))


def bicubic(lr: Rgb, scale: int) -> Rgb:
    """Enlarge 8-bit (H, W, 3) by Pillow's bicubic, the baseline."""
    height, width = lr.shape[:2]
    return enlarge_bicubic(Frame((lr,)), width * scale, height * scale).planes[0]


def score_picture(name: str, lr: Rgb, hr: Rgb, scale: int, enlarge: Enlarge) -> tuple[PictureScore, Rgb]:
    """Enlarge an 8-bit LR picture both ways and measure: the scores and ESRT's picture (sH, sW, 3)."""
    baseline = measure(bicubic(lr, scale), hr, scale)
    result = enlarge(Frame((lr,))).planes[0]
    return PictureScore(name, baseline, measure(result, hr, scale)), result


def mean_score(scores: list[Score]) -> Score:
    """Return the mean of at least one score."""
    return Score(
        float(np.mean([score.psnr for score in scores])),
        float(np.mean([score.ssim for score in scores])),
    )


def _inner_luma(result: Rgb, hr: Rgb, scale: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if result.shape != hr.shape:
        raise ValueError(f"pictures of {result.shape} and {hr.shape} cannot be compared")
    return luma_bt601(crop_border(result, scale)), luma_bt601(crop_border(hr, scale))
