"""Read what a picture file carries beside its pixels, as it is for the oriented picture."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from esrt_core.errors import MediaError
from esrt_core.media.image import (
    bmp,
    exif,
    gif,
    isobmff,
    jp2,
    jpeg_parts,
    jxl,
    netpbm,
    photoshop,
    png,
    psd,
    tga,
    tiff_tags,
    webp,
    xmp,
)
from esrt_core.media.image.color import read_color
from esrt_core.media.image.formats import AVIF, BMP, GIF, HEIF, JPEG, JPEG2000, JXL, PAM, PPM, PSD, TGA, TIFF, WEBP
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.picture import CREDENTIALS, Metadata, Resolution, Unit, resolution_of
from esrt_core.media.image.pixels import UPRIGHT

Value = TypeVar("Value")
_EXIF_PREFIX = jpeg_parts.EXIF_SEGMENT


def read_metadata(opening: Opened, loop: int | None, page_number: int = 0) -> tuple[Metadata, int, tuple[str, ...]]:
    """Return the metadata, the orientation (1 to 8), and notes on damaged metadata, which is left out.

    `loop` is how many times an animation plays, see Metadata; `page_number` is that of a TIFF's page, from 0.
    """
    notes: list[str] = []
    if opening.format is TIFF:
        read, orientation = _read_page(opening, page_number, notes)
    elif opening.format is GIF:
        read, orientation = _read_gif(opening, notes), UPRIGHT
    else:
        read, orientation = _read_file(opening, notes)
    color, color_chunks, icc = read_color(opening, read.icc, page_number)
    return replace(read, icc=icc, loop=loop, color=color, color_chunks=color_chunks), orientation, tuple(notes)


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
    resources, lost = photoshop.without_places(found.photoshop)
    _note_resources(lost, notes)
    read = Metadata(
        icc,
        None if found.exif is None else exif.upright(found.exif, turn, *size),
        None if found.xmp is None else xmp.upright(found.xmp, turn, *size),
        photoshop=photoshop.upright(resources, turn, *size),
        resolution=_turned_resolution(found.resolution, turn),
        tiff_tags=tuple(found.further.items()),
    )
    return read, turn


def _read_gif(opening: Opened, notes: list[str]) -> Metadata:
    with reading(opening.name):
        found = gif.read_extensions(opening.file)
    if found.further:
        notes.append(f"GIF extensions ({', '.join(found.further)}) left out")
    icc = found.icc
    if icc is not None and not _is_profile(icc):
        notes.append("damaged color profile left out")
        icc = None
    return Metadata(icc, xmp=found.xmp, resolution=found.shape, comments=found.comments)


def _read_file(opening: Opened, notes: list[str]) -> tuple[Metadata, int]:
    """Return the metadata and the orientation of a file that is neither TIFF nor GIF."""
    assert opening.image is not None
    block = _attempt(opening, _read_exif, None, "EXIF data", notes)
    icc = _attempt(opening, _read_icc, None, "color profile", notes)
    packet = _attempt(opening, _read_xmp, None, "XMP", notes)
    turn = _turn_of(opening, block, packet)
    if block is not None and exif.is_damaged_inside(block):
        notes.append("part of the EXIF data is damaged")
    jpeg_parts.note_trailer(opening, notes)
    boxes = _read_boxes(opening, notes)
    if opening.format is BMP and bmp.has_linked_profile(opening.read_at):
        notes.append("color profile left out: it is in another file")
    size = opening.image.size
    resolution = _read_resolution(opening)
    extended = b"" if packet is None else _read_extended_xmp(opening, packet, notes)
    read = Metadata(
        icc,
        None if block is None else exif.upright(block, turn, *size),
        None if packet is None else xmp.upright(packet, turn, *size),
        xmp.upright(extended, turn, *size),
        photoshop.upright(_read_photoshop(opening, notes), turn, *size),
        _turned_resolution(resolution, turn),
        _read_comments(opening, notes),
        _png_chunks(opening),
        jpeg_parts.further_segments(opening, turn, notes),
        webp_chunks=_read_webp_chunks(opening, notes),
        jp2_boxes=boxes,
    )
    return read, turn


def _read_boxes(opening: Opened, notes: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    if opening.format is not JPEG2000:
        return ()
    found = jp2.read(opening.read_at, opening.byte_size)
    if found.further:
        notes.append(f"{found.further} UUID boxes of other kinds (such as GeoJP2) left out")
    if found.others:
        notes.append(f"boxes of other kinds ({', '.join(found.others)}) left out")
    return tuple((b"xml ", content) for content in found.xml)


def _read_webp_chunks(opening: Opened, notes: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    if opening.format is not WEBP:
        return ()
    found = webp.further_chunks(opening.read_at, opening.byte_size)
    kept = tuple((kind, content) for kind, content in found if kind != webp.CREDENTIALS)
    if len(kept) < len(found):
        notes.append(CREDENTIALS)
    return kept


def _turn_of(opening: Opened, block: bytes | None, packet: bytes | None) -> int:
    """Return the orientation that the pixels still have, 1 to 8.

    In AVIF, HEIC and JPEG XL the file states it, and EXIF and XMP, which may say otherwise, do not count (ISO 23008-12,
    18181-2). Pillow gives that of an AVIF in its EXIF; those of the others are applied by their decoders, but for a
    JPEG in a JPEG XL.
    """
    if opening.format is HEIF or (opening.format is JXL and not getattr(opening.image, "jpeg", None)):
        return UPRIGHT
    if opening.format is AVIF:
        notional = _info(opening, "exif")
        return UPRIGHT if notional is None else exif.orientation(notional.removeprefix(_EXIF_PREFIX)) or UPRIGHT
    turn = UPRIGHT if block is None else exif.orientation(block) or UPRIGHT
    if turn == UPRIGHT and packet is not None and (block is None or exif.value_of(block, exif.ORIENTATION) is None):
        turn = xmp.orientation(packet) or turn
    return turn


def _resource(opening: Opened, number: int) -> bytes | None:
    """Return an image resource of a Photoshop file, or None."""
    found: Iterable[tuple[int, bytes, bytes]] = getattr(opening.image, "resources", ())
    return next((data for each, _, data in found if each == number and data), None)


def _read_exif(opening: Opened) -> bytes | None:
    block = _stored_exif(opening) or _info(opening, "exif") or _resource(opening, photoshop.EXIF)
    if not isinstance(block, bytes) or not (block := block.removeprefix(_EXIF_PREFIX)):
        return None
    exif.orientation(block)  # raises if it is damaged
    return block


def _stored_exif(opening: Opened) -> bytes | None:
    """Return EXIF of a format whose plugin for Pillow changes or overlooks it, as the file has it."""
    if opening.format is JPEG:
        return next(iter(jpeg_parts.exif_blocks(opening)), None)
    if opening.format in (AVIF, HEIF):
        return isobmff.read_exif(opening.read_at, opening.byte_size)
    if opening.format is not JXL:
        return None
    box = jxl.read_box(opening.read_at, opening.byte_size, b"Exif") or b""
    return box[4 + int.from_bytes(box[:4], "big") :] or None  # behind the offset of the TIFF header


def _turned_resolution(resolution: Resolution | None, turn: int) -> Resolution | None:
    if resolution is None or turn < 5:
        return resolution
    return replace(resolution, x=resolution.y, y=resolution.x)


def _read_photoshop(opening: Opened, notes: list[str]) -> bytes | None:
    if opening.format is PSD:
        kept, lost = photoshop.of_psd(psd.resources(opening.read_at))
    else:
        kept, lost = photoshop.without_places(_stored_photoshop(opening))
    _note_resources(lost, notes)
    return kept


def _note_resources(lost: tuple[str, ...], notes: list[str]) -> None:
    if lost:
        notes.append(f"Photoshop's {', '.join(lost)} left out")


def _stored_photoshop(opening: Opened) -> bytes | None:
    if opening.ancillary is not None:
        found = opening.ancillary.photoshop or b""
        return photoshop.of_iptc(found) if found.startswith(b"\x1c") else found or None
    if opening.format is JPEG2000:
        iptc = jp2.read(opening.read_at, opening.byte_size).iptc
        return photoshop.of_iptc(iptc) if iptc else None
    parts = jpeg_parts.segments(opening, "APP13", photoshop.SEGMENT)
    return b"".join(part[len(photoshop.SEGMENT) :] for part in parts) or None


def _read_comments(opening: Opened, notes: list[str]) -> tuple[bytes, ...]:
    if opening.format is JPEG:
        return tuple(jpeg_parts.segments(opening, "COM", b""))
    if opening.format is JPEG2000:
        return jp2.comments(opening.read_at, opening.byte_size)
    if opening.format in (PPM, PAM):
        most = opening.byte_size if netpbm.is_plain(opening.head) else netpbm.HEADER_BYTES
        comment = netpbm.comment_of(opening.read_at(0, most))
        if comment is None:
            notes.append(f"comments longer than {netpbm.HEADER_BYTES:,} bytes left out")
        return (comment,) if comment else ()
    if opening.format is TGA:
        found = tga.read_description(opening.read_at, opening.byte_size)
        if found.further:
            notes.append(f"{', '.join(found.further)} in the extension area of the TGA left out")
        return found.comments
    return ()


def _png_chunks(opening: Opened) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks of a PNG that a PNG gets: text, the time of the last change, and others."""
    found = opening.ancillary
    if found is None:
        return ()
    is_square = found.density is not None and found.density[0] == found.density[1] and not found.density[2]
    square = [png.density_chunk(*found.density[:2], is_per_meter=False)] if found.density and is_square else []
    return (*found.texts, *([(b"tIME", found.time)] if found.time else []), *found.others, *square)


