"""The types of image input and output: sources and limits, a decoded picture with its metadata, encoder options."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from esrt_core.errors import OptionError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import CodePoints
from esrt_core.media.image.exif import Value
from esrt_core.media.image.formats import Format

WHITE = (255, 255, 255)
DEFAULT_MAX_PIXELS = 1_000_000_000
CREDENTIALS = "content credentials (C2PA) left out: they are signed for the pixels of the source"


@dataclass(frozen=True)
class RemoteFile:
    """Name an image that is not a local file: its name for messages, and how to open its bytes."""

    name: str
    open: Callable[[], BinaryIO]


Source = Path | bytes | RemoteFile


@dataclass(frozen=True)
class ReadLimits:
    """Limit what is decoded: at most `max_pixels` px a page, and truncated files only if `allow_truncated`."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise OptionError(f"--max-pixels must be above 0, not {self.max_pixels}")


@dataclass(frozen=True)
class EncodeOptions:
    """Configure how an image is written.

    quality         1 to 100 for lossy formats; None uses the format's default.
    background      RGB (0..255) behind a transparent image in a format without alpha.
    strip_metadata  drop EXIF, XMP and dpi; the ICC profile stays.
    lossless        True or False for formats that have both; None uses the format's default. Pass the `lossless` of
                    the source's ImageInfo to keep the source's kind.
    dpi             the resolution tag of the result; None keeps that of the source.
    """

    quality: int | None = None
    background: tuple[int, int, int] = WHITE
    strip_metadata: bool = False
    lossless: bool | None = None
    dpi: int | None = None

    def __post_init__(self) -> None:
        if self.dpi is not None and not 1 <= self.dpi <= 65535:
            raise OptionError(f"--dpi must be from 1 to 65535, not {self.dpi}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"--quality must be from 1 to 100, not {self.quality}")
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise OptionError(f"--background must be three numbers from 0 to 255, not {self.background}")


@dataclass(frozen=True)
class ImageInfo:
    """Describe an image, from its headers.

    `width` and `height` are in px after the EXIF orientation; `depth` is the frames' (8, 16, or 32 for float);
    `pages` counts pages or animation frames; `byte_size` is the file's; `quality` is a JPEG's, 1 to 100, estimated from
    its tables; `is_sheet` is whether it is a comparison sheet that esrt wrote.
    """

    format: Format
    width: int
    height: int
    space: ColorSpace
    depth: int
    has_alpha: bool
    pages: int
    animated: bool
    lossless: bool | None
    byte_size: int
    quality: int | None = None
    is_sheet: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueRange:
    """Hold the values of a float image that are 0 and 1 in its frame."""

    low: float
    high: float


class Unit(Enum):
    """Name the unit of a resolution, with its length in inches."""

    NONE = 0.0
    INCH = 1.0
    CM = 1 / 2.54
    METER = 100 / 2.54


@dataclass(frozen=True)
class Resolution:
    """Hold how many px lie in a unit, across and down; without a unit only their ratio counts.

    `x` and `y` are in px per unit.
    """

    x: float
    y: float
    unit: Unit = Unit.INCH

    def per(self, unit: Unit) -> tuple[float, float]:
        """Return the resolution in px per another unit; that of whole px per meter becomes whole dpi if it was that."""
        if self.unit is unit:
            return self.x, self.y
        x, y = (value / self.unit.value * unit.value for value in (self.x, self.y))
        if self.unit is Unit.METER and unit is Unit.INCH:
            x, y = (float(round(value)) if abs(value - round(value)) < 0.013 else value for value in (x, y))
        return x, y

    def ratio(self, most: int) -> tuple[int, int]:
        """Return the two values as whole numbers up to `most` with the same ratio."""
        if max(self.x, self.y) <= most and float(self.x).is_integer() and float(self.y).is_integer():
            return int(self.x), int(self.y)
        ratio = Fraction(self.x / self.y).limit_denominator(1000)
        return min(ratio.numerator, most), ratio.denominator


def resolution_of(x: float, y: float, unit: Unit) -> Resolution | None:
    """Return a resolution, or None if it says nothing: no plausible number, or square pixels without a unit."""
    if not (math.isfinite(x) and math.isfinite(y)) or min(x, y) <= 0:
        return None
    if unit is Unit.NONE:
        return None if x == y else Resolution(x, y, unit)
    return Resolution(x, y, unit) if all(1 < value < 65536 for value in Resolution(x, y, unit).per(Unit.INCH)) else None


@dataclass(frozen=True)
class Metadata:
    """Hold what is carried over from the source file to the result.

    icc, color, color_chunks  the color: `color` (code points of CICP) goes before `icc`, which goes before
                              `color_chunks`, a PNG's gAMA, cHRM and sRGB.
    exif          starts with a TIFF header (without the "Exif" prefix), has the orientation 1 and no thumbnail.
    xmp           the packet; `extended_xmp` is what a JPEG has beyond its first segment.
    photoshop     Photoshop's image resources, which hold IPTC.
    resolution    px per inch, centimeter or meter, or the shape of a pixel.
    comments      of a JPEG, GIF or JPEG 2000.
    png_chunks    the type and data of further chunks that a PNG gets: text, time and others.
    jpeg_segments the marker and data of further segments that a JPEG gets.
    tiff_tags     further tags that a page of a TIFF gets, little-endian.
    webp_chunks   the kind and content of further chunks that a WebP gets.
    jp2_boxes     the kind and content of further boxes that a JPEG 2000 gets.
    loop          how many times an animation plays, 0 for endlessly, None if the file does not say (once).
    source_size   the source's oriented width and height in px.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    extended_xmp: bytes = b""
    photoshop: bytes | None = None
    resolution: Resolution | None = None
    comments: tuple[bytes, ...] = ()
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg_segments: tuple[tuple[int, bytes], ...] = ()
    tiff_tags: tuple[tuple[int, Value], ...] = ()
    webp_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jp2_boxes: tuple[tuple[bytes, bytes], ...] = ()
    loop: int | None = None
    color: CodePoints | None = None
    color_chunks: tuple[tuple[bytes, bytes], ...] = ()
    source_size: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def dpi(self) -> tuple[float, float] | None:
        """The resolution in px per inch, (x, y), or None."""
        if self.resolution is None or self.resolution.unit is Unit.NONE:
            return None
        return self.resolution.per(Unit.INCH)


@dataclass(frozen=True)
class Page:
    """Hold one page or one composited animation frame.

    `duration_ms` is an animation frame's display time, else None; `value_range` is set if float values outside 0..1
    were scaled into the frame; `notes` says what decoding changed; `metadata` is that of a page of a TIFF with several,
    None if that of the file counts; `bits` is how many bits a sample of the file has if its frame has more.
    """

    frame: Frame
    duration_ms: float | None = None
    value_range: ValueRange | None = None
    notes: tuple[str, ...] = ()
    bits: int | None = None
    metadata: Metadata | None = None


# Marks a comparison sheet, so that it is never taken as a photo.
SHEET = Metadata(png_chunks=((b"tEXt", b"Software\0esrt comparison sheet"),))


@dataclass(frozen=True)
class Picture:
    """Hold a decoded file.

    `pages` can be iterated more than once. The one page of a still image is in memory; those of a multi-page file are
    decoded one by one during iteration, and damage in a later page raises MediaError then.
    """

    pages: Iterable[Page]
    info: ImageInfo
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()


def extension_of(source: Source) -> str:
    """Return the extension of a source's name in lower case, with its dot; "" if it has none."""
    if isinstance(source, bytes):
        return ""
    return (source if isinstance(source, Path) else PurePosixPath(source.name)).suffix.lower()
