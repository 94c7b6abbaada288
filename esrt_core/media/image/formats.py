"""The image formats as data: what each can hold, how large its files are, and what its encoder refuses."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath

from esrt_core.errors import MediaError


@dataclass(frozen=True)
class Format:
    """Describe one image format.

    name             the value of `--format`.
    label            the name for messages.
    pillow           Pillow's names for it.
    extensions       the first one is used for new files.
    writable         esrt writes it; else the result is a PNG.
    gray ... comment what it can hold: grayscale, alpha, float, animation, pages, metadata (`dpi` has a unit, `aspect`
                     is of pixels that are not square, `comment` is one text without a keyword, `cicp` are code points
                     of color).
    comment_bytes    the longest comment, or None.
    depths           the bits of an integer sample that it is written with, ascending; () for float alone.
    default_quality  1 to 100; None if it has no lossy form or is lossless by default.
    max_side         the largest side in px that the encoder accepts, or None.
    max_pixels       the largest area in px that the encoder accepts, or None.
    extra            the optional package that reads and writes it, or None.
    least_bytes      per px of a flat gray picture, at least: with less free space, writing must fail.
    typical_bytes    per px of an ordinary photo at the default quality.
    """

    name: str
    label: str
    pillow: tuple[str, ...]
    extensions: tuple[str, ...]
    writable: bool = False
    gray: bool = True
    alpha: bool = False
    floating: bool = False
    depths: tuple[int, ...] = (8,)
    animation: bool = False
    pages: bool = False
    icc: bool = False
    cicp: bool = False
    exif: bool = False
    xmp: bool = False
    dpi: bool = False
    aspect: bool = False
    iptc: bool = False
    comment: bool = False
    comment_bytes: int | None = None
    default_quality: int | None = None
    max_side: int | None = None
    max_pixels: int | None = None
    extra: str | None = None
    least_bytes: float = 0.0
    typical_bytes: float = 3.0


_EVERY_DEPTH = tuple(range(8, 17))
PNG = Format(
    "png",
    "PNG",
    ("PNG",),
    (".png", ".apng"),
    writable=True,
    alpha=True,
    depths=(8, 16),
    animation=True,
    icc=True,
    cicp=True,
    exif=True,
    xmp=True,
    dpi=True,
    aspect=True,
    iptc=True,
    least_bytes=0.02,
    typical_bytes=1.3,
)
JPEG = Format(
    "jpeg",
    "JPEG",
    ("JPEG", "MPO"),  # MPO: a phone's JPEG with a second image or a gain map
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    writable=True,
    icc=True,
    exif=True,
    xmp=True,
    dpi=True,
    aspect=True,
    iptc=True,
    comment=True,
    comment_bytes=65_533,
    default_quality=95,
    max_side=65_500,
    least_bytes=0.015,
    typical_bytes=0.4,
)
WEBP = Format(
    "webp",
    "WebP",
    ("WEBP",),
    (".webp",),
    writable=True,
    gray=False,
    alpha=True,
    animation=True,
    icc=True,
    exif=True,
    xmp=True,
    default_quality=90,
    max_side=16_383,
    least_bytes=0.003,
    typical_bytes=0.25,
)
TIFF = Format(
    "tiff",
    "TIFF",
    ("TIFF",),
    (".tif", ".tiff"),
    writable=True,
    alpha=True,
    depths=(8, 16),
    floating=True,
    pages=True,
    icc=True,
    exif=True,
    xmp=True,
    dpi=True,
    aspect=True,
    iptc=True,
    least_bytes=0.02,
)
BMP = Format("bmp", "BMP", ("BMP", "DIB"), (".bmp", ".dib"), writable=True, dpi=True, least_bytes=1.0)
AVIF = Format(
    "avif",
    "AVIF",
    ("AVIF",),
    (".avif", ".avifs"),
    writable=True,
    alpha=True,
    depths=(8, 10, 12),
    animation=True,
    icc=True,
    cicp=True,
    exif=True,
    xmp=True,
    default_quality=85,
    max_side=32_768,  # the encoder accepts 65,536, but decoders stop here
    max_pixels=16_384 * 16_384,
    least_bytes=0.002,
    typical_bytes=0.15,
)
GIF = Format(
    "gif",
    "GIF",
    ("GIF",),
    (".gif",),
    writable=True,
    xmp=True,
    aspect=True,
    comment=True,
    alpha=True,
    animation=True,
    max_side=65_535,
    typical_bytes=0.6,
)
JPEG2000 = Format(
    "jpeg2000",
    "JPEG 2000",
    ("JPEG2000",),
    (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    writable=True,
    iptc=True,
    comment=True,
    comment_bytes=65_531,
    alpha=True,
    depths=_EVERY_DEPTH,
    icc=True,
    exif=True,
    xmp=True,
    dpi=True,
    default_quality=None,
)
PPM = Format(
    "ppm",
    "PPM",
    ("PPM",),
    (".ppm", ".pgm", ".pnm", ".pbm"),
    writable=True,
    depths=_EVERY_DEPTH,
    comment=True,
    comment_bytes=50_000,  # so that the header is read again
)
PFM = Format("pfm", "PFM", (), (".pfm",), writable=True, floating=True, depths=(), typical_bytes=12.0)
PAM = Format(
    "pam",
    "PAM",
    (),
    (".pam",),
    writable=True,
    alpha=True,
    depths=_EVERY_DEPTH,
    comment=True,
    comment_bytes=50_000,
)
SGI = Format(
    "sgi",
    "SGI",
    ("SGI",),
    (".sgi", ".rgb", ".rgba", ".bw"),
    writable=True,
    alpha=True,
    depths=(8, 16),
    max_side=65_535,
)
TGA = Format(
    "tga",
    "TGA",
    ("TGA",),
    (".tga", ".icb", ".vda", ".vst"),
    writable=True,
    alpha=True,
    comment=True,
    comment_bytes=255,
    max_side=65_535,
)
QOI = Format("qoi", "QOI", ("QOI",), (".qoi",), writable=True, gray=False, alpha=True)
HEIF = Format(
    "heic",
    "HEIC",
    ("HEIF",),
    (".heic", ".heif", ".hif", ".heics", ".heifs"),
    writable=True,
    alpha=True,
    depths=(8, 10, 12),
    icc=True,
    cicp=True,
    exif=True,
    xmp=True,
    default_quality=90,
    max_side=16_384,
    extra="pillow_heif",
    typical_bytes=0.15,
)
JXL = Format(
    "jxl",
    "JPEG XL",
    ("JXL",),
    (".jxl",),
    writable=True,
    alpha=True,
    depths=(8, 16),
    floating=True,
    exif=True,
    xmp=True,
    default_quality=95,
    extra="pillow_jxl",
    typical_bytes=0.2,
)
ICO = Format("ico", "ICO", ("ICO",), (".ico",))
ICNS = Format("icns", "ICNS", ("ICNS",), (".icns",))
PSD = Format("psd", "Photoshop", ("PSD",), (".psd", ".psb", ".pdd"))
FORMATS: tuple[Format, ...] = (
    PNG,
    JPEG,
    WEBP,
    TIFF,
    BMP,
    AVIF,
    GIF,
    JPEG2000,
    PPM,
    PFM,
    PAM,
    TGA,
    QOI,
    HEIF,
    JXL,
    ICO,
    ICNS,
    Format("pcx", "PCX", ("PCX",), (".pcx",)),
    SGI,
    PSD,
    Format("dds", "DDS", ("DDS",), (".dds",)),
    Format("sun", "Sun raster", ("SUN",), (".ras",)),
)
FALLBACK = PNG
_BY_EXTENSION = {extension: entry for entry in FORMATS for extension in entry.extensions}
_BY_NAME = {entry.name: entry for entry in FORMATS} | {"jpg": JPEG, "tif": TIFF, "jp2": JPEG2000, "heif": HEIF}
_BY_PILLOW = {name: entry for entry in FORMATS for name in entry.pillow}
ENCODER_ERRORS = (  # what Pillow, tifffile and imagecodecs have been seen to raise when they refuse an image
    OSError,
    ValueError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    LookupError,
    struct.error,
)


def format_for_path(path: PurePath) -> Format | None:
    """Return the format of a file name's extension, or None."""
    return _BY_EXTENSION.get(path.suffix.lower())


