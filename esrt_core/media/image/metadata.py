"""Read EXIF, XMP, ICC profile and dpi, update them for the result, and pass them to each format's encoder."""

import codecs
import io
import math
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from PIL import Image, PngImagePlugin

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace
from esrt_core.media.image import cicp, exif
from esrt_core.media.image.color import in_form_for, read_color
from esrt_core.media.image.formats import AVIF, ENCODER_ERRORS, HEIF, JPEG, PNG, TIFF, Format
from esrt_core.media.image.icc import profile_for
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.picture import Metadata
from esrt_core.media.image.pixels import UPRIGHT

_XMP_KEYWORD = "XML:com.adobe.xmp"
LOST_MAKER_NOTES = "maker notes left out: their offsets would be wrong in another place"
_NAMES = {"icc": "color profile", "exif": "EXIF", "xmp": "XMP", "dpi": "resolution"}
Value = TypeVar("Value")
_EXIF_PREFIX = b"Exif\0\0"
# Tags of a TIFF's first directory that describe the image, not its encoding: kept as EXIF.
_DESCRIPTIVE = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 34665, 34853, 18246, 18249, *range(40091, 40096))
_XMP_STALE = re.compile(
    rb"<(xmp:Thumbnails|Container:Directory|GContainer:Directory)[\s>].*?</\1>"
    rb'|\s(hdrgm:Version|GCamera:(?:MicroVideo|MotionPhoto)\w*)="[^"]*"',
    re.DOTALL,
)
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_HAS_EXTENDED_XMP = re.compile(
    rb'\sxmpNote:HasExtendedXMP="[^"]*"|<xmpNote:HasExtendedXMP>[^<]*</xmpNote:HasExtendedXMP>'
)
# Google's GPano: sizes and places of a 360-degree photo in px, and their axis.
_XMP_SCALED = (
    (rb"GPano:(?:FullPanoWidth|CroppedAreaImageWidth|CroppedAreaLeft)Pixels", 0),
    (rb"GPano:(?:FullPanoHeight|CroppedAreaImageHeight|CroppedAreaTop)Pixels", 1),
)
# Regions of faces (Metadata Working Group, Guidelines 2.0.1): center and size as shares of the width and height.
_REGION = re.compile(rb"<mwg-rs:Area\b(?:[^>]*/>|.*?</mwg-rs:Area>)", re.DOTALL)
_REGION_NUMBER = re.compile(rb'(stArea:([xywh])\s*(?:=\s*["\']|>))([0-9.]+)')
_XMP_NUMBERS = (
    (rb"tiff:ImageWidth", 0),
    (rb"tiff:ImageLength", 1),
    (rb"exif:PixelXDimension", 0),
    (rb"exif:PixelYDimension", 1),
    (rb"stDim:w", 0),
    (rb"stDim:h", 1),
)


def read_metadata(opening: Opened, loop: int | None) -> tuple[Metadata, int, tuple[str, ...]]:
    """Return the metadata, the orientation (1 to 8), and notes on damaged metadata, which is left out.

    `loop` is how many times an animation plays, see Metadata.
    """
    notes: list[str] = []
    no_exif: tuple[bytes | None, int, bool] = (None, UPRIGHT, False)
    block, orientation, lost = _attempt(opening, _read_exif, no_exif, "EXIF data", notes)
    if lost:
        notes.append(LOST_MAKER_NOTES)
    icc = _attempt(opening, _read_icc, None, "color profile", notes)
    xmp = _attempt(opening, _read_xmp, None, "XMP data", notes)
    dpi = _attempt(opening, _read_dpi, None, "resolution", notes)
    if xmp is not None:
        xmp = _REGION.sub(partial(_turned_region, orientation=orientation), xmp)
    color, color_chunks, icc = read_color(opening, icc)
    read = Metadata(icc, block, xmp, dpi, loop, _png_chunks(opening), _jpeg_segments(opening), color, color_chunks)
    return read, orientation, tuple(notes)


def for_size(metadata: Metadata, width: int, height: int) -> tuple[Metadata, tuple[str, ...]]:
    """Return metadata with the result's size in px, and a note if EXIF is left out because it is damaged."""
    source = metadata.source_size or (width, height)
    factor = (width / source[0], height / source[1])
    xmp = None if metadata.xmp is None else _xmp_for_size(metadata.xmp, (width, height), factor)
    metadata = replace(metadata, xmp=xmp)
    if metadata.exif is None:
        return metadata, ()
    try:
        block = exif.for_size(metadata.exif, width, height, factor)
    except MediaError as error:
        return replace(metadata, exif=None), (f"EXIF data left out: it cannot be rewritten ({error})",)
    return replace(metadata, exif=block), ()


def stripped(metadata: Metadata) -> Metadata:
    """Return what `--strip-metadata` keeps: the ICC profile, without which colors would change, and the loop count."""
    kept = Metadata(icc=metadata.icc, loop=metadata.loop, color=metadata.color, color_chunks=metadata.color_chunks)
    return replace(kept, source_size=metadata.source_size)


