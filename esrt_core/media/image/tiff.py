"""TIFF: decode the pages that Pillow would reduce to 8 bits or cannot read, and write pages with their metadata.

Pages are written deflated, with 8 or 16 bits or float samples.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable
from dataclasses import replace
from enum import IntEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import exif, photoshop, tiff_tags
from esrt_core.media.image.byte_order import little_endian
from esrt_core.media.image.formats import TIFF, encoding
from esrt_core.media.image.icc import to_srgb
from esrt_core.media.image.picture import Metadata, Page, Unit
from esrt_core.media.image.pixels import (
    UPRIGHT,
    Layout,
    Samples,
    float_page,
    integers_to_16,
    page_of,
    shown_size,
    stored_view,
    unmixed,
    widen_to_16,
)
from esrt_core.media.image.premultiplied import BLACK, straightened
from esrt_core.media.image.tiff_tags import LOST_MAKER_NOTES

if TYPE_CHECKING:
    import tifffile  # at run time in functions: it takes longer to import than a small picture to decode


class Photometric(IntEnum):
    """Name the values of the tag PhotometricInterpretation (TIFF 6.0, sections 8, 16 and 20 to 23)."""

    MINISWHITE = 0
    MINISBLACK = 1
    RGB = 2
    PALETTE = 3
    SEPARATED = 5
    YCBCR = 6
    CIELAB = 8


_SEPARATE_PLANES = 2  # of the tag PlanarConfiguration
_COLOR_SAMPLES: dict[int, int] = {
    Photometric.MINISBLACK: 1,
    Photometric.MINISWHITE: 1,
    Photometric.PALETTE: 1,
    Photometric.RGB: 3,
    Photometric.YCBCR: 3,
    Photometric.CIELAB: 3,
    Photometric.SEPARATED: 4,
}
_CONVERTED: dict[int, str] = {Photometric.SEPARATED: "CMYK", Photometric.CIELAB: "LAB"}
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples, TIFF 6.0 page 31
_BYTE, _LONG, _UNDEFINED, _LONG8 = 1, 4, 7, 16
_CLASSIC_LIMIT = 3_900_000_000  # a classic TIFF addresses 4 GiB
_STRIP_BYTES = 1 << 20
_UNITS = {Unit.NONE: "none", Unit.INCH: "inch", Unit.CM: "centimeter"}
_PLACEHOLDERS = {exif.EXIF: 34664, exif.GPS: 34852}  # tifffile refuses to write the tags themselves


def page_numbers(pages: list[tifffile.TiffPage]) -> tuple[list[int], tuple[str, ...]]:
    """Return the numbers of the pages that are images, from 0, and a note if previews or masks are left out."""
    kept = [number for number, page in enumerate(pages) if not page.subfiletype & 0b101]
    if not kept:
        return [0], ()
    dropped = len(pages) - len(kept)
    return kept, (f"{dropped} smaller previews or masks in the TIFF left out",) if dropped else ()


def is_deep(page: tifffile.TiffPage) -> bool:
    """Return whether a page has more than 8 bits a sample, or float or signed samples."""
    return page.dtype is None or page.dtype.itemsize > 1 or page.bitspersample > 8 or page.dtype.kind == "i"


def is_beyond_pillow(page: tifffile.TiffPage) -> bool:
    """Return whether tifffile is to read a page that Pillow opens: it is deep, or its alpha is a plane of its own.

    Pillow loses such a plane of a gray page. It refuses a palette or few bits with alpha, and then tifffile reads them.
    """
    return is_deep(page) or (page.planarconfig == _SEPARATE_PLANES and _has_alpha(page))


def missing_segments(page: tifffile.TiffPage) -> int:
    """Return how many strips or tiles a page announces but does not point to."""
    missing = math.prod(page.chunked) - len(page.dataoffsets)
    return 0 if missing <= 0 or sum(page.databytecounts) >= page.nbytes else missing


def has_all_data(page: tifffile.TiffPage, byte_size: int) -> bool:
    """Return whether all strips or tiles of a page lie within a file of `byte_size` bytes."""
    ends = (at + length for at, length in zip(page.dataoffsets, page.databytecounts, strict=False))
    return max(ends, default=0) <= byte_size


def layout_of_page(page: tifffile.TiffPage) -> Layout:
    """Return the layout of the frame that a page becomes."""
    gray = _COLOR_SAMPLES.get(page.photometric, 3) == 1 and page.photometric != Photometric.PALETTE
    space = ColorSpace.GRAY if gray else ColorSpace.RGB
    if page.photometric in _CONVERTED or not is_deep(page):
        return Layout("", space, 8, _has_alpha(page))
    is_float = page.dtype is not None and page.dtype.kind == "f"
    return Layout("", space, 32 if is_float else 16, _has_alpha(page))


def orientation_of(page: tifffile.TiffPage) -> int:
    """Return the page's orientation, 1 to 8; 1 if the tag is missing or invalid."""
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and tag.value in range(1, 9) else UPRIGHT


