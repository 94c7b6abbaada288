"""The types of image input and output: sources and limits, a decoded picture with its metadata, encoder options."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from esrt_core.errors import OptionError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import CodePoints
from esrt_core.media.image.formats import Format

WHITE = (255, 255, 255)
DEFAULT_MAX_PIXELS = 1_000_000_000


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
    """

    quality: int | None = None
    background: tuple[int, int, int] = WHITE
    strip_metadata: bool = False
    lossless: bool | None = None

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class Page:
    """Hold one page or one composited animation frame.

    `duration_ms` is an animation frame's display time, else None; `value_range` is set if float values outside 0..1
    were scaled into the frame; `notes` says what decoding changed.
    """

    frame: Frame
    duration_ms: float | None = None
    value_range: ValueRange | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metadata:
    """Hold what is carried over from the source file to the result.

    `exif` starts with a TIFF header (without the "Exif" prefix), has the orientation 1 and no thumbnail. `dpi` is
    (x, y). `loop` is how many times an animation plays, 0 for endlessly, None if the file does not say (once).
    `png_chunks` are the type and data of chunks that another PNG gets as they are, `jpeg_segments` the marker and data
    of segments that another JPEG gets. `source_size` is the source's oriented width and height in px.

    Color is described by `color` (code points of CICP), which goes before `icc`, which goes before `color_chunks`: a
    PNG's gAMA, cHRM and sRGB.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    loop: int | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg_segments: tuple[tuple[int, bytes], ...] = ()
    color: CodePoints | None = None
    color_chunks: tuple[tuple[bytes, bytes], ...] = ()
    source_size: tuple[int, int] | None = field(default=None, compare=False)


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
