"""Read what a picture file carries beside its pixels, update it for the result, and pass it to each encoder."""

import io
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace
from esrt_core.media.image import cicp, exif, jpeg, photoshop, png, tiff_tags, xmp
from esrt_core.media.image.exif import ORIENTATION
from esrt_core.media.image.formats import AVIF, ENCODER_ERRORS, HEIF, JPEG, PNG, TIFF, Format
from esrt_core.media.image.generation import with_generation
from esrt_core.media.image.icc import profile_for
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.picture import Metadata, Resolution, Unit, resolution_of
from esrt_core.media.image.pixels import UPRIGHT

Value = TypeVar("Value")
_EXIF_PREFIX = b"Exif\0\0"
_NAMES = {"icc": "color profile", "exif": "EXIF", "xmp": "XMP"}
_JPEG_EXIF_BYTES = 65_533 - len(_EXIF_PREFIX)
_JPEG_SEGMENT_BYTES = 65_533
# Segments of a JPEG that other fields hold, that describe its encoding or further images, or that are signed.
_NOT_CARRIED = (
    ("APP0", b""),
    ("APP1", b"Exif\0"),
    ("APP1", xmp.SEGMENT),
    ("APP1", xmp.EXTENDED_SEGMENT),
    ("APP2", b"ICC_PROFILE\0"),
    ("APP2", b"MPF\0"),
    ("APP2", b"urn:iso:std:iso:ts:21496"),
    ("APP11", b"JP"),
    ("APP13", photoshop.SEGMENT),
    ("APP14", b"Adobe"),
    ("COM", b""),
)
_CREDENTIALS = "content credentials (C2PA) left out: they are signed for the pixels of the source"
_TAIL_BYTES = 256
_COMMENT = "Comment"  # keyword of PNG text


def read_metadata(opening: Opened, loop: int | None, page_number: int = 0) -> tuple[Metadata, int, tuple[str, ...]]:
    """Return the metadata, the orientation (1 to 8), and notes on damaged metadata, which is left out.

    `loop` is how many times an animation plays, see Metadata; `page_number` is that of a TIFF's page, from 0.
    """
    notes: list[str] = []
    if opening.format is TIFF:
        read, orientation = _read_page(opening, page_number, notes)
    else:
        read, orientation = _read_file(opening, notes)
    color, color_chunks = _read_color(opening, read.icc)
    return replace(read, loop=loop, color=color, color_chunks=color_chunks), orientation, tuple(notes)