def unsupported_compression(page: tifffile.TiffPage) -> str | None:
    """Return which compression of a page tifffile does not know, or None."""
    import tifffile

    if page.compression in tifffile.TIFF.DECOMPRESSORS:
        return None
    return f"a TIFF page with the compression {getattr(page.compression, 'name', page.compression)}"


def unsupported(page: tifffile.TiffPage, samples: Samples) -> str | None:
    """Return what about a page and its decoded samples is not supported, or None if `read_tiff_page` reads it."""
    if page.photometric not in _COLOR_SAMPLES:
        name = getattr(page.photometric, "name", page.photometric)
        return f"a TIFF page with the photometric interpretation {name}"
    count = _COLOR_SAMPLES[page.photometric]
    channels = 1 if samples.ndim == 2 else _channels_last(page, samples).shape[-1]
    needed = count + (_has_alpha(page) and samples.ndim == 3)
    if samples.ndim not in (2, 3) or samples.size == 0 or samples.dtype.kind not in "buif" or channels < needed:
        return f"a TIFF page of {samples.dtype} samples and shape {samples.shape}"
    if page.photometric == Photometric.PALETTE and not _has_all_colors(page, samples):
        return "a TIFF page with colors that its palette lacks"
    if page.photometric in _CONVERTED and samples.dtype.kind == "f":
        return f"a TIFF page with {_CONVERTED[page.photometric]} as float numbers"
    if page.photometric == Photometric.CIELAB and _is_premultiplied(page):
        return "a TIFF page of LAB multiplied by its alpha"
    return None


def _has_all_colors(page: tifffile.TiffPage, samples: Samples) -> bool:
    if page.colormap is None or samples.dtype.kind not in "bu":
        return False
    indices, _, _ = _separate(page, _channels_last(page, samples))
    return bool(indices.max() < page.colormap.shape[1])


def read_tiff_page(page: tifffile.TiffPage, samples: Samples, icc: bytes | None) -> Page:
    """Return the decoded samples of a page that is supported, oriented."""
    color, alpha, notes = _separate(page, _channels_last(page, samples))
    alpha = None if alpha is None else _of_full_scale(alpha, page)
    orientation = orientation_of(page)
    if page.photometric == Photometric.PALETTE:
        return _oriented(_through_palette(page, color, alpha, notes), orientation)
    color = _of_full_scale(color, page)
    if page.photometric in _CONVERTED:
        if alpha is not None and _is_premultiplied(page):
            peak = np.iinfo(color.dtype).max
            color = np.clip(np.rint(unmixed(color, _as_fraction(alpha), BLACK)), 0, peak).astype(color.dtype)
        converted = _to_srgb(color, _CONVERTED[page.photometric], icc)
        alpha8 = None if alpha is None else _alpha_of(alpha, np.uint8)
        return _oriented(
            replace(page_of(converted.frame.planes[0], alpha8, 8), notes=(*notes, *converted.notes)), orientation
        )
    read = _scaled(color, alpha, page)
    if page.photometric == Photometric.MINISWHITE:
        inverted = read.frame.planes[0].dtype.type(read.frame.peak) - read.frame.planes[0]
        read = replace(read, frame=replace(read.frame, planes=(inverted,)))
    if alpha is not None and _is_premultiplied(page):
        read = straightened(read, BLACK)
    return _oriented(replace(read, notes=(*notes, *read.notes)), orientation)


def write_tiff(pages: Iterable[tuple[Frame, Metadata]], file: BinaryIO) -> tuple[str, ...]:
    """Write frames, each with its metadata, as the pages of one TIFF.

    Returns notes on what is left out.

    Raises: MediaError if tifffile refuses a frame.
    """
    import tifffile

    remaining = iter(pages)
    first = next(remaining)
    bigtiff = sum(plane.nbytes for plane in first[0].all_planes()) > _CLASSIC_LIMIT
    directories: list[exif.Directories | None] = []
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder="<") as writer:
        for frame, metadata in chain([first], remaining):
            found = None if metadata.exif is None else little_endian(exif.directories(metadata.exif))
            _write_page(writer, frame, metadata, _extra_tags(metadata, found, _LONG8 if bigtiff else _LONG))
            directories.append(found)
    _append_directories(file, directories, big=bigtiff)
    lost = any(found is not None and found.lost_maker_notes for found in directories)
    return (LOST_MAKER_NOTES,) if lost else ()


