"""What the headers of a file say beside size and layout: how often it plays, whether it is lossless, what is odd."""

from collections import Counter
from pathlib import Path

from esrt_core.media.image import isobmff, jxl, psd
from esrt_core.media.image.animation import Animation
from esrt_core.media.image.formats import (
    AVIF,
    BMP,
    GIF,
    HEIF,
    JPEG,
    JXL,
    PNG,
    PSD,
    QOI,
    TGA,
    TIFF,
    WEBP,
    format_for_path,
)
from esrt_core.media.image.heif_items import read_beside
from esrt_core.media.image.opening import Opened
from esrt_core.media.image.picture import CREDENTIALS, extension_of

_LOSSLESS = (PNG, GIF, TIFF, BMP, TGA, QOI)


def plays_of(opening: Opened, composed: Animation | None) -> int:
    """Return how many times an animation plays, 0 for endlessly. GIF counts repeats, other formats count plays."""
    if opening.format is PNG:
        return composed.plays if composed is not None else 0
    assert opening.image is not None
    loop = opening.image.info.get("loop")
    if opening.format is GIF:
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)


def is_lossless(opening: Opened) -> bool | None:
    """Return whether a file's compression lost nothing; None if its headers do not tell."""
    if opening.format is WEBP:
        return _is_lossless_webp(opening)
    if opening.format in _LOSSLESS:
        return True
    return False if opening.format is JPEG else None


def _is_lossless_webp(opening: Opened) -> bool:
    """Return whether the first image chunk is VP8L.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    file, at = opening.file, 12
    while at < opening.byte_size:
        file.seek(at)
        header = file.read(8)
        if header[:4] in (b"VP8 ", b"VP8L"):
            return header[:4] == b"VP8L"
        inside = 16 if header[:4] == b"ANMF" else None  # a frame's header, then its own chunks
        length = int.from_bytes(header[4:8], "little")
        at += 8 + (inside if inside is not None else length + length % 2)
    return False


def oddities(opening: Opened) -> tuple[str, ...]:
    """Return notes on what is unexpected in this file or not read from it."""
    notes = [f"damaged {kind} chunk left out" for kind in (opening.ancillary.damaged if opening.ancillary else ())]
    for kind in opening.ancillary.dropped if opening.ancillary else ():
        what = "content credentials (C2PA)" if kind == "caBX" else f"{kind} chunk"
        notes.append(f"{what} left out: it may depend on the pixels of the source")
    named = format_for_path(Path(f"a{extension_of(opening.source)}"))
    if named is not None and named is not opening.format:
        notes.append(f"has the extension of {named.label} but is {opening.format.label}")
    image = opening.image
    bits = _stored_bits(opening)
    if bits > 8 and opening.deep is None:
        notes.append(f"{bits} bits reduced to 8")
    if opening.format is JXL:
        notes.extend(_jpeg_xl_oddities(opening))
        notes.extend(_further_boxes(jxl.further_boxes(opening.read_at, opening.byte_size)))
    if opening.format in (AVIF, HEIF):
        notes.extend(_heif_oddities(opening))
    if opening.format is PSD:
        header = psd.read_header(opening.head, opening.read_at)
        icc = None if image is None else image.info.get("icc_profile")
        notes.extend(() if header is None else psd.left_out(header, icc))
    if opening.format is PSD and (layers := psd.layer_count(opening.read_at)):
        notes.append(f"the layers of the Photoshop file ({layers}) are left out: the merged image is read")
    if opening.format is JPEG and image is not None:
        if image.format == "MPO":
            notes.append(f"only the first of {getattr(image, 'n_frames', 2)} images in the JPEG is read")
        xmp = image.info.get("xmp", b"")
        if b"hdrgm:Version" in xmp:
            notes.append("the HDR gain map is left out")
        if b"GCamera:MotionPhoto" in xmp or b"GCamera:MicroVideo" in xmp:
            notes.append("the video of the motion photo is left out")
    return tuple(notes)


def _stored_bits(opening: Opened) -> int:
    """Return the bits of a sample of a HEIC, or of an AVIF, which is read with 8 if it is animated; 8 for others."""
    if opening.format is AVIF:
        return isobmff.bits_of(opening.read_at, opening.byte_size)
    return 8 if opening.image is None else opening.image.info.get("bit_depth") or 8  # set by pillow-heif


def _jpeg_xl_oddities(opening: Opened) -> list[str]:
    header = jxl.read_header(opening.read_at, opening.byte_size)
    if header is None:
        return []
    notes = ["only the first frame of the animated JPEG XL is read"] if header.is_animated else []
    if header.bits > 8 and opening.deep is None:
        notes.append(f"{header.bits} bits reduced to 8")
    further = len(header.extra) - (jxl.ALPHA in header.extra)
    if further:
        notes.append(f"further channels of the JPEG XL ({further}) are left out")
    return notes


def _heif_oddities(opening: Opened) -> list[str]:
    beside = read_beside(opening.read_at, opening.byte_size)
    counts = Counter(beside.images)
    notes = [f"left out beside the main image: {', '.join(map(_counted, counts.items()))}"] if counts else []
    if beside.has_sequence and opening.format is HEIF:
        notes.append("the image sequence is left out: the still image is read")
    if beside.has_credentials:
        notes.append(CREDENTIALS)
    return [*notes, *_further_boxes(beside.boxes)]


def _further_boxes(kinds: tuple[str, ...]) -> list[str]:
    return [f"boxes of other kinds ({', '.join(kinds)}) left out"] if kinds else []


def _counted(each: tuple[str, int]) -> str:
    name, count = each
    return name if count == 1 else f"{name} ({count})"
