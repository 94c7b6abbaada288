"""Open image files: enforce limits, and turn decoder exceptions into MediaError."""

from __future__ import annotations

import importlib
import io
import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from esrt_core.errors import MediaError
from esrt_core.files import display_name, display_text
from esrt_core.media.image import jp2, netpbm, png
from esrt_core.media.image.deep import Deep, find_deep, patched, with_bytes
from esrt_core.media.image.formats import FORMATS, PAM, PFM, PPM, TGA, TIFF, Format, format_of_pillow
from esrt_core.media.image.identify import (
    CONVERT_FIRST,
    RAW_REASON,
    is_tiff,
    needs_extra,
    refusal_reason,
    unidentified_reason,
)
from esrt_core.media.image.picture import ReadLimits, RemoteFile, Source, extension_of
from esrt_core.media.image.tiff_chain import cut_of_loop
from esrt_core.system.process import is_own_process

if TYPE_CHECKING:
    import tifffile  # at run time in functions: it takes longer to import than a small picture to decode

HEAD_BYTES = 4096
# What Pillow's plugins, tifffile and imagecodecs have been seen to raise on damaged files.
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
_UNSUPPORTED = re.compile(r"unsupported|not supported|not implemented|unimplemented", re.IGNORECASE)
_CONVERT_OR_COPY = f"{CONVERT_FIRST}, or get an intact copy if other programs cannot read it either"
_SENSOR = (32_803, 34_892)  # the photometric interpretations of a color filter array and of linear raw
_WITH_SIGNATURE = [entry for entry in FORMATS if entry not in (TGA, TIFF) and not entry.extra]
_OPEN_FORMATS = [
    name for entry in _WITH_SIGNATURE for name in entry.pillow if name not in ("MPO", "DIB")
]  # the JPEG plugin opens MPO
_MOVING = ("PNG", "AVIF")  # in 8 bits; to Pillow layers of Photoshop are animations too
_MOST_OFFSET = (1 << 63) - 1
_PROCESS_SETTINGS = threading.RLock()  # Pillow's settings and Python's warning filters are process-wide
_NUMBERS = (
    "imagewidth",
    "imagelength",
    "bitspersample",
    "samplesperpixel",
    "photometric",
    "planarconfig",
    "subfiletype",
)
_LOGGERS = [logging.getLogger(name) for name in ("PIL", "tifffile")]
_SILENT = logging.NullHandler()  # without any handler Python prints warnings to the terminal
_WARNING = (
    r"(PIL|tifffile|imagecodecs|pillow_heif|pillow_jxl)\b|esrt_core\.media\.image\.(decode|deep\w*|opening|truncated)$"
)


@dataclass(frozen=True)
class Opened:
    """Hold an open image file.

    `head` is its first HEAD_BYTES bytes; `image` is None if only tifffile reads it; `tiff` is set for a TIFF,
    `ancillary` for a PNG, `deep` if samples of more than 8 bits are not read by Pillow.
    """

    source: Source
    limits: ReadLimits
    name: str
    head: bytes
    file: BinaryIO
    byte_size: int
    format: Format
    image: ImageFile.ImageFile | None
    tiff: tifffile.TiffFile | None
    ancillary: png.Ancillary | None = None
    deep: Deep | None = None

    def decoding(self) -> AbstractContextManager[None]:
        """Guard one call into a decoder, see `decoding`."""
        return decoding(self.name, self.limits)

    def damaged(self, reason: str) -> MediaError:
        """Return the error of a truncated or damaged file."""
        return MediaError(_damage(self.name, self.limits, reason))

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        return b"" if offset > self.byte_size else _read_at(self.file, offset, length)

    def tiff_page(self, number: int) -> tifffile.TiffPage:
        """Return a page of a TIFF, its directory parsed.

        Raises: MediaError if the directory is damaged.
        """
        assert self.tiff is not None
        with self.decoding():
            page = self.tiff.pages[number].aspage()
        self.check_page(page)
        return page

    def check_page(self, page: tifffile.TiffPage) -> None:
        """Check a page of a TIFF as check_page() does."""
        check_page(page, self.name, self.limits)