def format_named(name: str) -> Format | None:
    """Return the format of a `--format` value, or None."""
    return _BY_NAME.get(name.lower())


def format_of_pillow(name: str) -> Format:
    """Return the format with a Pillow format name."""
    return _BY_PILLOW[name]


def written_as(source: Format) -> Format:
    """Return the format in which an image of format `source` is written: its own, or PNG."""
    return source if source.writable else FALLBACK


def writable_names() -> tuple[str, ...]:
    """Return the names that `--format` accepts."""
    return tuple(entry.name for entry in FORMATS if entry.writable)


def check_fits(target: Format, width: int, height: int) -> None:
    """Check a size in px.

    Raises: MediaError if the format's encoder does not accept it.
    """
    side, area = target.max_side, target.max_pixels
    if side is not None and max(width, height) > side:
        limit = f"{side:,} px a side"
    elif area is not None and width * height > area:
        limit = f"{area:,} px in total"
    else:
        return
    raise MediaError(f"{width} x {height} px is too large for {target.label} ({limit}); use --format png or tiff")


@contextmanager
def encoding(target: Format) -> Iterator[None]:
    """Run an encoder and turn what it raises into MediaError, except an OSError of the file system, which passes.

    Only the call into Pillow, tifffile or imagecodecs belongs in this block.
    """
    try:
        yield
    except ENCODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MediaError(f"cannot write the result as {target.label} ({error}); use --format png") from error
