"""Frame: the pixels of one image or video frame, as every part of the program passes them on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
MATRICES = ("bt601", "bt709", "bt2020")


class FrameError(ValueError):
    """Reject pixels that are not what they are said to be."""


class ColorSpace(StrEnum):
    """Name the color space of a frame's planes."""

    GRAY = "gray"
    RGB = "rgb"
    YUV = "yuv"


@dataclass(frozen=True)
class Frame:
    """Hold the pixels of one image in host memory.

    planes      GRAY: one (H, W); RGB: one (H, W, 3); YUV: luma (H, W) and two chroma planes, possibly subsampled.
    depth       significant bits: 8 in uint8, 9 to 16 in uint16 (full scale is 2**depth - 1), 32 in float32 (0..1).
    alpha       (H, W), straight (not premultiplied), same dtype and full scale as the planes, or None.
    matrix      YUV only: "bt601", "bt709" or "bt2020".
    full_range  YUV only: False for limited (studio) range.

    Raises: FrameError if a shape, dtype or value does not match the color space and depth.
    """

    planes: tuple[Plane, ...]
    space: ColorSpace = ColorSpace.RGB
    depth: int = 8
    alpha: Plane | None = None
    matrix: str = "bt709"
    full_range: bool = True

    def __post_init__(self) -> None:
        self._check_shapes()
        if self.depth not in (*range(8, 17), 32):
            raise FrameError(f"no frame has a depth of {self.depth} bits")
        dtype = np.float32 if self.depth == 32 else np.uint8 if self.depth == 8 else np.uint16
        for plane in self.all_planes():
            if plane.dtype != dtype:
                raise FrameError(f"planes of depth {self.depth} must be {np.dtype(dtype)}, not {plane.dtype}")
        if self.space is ColorSpace.YUV and self.matrix not in MATRICES:
            raise FrameError(f"no YUV frame has the matrix {self.matrix!r}")

    def _check_shapes(self) -> None:
        expected = {ColorSpace.GRAY: (2,), ColorSpace.RGB: (3,), ColorSpace.YUV: (2, 2, 2)}[self.space]
        if tuple(plane.ndim for plane in self.planes) != expected:
            shapes = ", ".join(str(plane.shape) for plane in self.planes)
            raise FrameError(f"a {self.space} frame cannot have planes of the shape {shapes or '()'}")
        first = self.planes[0]
        if 0 in first.shape:
            raise FrameError(f"a frame of the shape {first.shape} has no pixels")
        if self.space is ColorSpace.RGB and first.shape[2] != 3:
            raise FrameError(f"an RGB frame cannot have {first.shape[2]} channels")
        if self.space is ColorSpace.YUV and (
            self.planes[1].shape != self.planes[2].shape or not _fits_luma(self.planes[1].shape, first.shape)
        ):
            raise FrameError(f"chroma of the shape {self.planes[1].shape} does not fit luma of {first.shape}")
        if self.alpha is not None and self.alpha.shape != first.shape[:2]:
            raise FrameError(f"alpha of the shape {self.alpha.shape} does not fit a frame of {first.shape[:2]}")

    def check_values(self) -> None:
        """Check the values of all planes, which takes a pass over those of more than 8 bits.

        Raises: FrameError if a value is above full scale, negative or not finite.
        """
        for plane in self.all_planes():
            if self.depth not in (8, 16) and not (plane.min() >= 0 and plane.max() <= self.peak):
                raise FrameError(f"values from {plane.min()} to {plane.max()} are not within 0 and {self.peak:g}")

    def all_planes(self) -> tuple[Plane, ...]:
        """Return the color planes and, if present, the alpha plane."""
        return self.planes if self.alpha is None else (*self.planes, self.alpha)

    @property
    def height(self) -> int:
        """Height in px."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Width in px."""
        return int(self.planes[0].shape[1])

    @property
    def peak(self) -> float:
        """The value that means full intensity."""
        return 1.0 if self.depth == 32 else float(2**self.depth - 1)


def _fits_luma(chroma: tuple[int, ...], luma: tuple[int, ...]) -> bool:
    """Return whether chroma has the size of luma, or down to a quarter of it in either direction.

    Of luma with an odd side, enlarged, chroma may have a row or column more than half.
    """
    return all(-(-full // 4) <= side <= full for side, full in zip(chroma, luma, strict=True))
