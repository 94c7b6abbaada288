"""Segments of a JPEG, and data behind its end: what another JPEG gets as it is, turned or scaled, and what is said.

EXIF longer than a segment is split over several, as ExifTool and Photoshop write it. APP11: ISO/IEC 19566-5, B.
"""

import re
from collections.abc import Iterable, Iterator

from esrt_core.errors import MediaError
from esrt_core.media.image import exif, jpeg, photoshop, xmp
from esrt_core.media.image.formats import JPEG
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.picture import CREDENTIALS

EXIF_SEGMENT = b"Exif\0\0"  # begins an APP1
_APP1 = 0xE1
_TIFF_HEADERS = (b"II*\0", b"MM\0*")
_MOST_EXIF = 65_533 - len(EXIF_SEGMENT)
_JUMBF = b"JP"
# Segments that other fields hold, or that describe the encoding of the old pixels, their thumbnail or further images.
_NOT_CARRIED = (
    ("APP0", b"JFIF\0"),
    ("APP0", b"JFXX\0"),
    ("APP0", b"AVI1"),
    ("APP1", EXIF_SEGMENT),
    ("APP1", xmp.SEGMENT),
    ("APP1", xmp.EXTENDED_SEGMENT),
    ("APP2", b"ICC_PROFILE\0"),
    ("APP2", b"MPF\0"),
    ("APP2", b"urn:iso:std:iso:ts:21496"),
    ("APP8", b"SPIFF\0"),
    ("APP11", _JUMBF),
    ("APP11", b"HDR_RI"),
    ("APP13", photoshop.SEGMENT),
    ("APP14", b"Adobe"),
    ("COM", b""),
)
_TAIL_BYTES = 256
_MULTI_PICTURE = re.compile(rb"\xff\xe2..MPF\0(?=II\*\0|MM\0\*)", re.DOTALL)  # its offsets count from the end of this
_LIST_OF_IMAGES = 0xB002  # MPEntry, CIPA DC-007

Segments = tuple[tuple[int, bytes], ...]


def segments(opening: Opened, kind: str, start: bytes) -> list[bytes]:
    """Return the segments of a JPEG of one kind ("APP1", "COM") that begin with `start`."""
    found: Iterable[tuple[str, bytes]] = getattr(opening.image, "applist", ())
    return [data for name, data in found if name == kind and data.startswith(start)]


def exif_blocks(opening: Opened) -> list[bytes]:
    """Return the EXIF blocks of a JPEG, each put together of its segments."""
    blocks: list[bytes] = []
    for segment in segments(opening, "APP1", EXIF_SEGMENT):
        part = segment.removeprefix(EXIF_SEGMENT)
        if blocks and not part.startswith(_TIFF_HEADERS):
            blocks[-1] += part
        else:
            blocks.append(part)
    return blocks


def exif_segments(block: bytes) -> Iterator[bytes]:
    """Yield the data of a JPEG's APP1 segments that hold an EXIF block of any length."""
    for at in range(0, len(block), _MOST_EXIF):
        yield EXIF_SEGMENT + block[at : at + _MOST_EXIF]


def packets(opening: Opened) -> list[bytes]:
    """Return the XMP packets of a JPEG, of which the first counts, without extended XMP."""
    return [data.removeprefix(xmp.SEGMENT) for data in segments(opening, "APP1", xmp.SEGMENT)]


def further_segments(opening: Opened, turn: int, notes: list[str]) -> Segments:
    """Return the segments that another JPEG gets; what describes geometry is as it is for the oriented picture."""
    assert opening.image is not None
    found = [*_further_metadata(opening, turn, notes)]
    for name, data in getattr(opening.image, "applist", ()):
        if not any(name == kind and data.startswith(start) for kind, start in _NOT_CARRIED):
            found.append((0xE0 + int(name[3:]), data))
    if segments(opening, "APP11", b"HDR_RI"):
        notes.append("the HDR ratio image (JPEG-HDR) is left out")
    return (*found, *_jumbf(opening, notes))


def for_size(found: Segments, size: tuple[int, int], factor: tuple[float, float]) -> Segments:
    """Return segments with the result's (width, height) in px; `factor` is how much larger it is than the source."""
    return tuple((marker, _resized(marker, data, size, factor)) for marker, data in found)


def note_trailer(opening: Opened, notes: list[str]) -> None:
    """Note data behind the end of a JPEG and its further images, where some programs keep IPTC, edits or audio."""
    if opening.format is not JPEG or opening.image is None:
        return
    start = _end_of_images(opening)
    with reading(opening.name):
        tail = opening.read_at(max(start, opening.byte_size - _TAIL_BYTES), _TAIL_BYTES)
        if tail.rstrip(b"\0").endswith(jpeg.END):
            return
        behind = opening.read_at(start, opening.byte_size)
    behind = behind if start else jpeg.trailer(behind)
    if behind.strip(b"\0\r\n "):
        notes.append(f"{len(behind):,} bytes behind the end of the JPEG left out")


def _end_of_images(opening: Opened) -> int:
    """Return where the last further image of the list of images ends, 0 if the file has none that is whole."""
    listed = getattr(opening.image, "mpinfo", {}).get(_LIST_OF_IMAGES, ())
    found = _MULTI_PICTURE.search(opening.read_at(0, opening.byte_size)) if listed else None
    if found is None:
        return 0
    places = [(found.end() + each["DataOffset"], each["Size"]) for each in listed if each["DataOffset"]]
    whole = [at + size for at, size in places if opening.read_at(at, 2) == jpeg.START]
    return max((end for end in whole if end <= opening.byte_size), default=0)


def _further_metadata(opening: Opened, turn: int, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    """Yield segments of EXIF and XMP beside the first of each, which readers show too."""
    assert opening.image is not None
    size = opening.image.size
    for block in exif_blocks(opening)[1:]:
        try:
            yield from ((_APP1, data) for data in exif_segments(exif.upright(block, turn, *size)))
        except MediaError:
            notes.append("a second EXIF block, damaged, left out")
    for packet in packets(opening)[1:]:
        yield _APP1, xmp.SEGMENT + xmp.upright(packet, turn, *size)


def _resized(marker: int, data: bytes, size: tuple[int, int], factor: tuple[float, float]) -> bytes:
    if marker != _APP1:
        return data
    if data.startswith(xmp.SEGMENT):
        return xmp.SEGMENT + xmp.for_size(data.removeprefix(xmp.SEGMENT), size, factor)
    block = data.removeprefix(EXIF_SEGMENT)
    if block == data or not block.startswith(_TIFF_HEADERS):
        return data
    try:
        return EXIF_SEGMENT + exif.for_size(block, *size, factor)
    except MediaError:  # it is split over several segments
        return data


def _jumbf(opening: Opened, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of boxes that another JPEG gets: all of a box, which may take several, or none."""
    boxes: dict[bytes, list[bytes]] = {}
    for data in segments(opening, "APP11", _JUMBF):
        boxes.setdefault(data[2:4] + data[12:16], []).append(data)  # by its number and type
    for key, parts in boxes.items():
        whole = b"".join(parts)
        if key[2:] != b"jumb":
            _add(notes, "JPEG XT data left out: they describe the pixels of the source")
        elif b"c2pa" in whole or b"cai.claim" in whole:
            _add(notes, CREDENTIALS)
        else:
            yield from ((0xEB, data) for data in parts)


def _add(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)
