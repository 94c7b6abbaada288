"""Convert a frame's samples to RGB in [0, 1] and back, on the device.

YUV is ITU-R BT.601, BT.709 or BT.2020 (non-constant luminance), studio range as in BT.709 section 4 or full range. The
transfer function is not changed. Values outside the RGB cube are clipped.

Chroma is resampled at its true position: along a halved axis a chroma sample is midway between two luma samples
(centered: JPEG, and vertically in all formats) or on the first of the two (left: MPEG-2 and every later video codec,
horizontally).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from esrt_core.media.frame import ColorSpace, Frame, Plane

MARGIN = 1  # chroma samples that double_axis() needs beyond each end
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # of red and blue


@dataclass(frozen=True)
class Coding:
    """Hold the meaning of a frame's samples; `halved` tells whether chroma has half the (height, width)."""

    space: ColorSpace
    depth: int
    peak: float
    matrix: str
    full_range: bool
    halved: tuple[bool, bool]

    @classmethod
    def from_frame(cls, frame: Frame) -> "Coding":
        """Return the coding of a frame."""
        shapes = [plane.shape for plane in frame.planes]
        halved = (shapes[-1][0] < shapes[0][0], shapes[-1][1] < shapes[0][1])
        return cls(frame.space, frame.depth, frame.peak, frame.matrix, frame.full_range, halved)

    def decode(self, tiles: Sequence[tuple[Plane, ...]], device: torch.device) -> Tensor:
        """Convert the samples of B tiles to RGB (B, 3, h, w), float32 in [0, 1]; gray becomes three equal channels.

        Chroma planes have MARGIN additional samples on each side of a halved axis.
        """
        tensors = [_moved(np.stack(planes), device).float() for planes in zip(*tiles, strict=True)]
        if self.space == ColorSpace.RGB:
            return tensors[0].permute(0, 3, 1, 2) / self.peak
        if self.space == ColorSpace.GRAY:
            return tensors[0][:, None].expand(-1, 3, -1, -1) / self.peak
        return self._yuv_to_rgb(tensors[0], torch.stack(tensors[1:], 1))

    def encode(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Convert RGB (3, H, W) to unrounded samples: RGB (3, H, W), gray (1, H, W), or luma and chroma (2, h, w)."""
        if self.space == ColorSpace.RGB:
            return (rgb * self.peak,)
        if self.space == ColorSpace.GRAY:
            return (rgb.mean(0, keepdim=True) * self.peak,)
        return self._rgb_to_yuv(rgb)

    def round(self, samples: Tensor) -> Tensor:
        """Round halves to even and clip; returns uint8 for 8 bits, int32 above, float32 for 32."""
        samples = samples.clamp(0, self.peak)
        if self.depth < 32:
            samples = samples.round().to(torch.uint8 if self.depth == 8 else torch.int32)
        return samples

    @property
    def is_left_sited(self) -> bool:
        """Whether horizontally halved chroma is on the left luma sample; in JPEG's full range it is centered."""
        return not self.full_range

    @property
    def levels(self) -> tuple[float, float, float]:
        """Black level, luma span and chroma span, in the frame's samples."""
        if self.full_range:
            return 0.0, self.peak, self.peak
        unit = 2.0 ** (self.depth - 8)
        return 16 * unit, 219 * unit, 224 * unit

    def _yuv_to_rgb(self, luma: Tensor, chroma: Tensor) -> Tensor:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        if self.halved[0]:
            chroma = double_axis(chroma, 2, left=False)
        if self.halved[1]:
            chroma = double_axis(chroma, 3, self.is_left_sited)
        y = (luma - black) / luma_span
        u, v = ((chroma - 2.0 ** (self.depth - 1)) / chroma_span).unbind(1)
        r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
        g = (y - red * r - blue * b) / (1 - red - blue)
        return torch.stack([r, g, b], 1).clamp(0, 1)

    def _rgb_to_yuv(self, rgb: Tensor) -> tuple[Tensor, ...]:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        r, g, b = rgb
        y = red * r + (1 - red - blue) * g + blue * b
        chroma = torch.stack([(b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))])
        if self.halved[0]:
            chroma = halve_axis(chroma, 1, left=False)
        if self.halved[1]:
            chroma = halve_axis(chroma, 2, self.is_left_sited)
        return (y * luma_span + black)[None], chroma * chroma_span + 2.0 ** (self.depth - 1)


def double_axis(x: Tensor, dim: int, left: bool) -> Tensor:
    """Double an axis by linear interpolation: n + 2 * MARGIN samples to 2 * n."""
    n = x.shape[dim] - 2 * MARGIN
    before, here, after = (x.narrow(dim, start, n) for start in range(3))
    pairs = (here, (here + after) / 2) if left else (0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after)
    return torch.stack(pairs, dim + 1).flatten(dim, dim + 1)


def halve_axis(x: Tensor, dim: int, left: bool) -> Tensor:
    """Halve an axis of even length by averaging around each sample, with a repeated border."""
    steps = torch.arange(0, x.shape[dim], 2, device=x.device)
    even, odd = x.index_select(dim, steps), x.index_select(dim, steps + 1)
    if not left:
        return (even + odd) / 2
    before = torch.cat([even.narrow(dim, 0, 1), odd.narrow(dim, 0, len(steps) - 1)], dim)
    return 0.25 * before + 0.5 * even + 0.25 * odd


def _moved(planes: Plane, device: torch.device) -> Tensor:
    """Copy planes to the device; for CUDA from pinned memory, so that the copy does not wait for queued work."""
    tensor = torch.from_numpy(planes)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
