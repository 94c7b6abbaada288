"""The boxes of a JP2 file around its codestream: color, alpha, resolution, EXIF and XMP.

ISO/IEC 15444-1, annex I. EXIF and XMP are in UUID boxes, as exiftool and Adobe write them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from esrt_core.media.image.isobmff import ReadAt, box, inside, walk

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
SYCC = 18  # EnumCS, table I.10
_SRGB, _GRAY = 16, 17
_EXIF = b"JpgTiffExif->JP2"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_SOT, _COM = b"\xff\x90", b"\xff\x64"
_ENCODER = b"Created by OpenJPEG"
_MOST_COMMENT = 65_531
_PREMULTIPLIED = b"\0\2"  # type of a channel, table I.16
# Boxes that are the file's structure (ISO/IEC 15444-2, annex M, for JPX) or describe what other boxes hold.
_STRUCTURE = (b"jP  ", b"ftyp", b"jp2c", b"rreq", b"jpch", b"jplh", b"free", b"mdat", b"uinf", b"dtbl", b"comp")
_RESTRICTED, _ANY = 2, 3  # METH: kinds of ICC profiles
_PER_INCH = 254  # and ten to the fourth: pixels per meter as a fraction


@dataclass(frozen=True)
class Carried:
    """Hold what a JP2 file carries beside its pixels; `color_space` is the enumerated one, or None.

    `xml` is the content of XML boxes; `further` is how many UUID boxes of other kinds it has, as for GeoJP2, and
    `others` the kinds of other boxes that are not the file's structure; `is_premultiplied` whether its colors are
    multiplied by its alpha.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    color_space: int | None = None
    iptc: bytes | None = None
    further: int = 0
    is_premultiplied: bool = False
    xml: tuple[bytes, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """Describe the pixels of a codestream: size in px, bits a sample, gray or RGB, with alpha or without."""

    width: int
    height: int
    bits: int
    is_gray: bool
    has_alpha: bool


def read(read_at: ReadAt, byte_size: int) -> Carried:
    """Return what a JP2 file carries beside its pixels."""
    icc = color_space = exif = xmp = dpi = iptc = None
    further, is_premultiplied = 0, False
    xml: list[bytes] = []
    others: list[str] = []
    for found in walk(read_at, 0, byte_size) if read_at(0, len(SIGNATURE)) == SIGNATURE else ():
        if found.kind == b"jp2h":
            for kind, content in inside(found.read(read_at)):
                if kind == b"colr" and content[:1] == b"\1":
                    color_space = int.from_bytes(content[3:7], "big")
                elif kind == b"colr" and content[:1] in (bytes([_RESTRICTED]), bytes([_ANY])):
                    icc = content[3:]
                elif kind == b"cdef":
                    is_premultiplied = _PREMULTIPLIED in (content[at : at + 2] for at in range(4, len(content), 6))
                elif kind == b"res ":
                    dpi = _dpi(dict(inside(content)))
        elif found.kind == b"uuid":
            content = found.read(read_at)
            exif = content[16:].removeprefix(b"Exif\0\0") if content.startswith(_EXIF) else exif
            xmp = content[16:] if content.startswith(_XMP) else xmp
            iptc = content[16:] if content.startswith(_IPTC) else iptc
            further += not content.startswith((_EXIF, _XMP, _IPTC))
        elif found.kind == b"xml ":
            xml.append(found.read(read_at))
        elif found.kind not in _STRUCTURE:
            others.append(found.kind.decode("latin-1").strip())
    names = tuple(dict.fromkeys(others))
    return Carried(icc, exif, xmp, dpi, color_space, iptc, further, is_premultiplied, tuple(xml), names)


def codestream_at(read_at: ReadAt, byte_size: int) -> int | None:
    """Return the offset of the codestream in a JP2 file."""
    return next((found.at for found in walk(read_at, 0, byte_size) if found.kind == b"jp2c"), None)


def boxes(shape: Shape, carried: Carried) -> Iterator[bytes]:
    """Yield the boxes before the codestream's."""
    icc, dpi = carried.icc, carried.dpi
    yield SIGNATURE
    yield box(b"ftyp", b"jp2 ", bytes(4), b"jp2 ")
    channels = (1 if shape.is_gray else 3) + shape.has_alpha
    sizes = shape.height.to_bytes(4, "big") + shape.width.to_bytes(4, "big") + channels.to_bytes(2, "big")
    parts = [box(b"ihdr", sizes, bytes([shape.bits - 1, 7, 0, 0]))]
    enumerated = (_GRAY if shape.is_gray else _SRGB).to_bytes(4, "big")
    parts.append(box(b"colr", b"\1\0\0", enumerated) if icc is None else box(b"colr", bytes([_RESTRICTED, 0, 0]), icc))
    if shape.has_alpha:
        parts.append(_channel_definitions(channels))
    if dpi is not None:
        resolution = _per_meter(dpi[1]) + _per_meter(dpi[0]) + b"\4\4"
        parts.append(box(b"res ", box(b"resc", resolution), box(b"resd", resolution)))  # readers know one or the other
    yield box(b"jp2h", *parts)
    for name, content in ((_EXIF, carried.exif), (_XMP, carried.xmp), (_IPTC, carried.iptc)):
        if content is not None:
            yield box(b"uuid", name, content)
    for content in carried.xml:
        yield box(b"xml ", content)


def with_comments(codestream: bytes, comments: tuple[bytes, ...]) -> bytes:
    """Return a codestream with comments at the end of its main header, each up to 65,531 bytes (annex A.9.2)."""
    end = next(_main_header(lambda at, length: codestream[at : at + length], 0, _SOT))[0]
    parts = [comment[:_MOST_COMMENT] for comment in comments]
    segments = (_COM + (len(part) + 4).to_bytes(2, "big") + b"\0\1" + part for part in parts)
    return codestream[:end] + b"".join(segments) + codestream[end:]


def comments(read_at: ReadAt, byte_size: int) -> tuple[bytes, ...]:
    """Return the comments of a codestream or JP2 file, but for that of the encoder."""
    start = codestream_at(read_at, byte_size) if read_at(0, 12) == SIGNATURE else 0
    found = [] if start is None else [read_at(at + 6, size - 4) for at, size in _main_header(read_at, start, _COM)]
    return tuple(comment for comment in found if not comment.startswith(_ENCODER))


def _main_header(read_at: ReadAt, start: int, marker: bytes) -> Iterator[tuple[int, int]]:
    """Yield where a codestream's main header has a marker, and the length that follows it, up to its first tile."""
    at = start + 2  # SOC
    while len(head := read_at(at, 4)) == 4 and head[:1] == b"\xff":
        size = int.from_bytes(head[2:], "big")
        if head[:2] == marker:
            yield at, size
        if head[:2] == _SOT or size < 2:
            return
        at += 2 + size


def _dpi(resolutions: dict[bytes, bytes]) -> tuple[float, float] | None:
    """Return the resolution for display, else that of the capture, as (x, y)."""
    content = resolutions.get(b"resd") or resolutions.get(b"resc") or b""
    if len(content) < 10:
        return None
    *fractions, exponent_y, exponent_x = struct.unpack_from(">4H2b", content)
    if not (fractions[1] and fractions[3]):
        return None
    vertical = fractions[0] / fractions[1] * 10.0**exponent_y
    return fractions[2] / fractions[3] * 10.0**exponent_x * 0.0254, vertical * 0.0254


def _channel_definitions(channels: int) -> bytes:
    """Return the box that says that the last channel is the opacity of the whole image."""
    rows = [(index, 0, index + 1) for index in range(channels - 1)] + [(channels - 1, 1, 0)]
    numbers = [channels, *(number for row in rows for number in row)]
    return box(b"cdef", *(number.to_bytes(2, "big") for number in numbers))


def _per_meter(dpi: float) -> bytes:
    """Return the numerator and denominator of pixels per meter, times ten to the minus fourth."""
    steps = next(steps for steps in (100, 10, 1) if round(dpi * steps) < 65536)
    return round(dpi * steps).to_bytes(2, "big") + (_PER_INCH * steps).to_bytes(2, "big")