def with_dpi(metadata: Metadata, dpi: int) -> Metadata:
    """Return metadata with a resolution in px per inch; the tags of an EXIF block say the same."""
    try:
        block = None if metadata.exif is None else exif.with_resolution(metadata.exif, dpi)
    except MediaError:  # damaged, which for_size() reports
        block = metadata.exif
    return replace(metadata, dpi=(float(dpi), float(dpi)), exif=block)


def embeddable(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata that a file of `target` with pixels of `space` can hold, and notes on the rest."""
    metadata, color_notes = in_form_for(metadata, target, space)
    notes = [*color_notes]
    if metadata.icc is not None and profile_for(metadata.icc, space) is None:
        metadata = replace(metadata, icc=None)
        notes.append(f"color profile left out: it does not describe {space.value} pixels")
    present = [field for field in _NAMES if getattr(metadata, field) is not None]
    for field in present:
        if not getattr(target, field):
            problem = f"{target.label} cannot hold it"
        else:
            problem = "" if target is TIFF else _problem(metadata, field, target, space)
        if problem:
            without: dict[str, Any] = {field: None}
            metadata = replace(metadata, **without)
            notes.append(f"{_NAMES[field]} left out: {problem}")
    if metadata.jpeg_segments and target is not JPEG:
        kinds = {0xED: "IPTC", 0xFE: "comment", 0xE1: "extended XMP"}
        names = ", ".join(dict.fromkeys(kinds[marker] for marker, _ in metadata.jpeg_segments))
        xmp = None if metadata.xmp is None else _HAS_EXTENDED_XMP.sub(b"", metadata.xmp)
        metadata = replace(metadata, jpeg_segments=(), xmp=xmp)
        notes.append(f"{names} left out: {target.label} gets none")
    if metadata.png_chunks and target is not PNG:
        metadata = replace(metadata, png_chunks=())
        notes.append(f"text of the PNG left out: {target.label} cannot hold it")
    return metadata, tuple(notes)


def save_parameters(metadata: Metadata, target: Format) -> dict[str, Any]:
    """Return the metadata as arguments of Pillow's `Image.save`."""
    parameters: dict[str, Any] = {}
    if metadata.icc is not None:
        parameters["icc_profile"] = metadata.icc
    if metadata.exif is not None:
        block = exif.without_orientation(metadata.exif) if target is AVIF else metadata.exif
        parameters["exif"] = _EXIF_PREFIX + block
    if metadata.dpi is not None:
        parameters["dpi"] = metadata.dpi
    if target is JPEG and metadata.jpeg_segments:
        segments = ((marker, len(data) + 2, data) for marker, data in metadata.jpeg_segments)
        parameters["extra"] = b"".join(
            struct.pack(">BBH", 0xFF, marker, size) + data for marker, size, data in segments
        )
    if target is HEIF and metadata.color is not None:
        color = metadata.color
        parameters |= {"color_primaries": color.primaries, "transfer_characteristics": color.transfer}
        parameters |= {"matrix_coefficients": cicp.matrix_for(color), "full_range_flag": 1}
    if target is PNG:
        chunks = PngImagePlugin.PngInfo()
        described = () if metadata.color is None else (cicp.chunk(metadata.color),)
        for kind, data in (*described, *metadata.color_chunks, *metadata.png_chunks):
            chunks.add(kind, data)
        if metadata.xmp is not None:
            chunks.add_itxt(_XMP_KEYWORD, _xmp_text(metadata.xmp))
        parameters["pnginfo"] = chunks
    elif metadata.xmp is not None:
        parameters["xmp"] = metadata.xmp
    return parameters


def _attempt(opening: Opened, read: Callable[[Opened], Value], fallback: Value, what: str, notes: list[str]) -> Value:
    try:
        return read(opening)
    except MediaError:
        notes.append(f"damaged {what} left out")
        return fallback


def _read_exif(opening: Opened) -> tuple[bytes | None, int, bool]:
    """Return the EXIF block, the orientation (a TIFF's is its page's), and whether maker notes are lost."""
    if opening.format is TIFF:
        with reading(opening.name):
            found = exif.read_directories(opening.read_at, _DESCRIPTIVE)
        return exif.build(found) if found.image or found.exif or found.gps else None, UPRIGHT, found.lost_maker_notes
    block = _info(opening, "exif", "")
    if not isinstance(block, bytes) or not (block := block.removeprefix(_EXIF_PREFIX)):
        return None, _xmp_orientation(opening), False
    assert opening.image is not None
    return exif.upright(block, *opening.image.size), exif.orientation(block) or _xmp_orientation(opening), False


def _xmp_orientation(opening: Opened) -> int:
    """Return the orientation that XMP states, which counts if EXIF has none."""
    xmp = _info(opening, "xmp", "XMP")
    found = re.search(rb'tiff:Orientation(?:="|>)([1-8])', xmp) if isinstance(xmp, bytes) else None
    return int(found[1]) if found else UPRIGHT


def _jpeg_segments(opening: Opened) -> tuple[tuple[int, bytes], ...]:
    """Return the segments of a JPEG that a JPEG gets as they are: IPTC, comments and extended XMP."""
    found: Iterable[tuple[str, bytes]] = getattr(opening.image, "applist", ())
    kinds = (("APP13", 0xED, b"Photoshop 3.0\0"), ("COM", 0xFE, b""), ("APP1", 0xE1, _EXTENDED_XMP))
    return tuple(
        (marker, data)
        for name, data in found
        for kind, marker, start in kinds
        if name == kind and data.startswith(start)
    )


def _png_chunks(opening: Opened) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks of a PNG that a PNG gets as they are: text and the time of the last change."""
    found = opening.ancillary
    if found is None:
        return ()
    return (*found.texts, *([(b"tIME", found.time)] if found.time else []))


def _read_icc(opening: Opened) -> bytes | None:
    icc = _info(opening, "icc_profile", "InterColorProfile")
    if not icc:
        parts = getattr(opening.image, "applist", ())  # of a JPEG; Pillow drops a profile of which a part is missing
        if any(data.startswith(b"ICC_PROFILE\0") for _, data in parts):
            raise MediaError("a part of the ICC profile is missing")
        return None
    if not isinstance(icc, bytes) or icc[36:40] != b"acsp" or len(icc) < int.from_bytes(icc[:4]):  # ICC.1:2022, 7.2
        raise MediaError("not an ICC profile")
    return icc


def _read_xmp(opening: Opened) -> bytes | None:
    xmp = _info(opening, "xmp", "XMP") or _info(opening, "XML:com.adobe.xmp", "XMP")
    if not xmp:
        return None
    data = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    data = re.sub(rb'(tiff:Orientation(?:="|>))[2-8]', rb"\g<1>1", data)
    return _XMP_STALE.sub(b"", data)


def _read_dpi(opening: Opened) -> tuple[float, float] | None:
    if opening.image is not None:
        dpi = opening.image.info.get("dpi")
    else:
        assert opening.tiff is not None
        with opening.decoding():
            page = opening.tiff.pages.first
            dpi = page.get_resolution("inch") if "XResolution" in page.tags else None
    if dpi is None:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    usable = all(math.isfinite(value) and 1 < value < 65536 for value in (x, y))
    return (x, y) if usable else None


def _info(opening: Opened, key: str, tiff_tag: str) -> Any:
    if opening.image is not None:
        return opening.image.info.get(key)
    assert opening.tiff is not None
    with opening.decoding():
        tag = opening.tiff.pages.first.tags.get(tiff_tag)
        return None if tag is None else tag.value


def _scaled_number(found: re.Match[bytes], factor: float) -> bytes:
    return found[1] + b"%d" % round(int(found[2]) * factor)


def _xmp_text(xmp: bytes) -> str:
    """Return XMP as text: UTF-8 or UTF-16, or the Latin-1 that some programs write."""
    if xmp.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return xmp.decode("utf-16", "replace")
    try:
        return xmp.decode("utf-8")
    except UnicodeDecodeError:
        return xmp.decode("latin-1")


def _turned_region(found: re.Match[bytes], orientation: int) -> bytes:
    """Return the area of a region as it is in the oriented picture."""
    values = {name: float(number) for _, name, number in _REGION_NUMBER.findall(found[0])}
    if orientation == UPRIGHT or not {b"x", b"y"} <= values.keys():
        return found[0]
    x, y = values[b"x"], values[b"y"]
    centers = [(x, y), (1 - x, y), (1 - x, 1 - y), (x, 1 - y), (y, x), (1 - y, x), (1 - y, 1 - x), (y, 1 - x)]
    turned = dict(zip((b"x", b"y"), centers[orientation - 1], strict=True))
    if orientation in (5, 6, 7, 8):
        turned |= {one: values[other] for one, other in ((b"w", b"h"), (b"h", b"w")) if other in values}
    return _REGION_NUMBER.sub(lambda part: part[1] + f"{turned.get(part[2], float(part[3])):.6g}".encode(), found[0])


def _xmp_for_size(xmp: bytes, size: tuple[int, int], factor: tuple[float, float]) -> bytes:
    for pattern, axis in _XMP_SCALED:
        scaled = partial(_scaled_number, factor=factor[axis])
        xmp = re.sub(rb"(" + pattern + rb'(?:="|>))(\d+)', scaled, xmp)
    for name, axis in _XMP_NUMBERS:
        xmp = re.sub(rb"(" + name + rb'(?:="|>))\d+', rb"\g<1>%d" % size[axis], xmp)
    return xmp


def _problem(metadata: Metadata, field: str, target: Format, space: ColorSpace) -> str:
    """Return why the encoder refuses one item, tried on an image of one pixel; "" if it accepts it."""
    alone = replace(Metadata(), **{field: getattr(metadata, field)})
    pixel = Image.new("L" if space is ColorSpace.GRAY else "RGB", (1, 1))
    parameters = save_parameters(alone, target)
    try:
        pixel.save(io.BytesIO(), target.pillow[0], **parameters)
    except ENCODER_ERRORS as error:
        return str(error) or type(error).__name__
    return ""
