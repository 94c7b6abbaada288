"""Convert a frame's samples to RGB in [0, 1] and back, where the network runs.

YUV is ITU-R BT.601, BT.709 or BT.2020 (non-constant luminance), studio range as in BT.709 section 4 or full range. The
transfer function is not changed. Values outside the RGB cube are clipped.

Chroma is resampled at its true position: along a halved axis a chroma sample is midway between two luma samples
(centered: JPEG, and vertically in all formats) or on the first of the two (left: MPEG-2 and every later video codec,
horizontally).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from esrt_core.engine.arrays import Array, along, namespace
from esrt_core.media.frame import ColorSpace, Frame

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

    def decode(self, planes: Sequence[Array]) -> Array:
        """Convert the float32 samples of B tiles to RGB (B, 3, h, w) in [0, 1]; gray becomes three equal channels.

        RGB has one array (B, h, w, 3), gray one (B, h, w), YUV three, of which the chroma planes have MARGIN additional
        samples on each side of a halved axis.
        """
        xp = namespace(planes[0])
        if self.space == ColorSpace.RGB:
            return xp.moveaxis(planes[0], 3, 1) / self.peak
        if self.space == ColorSpace.GRAY:
            return xp.stack([planes[0] / self.peak] * 3, 1)
        return self._yuv_to_rgb(planes[0], xp.stack(planes[1:], 1))

    def encode(self, rgb: Array) -> tuple[Array, ...]:
        """Convert RGB (3, H, W) to new, unrounded samples.

        RGB (3, H, W), gray (1, H, W), or luma (1, H, W) and chroma (2, h, w).
        """
        if self.space == ColorSpace.RGB:
            return (rgb * self.peak,)
        if self.space == ColorSpace.GRAY:
            return (rgb.mean(0)[None] * self.peak,)
        return self._rgb_to_yuv(rgb)

    def round(self, samples: Array) -> Array:
        """Clip samples, and round halves to even unless they are float32."""
        xp = namespace(samples)
        samples = xp.clip(samples, 0, self.peak)
        return samples if self.depth == 32 else xp.round(samples)

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

    def _yuv_to_rgb(self, luma: Array, chroma: Array) -> Array:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        if self.halved[0]:
            chroma = double_axis(chroma, 2, left=False)
        if self.halved[1]:
            chroma = double_axis(chroma, 3, self.is_left_sited)
        y = (luma - black) / luma_span
        chroma = (chroma - 2.0 ** (self.depth - 1)) / chroma_span
        u, v = chroma[:, 0], chroma[:, 1]
        r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
        g = (y - red * r - blue * b) / (1 - red - blue)
        xp = namespace(y)
        return xp.clip(xp.stack([r, g, b], 1), 0, 1)

    def _rgb_to_yuv(self, rgb: Array) -> tuple[Array, ...]:
        red, blue = LUMA_WEIGHTS[self.matrix]
        black, luma_span, chroma_span = self.levels
        r, g, b = rgb
        y = red * r + (1 - red - blue) * g + blue * b
        chroma = namespace(rgb).stack([(b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))])
        if self.halved[0]:
            chroma = halve_axis(chroma, 1, left=False)
        if self.halved[1]:
            chroma = halve_axis(chroma, 2, self.is_left_sited)
        return (y * luma_span + black)[None], chroma * chroma_span + 2.0 ** (self.depth - 1)


def double_axis(x: Array, axis: int, left: bool) -> Array:
    """Double an axis by linear interpolation: n + 2 * MARGIN samples to 2 * n."""
    n = x.shape[axis] - 2 * MARGIN
    before, here, after = (x[along(axis, start, start + n)] for start in range(3))
    pairs = (here, (here + after) / 2) if left else (0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after)
    doubled = namespace(x).stack(pairs, axis + 1)  # (..., n, 2, ...)
    return doubled.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])


def halve_axis(x: Array, axis: int, left: bool) -> Array:
    """Halve an axis of even length by averaging around each sample, with a repeated border."""
    even, odd = x[along(axis, 0, None, 2)], x[along(axis, 1, None, 2)]
    if not left:
        return (even + odd) / 2
    before = namespace(x).concatenate([even[along(axis, 0, 1)], odd[along(axis, 0, -1)]], axis)
    return 0.25 * before + 0.5 * even + 0.25 * odd
