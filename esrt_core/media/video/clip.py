"""Data model of a clip: its picture, its other streams, its colors, and the memory layout of its decoded samples."""

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
    depth   8 bits in bytes, or 9 to 16 bits in little-endian 16-bit words.
    alpha   an alpha plane follows.
    """

    chroma: str
    depth: int = 8
    alpha: bool = False

    @property
    def name(self) -> str:
        """The name of the pixel format in ffmpeg."""
        bits = "" if self.depth == 8 else f"{self.depth}le"
        return f"gray{bits}" if self.chroma == "gray" else f"yuv{'a' if self.alpha else ''}{self.chroma}p{bits}"

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The dtype of one sample."""
        return np.dtype(np.uint8) if self.depth == 8 else np.dtype("<u2")

    def shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Return the (rows, columns) of every plane; odd sides round up."""
        across, down = _SUBSAMPLING[self.chroma]
        chroma = (-(-height // down), -(-width // across))
        planes = [(height, width)] + ([] if self.chroma == "gray" else [chroma, chroma])
        return (*planes, (height, width)) if self.alpha else tuple(planes)

    def byte_size(self, width: int, height: int) -> int:
        """Return the size of one picture in bytes."""
        return sum(rows * columns for rows, columns in self.shapes(width, height)) * self.dtype.itemsize

    def planes(self, data: NDArray[np.uint8], width: int, height: int) -> tuple[Plane, ...]:
        """Return the planes of one picture, each (rows, columns), as views of its bytes."""
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
    """Return the layout of an ffmpeg pixel format, or None if it cannot be carried without conversion."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    alpha, chroma, gray, depth = found.groups()
    return PixelLayout(gray or chroma, int(depth or 8), bool(alpha))


def frame_bytes(frame: Frame) -> bytes:
    """Return the samples of a YUV or GRAY frame, packed in the order of its layout."""
    return b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame.all_planes())


# Code points of ITU-T H.273, which all containers and codecs share; 2 means unspecified.
UNSPECIFIED = 2
RGB_MATRIX = 0
MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
FULL_RANGE = 2  # AVCOL_RANGE_JPEG of ffmpeg; 1 is studio range, 0 unspecified


@dataclass(frozen=True)
class ColorTags:
    """Hold the color tags of a clip: `range` as ffmpeg counts it, the rest as code points of ITU-T H.273."""

    range: int = 0
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def hdr(self) -> str | None:
        """The transfer function of a clip with high dynamic range, "PQ" or "HLG"; None for any other clip."""
        return HDR_TRANSFERS.get(self.transfer)

    def matrix_name(self, height: int) -> str:
        """Return the matrix; if the clip does not state one, guess by height (px) as players do."""
        return MATRICES.get(self.matrix, "bt709" if height > 576 else "bt601")


@dataclass(frozen=True)
class Mastering:
    """Describe the display on which an HDR clip was mastered (SMPTE ST 2086).

    primaries  x and y of red, green, blue and white, in units of 1/50000.
    luminance  minimum and maximum, in units of 1/10000 cd/m2.
    """

    primaries: tuple[tuple[int, int], ...]
    luminance: tuple[int, int]

    def text(self) -> str:
        """Return it in the notation of x264 and x265."""
        red, green, blue, white = (f"({x},{y})" for x, y in self.primaries)
        minimum, maximum = self.luminance
        return f"G{green}B{blue}R{red}WP{white}L({maximum},{minimum})"


@dataclass(frozen=True)
class VideoStream:
    """Describe the video stream that is upscaled.

    width, height  px as stored, before rotation.
    pixels         ffmpeg's name of the stored pixel format; `layout` is the one in which frames are carried.
    rotation       counter-clockwise degrees by which players rotate it: 0, 90, 180 or 270.
    mirrored       the display matrix also mirrors, or rotates by another angle.
    aspect         sample aspect ratio, width to height.
    byte_size      of its packets, without the container and the other streams.
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
    byte_size: int = 0

    @property
    def is_rgb(self) -> bool:
        """Whether the samples are stored as RGB."""
        return "rgb" in self.pixels or "bgr" in self.pixels or self.pixels.startswith(("gbr", "pal"))

    @property
    def is_carried_exactly(self) -> bool:
        """Whether the layout carries the stored samples unchanged."""
        return self.pixels.replace("yuvj", "yuv") == self.layout.name


@dataclass(frozen=True)
class OtherStream:
    """Describe a stream that is copied.

    kind  "audio", "subtitle", "attachment", "data", "video" or "cover" (cover art); "timecode" and "chapters" are
          tracks that ffmpeg writes again from the metadata.
    """

    index: int
    kind: str
    codec: str
    language: str = ""
    dispositions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipInfo:
    """Describe a clip.

    container   ffmpeg's name of the format, such as "mov" or "matroska".
    is_counted  frames carry no times, as in AVI and raw streams: they follow each other at the frame rate.
    slots       of AVI with empty frames: the number of every frame, counting the empty ones.
    restarts    seconds at which the clock of the container restarts, as in joined recordings; times are those after
                ffmpeg has closed the gaps.
    captions    kinds of closed captions in the frames, see captions.py.
    spherical   it has the metadata of a 360 degree clip.
    own_tags    it has vendor tags, such as those of phones ("com.apple.quicktime.model").
    created     its creation date, as written in its metadata.
    start       seconds at which the container starts; streams may start later.
    duration    seconds from `start` to the end of the longest stream.
    size        bytes of the file.
    notes       limitations that the user should know.
    suspects    places that the container marks as damaged, one line each; perhaps no frame is missing.
    damage      damage found without decoding, one line each.
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
    slots: tuple[int, ...] = ()
    restarts: tuple[Fraction, ...] = ()
    captions: frozenset[str] = frozenset()
    spherical: bool = False
    own_tags: bool = False
    created: str = ""
    notes: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def seconds(self, tick: int) -> float:
        """Return the seconds from the start of the clip to a tick of its video stream, counted from the first frame."""
        timing = self.video.timing
        return float((timing.first + tick) * timing.time_base - self.start)

    def of_kind(self, kind: str) -> tuple[OtherStream, ...]:
        """Return the other streams of one kind."""
        return tuple(stream for stream in self.other_streams if stream.kind == kind)
