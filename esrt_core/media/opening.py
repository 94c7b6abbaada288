"""The one place that opens pictures and that turns what decoders throw into MediaError."""

import importlib
import io
import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tifffile
from PIL import Image, ImageFile, UnidentifiedImageError

from esrt_core.errors import MediaError
from esrt_core.files import display_name, display_text
from esrt_core.media import sniff
from esrt_core.media.formats import FORMATS, TGA, TIFF, Format, format_of_pillow
from esrt_core.media.picture import Distant, ReadLimits, Source, extension_of

# What Pillow's plugins, tifffile and imagecodecs were seen to throw at damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    EOFError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_WITH_SIGNATURE = [entry for entry in FORMATS if entry not in (TGA, TIFF) and not entry.extra]
_OPEN_FORMATS = [
    name for entry in _WITH_SIGNATURE for name in entry.pillow if name != "MPO"
]  # the JPEG plugin opens MPO
_GLOBALS = threading.RLock()  # Pillow's settings and Python's warning filters belong to the whole process


@dataclass(frozen=True)
class Opened:
    """Hold an open picture: `image` unless Pillow cannot read it, `tiff` for a TIFF, `head` its first bytes."""

    source: Source
    limits: ReadLimits
    name: str
    head: bytes
    file: BinaryIO
    byte_size: int
    format: Format
    image: ImageFile.ImageFile | None
    tiff: tifffile.TiffFile | None


def source_name(source: Source) -> str:
    """Return what messages call a source."""
    if isinstance(source, Distant):
        return display_text(source.name)
    return display_name(source) if isinstance(source, Path) else "standard input"


@contextmanager
def opened(source: Source, limits: ReadLimits) -> Iterator[Opened]:
    """Open a picture without decoding its pixels. Raises MediaError when it cannot or must not be read."""
    name = source_name(source)
    extension = extension_of(source)
    with ExitStack() as stack:
        file = stack.enter_context(_open_bytes(source, name))
        head = _read_head(file, name)
        if not head:
            raise MediaError(f"{name} is empty; get the file again")
        if reason := sniff.refusal(head, extension):
            raise MediaError(f"{name} {reason}")
        byte_size = file.seek(0, io.SEEK_END)
        with decoding(name, limits):
            tiff = stack.enter_context(_open_tiff(file, name)) if sniff.is_tiff(head) else None
            image = _open_image(file, head, name, extension, required=tiff is None)
        if image is not None:
            stack.callback(image.close)
            check_size(name, image.width, image.height, limits)
        yield Opened(source, limits, name, head, file, byte_size, _format(image), image, tiff)


@contextmanager
def decoding(name: str, limits: ReadLimits) -> Iterator[None]:
    """Run decoders: quiet, within our limits, and with what they throw at damaged files turned into MediaError."""
    with _GLOBALS, warnings.catch_warnings(), _decoder_settings(limits):
        warnings.simplefilter("ignore")
        try:
            yield
        except Image.DecompressionBombError as error:
            raise MediaError(_above_limit(name, _pixels_in(str(error)), limits)) from error
        except MemoryError as error:
            raise MediaError(f"{name} needs more memory than there is; use a machine with more") from error
        except NotImplementedError as error:
            raise MediaError(
                f"{name}: {error or 'this variant of the format'} cannot be read; convert it first"
            ) from error
        except _DECODER_ERRORS as error:
            raise MediaError(_damage(name, limits, error)) from error


def check_size(name: str, width: int, height: int, limits: ReadLimits) -> None:
    """Refuse a picture without pixels or with more than the limit. Raises MediaError."""
    if width < 1 or height < 1:
        raise MediaError(f"{name} is {width} x {height} px: it has no pixels")
    if width * height > limits.max_pixels:
        raise MediaError(_above_limit(name, f"{width} x {height} = {width * height:,}", limits))


