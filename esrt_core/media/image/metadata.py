"""Update what a picture file carries beside its pixels for the result, and pass it to each encoder."""

import io
import math
import struct
from dataclasses import replace
from typing import Any, BinaryIO

from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace
from esrt_core.media.image import cicp, exif, gif, jpeg_parts, jxl, photoshop, png, tiff_tags, xmp
from esrt_core.media.image.color import in_form_for
from esrt_core.media.image.formats import (
    AVIF,
    ENCODER_ERRORS,
    GIF,
    HEIF,
    JPEG,
    JPEG2000,
    JXL,
    PAM,
    PNG,
    PPM,
    TGA,
    TIFF,
    WEBP,
    Format,
)
from esrt_core.media.image.generation import with_generation
from esrt_core.media.image.icc import profile_for
from esrt_core.media.image.picture import Metadata, Resolution, Unit, resolution_of

_EXIF_PREFIX = jpeg_parts.EXIF_SEGMENT
_NAMES = {"icc": "color profile", "exif": "EXIF", "xmp": "XMP"}
_JPEG_EXIF_BYTES = 65_533 - len(_EXIF_PREFIX)
_JPEG_ICC_BYTES = 255 * 65_519
_JOINED = (GIF, PAM, PPM, TGA)  # where comments become one
_COMMENT = "Comment"  # keyword of PNG text
_SHAPE = b"pHYs"  # among further chunks it says that pixels are square
_UNSAID = (*png.TEXT, _SHAPE)


def for_size(metadata: Metadata, width: int, height: int) -> tuple[Metadata, tuple[str, ...]]:
    """Return metadata with the result's size in px, and a note if EXIF is left out because it is damaged."""
    source = metadata.source_size or (width, height)
    factor = (width / source[0], height / source[1])
    metadata = replace(
        metadata,
        xmp=None if metadata.xmp is None else xmp.for_size(metadata.xmp, (width, height), factor),
        extended_xmp=xmp.for_size(metadata.extended_xmp, (width, height), factor),
        photoshop=photoshop.for_size(metadata.photoshop, factor),
        png_chunks=tuple(png.scaled(kind, data, factor) for kind, data in metadata.png_chunks),
        tiff_tags=tuple(tiff_tags.scaled(dict(metadata.tiff_tags), factor).items()),
        jpeg_segments=jpeg_parts.for_size(metadata.jpeg_segments, (width, height), factor),
    )
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
    """Return metadata with a resolution in px per inch; EXIF, XMP and Photoshop's data say the same."""
    try:
        block = None if metadata.exif is None else exif.with_resolution(metadata.exif, dpi)
    except MediaError:  # damaged, which for_size() reports
        block = metadata.exif
    return replace(
        metadata,
        resolution=Resolution(float(dpi), float(dpi)),
        exif=block,
        xmp=None if metadata.xmp is None else xmp.with_resolution(metadata.xmp, dpi),
        photoshop=photoshop.with_resolution(metadata.photoshop, dpi),
    )