def _channels_last(page: tifffile.TiffPage, samples: Samples) -> Samples:
    separate = page.planarconfig == _SEPARATE_PLANES and samples.ndim == 3
    return np.moveaxis(samples, 0, -1) if separate else samples


def _of_full_scale(samples: Samples, page: tifffile.TiffPage) -> Samples:
    """Return unsigned samples of fewer bits than their dtype has with its full scale."""
    bits = int(page.bitspersample)
    if samples.dtype == bool or (samples.dtype == np.uint8 and bits < 8):
        return np.asarray(np.rint(samples * np.float32(255 / (2**bits - 1))), np.uint8)
    if samples.dtype == np.uint16 and bits < 16:
        return widen_to_16(samples, 2**bits - 1)
    return samples << np.uint32(32 - bits) if samples.dtype == np.uint32 and bits < 32 else samples


def _separate(page: tifffile.TiffPage, samples: Samples) -> tuple[Samples, Samples | None, tuple[str, ...]]:
    """Return the color samples, the alpha samples or None, and a note on channels that are neither."""
    count = _COLOR_SAMPLES[page.photometric]
    if samples.ndim == 2:
        return samples, None, ()
    color = samples[..., 0] if count == 1 else samples[..., :count]
    alpha = samples[..., count] if _has_alpha(page) else None
    extra = samples.shape[2] - count - (alpha is not None)
    notes = (f"{extra} channels that are neither color nor alpha left out",) if extra > 0 else ()
    return color, alpha, notes


def _has_alpha(page: tifffile.TiffPage) -> bool:
    return bool(page.extrasamples) and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED)


def _is_premultiplied(page: tifffile.TiffPage) -> bool:
    return bool(page.extrasamples) and page.extrasamples[0] == _ASSOCIATED


def _through_palette(page: tifffile.TiffPage, indices: Samples, alpha: Samples | None, notes: tuple[str, ...]) -> Page:
    """Return a page of the colors of a palette, of 16 bits if its indices have more than 8."""
    assert page.colormap is not None
    palette = np.moveaxis(page.colormap, 0, -1)  # (N, 3), 16 bits
    if is_deep(page):
        wide = None if alpha is None else _alpha_of(alpha, np.uint16)
        return page_of(palette[indices.astype(np.intp)].astype(np.uint16), wide, 16, notes)
    colors = (palette >> 8).astype(np.uint8)[indices.astype(np.intp)]
    return page_of(colors, None if alpha is None else _alpha_of(alpha, np.uint8), 8, notes)


def _scaled(color: Samples, alpha: Samples | None, page: tifffile.TiffPage) -> Page:
    if color.dtype.kind == "f":
        return float_page(color, alpha)
    if color.dtype == np.uint8:
        return page_of(np.ascontiguousarray(color), None if alpha is None else np.ascontiguousarray(alpha), 8)
    if color.dtype == np.uint16:
        return replace(page_of(color, alpha, 16), bits=int(page.bitspersample))
    wide_alpha = None if alpha is None else _alpha_of(alpha, np.uint16)
    if color.dtype == np.int8 and color.min() >= 0:
        return page_of(color.astype(np.uint16) * 257, wide_alpha, 16)
    wide, notes = integers_to_16(color)
    return page_of(wide, wide_alpha, 16, notes)


def _as_fraction(samples: Samples) -> NDArray[np.float64]:
    return np.clip(samples.astype(np.float64) / np.iinfo(samples.dtype).max, 0, 1)


def _to_srgb(color: Samples, mode: str, icc: bytes | None) -> Page:
    convert, note = to_srgb(mode, icc)
    height, width = color.shape[:2]
    image = Image.frombytes(mode, (width, height), _to_8(color).tobytes(), "raw", mode)
    notes = (note,) if color.dtype.itemsize == 1 else (note, f"{mode} reduced to 8 bits")
    return page_of(np.array(convert(image)), None, 8, notes)


def _to_8(samples: Samples) -> NDArray[np.uint8]:
    """Return the upper 8 bits of integers (a and b of LAB are signed, so rounding could flip their sign)."""
    return (samples >> (samples.dtype.itemsize * 8 - 8)).astype(np.uint8)


