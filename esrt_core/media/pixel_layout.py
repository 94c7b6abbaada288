"""PixelLayout: how the samples of a decoded picture lie in memory, and the ffmpeg names of the layouts we carry."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame, Plane

_NAME = re.compile(r"(?:yuvj?(a?)(420|422|444)p|(gray))(9|10|12|14|16)?(?:le)?")
_SUBSAMPLING = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "gray": (1, 1)}  # (horizontal, vertical)


@dataclass(frozen=True)
class PixelLayout:
    """Describe planar samples, packed without gaps.

    chroma  "420", "422", "444" or "gray".
    depth   8, or 9 to 16 bits in little-endian 16-bit words.
    alpha   whether an alpha plane follows.
    """

    chroma: str
    depth: int = 8
    alpha: bool = False

    @property
    def name(self) -> str:
        """Its name in ffmpeg."""
        bits = "" if self.depth == 8 else f"{self.depth}le"
        return f"gray{bits}" if self.chroma == "gray" else f"yuv{'a' if self.alpha else ''}{self.chroma}p{bits}"

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The type of one sample."""
        return np.dtype(np.uint8) if self.depth == 8 else np.dtype("<u2")

    def shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Return the (rows, columns) of every plane; odd sides round up."""
        across, down = _SUBSAMPLING[self.chroma]
        chroma = (-(-height // down), -(-width // across))
        planes = [(height, width)] + ([] if self.chroma == "gray" else [chroma, chroma])
        return (*planes, (height, width)) if self.alpha else tuple(planes)

    def byte_size(self, width: int, height: int) -> int:
        """Return the bytes of one picture."""
        return sum(rows * columns for rows, columns in self.shapes(width, height)) * self.dtype.itemsize

    def planes(self, data: NDArray[np.uint8], width: int, height: int) -> tuple[Plane, ...]:
        """Return the planes of one picture as views of its bytes."""
        planes, start = [], 0
        for rows, columns in self.shapes(width, height):
            end = start + rows * columns * self.dtype.itemsize
            planes.append(data[start:end].view(self.dtype).reshape(rows, columns))
            start = end
        return tuple(planes)

    def frame(self, data: NDArray[np.uint8], width: int, height: int, matrix: str, full_range: bool) -> Frame:
        """Return one picture as a Frame whose planes are views of its bytes."""
        planes = self.planes(data, width, height)
        alpha = planes[-1] if self.alpha else None
        colours = planes[:-1] if self.alpha else planes
        space = ColorSpace.GRAY if self.chroma == "gray" else ColorSpace.YUV
        return Frame(colours, space, self.depth, alpha, matrix, full_range)


def parse_layout(name: str) -> PixelLayout | None:
    """Return the layout of an ffmpeg name, or None where it is not one that we carry as it is."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    alpha, chroma, gray, depth = found.groups()
    return PixelLayout(gray or chroma, int(depth or 8), bool(alpha))


def frame_bytes(frame: Frame) -> bytes:
    """Return the samples of a YUV or GRAY frame, packed as its layout says."""
    return b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame.all_planes())