def embeddable(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata that a file of `target` with pixels of `space` can hold, and notes on the rest."""
    metadata, color_notes = in_form_for(metadata, target, space)
    notes = [*color_notes]
    if metadata.icc is not None and profile_for(metadata.icc, space) is None:
        metadata = replace(metadata, icc=None)
        notes.append(f"color profile left out: it does not describe {space.value} pixels")
    metadata = _with_text(metadata, target, space, notes)
    metadata = _with_whole_xmp(metadata, target, notes)
    for field, name in _NAMES.items():
        if getattr(metadata, field) is None:
            continue
        if not getattr(target, field):
            problem = f"{target.label} cannot hold it"
        else:
            problem = "" if target in (TIFF, PNG) else _problem(metadata, field, target, space)
        if problem:
            without: dict[str, Any] = {field: None}
            metadata = replace(metadata, **without)
            notes.append(f"{name} left out: {problem}")
    metadata = _with_resolution(metadata, target, notes)
    return _with_own_parts(metadata, target, notes), tuple(notes)


def save_parameters(metadata: Metadata, target: Format) -> dict[str, Any]:
    """Return the metadata as arguments of Pillow's `Image.save`; those of a PNG are `png_chunks`."""
    parameters: dict[str, Any] = {}
    if target is PNG:
        return parameters
    if metadata.icc is not None:
        parameters["icc_profile"] = metadata.icc
    if metadata.exif is not None:
        block = exif.without_orientation(metadata.exif) if target is AVIF else metadata.exif
        if target is not JPEG or len(block) <= _JPEG_EXIF_BYTES:  # longer is in several segments
            parameters["exif"] = (jxl.OFFSET_OF_TIFF if target is JXL else _EXIF_PREFIX) + block
    if metadata.dpi is not None:
        parameters["dpi"] = metadata.dpi
    if metadata.comments and target is not JPEG:
        parameters["id_section" if target is TGA else "comment"] = b"\n".join(metadata.comments)
    if target is HEIF and metadata.color is not None:
        color = metadata.color
        parameters |= {"color_primaries": color.primaries, "transfer_characteristics": color.transfer}
        parameters |= {"matrix_coefficients": cicp.matrix_for(color), "full_range_flag": 1}
    if target is JPEG:
        parameters["extra"] = b"".join(
            struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in _jpeg_segments(metadata)
        )
    elif metadata.xmp is not None and target is not GIF:
        parameters["xmp"] = metadata.xmp
    return parameters


def add_to_gif(file: BinaryIO, metadata: Metadata) -> None:
    """Add to a GIF that was written to a seekable file what Pillow does not write."""
    gif.add(file, None if metadata.xmp is None else xmp.text(metadata.xmp), metadata.resolution)


def png_chunks(metadata: Metadata) -> bytes:
    """Return the metadata as the chunks that follow a PNG's header."""
    chunks: list[tuple[bytes, bytes]] = []
    if metadata.color is not None:
        chunks.append(cicp.chunk(metadata.color))
    chunks.extend(metadata.color_chunks)
    if metadata.icc is not None:
        chunks.append(png.profile_chunk(metadata.icc))
    if metadata.resolution is not None:
        is_shape = metadata.resolution.unit is Unit.NONE
        x, y = metadata.resolution.ratio(0x7FFFFFFF) if is_shape else map(round, metadata.resolution.per(Unit.METER))
        chunks.append(png.density_chunk(x, y, is_per_meter=not is_shape))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp is not None:
        chunks.append(png.xmp_chunk(xmp.text(metadata.xmp)))
    if metadata.photoshop is not None:
        chunks.append(png.raw_profile_chunk("iptc", metadata.photoshop))
    return b"".join(png.chunk_bytes(kind, data) for kind, data in (*chunks, *metadata.png_chunks))


def _with_text(metadata: Metadata, target: Format, space: ColorSpace, notes: list[str]) -> Metadata:
    """Move text between the forms of PNG and of other formats; what the target has no form for is noted."""
    if target is PNG:
        chunks = [png.text_chunk(_COMMENT, _decoded(comment)) for comment in metadata.comments]
        return replace(metadata, comments=(), png_chunks=(*_own_chunks(metadata, space, notes), *chunks))
    texts = [png.text_of(kind, data) for kind, data in metadata.png_chunks if kind in png.TEXT]
    kept: set[str] = set()
    block = metadata.exif
    if target.exif and texts:
        most = _JPEG_EXIF_BYTES if target is JPEG else None
        try:
            block, held = with_generation(block, dict(texts), most)
        except MediaError:
            held = frozenset()
        kept |= held
    comments = metadata.comments
    if target.comment:
        further = tuple(text.encode() for keyword, text in texts if keyword == _COMMENT)
        comments = _fitting_comments((*comments, *(each for each in further if each not in comments)), target, notes)
        kept |= {_COMMENT} if further else set()
    elif comments:
        comments = ()
        notes.append(f"comment left out: {target.label} cannot hold it")
    names = list(dict.fromkeys(keyword for keyword, _ in texts if keyword not in kept))
    if names:
        notes.append(f"PNG text ({', '.join(names)}) left out: {target.label} cannot hold it")
    others = dict.fromkeys(kind.decode("ascii") for kind, _ in metadata.png_chunks if kind not in _UNSAID)
    if others:
        notes.append(f"PNG chunks ({', '.join(others)}) left out: {target.label} cannot hold them")
    return replace(metadata, exif=block, comments=comments, png_chunks=())


def _fitting_comments(comments: tuple[bytes, ...], target: Format, notes: list[str]) -> tuple[bytes, ...]:
    kept: list[bytes] = []
    for comment in comments:
        length = len(b"\n".join((*kept, comment))) if target in _JOINED else len(comment)
        if target.comment_bytes is None or length <= target.comment_bytes:
            kept.append(comment)
        else:
            notes.append(f"comment of {len(comment):,} bytes left out: {target.label} holds {target.comment_bytes:,}")
    return tuple(kept)


def _own_chunks(metadata: Metadata, space: ColorSpace, notes: list[str]) -> list[tuple[bytes, bytes]]:
    """Return the further chunks that fit the pixels and the resolution of a PNG."""
    fitting = []
    for kind, data in metadata.png_chunks:
        chunk = png.background_for(kind, data, is_gray=space is ColorSpace.GRAY)
        if chunk is None:
            notes.append("background color left out: it is not gray as the result is")
        elif kind != _SHAPE or metadata.resolution is None:
            fitting.append(chunk)
    return fitting


def _with_whole_xmp(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Return metadata whose XMP is one packet, but for a JPEG."""
    metadata = _with_second_xmp(metadata, target)
    if not metadata.extended_xmp or metadata.xmp is None or target is JPEG:
        return metadata
    if not target.xmp:
        return replace(metadata, extended_xmp=b"")
    whole = xmp.merged(metadata.xmp, metadata.extended_xmp)
    if whole is None:
        notes.append("extended XMP left out: it cannot be put together with the rest")
        whole = xmp.without_extension(metadata.xmp)
    return replace(metadata, xmp=whole, extended_xmp=b"")


def _with_second_xmp(metadata: Metadata, target: Format) -> Metadata:
    """Return metadata whose XMP has the properties of further packets of a JPEG too, if they can be put together."""
    if target is JPEG or not target.xmp:
        return metadata
    packet, rest = metadata.xmp, []
    for marker, data in metadata.jpeg_segments:
        more = data.removeprefix(xmp.SEGMENT)
        whole = None if packet is None or more == data else xmp.merged(packet, more)
        if whole is None:
            rest.append((marker, data))
        else:
            packet = whole
    return replace(metadata, xmp=packet, jpeg_segments=tuple(rest))


def _with_resolution(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Return metadata with the resolution in a form that the target holds; that of EXIF too where EXIF has no place."""
    resolution = metadata.resolution
    of_exif = None if metadata.exif is None else _exif_resolution(metadata.exif)
    if resolution is None and target is not JPEG:
        resolution = of_exif
        metadata = replace(metadata, resolution=of_exif)
    if resolution is None:
        return metadata
    if target is GIF and resolution.unit is Unit.NONE and not gif.holds_shape(resolution):
        notes.append("shape of the pixels left out: GIF holds 1:4 to 4:1")
        return replace(metadata, resolution=None)
    if target.aspect if resolution.unit is Unit.NONE else target.dpi:
        return metadata
    if resolution.unit is Unit.NONE:
        notes.append(f"shape of the pixels ({resolution.x:g}:{resolution.y:g}) left out: {target.label} cannot hold it")
    elif of_exif is None:
        notes.append(f"resolution left out: {target.label} cannot hold it")
    return replace(metadata, resolution=None)


def _with_own_parts(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Leave out what only JPEG or TIFF holds, for other targets, with notes."""
    if metadata.photoshop is not None and not target.iptc:
        notes.append(f"{photoshop.names(metadata.photoshop)} left out: {target.label} cannot hold it")
        metadata = replace(metadata, photoshop=None)
    elif metadata.photoshop is not None and target is JPEG2000 and (rest := photoshop.without_iptc(metadata.photoshop)):
        notes.append(f"{photoshop.names(rest)} left out: {target.label} cannot hold it")
    if metadata.jpeg_segments and target is not JPEG:
        names = ", ".join(dict.fromkeys(f"APP{marker & 0xF}" for marker, _ in metadata.jpeg_segments))
        metadata = replace(metadata, jpeg_segments=())
        notes.append(f"JPEG segments ({names}) left out: {target.label} cannot hold them")
    if metadata.tiff_tags and target is not TIFF:
        names = tiff_tags.names(dict(metadata.tiff_tags))
        metadata = replace(metadata, tiff_tags=())
        notes.append(f"{names} left out: {target.label} cannot hold it")
    if metadata.webp_chunks and target is not WEBP:
        names = ", ".join(dict.fromkeys(kind.decode("latin-1") for kind, _ in metadata.webp_chunks))
        metadata = replace(metadata, webp_chunks=())
        notes.append(f"WebP chunks ({names}) left out: {target.label} cannot hold them")
    if metadata.jp2_boxes and target is not JPEG2000:
        metadata = replace(metadata, jp2_boxes=())
        notes.append(f"XML of the JPEG 2000 left out: {target.label} cannot hold it")
    return metadata


def _jpeg_segments(metadata: Metadata) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    if metadata.exif is not None and len(metadata.exif) > _JPEG_EXIF_BYTES:
        found += [(0xE1, data) for data in jpeg_parts.exif_segments(metadata.exif)]
    if metadata.xmp is not None:
        found += [(0xE1, data) for data in xmp.segments(metadata.xmp, metadata.extended_xmp)]
    if metadata.photoshop is not None:
        found += [(0xED, data) for data in photoshop.segments(metadata.photoshop)]
    return [*found, *metadata.jpeg_segments, *((0xFE, comment) for comment in metadata.comments)]


def _decoded(comment: bytes) -> str:
    try:
        return comment.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        return comment.rstrip(b"\0").decode("latin-1")


def _exif_resolution(block: bytes) -> Resolution | None:
    order = exif.order_of(block)
    values = [exif.value_of(block, tag) for tag in (0x011A, 0x011B, 0x0128)]
    x, y, unit = (
        next(iter(exif.numbers(value, order)), math.nan) if value is not None and value.type in (3, 4, 5) else math.nan
        for value in values
    )
    return None if math.isnan(x) or math.isnan(y) else resolution_of(x, y, Unit.CM if unit == 3 else Unit.INCH)


def _problem(metadata: Metadata, field: str, target: Format, space: ColorSpace) -> str:
    """Return why the encoder refuses one item, tried on an image of one pixel; "" if it accepts it."""
    if target is JPEG and len(metadata.icc or b"") > _JPEG_ICC_BYTES and field == "icc":  # Pillow would garble it
        return f"JPEG holds {_JPEG_ICC_BYTES:,} bytes"
    alone = replace(Metadata(), **{field: getattr(metadata, field)})
    pixel = Image.new("L" if space is ColorSpace.GRAY else "RGB", (1, 1))
    parameters = save_parameters(alone, target)
    try:
        pixel.save(io.BytesIO(), target.pillow[0], **parameters)
    except ENCODER_ERRORS as error:
        return str(error) or type(error).__name__
    return ""
