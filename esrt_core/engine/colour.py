"""From a frame's own numbers to RGB in [0, 1] and back, on the device."""

import numpy as np
import torch
from torch import Tensor

from esrt_core.media.frame import ColorSpace, Frame, Plane


def to_rgb(planes: tuple[Plane, ...], frame: Frame, device: torch.device) -> Tensor:
    """Turn a tile cut from `frame` into RGB: (3, h, w) float32 in [0, 1]. Gray becomes three equal channels."""
    x = torch.from_numpy(np.ascontiguousarray(planes[0])).to(device).float() / frame.peak
    return x.permute(2, 0, 1) if frame.space == ColorSpace.RGB else x.expand(3, -1, -1)


def from_rgb(y: Tensor, frame: Frame) -> Tensor:
    """Turn a result (3, H, W) into the channels of `frame`: (C, H, W). Gray is the mean of the three channels."""
    return y.mean(0, keepdim=True) if frame.space == ColorSpace.GRAY else y


def to_numbers(y: Tensor, frame: Frame) -> Plane:
    """Clamp to [0, 1], scale and round (halves to even) to the frame's own numbers: (C, H, W) on the host."""
    y = y.clamp(0, 1)
    if frame.depth == 32:
        return y.cpu().numpy()
    numbers: Plane = (y * frame.peak).round().to(torch.uint8 if frame.depth == 8 else torch.int32).cpu().numpy()
    return numbers
