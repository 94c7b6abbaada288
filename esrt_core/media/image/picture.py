"""Picture: a decoded file; its pages, its metadata and what was noticed on the way.

How a picture is to be written.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from esrt_core.errors import OptionError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.formats import Format

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class EncodeOptions:
    """Say how a picture is written.

    quality         1 to 100 for lossy formats; None takes the format's default.
    background      the RGB (0..255) under a transparent picture in a format without alpha.
    strip_metadata  drop EXIF, XMP and dpi; the ICC profile stays.
    lossless        True or False for formats that have both; None takes the format's default. Pass the `lossless` of
                    the source's ImageInfo to keep what it was.
    """

    quality: int | None = None
    background: tuple[int, int, int] = WHITE
    strip_metadata: bool = False
    lossless: bool | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"--quality is {self.quality}; give a number from 1 to 100")
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise OptionError(f"--background is {self.background}; give three numbers from 0 to 255")


DEFAULT_MAX_PIXELS = 1_000_000_000


@dataclass(frozen=True)
class Distant:
    """Name a picture that is no file of this machine: what messages call it, and how its bytes are opened."""

    name: str
    open: Callable[[], BinaryIO]


Source = Path | bytes | Distant


def extension_of(source: Source) -> str:
    """Return the extension of a picture's name with its dot, in lower case, "" where it has none."""
    if isinstance(source, bytes):
        return ""
    return (source if isinstance(source, Path) else PurePosixPath(source.name)).suffix.lower()


@dataclass(frozen=True)
class ReadLimits:
    """Say what is accepted: pictures of at most `max_pixels` px a page, and truncated files or not."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise OptionError(f"--max-pixels is {self.max_pixels}; give a number above 0")


@dataclass(frozen=True)
class ImageInfo:
    """Describe a picture as far as its headers tell.

    `width` and `height` are px after the EXIF orientation; `depth` is that of the frames (8, 16, or 32 for float);
    `pages` counts pages or animation frames; `duration_ms` sums over an animation where the header tells, else None;
    `quality` is a JPEG's, 1 to 100, as its tables tell; `reduced_color` whether its color has less resolution.
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
    reduced_color: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueRange:
    """Say which values of a float picture are 0 and 1 in its frame."""

    low: float
    high: float


@dataclass(frozen=True)
class Page:
    """Hold one page or one composited animation frame.

    `duration_ms` is an animation frame's time on screen, else None; `value_range` is set where float values outside
    0..1 were scaled into the frame. `notes` says what reading this page changed.
    """

    frame: Frame
    duration_ms: float | None = None
    value_range: ValueRange | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metadata:
    """Hold what is carried from the source's file to the target's.

    `exif` starts with a TIFF header (no "Exif" prefix), its orientation is 1 and it has no thumbnail. `dpi` is (x, y).
    `loop` is how often an animation plays, 0 for ever, None when the file does not say (once).
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    loop: int | None = None


@dataclass(frozen=True)
class Picture:
    """Hold a decoded file.

    `pages` can be iterated more than once. A still picture's one page is in memory; the pages of a longer file are
    decoded one by one as they are asked for, and damage in a later one raises MediaError then.
    """

    pages: Iterable[Page]
    info: ImageInfo
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
