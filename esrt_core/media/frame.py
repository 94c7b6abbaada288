"""Frame: the pixels of one image or video frame, as every part of the program passes them on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]


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

    Raises: ValueError if shapes or dtypes do not match the color space and depth.
    """

    planes: tuple[Plane, ...]
    space: ColorSpace = ColorSpace.RGB
    depth: int = 8
    alpha: Plane | None = None
    matrix: str = "bt709"
    full_range: bool = True

    def __post_init__(self) -> None:
        expected = {ColorSpace.GRAY: (1, 2), ColorSpace.RGB: (1, 3), ColorSpace.YUV: (3, 2)}[self.space]
        if (len(self.planes), self.planes[0].ndim) != expected:
            raise ValueError(f"a {self.space} frame must have {expected[0]} planes of {expected[1]} dimensions")
        dtype = np.float32 if self.depth == 32 else np.uint8 if self.depth == 8 else np.uint16
        if any(plane.dtype != dtype for plane in self.all_planes()):
            raise ValueError(f"planes of depth {self.depth} must be {np.dtype(dtype)}")

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