@contextmanager
def opened(source: Source, limits: ReadLimits) -> Iterator[Opened]:
    """Open an image without decoding its pixels.

    Raises: MediaError if it cannot be read or exceeds the limits.
    """
    name = source_name(source)
    extension = extension_of(source)
    with ExitStack() as stack:
        file = stack.enter_context(_open_bytes(source, name))
        with reading(name):
            head = file.read(HEAD_BYTES)
        if not head:
            raise MediaError(f"{name} is empty; get a new copy")
        if reason := refusal_reason(head, extension):
            raise MediaError(f"{name} {reason}")
        byte_size = file.seek(0, io.SEEK_END)
        if is_tiff(head):
            with reading(name):
                file = with_bytes(file, cut_of_loop(partial(_read_at, file), byte_size))
        tiff = stack.enter_context(_open_tiff(file, name, limits)) if is_tiff(head) else None
        with reading(name):
            deeper = find_deep(head, partial(_read_at, file), byte_size)
        ancillary, pixel_file = None, patched(file, deeper)
        if head.startswith(png.SIGNATURE):
            with reading(name):
                ancillary, pixel_file = png.read_ancillary(file), png.pixels_only(file)
        image = _open_image(pixel_file, _pillow_formats(head, name, extension), name, limits)
        if image is not None and deeper is not None:
            moving = image.format in _MOVING and getattr(image, "is_animated", False)
            usable = deeper.fits(image.mode) and not moving
            if not usable and deeper.patch is not None:
                raise MediaError(f"{name} has {deeper.bits} bits a sample in {image.mode}; {CONVERT_FIRST}")
            deeper = deeper if usable else None
        if image is None and tiff is None:
            raise MediaError(f"{name} {unidentified_reason(head, extension)}")
        if image is not None:
            stack.callback(image.close)
            if head.startswith(jp2.SIGNATURE):
                with reading(name):
                    image.info.update(_pillow_info(jp2.read(partial(_read_at, file), byte_size)))
            if ancillary is not None:
                image.info.update(_pillow_info(ancillary))
                png.scale_transparency(image, head[16:29])
            check_size(name, image.width, image.height, limits)
        entry = _format(image, head)
        yield Opened(source, limits, name, head, file, byte_size, entry, image, tiff, ancillary, deeper)


@contextmanager
def decoding(name: str, limits: ReadLimits) -> Iterator[None]:
    """Run a decoder silently and within our limits; what it raises on damaged files becomes MediaError.

    Only the call into Pillow, tifffile or imagecodecs belongs in this block.
    """
    with _kept_settings(limits) if is_own_process() else _restored_settings(limits):
        try:
            yield
        except Image.DecompressionBombError as error:
            raise MediaError(_above_limit(name, _pixels_in(str(error)), limits)) from error
        except MemoryError as error:
            raise MediaError(f"{name}: not enough memory to decode it; use a machine with more memory") from error
        except NotImplementedError as error:
            raise MediaError(
                f"{name}: {error or 'this variant of the format'} cannot be read; convert it first"
            ) from error
        except _DECODER_ERRORS as error:
            if _UNSUPPORTED.search(str(error)):
                raise MediaError(f"{name} cannot be read ({error}); {_CONVERT_OR_COPY}") from error
            raise MediaError(_damage(name, limits, str(error) or type(error).__name__)) from error


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn an OSError while a file's bytes are read into MediaError."""
    try:
        yield
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror}; check the disk or copy the file") from error


def check_size(name: str, width: int, height: int, limits: ReadLimits) -> None:
    """Check an image's size in px.

    Raises: MediaError if it has no pixels or more than `limits.max_pixels`.
    """
    if width < 1 or height < 1:
        raise MediaError(f"{name} is {width} x {height} px: it has no pixels; check the file")
    if width * height > limits.max_pixels:
        raise MediaError(_above_limit(name, f"{width} x {height} = {width * height:,}", limits))


