"""From a frame's own numbers to RGB in [0, 1] and back, on the device.

YUV: ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance), studio range as in BT.709 section 4 or full range. The
picture's transfer function is left as it is. What lies outside of the RGB cube is clipped.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from esrt_core.engine.chroma import enlarge, halve
from esrt_core.media.frame import ColorSpace, Frame, Plane

LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # of red and blue


@dataclass(frozen=True)
class Coding:
    """Hold what a frame's numbers mean; `halved` says whether chroma has half the (height, width)."""

    space: ColorSpace
    depth: int
    peak: float
    matrix: str
    full_range: bool
    halved: tuple[bool, bool]

    @classmethod
    def of(cls, frame: Frame) -> "Coding":
        """Read the coding of a frame."""
        shapes = [plane.shape for plane in frame.planes]
        halved = (shapes[-1][0] < shapes[0][0], shapes[-1][1] < shapes[0][1])
        return cls(frame.space, frame.depth, frame.peak, frame.matrix, frame.full_range, halved)

    def decode(self, planes: tuple[Plane, ...], device: torch.device) -> Tensor:
        """Turn the numbers of a tile into RGB: (3, h, w) float32 in [0, 1]. Gray becomes three equal channels.

        Chroma planes come with chroma.MARGIN samples more on each side of a halved axis.
        """
        tensors = [torch.from_numpy(plane).to(device).float() for plane in planes]
        if self.space == ColorSpace.RGB:
            return tensors[0].permute(2, 0, 1) / self.peak
        if self.space == ColorSpace.GRAY:
            return tensors[0].expand(3, -1, -1) / self.peak
        return self._yuv_to_rgb(tensors[0], torch.stack(tensors[1:]))

    def encode(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Turn RGB (3, H, W) into numbers, not rounded: RGB (3, H, W), gray (1, H, W), or luma and chroma (2, h, w)."""
        if self.space == ColorSpace.RGB:
            return (rgb * self.peak,)
        if self.space == ColorSpace.GRAY:
            return (rgb.mean(0, keepdim=True) * self.peak,)
        return self._rgb_to_yuv(rgb)

    def round(self, numbers: Tensor) -> Plane:
        """Round halves to even and clip to the frame's own type, on the host, in memory in the order of its axes."""
        numbers = numbers.clamp(0, self.peak)
        if self.depth < 32:
            numbers = numbers.round().to(torch.uint8 if self.depth == 8 else torch.int32)
        plane: Plane = numbers.contiguous().cpu().numpy()
        return plane

    @property
    def left(self) -> bool:
        """Whether horizontally halved chroma lies on the luma sample to its left; JPEG's full range has it centred."""
        return not self.full_range

    @property
    def levels(self) -> tuple[float, float, float]:
        """Black, the span of luma, and the span of chroma, in the frame's numbers."""
        if self.full_range:
            return 0.0, self.peak, self.peak
        unit = 2.0 ** (self.depth - 8)
        return 16 * unit, 219 * unit, 224 * unit

    def _yuv_to_rgb(self, luma: Tensor, chroma: Tensor) -> Tensor:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        if self.halved[0]:
            chroma = enlarge(chroma, 1, left=False)
        if self.halved[1]:
            chroma = enlarge(chroma, 2, self.left)
        y = (luma - black) / luma_span
        u, v = (chroma - 2.0 ** (self.depth - 1)) / chroma_span
        r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
        g = (y - red * r - blue * b) / (1 - red - blue)
        return torch.stack([r, g, b]).clamp(0, 1)

    def _rgb_to_yuv(self, rgb: Tensor) -> tuple[Tensor, ...]:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        r, g, b = rgb
        y = red * r + (1 - red - blue) * g + blue * b
        chroma = torch.stack([(b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))])
        if self.halved[0]:
            chroma = halve(chroma, 1, left=False)
        if self.halved[1]:
            chroma = halve(chroma, 2, self.left)
        return (y * luma_span + black)[None], chroma * chroma_span + 2.0 ** (self.depth - 1)
