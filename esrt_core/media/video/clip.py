"""ClipInfo: what a clip holds, as far as it must be kept.

PixelLayout: how the samples of a decoded picture lie in memory, and the ffmpeg names of the layouts we carry.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.media.video.timing import Timing

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
        colors = planes[:-1] if self.alpha else planes
        space = ColorSpace.GRAY if self.chroma == "gray" else ColorSpace.YUV
        return Frame(colors, space, self.depth, alpha, matrix, full_range)


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


# The numbers are those of ITU-T H.273, which every container and codec shares; 2 means unspecified.
UNSPECIFIED = 2
RGB_MATRIX = 0
MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
FULL_RANGE = 2  # ffmpeg's number; 1 is studio range, 0 unspecified


@dataclass(frozen=True)
class ColorTags:
    """Carry what a clip says about its colors, as numbers; see above."""

    range: int = 0
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def hdr(self) -> str | None:
        """Return "PQ" or "HLG" for a clip of high dynamic range."""
        return HDR_TRANSFERS.get(self.transfer)

    def matrix_name(self, height: int) -> str:
        """Return the matrix; where the clip doesn't say, as players guess it: by its size."""
        return MATRICES.get(self.matrix, "bt709" if height > 576 else "bt601")


@dataclass(frozen=True)
class Mastering:
    """Hold the display that an HDR clip was graded on.

    primaries  x and y of red, green, blue and white, in 1/50000.
    luminance  the least and the most, in 1/10000 cd/m2.
    """

    primaries: tuple[tuple[int, int], ...]
    luminance: tuple[int, int]

    def text(self) -> str:
        """Return it as encoders write it."""
        red, green, blue, white = (f"({x},{y})" for x, y in self.primaries)
        least, most = self.luminance
        return f"G{green}B{blue}R{red}WP{white}L({most},{least})"


@dataclass(frozen=True)
class VideoStream:
    """Describe the picture.

    width, height  px as they are stored, before rotation.
    pixels         ffmpeg's name of the stored pixel format; `layout` is how we carry it.
    rotation       counter-clockwise degrees by which players turn it: 0, 90, 180 or 270.
    mirrored       players also mirror it, or turn it by another angle.
    aspect         shape of a pixel, width to height.
    """

    index: int
    codec: str
    width: int
    height: int
    pixels: str
    layout: PixelLayout
    colors: ColorTags
    timing: Timing
    rotation: int = 0
    mirrored: bool = False
    aspect: Fraction = Fraction(1)
    interlaced: bool = False
    mastering: Mastering | None = None
    content_light: tuple[int, int] | None = None
    dispositions: tuple[str, ...] = ()

    @property
    def is_rgb(self) -> bool:
        """Whether it is stored as RGB."""
        return "rgb" in self.pixels or "bgr" in self.pixels or self.pixels.startswith(("gbr", "pal"))

    @property
    def exact(self) -> bool:
        """Whether the layout carries the stored samples as they are."""
        return self.pixels.replace("yuvj", "yuv") == self.layout.name


@dataclass(frozen=True)
class OtherStream:
    """Describe a stream that is copied: sound, subtitle, attachment, data, or a cover picture ("cover").

    "timecode" and "chapters" are tracks that are written anew from the metadata.
    """

    index: int
    kind: str
    codec: str
    language: str = ""
    dispositions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipInfo:
    """Describe a clip.

    container  ffmpeg's name of the format, such as "mov" or "matroska".
    is_counted frames have no times of their own, as in AVI and raw streams: they follow each other at the rate.
    own_tags   it has tags beyond the common ones, such as those of phones ("com.apple.quicktime.model").
    created    when it was shot, as its metadata say it.
    start      seconds at which the container starts; streams may start later.
    """

    path: Path
    container: str
    start: Fraction
    duration: Fraction
    size: int
    video: VideoStream
    other_streams: tuple[OtherStream, ...]
    chapters: int = 0
    is_counted: bool = False
    own_tags: bool = False
    created: str = ""
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[OtherStream, ...]:
        """Return the streams of a kind."""
        return tuple(stream for stream in self.other_streams if stream.kind == kind)