def source_name(source: Source) -> str:
    """Return the name of a source for messages."""
    if isinstance(source, RemoteFile):
        return display_text(source.name)
    return display_name(source) if isinstance(source, Path) else "standard input"


def load_extra(entry: Format, name: str) -> None:
    """Register the format of an optional package with Pillow.

    Raises: MediaError if the package is not installed.
    """
    try:
        package = importlib.import_module(entry.extra or "")
    except ImportError as error:
        raise MediaError(f'{name} is {entry.label}, which needs an extra: pip install ".[formats]"') from error
    if entry.extra == "pillow_heif":
        package.register_heif_opener()


def _open_bytes(source: Source, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, RemoteFile):
        return source.open()
    try:
        if source.is_dir():
            raise MediaError(f"{name} is a folder; use `esrt batch`")
        if source.is_fifo():
            raise MediaError(f"{name} is a pipe, which can be read only once; use: esrt upscale - < {name}")
        if source.exists() and not source.is_file():
            raise MediaError(f"{name} is a device, not an image file; give a file")
        return source.open("rb")
    except FileNotFoundError as error:
        raise MediaError(f"{name} does not exist; check the path") from error
    except PermissionError as error:
        raise MediaError(f"{name} cannot be read: permission denied") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MediaError(f"{name} cannot be read: {reason}") from error


@contextmanager
def _open_tiff(file: BinaryIO, name: str, limits: ReadLimits) -> Iterator[tifffile.TiffFile]:
    import tifffile

    file.seek(0)
    with decoding(name, limits):
        tiff = tifffile.TiffFile(file)
    with tiff:
        with decoding(name, limits):
            pages = [page.aspage() for page in tiff.pages[:4]]
        for page in pages:
            check_page(page, name, limits)
        with decoding(name, limits):
            pages += [below.aspage() for page in pages for below in page.pages or ()]
        if any(_is_raw(page) for page in pages):
            raise MediaError(f"{name} {RAW_REASON}")
        yield tiff


def check_page(page: tifffile.TiffPage, name: str, limits: ReadLimits) -> None:
    """Check that a page's tags have numbers where numbers belong; tifffile takes what a file says.

    Raises: MediaError if they have not.
    """
    numbers = {tag: getattr(page, tag) for tag in _NUMBERS}
    odd = [tag for tag, value in numbers.items() if not isinstance(value, int | np.integer)]
    lists = (page.dataoffsets, page.databytecounts, page.extrasamples)
    if odd or not all(isinstance(each, int | np.integer) for values in lists for each in values):
        raise MediaError(_damage(name, limits, f"invalid {', '.join(odd) or 'list of numbers'} in a TIFF directory"))


def _is_raw(page: tifffile.TiffPage) -> bool:
    """Return whether a TIFF page belongs to a DNG or holds a sensor's color filter mosaic."""
    return "DNGVersion" in page.tags or page.photometric in _SENSOR


def _pillow_formats(head: bytes, name: str, extension: str) -> list[str]:
    """Return the Pillow formats that a file may have.

    Raises: MediaError if it needs an optional package that is not installed.
    """
    if extra := needs_extra(head):
        load_extra(extra, name)
        return [*extra.pillow]
    formats = [*TIFF.pillow] if is_tiff(head) else [*_OPEN_FORMATS]
    if extension == ".dib":  # which has hardly a signature
        return [*formats, "DIB"]
    return [*formats, *TGA.pillow] if extension in TGA.extensions else formats  # TGA has none


def _open_image(file: BinaryIO, formats: list[str], name: str, limits: ReadLimits) -> ImageFile.ImageFile | None:
    """Return a file opened by Pillow, or None if it is in none of the formats."""
    file.seek(0)
    with decoding(name, limits):
        try:
            return Image.open(file, formats=formats)
        except UnidentifiedImageError:
            return None