def _read_icc(opening: Opened) -> bytes | None:
    icc = bmp.read_profile(opening.read_at) if opening.format is BMP else _info(opening, "icc_profile")
    if not icc:
        if jpeg_parts.segments(opening, "APP2", b"ICC_PROFILE\0"):  # Pillow drops a profile of which a part is missing
            raise MediaError("a part of the ICC profile is missing")
        return None
    if not isinstance(icc, bytes) or not _is_profile(icc):
        raise MediaError("not an ICC profile")
    return icc


def _is_profile(icc: bytes) -> bool:
    """Return whether a profile has its signature and is not cut off (ICC.1:2022, 7.2)."""
    return icc[36:40] == b"acsp" and len(icc) >= int.from_bytes(icc[:4])


def _read_xmp(opening: Opened) -> bytes | None:
    if opening.format is JXL:  # whose plugin does not read it
        return jxl.read_box(opening.read_at, opening.byte_size, b"xml ") or None
    if opening.format is JPEG:
        return next(iter(jpeg_parts.packets(opening)), None)
    packet = _info(opening, "xmp") or _info(opening, "XML:com.adobe.xmp") or _resource(opening, photoshop.XMP)
    if not packet:
        return None
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _read_extended_xmp(opening: Opened, packet: bytes, notes: list[str]) -> bytes:
    found = xmp.joined(jpeg_parts.segments(opening, "APP1", xmp.EXTENDED_SEGMENT), packet)
    if found is None:
        notes.append("extended XMP left out: a part of it is missing")
    return found or b""


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
    if resolution := _resource(opening, photoshop.RESOLUTION):
        across, down = (int.from_bytes(resolution[at : at + 4], "big") / 65536 for at in (0, 8))  # px per inch
        wide = photoshop.aspect_of(_resource(opening, photoshop.ASPECT) or b"")
        return resolution_of(across / wide, down, Unit.INCH)
    dpi = _info(opening, "dpi")
    return None if dpi is None else resolution_of(float(dpi[0]), float(dpi[1]), Unit.INCH)


def _info(opening: Opened, key: str) -> Any:
    return None if opening.image is None else opening.image.info.get(key)