@contextmanager
def _decoder_settings(limits: ReadLimits) -> Iterator[None]:
    saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    unheard = logging.NullHandler()  # without any handler Python prints warnings to the terminal
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    try:
        Image.MAX_IMAGE_PIXELS = limits.max_pixels  # above it Pillow warns, above twice as much it raises
        ImageFile.LOAD_TRUNCATED_IMAGES = limits.allow_truncated
        for logger in loggers:
            logger.addHandler(unheard)
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved
        for logger in loggers:
            logger.removeHandler(unheard)


def _read_head(file: BinaryIO, name: str) -> bytes:
    try:
        return file.read(sniff.HEAD_BYTES)
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror}; check the disk or copy the file") from error


def _open_bytes(source: Source, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, Distant):
        return source.open()
    try:
        if source.is_dir():
            raise MediaError(f"{name} is a folder; use `esrt batch`")
        if source.is_fifo():
            raise MediaError(f"{name} is a pipe, which gives its content only once; use: esrt upscale - < {name}")
        if source.exists() and not source.is_file():
            raise MediaError(f"{name} is a device, not a picture")
        return source.open("rb")
    except FileNotFoundError as error:
        raise MediaError(f"{name} does not exist; check the path") from error
    except PermissionError as error:
        raise MediaError(f"{name} cannot be read: no permission") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MediaError(f"{name} cannot be read: {reason}") from error


@contextmanager
def _open_tiff(file: BinaryIO, name: str) -> Iterator[tifffile.TiffFile]:
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        if any(_is_raw(page) for page in tiff.pages[:4]):
            raise MediaError(f"{name} {sniff.RAW_REASON}")
        yield tiff


def _is_raw(page: tifffile.TiffPage | tifffile.TiffFrame) -> bool:
    """Tell whether a TIFF page belongs to a DNG, or it or a picture under it holds a sensor's colour filter mosaic."""
    sensor = (tifffile.PHOTOMETRIC.CFA, tifffile.PHOTOMETRIC.LINEAR_RAW)
    page = page.aspage()
    below = [under.aspage() for under in page.pages or ()]
    return "DNGVersion" in page.tags or any(each.photometric in sensor for each in (page, *below))


def _open_image(
    file: BinaryIO, head: bytes, name: str, extension: str, *, required: bool
) -> ImageFile.ImageFile | None:
    formats = [*_OPEN_FORMATS] if required else [*TIFF.pillow]
    if extra := sniff.needs_extra(head):
        load_extra(extra, name)
        formats = [*extra.pillow]
    elif extension in TGA.extensions:  # it has no signature: anything would do
        formats += TGA.pillow
    file.seek(0)
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError as error:
        if required:
            raise MediaError(f"{name} {sniff.unidentified(extension)}") from error
        return None


def load_extra(entry: Format, name: str) -> None:
    """Make an optional package's format known to Pillow. Raises MediaError when it is not installed."""
    try:
        package = importlib.import_module(entry.extra or "")
    except ImportError as error:
        raise MediaError(f'{name} is {entry.label}, which needs an extra: pip install ".[formats]"') from error
    if entry.extra == "pillow_heif":
        package.register_heif_opener()


def _format(image: ImageFile.ImageFile | None) -> Format:
    return TIFF if image is None else format_of_pillow(image.format or "")


def _above_limit(name: str, size: str, limits: ReadLimits) -> str:
    return f"{name} is {size} px, above --max-pixels {limits.max_pixels:,}; raise --max-pixels if the picture is right"


def _pixels_in(bomb_message: str) -> str:
    """Return the number in Pillow's "Image size (123 pixels) exceeds limit"."""
    found = re.search(r"(\d+) pixels", bomb_message)
    return f"{int(found[1]):,}" if found else "too many"


def _damage(name: str, limits: ReadLimits, error: Exception) -> str:
    detail = " ".join(str(error).split())[:120] or type(error).__name__
    if limits.allow_truncated:
        return f"{name} is too damaged to be decoded even in part ({detail})"
    return (
        f"{name} is truncated or damaged ({detail}); get a whole copy; "
        "upscale and batch can take what is left of it: --allow-truncated"
    )