def _pillow_info(carried: png.Ancillary | jp2.Carried) -> dict[str | tuple[int, int], Any]:
    """Return what a PNG or JPEG 2000 carries under the names that Pillow's other formats use."""
    info: dict[str | tuple[int, int], Any] = {
        "icc_profile": carried.icc,
        "exif": carried.exif,
        "xmp": carried.xmp,
    }
    if carried.dpi is not None:
        info["dpi"] = carried.dpi
    return {key: value for key, value in info.items() if value is not None}


def _format(image: ImageFile.ImageFile | None, head: bytes) -> Format:
    if image is None:
        return TIFF
    entry = format_of_pillow(image.format or "")
    if entry is PPM and head.startswith(b"P7"):
        return PAM
    header = netpbm.read_header(head) if entry is PPM else None
    return PFM if header is not None and header.is_float else entry


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    if offset > _MOST_OFFSET:  # claimed by a damaged header
        return b""
    file.seek(offset)
    return file.read(length)


class _SwitchOfThread:
    """Stand in for Pillow's LOAD_TRUNCATED_IMAGES, which it only tests for truth: every thread has its own value."""

    def __init__(self) -> None:
        self._local = threading.local()

    def __bool__(self) -> bool:
        return getattr(self._local, "on", False)

    @contextmanager
    def set(self, on: bool) -> Iterator[None]:
        """Have this value in this thread."""
        before = bool(self)
        self._local.on = on
        try:
            yield
        finally:
            self._local.on = before


_LOAD_TRUNCATED = _SwitchOfThread()


@contextmanager
def _kept_settings(limits: ReadLimits) -> Iterator[None]:
    """Decode with settings that stay, so that threads need not wait for each other."""
    with _PROCESS_SETTINGS:
        ImageFile.LOAD_TRUNCATED_IMAGES = _LOAD_TRUNCATED  # type: ignore[assignment]
        Image.MAX_IMAGE_PIXELS = limits.max_pixels  # the same in all threads of a command
        if not any(_SILENT in logger.handlers for logger in _LOGGERS):
            for logger in _LOGGERS:
                logger.addHandler(_SILENT)
        if not any(getattr(entry[3], "pattern", "") == _WARNING for entry in warnings.filters):
            warnings.filterwarnings("ignore", module=_WARNING)
    with _LOAD_TRUNCATED.set(limits.allow_truncated):
        yield


@contextmanager
def _restored_settings(limits: ReadLimits) -> Iterator[None]:
    """Decode in a process that is not ours: one thread at a time, and all settings as before afterwards."""
    with _PROCESS_SETTINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        try:
            Image.MAX_IMAGE_PIXELS = limits.max_pixels  # above it Pillow warns, above twice as much it raises
            ImageFile.LOAD_TRUNCATED_IMAGES = limits.allow_truncated
            for logger in _LOGGERS:
                logger.addHandler(_SILENT)
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved
            for logger in _LOGGERS:
                logger.removeHandler(_SILENT)


def _above_limit(name: str, size: str, limits: ReadLimits) -> str:
    return f"{name} is {size} px, above --max-pixels {limits.max_pixels:,}; raise --max-pixels if the size is right"


def _pixels_in(bomb_message: str) -> str:
    """Return the number in Pillow's "Image size (123 pixels) exceeds limit"."""
    found = re.search(r"(\d+) pixels", bomb_message)
    return f"{int(found[1]):,}" if found else "too many"


def _damage(name: str, limits: ReadLimits, reason: str) -> str:
    detail = display_text(" ".join(reason.split())[:120])
    if limits.allow_truncated:
        return f"{name} is too damaged to be decoded even in part ({detail})"
    return (
        f"{name} is truncated or damaged ({detail}); get an intact copy, "
        "or let upscale or batch decode what is left of it with --allow-truncated"
    )