def for_size(metadata: Metadata, width: int, height: int) -> tuple[Metadata, tuple[str, ...]]:
    """Return metadata with the result's size in px, and a note if EXIF is left out because it is damaged."""
    source = metadata.source_size or (width, height)
    factor = (width / source[0], height / source[1])
    metadata = replace(
        metadata,
        xmp=None if metadata.xmp is None else xmp.for_size(metadata.xmp, (width, height), factor),
        extended_xmp=xmp.for_size(metadata.extended_xmp, (width, height), factor),
        png_chunks=tuple(png.scaled(kind, data, factor) for kind, data in metadata.png_chunks),
        tiff_tags=tuple(tiff_tags.scaled(dict(metadata.tiff_tags), factor).items()),
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


def _with_color(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return metadata whose color is described in a form that the target holds, and a note if there is none."""
    color, chunks = metadata.color, metadata.color_chunks
    if color is not None and cicp.is_like_srgb(color) and target is not AVIF:
        color = None
    if target is PNG:
        return replace(metadata, color=color), ()
    if target is AVIF and color is not None:
        return replace(metadata, icc=None, color_chunks=()), ()
    metadata = replace(metadata, color=None, color_chunks=())
    if color is None:
        icc = metadata.icc or cicp.profile_of_chunks(chunks, space)
        return replace(metadata, icc=icc), ()
    if profile := cicp.profile_of(color, space):
        return replace(metadata, icc=profile), ()
    if metadata.icc is not None:
        return metadata, ()
    transfer, primaries = {cicp.PQ: "PQ", cicp.HLG: "HLG"}.get(color.transfer), {9: "BT.2020", 12: "P3"}
    name = f"HDR color ({transfer}, {primaries.get(color.primaries, 'other primaries')})" if transfer else "color"
    return metadata, (f"{name} is not described in the result: {target.label} cannot hold it; use --format png",)


def embeddable(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata that a file of `target` with pixels of `space` can hold, and notes on the rest."""
    metadata, color_notes = _with_color(metadata, target, space)
    notes = [*color_notes]
    if metadata.icc is not None and profile_for(metadata.icc, space) is None:
        metadata = replace(metadata, icc=None)
        notes.append(f"color profile left out: it does not describe {space.value} pixels")
    metadata = _with_text(metadata, target, notes)
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
        parameters["exif"] = _EXIF_PREFIX + block
    if metadata.dpi is not None:
        parameters["dpi"] = metadata.dpi
    if metadata.comments and target is not JPEG:
        parameters["comment"] = b"\n".join(metadata.comments)
    if target is JPEG:
        parameters["extra"] = b"".join(
            struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in _jpeg_segments(metadata)
        )
    elif metadata.xmp is not None:
        parameters["xmp"] = metadata.xmp
    return parameters


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


def _with_text(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Move text between the forms of PNG and of other formats; what the target has no form for is noted."""
    if target is PNG:
        chunks = [png.text_chunk(_COMMENT, _decoded(comment)) for comment in metadata.comments]
        return replace(metadata, comments=(), png_chunks=(*metadata.png_chunks, *chunks))
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
        further = tuple(comment for comment in further if target is not JPEG or len(comment) <= _JPEG_SEGMENT_BYTES)
        comments += tuple(comment for comment in further if comment not in comments)
        kept |= {_COMMENT} if further else set()
    elif comments:
        comments = ()
        notes.append(f"comment left out: {target.label} cannot hold it")
    names = list(dict.fromkeys(keyword for keyword, _ in texts if keyword not in kept))
    if names:
        notes.append(f"PNG text ({', '.join(names)}) left out: {target.label} cannot hold it")
    others = dict.fromkeys(kind.decode("ascii") for kind, _ in metadata.png_chunks if kind not in png.TEXT)
    if others:
        notes.append(f"PNG chunks ({', '.join(others)}) left out: {target.label} cannot hold them")
    return replace(metadata, exif=block, comments=comments, png_chunks=())


def _with_whole_xmp(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Return metadata whose XMP is one packet, but for a JPEG."""
    if not metadata.extended_xmp or metadata.xmp is None or target is JPEG:
        return metadata
    if not target.xmp:
        return replace(metadata, extended_xmp=b"")
    whole = xmp.merged(metadata.xmp, metadata.extended_xmp)
    if whole is None:
        notes.append("extended XMP left out: it cannot be put together with the rest")
        whole = xmp.without_extension(metadata.xmp)
    return replace(metadata, xmp=whole, extended_xmp=b"")


def _with_resolution(metadata: Metadata, target: Format, notes: list[str]) -> Metadata:
    """Return metadata with the resolution in a form that the target holds; that of EXIF too where EXIF has no place."""
    resolution = metadata.resolution
    of_exif = None if metadata.exif is None else _exif_resolution(metadata.exif)
    if resolution is None and target is not JPEG:
        resolution = of_exif
        metadata = replace(metadata, resolution=of_exif)
    if resolution is None:
        return metadata
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
        name = "IPTC" if photoshop.iptc_of(metadata.photoshop) is not None else "Photoshop's data"
        metadata = replace(metadata, photoshop=None)
        notes.append(f"{name} left out: {target.label} cannot hold it")
    if metadata.jpeg_segments and target is not JPEG:
        names = ", ".join(dict.fromkeys(f"APP{marker & 0xF}" for marker, _ in metadata.jpeg_segments))
        metadata = replace(metadata, jpeg_segments=())
        notes.append(f"JPEG segments ({names}) left out: {target.label} cannot hold them")
    if metadata.tiff_tags and target is not TIFF:
        names = tiff_tags.names(dict(metadata.tiff_tags))
        metadata = replace(metadata, tiff_tags=())
        notes.append(f"{names} left out: {target.label} cannot hold it")
    return metadata


def _jpeg_segments(metadata: Metadata) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
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


def _attempt(opening: Opened, read: Callable[[Opened], Value], fallback: Value, what: str, notes: list[str]) -> Value:
    try:
        return read(opening)
    except MediaError:
        notes.append(f"damaged {what} left out")
        return fallback


def _read_page(opening: Opened, number: int, notes: list[str]) -> tuple[Metadata, int]:
    """Return the metadata and the orientation of a page of a TIFF."""
    page = opening.tiff_page(number)
    tag = page.tags.get("Orientation")
    turn = int(tag.value) if tag is not None and tag.value in range(1, 9) else UPRIGHT
    try:
        with reading(opening.name):
            found = tiff_tags.read_page_tags(opening.read_at, page.offset, is_turned=turn != UPRIGHT)
    except MediaError:
        notes.append("damaged EXIF data left out")
        return Metadata(), turn
    notes.extend(found.lost)
    if page.subifds:
        notes.append(f"{len(page.subifds)} smaller previews or other images below a page of the TIFF left out")
    icc = found.icc
    if icc is not None and not _is_profile(icc):
        notes.append("damaged color profile left out")
        icc = None
    size = int(page.imagewidth), int(page.imagelength)
    read = Metadata(
        icc,
        None if found.exif is None else exif.upright(found.exif, turn, *size),
        None if found.xmp is None else xmp.upright(found.xmp, turn, *size),
        photoshop=found.photoshop,
        resolution=_turned_resolution(found.resolution, turn),
        tiff_tags=tuple(found.further.items()),
    )
    return read, turn


def _read_file(opening: Opened, notes: list[str]) -> tuple[Metadata, int]:
    """Return the metadata and the orientation of a file that is no TIFF."""
    assert opening.image is not None
    block = _attempt(opening, _read_exif, None, "EXIF data", notes)
    icc = _attempt(opening, _read_icc, None, "color profile", notes)
    packet = _read_xmp(opening)
    turn = UPRIGHT
    if block is not None:
        turn = exif.orientation(block) or turn
    if turn == UPRIGHT and packet is not None and (block is None or exif.value_of(block, ORIENTATION) is None):
        turn = xmp.orientation(packet) or turn
    _note_trailer(opening, notes)
    size = opening.image.size
    resolution = _read_resolution(opening)
    extended = b"" if packet is None else xmp.joined(_segments(opening, "APP1", xmp.EXTENDED_SEGMENT))
    read = Metadata(
        icc,
        None if block is None else exif.upright(block, turn, *size),
        None if packet is None else xmp.upright(packet, turn, *size),
        xmp.upright(extended, turn, *size),
        photoshop.upright(_read_photoshop(opening), turn),
        _turned_resolution(resolution, turn),
        _read_comments(opening),
        _png_chunks(opening),
        _other_segments(opening, notes),
    )
    return read, turn


def _read_exif(opening: Opened) -> bytes | None:
    block = _info(opening, "exif")
    if not isinstance(block, bytes) or not (block := block.removeprefix(_EXIF_PREFIX)):
        return None
    exif.orientation(block)  # raises if it is damaged
    return block


def _turned_resolution(resolution: Resolution | None, turn: int) -> Resolution | None:
    if resolution is None or turn < 5:
        return resolution
    return replace(resolution, x=resolution.y, y=resolution.x)


def _segments(opening: Opened, kind: str, start: bytes) -> list[bytes]:
    """Return the segments of a JPEG of one kind ("APP1", "COM") that begin with `start`."""
    found: Iterable[tuple[str, bytes]] = getattr(opening.image, "applist", ())
    return [data for name, data in found if name == kind and data.startswith(start)]


def _other_segments(opening: Opened, notes: list[str]) -> tuple[tuple[int, bytes], ...]:
    """Return the segments of a JPEG that another JPEG gets as they are."""
    found: list[tuple[int, bytes]] = []
    for name, data in getattr(opening.image, "applist", ()):
        if not any(name == kind and data.startswith(start) for kind, start in _NOT_CARRIED):
            found.append((0xE0 + int(name[3:]), data))
        elif name == "APP11" and b"c2pa" in data and _CREDENTIALS not in notes:
            notes.append(_CREDENTIALS)
    return tuple(found)


def _note_trailer(opening: Opened, notes: list[str]) -> None:
    """Note data behind the end of a JPEG, where some programs keep IPTC, edits or audio."""
    if opening.format is not JPEG or opening.image is None or opening.image.format == "MPO":
        return
    with reading(opening.name):
        tail = opening.read_at(max(0, opening.byte_size - _TAIL_BYTES), _TAIL_BYTES)
        if tail.rstrip(b"\0").endswith(jpeg.END):
            return
        behind = jpeg.trailer(opening.read_at(0, opening.byte_size))
    if behind.strip(b"\0\r\n "):
        notes.append(f"{len(behind):,} bytes behind the end of the JPEG left out")


def _read_photoshop(opening: Opened) -> bytes | None:
    if opening.ancillary is not None:
        found = opening.ancillary.photoshop or b""
        return photoshop.of_iptc(found) if found.startswith(b"\x1c") else found or None
    parts = _segments(opening, "APP13", photoshop.SEGMENT)
    return b"".join(part[len(photoshop.SEGMENT) :] for part in parts) or None


def _read_comments(opening: Opened) -> tuple[bytes, ...]:
    if opening.format is JPEG:
        return tuple(_segments(opening, "COM", b""))
    comment = _info(opening, "comment")
    generated = isinstance(comment, bytes) and comment.startswith(b"Created by OpenJPEG")
    return (comment,) if isinstance(comment, bytes) and comment and not generated else ()


def _read_color(opening: Opened, icc: bytes | None) -> tuple[cicp.CodePoints | None, tuple[tuple[bytes, bytes], ...]]:
    """Return the code points of a PNG, AVIF or HEIF, and a PNG's other color chunks."""
    if opening.format in (AVIF, HEIF):
        return None if icc is not None else cicp.from_nclx(opening.head), ()  # there a profile goes first
    chunks = () if opening.ancillary is None else opening.ancillary.color
    return cicp.from_chunks(chunks), tuple((kind, data) for kind, data in chunks if kind != b"cICP")


def _png_chunks(opening: Opened) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks of a PNG that a PNG gets: text, the time of the last change, and others."""
    found = opening.ancillary
    if found is None:
        return ()
    return (*found.texts, *([(b"tIME", found.time)] if found.time else []), *found.others)


def _read_icc(opening: Opened) -> bytes | None:
    icc = _info(opening, "icc_profile")
    if not icc:
        if _segments(opening, "APP2", b"ICC_PROFILE\0"):  # Pillow drops a profile of which a part is missing
            raise MediaError("a part of the ICC profile is missing")
        return None
    if not isinstance(icc, bytes) or not _is_profile(icc):
        raise MediaError("not an ICC profile")
    return icc


def _is_profile(icc: bytes) -> bool:
    """Return whether a profile has its signature and is not cut off (ICC.1:2022, 7.2)."""
    return icc[36:40] == b"acsp" and len(icc) >= int.from_bytes(icc[:4])


def _read_xmp(opening: Opened) -> bytes | None:
    packet = _info(opening, "xmp") or _info(opening, "XML:com.adobe.xmp")
    if not packet:
        return None
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _read_resolution(opening: Opened) -> Resolution | None:
    """Return the resolution that a file states, but for that in its EXIF."""
    if opening.ancillary is not None:
        density = opening.ancillary.density
        return None if density is None else resolution_of(*density[:2], Unit.METER if density[2] else Unit.NONE)
    if opening.format is JPEG:
        density = _info(opening, "jfif_density")
        unit = {0: Unit.NONE, 1: Unit.INCH, 2: Unit.CM}.get(int(_info(opening, "jfif_unit") or 0))
        if density is None or unit is None:
            return None
        return resolution_of(float(density[0]), float(density[1]), unit)
    dpi = _info(opening, "dpi")
    return None if dpi is None else resolution_of(float(dpi[0]), float(dpi[1]), Unit.INCH)


def _exif_resolution(block: bytes) -> Resolution | None:
    order = exif.order_of(block)
    values = [exif.value_of(block, tag) for tag in (0x011A, 0x011B, 0x0128)]
    x, y, unit = (
        next(iter(exif.numbers(value, order)), math.nan) if value is not None and value.type in (3, 4, 5) else math.nan
        for value in values
    )
    return None if math.isnan(x) or math.isnan(y) else resolution_of(x, y, Unit.CM if unit == 3 else Unit.INCH)


def _info(opening: Opened, key: str) -> Any:
    return None if opening.image is None else opening.image.info.get(key)


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