def _alpha_of(alpha: Samples, dtype: type[np.uint8 | np.uint16]) -> Samples:
    return np.rint(_as_fraction(alpha) * np.iinfo(dtype).max).astype(dtype)


def _oriented(page: Page, orientation: int) -> Page:
    if orientation == UPRIGHT:
        return page
    frame = page.frame
    alpha = None if frame.alpha is None else _turn(frame.alpha, orientation)
    return replace(page, frame=replace(frame, planes=(_turn(frame.planes[0], orientation),), alpha=alpha))


def _turn(stored: Any, orientation: int) -> Any:
    width, height = shown_size(stored.shape[1], stored.shape[0], orientation)
    shown = np.empty((height, width, *stored.shape[2:]), stored.dtype)
    stored_view(shown, orientation)[...] = stored
    return shown


def _write_page(writer: tifffile.TiffWriter, frame: Frame, metadata: Metadata, extra_tags: list[Any]) -> None:
    pixels = _interleaved(frame)
    row_bytes = pixels[0].nbytes
    resolution = metadata.resolution
    unit = Unit.INCH if resolution is not None and resolution.unit is Unit.METER else None
    with encoding(TIFF):
        writer.write(
            pixels,
            photometric="minisblack" if frame.space is ColorSpace.GRAY else "rgb",
            planarconfig="contig" if pixels.ndim == 3 else None,
            extrasamples=None if frame.alpha is None else ["unassalpha"],
            compression="zlib",
            predictor=True,
            rowsperstrip=max(1, _STRIP_BYTES // row_bytes),
            resolution=None if resolution is None else resolution.per(unit or resolution.unit),
            resolutionunit=None if resolution is None else _UNITS[unit or resolution.unit],
            iccprofile=metadata.icc,
            extratags=extra_tags,
            metadata=None,
            software=False,
        )


def _interleaved(frame: Frame) -> NDArray[Any]:
    return frame.planes[0] if frame.alpha is None else np.dstack([frame.planes[0], frame.alpha])


def _extra_tags(
    metadata: Metadata, found: exif.Directories | None, offset_type: int
) -> list[tuple[int, int, int, Any, bool]]:
    tags = dict(metadata.tiff_tags)
    if found is not None:
        tags |= {tag: value for tag, value in found.image.items() if tiff_tags.is_carried(tag, value)}
    if metadata.xmp is not None:
        tags[tiff_tags.XMP] = exif.Value(_BYTE, len(metadata.xmp), metadata.xmp)
    if metadata.photoshop is not None:
        iptc = photoshop.iptc_of(metadata.photoshop)
        if iptc is not None:
            tags[tiff_tags.IPTC] = exif.Value(_UNDEFINED, len(iptc), iptc)
        if iptc is None or metadata.photoshop != photoshop.of_iptc(iptc):
            tags[tiff_tags.PHOTOSHOP] = exif.Value(_BYTE, len(metadata.photoshop), metadata.photoshop)
    pointers = () if found is None else exif.nested(found, 0)[1]
    filled = [(tag, value) for tag, value in sorted(tags.items()) if value.raw]  # readers take empty ones for damage
    return [
        *((tag, value.type, value.count, _for_tifffile(value), True) for tag, value in filled),
        *((_PLACEHOLDERS[tag], offset_type, 1, 0, True) for tag in pointers),
    ]


def _for_tifffile(value: exif.Value) -> bytes | tuple[int, ...]:
    """Return the bytes of a value, or the parts of rationals, of which tifffile miscounts the bytes."""
    if value.type not in (exif.RATIONAL, exif.SIGNED_RATIONAL):
        return value.raw
    code = "I" if value.type == exif.RATIONAL else "i"
    return struct.unpack(f"<{len(value.raw) // 4}{code}", value.raw)


def _append_directories(file: BinaryIO, directories: list[exif.Directories | None], *, big: bool) -> None:
    """Append the EXIF and GPS directories of each page and set the tags that point to them."""
    import tifffile

    if not any(directories):
        return
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        for page, found in zip(list(tiff.pages), directories, strict=True):
            if found is None:
                continue
            offset = file.seek(0, io.SEEK_END)
            offset += file.write(b"\0" * (offset % 2))
            below, pointers = exif.nested(found, offset, big=big)
            file.write(below)
            for tag, at in pointers.items():
                placeholder = page.aspage().tags[_PLACEHOLDERS[tag]]
                placeholder.overwrite(at)
                file.seek(placeholder.offset)
                file.write(tag.to_bytes(2, "little"))
