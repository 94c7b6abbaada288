"""XMP packets as bytes: turn and scale what describes geometry, drop what is stale, and divide long ones for JPEG.

A packet is changed in place and never written anew, so that what is unknown here stays as it was. XMP specification,
part 3, Adobe 2020; regions: Metadata Working Group, Guidelines 2.0.1, and IPTC Photo Metadata Standard 2023.1.
"""

import codecs
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from functools import partial

from esrt_core.media.image.turning import turned

SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"  # begins a JPEG's APP1
EXTENDED_SEGMENT = b"http://ns.adobe.com/xmp/extension/\0"
_MOST_BYTES = 65_533 - len(SEGMENT)
_PART_BYTES = 65_400  # of extended XMP, in one segment
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_VALUE = rb"(?:\s*=\s*[\"']|\s*>\s*)"  # of an attribute or an element
_ORIENTATION = re.compile(rb"(tiff:Orientation" + _VALUE + rb")([1-8])")
# Previews of the old pixels, and what says that a gain map or a video follows.
_STALE = re.compile(
    rb"<(xmp:Thumbnails|G?Container:Directory|hdrgm:\w+|GCamera:(?:MicroVideo|MotionPhoto)\w*)"
    rb"(?:\s*/>|[\s>].*?</\1>)"
    rb"|\s(?:hdrgm:\w+|GCamera:(?:MicroVideo|MotionPhoto)\w*)\s*=\s*(?:\"[^\"]*\"|'[^']*')",
    re.DOTALL,
)
_HAS_EXTENDED = re.compile(rb'\sxmpNote:HasExtendedXMP=["\'][^"\']*["\']|<xmpNote:HasExtendedXMP>[^<]*</[^>]*>')
_SIZES = (
    (re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension|stDim:w)" + _VALUE + rb")\d+"), 0),
    (re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension|stDim:h)" + _VALUE + rb")\d+"), 1),
)
# Google's GPano: sizes and places of a 360-degree photo in px, and their axis.
_SCALED = (
    (re.compile(rb"(GPano:(?:FullPanoWidth|CroppedAreaImageWidth|CroppedAreaLeft)Pixels" + _VALUE + rb")(\d+)"), 0),
    (re.compile(rb"(GPano:(?:FullPanoHeight|CroppedAreaImageHeight|CroppedAreaTop)Pixels" + _VALUE + rb")(\d+)"), 1),
)
_FOCAL_PLANE = re.compile(rb"(exif:FocalPlane([XY])Resolution" + _VALUE + rb")(\d+)/(\d+)")
_RESOLUTION = re.compile(rb"(tiff:[XY]Resolution" + _VALUE + rb")\d+/\d+")
_RESOLUTION_UNIT = re.compile(rb"(tiff:ResolutionUnit" + _VALUE + rb")[1-3]")
_SUBJECT = re.compile(rb"<exif:Subject(?:Area|Location)>.*?</exif:Subject", re.DOTALL)
_ITEM = re.compile(rb"(<rdf:li>\s*)(\d+)")
# Regions of faces and other things. The first two have their center and size as shares of the width and height.
_CENTERED = re.compile(
    rb"<(mwg-rs:Area|acdsee-rs:DLYArea|acdsee-rs:ALGArea)\b(?:[^>]*/>|.*?</\1>)",
    re.DOTALL,
)
_CENTERED_FIELD = re.compile(rb"(stArea:([xywh])" + _VALUE + rb")([0-9.]+)")
_MICROSOFT = re.compile(rb"(MPReg:Rectangle" + _VALUE + rb")([0-9.eE+, -]+)")
_BOUNDARY = re.compile(rb"<Iptc4xmpExt:RegionBoundary\b(?:[^>]*/>|.*?</Iptc4xmpExt:RegionBoundary>)", re.DOTALL)
_BOUNDARY_FIELD = re.compile(rb"(Iptc4xmpExt:rb(X|Y|W|H|Rx)" + _VALUE + rb")([0-9.]+)")
_IN_PIXELS = re.compile(rb"Iptc4xmpExt:rbUnit" + _VALUE + rb"pixel")
_RDF = re.compile(rb"<rdf:RDF\b[^>]*>(.*)</rdf:RDF>", re.DOTALL)
_PADDING = re.compile(rb"\s+(?=<\?xpacket end)|<\?xpacket[^>]*\?>\s*")
_MAIN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP=""/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def orientation(xmp: bytes) -> int | None:
    """Return the orientation that a packet states, 1 to 8, or None."""
    found = _ORIENTATION.search(in_utf8(xmp))
    return int(found[2]) if found else None


def upright(xmp: bytes, turn: int, width: int, height: int) -> bytes:
    """Return a packet for pixels to which the orientation `turn` was applied, without previews of the old ones.

    `width` and `height` are those of the stored pixels, in px.
    """
    xmp = _STALE.sub(b"", _ORIENTATION.sub(rb"\g<1>1", in_utf8(xmp)))
    if turn == 1:
        return xmp
    xmp = _CENTERED.sub(lambda found: _turned_center(found[0], turn), xmp)
    xmp = _MICROSOFT.sub(lambda found: found[1] + _turned_corner(found[2], turn), xmp)
    xmp = _BOUNDARY.sub(lambda found: _turned_boundary(found[0], turn, width, height), xmp)
    return _SUBJECT.sub(lambda found: _turned_items(found[0], turn, width, height), xmp)


def for_size(xmp: bytes, size: tuple[int, int], factor: tuple[float, float]) -> bytes:
    """Return a packet with the result's (width, height) in px; `factor` is how much larger it is than the source."""
    for pattern, axis in _SIZES:
        xmp = pattern.sub(rb"\g<1>%d" % size[axis], xmp)
    for pattern, axis in _SCALED:
        xmp = pattern.sub(partial(_scaled, factor=factor[axis]), xmp)
    xmp = _FOCAL_PLANE.sub(lambda found: _scaled_rational(found, factor[found[2] == b"Y"]), xmp)
    xmp = _SUBJECT.sub(lambda found: _scaled_items(found[0], factor), xmp)
    return _BOUNDARY.sub(lambda found: _scaled_boundary(found[0], factor), xmp)


def with_resolution(xmp: bytes, dpi: int) -> bytes:
    """Return a packet whose resolution, if it states one, is `dpi` px per inch."""
    xmp = _RESOLUTION.sub(rb"\g<1>%d/1" % dpi, xmp)
    return _RESOLUTION_UNIT.sub(rb"\g<1>2", xmp)


def in_utf8(packet: bytes) -> bytes:
    """Return a packet in UTF-8, in which it is changed here, if it is in UTF-16 or UTF-32; others stay as they are."""
    if not packet.startswith(_MARKS) and not (b"<" in packet[:4] and b"\0" in packet[:4]):
        return packet
    width = 4 if b"\0\0" in packet[:8] else 2
    order = "le" if packet.startswith((b"\xff\xfe", b"<")) else "be"
    text = (packet + bytes(-len(packet) % width)).decode(f"utf-{8 * width}-{order}", "replace").strip("\ufeff\0")
    return re.sub(r"""(<\?xml[^>]*encoding=["'])UTF-(?:16|32)[LB]?E?""", r"\1UTF-8", text, count=1, flags=re.I).encode()


def text(xmp: bytes) -> str:
    """Return a packet as text: UTF-8, or the Latin-1 that some programs write."""
    try:
        return xmp.decode("utf-8")
    except UnicodeDecodeError:
        return xmp.decode("latin-1")


def joined(segments: Iterable[bytes], main: bytes) -> bytes | None:
    """Return the extended XMP of a JPEG's APP1 segments, b"" without any, None if a part is missing.

    Of several the one counts whose name is in `main`.
    """
    found: dict[bytes, list[bytes]] = {}
    for segment in segments:
        found.setdefault(segment[len(EXTENDED_SEGMENT) :][:32], []).append(segment[len(EXTENDED_SEGMENT) + 32 :])
    if not found:
        return b""
    parts = {int.from_bytes(part[4:8], "big"): part for part in found[max(found, key=lambda name: name in main)]}
    whole = b"".join(part[8:] for _, part in sorted(parts.items()))
    return whole if len(whole) == int.from_bytes(parts[min(parts)][:4], "big") else None


def without_extension(main: bytes) -> bytes:
    """Return a packet that does not point to extended XMP."""
    return _HAS_EXTENDED.sub(b"", main)


def merged(main: bytes, extended: bytes) -> bytes | None:
    """Return a packet that holds the properties of both, or None if they cannot be put together."""
    main = without_extension(main)
    inner = _RDF.search(extended)
    end = main.rfind(b"</rdf:RDF>")
    if inner is None or end < 0:
        return None
    whole = main[:end] + inner[1].strip() + main[end:]
    try:
        ElementTree.fromstring(_PADDING.sub(b"", whole).strip())
    except ElementTree.ParseError:
        return None
    return whole


def segments(xmp: bytes, extended: bytes) -> Iterator[bytes]:
    """Yield the data of a JPEG's APP1 segments, each at most 65,533 bytes.

    A packet that is too long for one segment becomes extended XMP, to which a short packet points.
    """
    if not extended and len(xmp) > _MOST_BYTES:
        xmp = _PADDING.sub(b"", xmp).strip()
        if len(xmp) > _MOST_BYTES:
            xmp, extended = _MAIN, xmp
    if not extended:
        yield SEGMENT + without_extension(xmp)
        return
    name = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()  # the specification's GUID
    pointing = re.sub(rb"(xmpNote:HasExtendedXMP" + _VALUE + rb")[0-9A-Fa-f]*", rb"\g<1>" + name, xmp)
    yield SEGMENT + pointing
    for at in range(0, len(extended), _PART_BYTES):
        place = len(extended).to_bytes(4, "big") + at.to_bytes(4, "big")
        yield EXTENDED_SEGMENT + name + place + extended[at : at + _PART_BYTES]


def _number(value: float) -> bytes:
    return f"{value:.9g}".encode()


def _turned_center(area: bytes, turn: int) -> bytes:
    values = {name: float(number) for _, name, number in _CENTERED_FIELD.findall(area)}
    if not {b"x", b"y"} <= values.keys():
        return area
    sides = [values.get(b"w", 0), values.get(b"h", 0)]
    result = dict(zip(b"xywh", turned([values[b"x"], values[b"y"], *sides], turn, 1, 1), strict=True))
    return _CENTERED_FIELD.sub(lambda found: found[1] + _number(result[found[2][0]]), area)


def _turned_corner(rectangle: bytes, turn: int) -> bytes:
    """Return "left, top, width, height" in shares of the oriented picture."""
    try:
        left, top, width, height = (float(part) for part in rectangle.split(b","))
    except ValueError:
        return rectangle
    return b", ".join(_number(value) for value in _turned_rectangle([left, top, width, height], turn, 1, 1))


def _turned_rectangle(values: list[float], turn: int, right: float, bottom: float) -> list[float]:
    left, top, width, height = values
    x, y, width, height = turned([left + width / 2, top + height / 2, width, height], turn, right, bottom)
    return [x - width / 2, y - height / 2, width, height]


def _turned_boundary(area: bytes, turn: int, width: int, height: int) -> bytes:
    """Return an IPTC region: a rectangle by its corner, a circle by its center, or the corners of a polygon."""
    sides = (float(width), float(height)) if _IN_PIXELS.search(area) else (1.0, 1.0)
    found = [(name, float(number)) for _, name, number in _BOUNDARY_FIELD.findall(area)]
    values = dict(found)
    if {b"X", b"Y", b"W", b"H"} <= values.keys():
        rectangle = _turned_rectangle([values[name] for name in (b"X", b"Y", b"W", b"H")], turn, *sides)
        numbers = iter([dict(zip((b"X", b"Y", b"W", b"H"), rectangle, strict=True))[name] for name, _ in found])
        return _BOUNDARY_FIELD.sub(lambda field: field[1] + _number(next(numbers)), area)
    across = [number for name, number in found if name == b"X"]
    down = [number for name, number in found if name == b"Y"]
    if len(across) != len(down):
        return area
    points = [turned([x, y], turn, *sides) for x, y in zip(across, down, strict=True)]
    rest = {b"X": iter([x for x, _ in points]), b"Y": iter([y for _, y in points])}
    return _BOUNDARY_FIELD.sub(
        lambda field: field[1] + (_number(next(rest[field[2]])) if field[2] in rest else field[3]), area
    )


def _scaled_boundary(area: bytes, factor: tuple[float, float]) -> bytes:
    if not _IN_PIXELS.search(area):
        return area
    axis = {b"X": 0, b"W": 0, b"Rx": 0, b"Y": 1, b"H": 1}
    return _BOUNDARY_FIELD.sub(lambda field: field[1] + _number(float(field[3]) * factor[axis[field[2]]]), area)


def _turned_items(sequence: bytes, turn: int, width: int, height: int) -> bytes:
    values = [float(number) for _, number in _ITEM.findall(sequence)]
    if len(values) < 2 or values[0] >= width or values[1] >= height:
        return sequence
    numbers = iter(turned(values, turn, width - 1, height - 1))
    return _ITEM.sub(lambda found: found[1] + b"%d" % round(next(numbers)), sequence)


def _scaled_items(sequence: bytes, factor: tuple[float, float]) -> bytes:
    numbers = iter([float(number) * factor[i % 2] for i, (_, number) in enumerate(_ITEM.findall(sequence))])
    return _ITEM.sub(lambda found: found[1] + b"%d" % round(next(numbers)), sequence)


def _scaled(found: re.Match[bytes], factor: float) -> bytes:
    return found[1] + b"%d" % round(int(found[2]) * factor)


def _scaled_rational(found: re.Match[bytes], factor: float) -> bytes:
    return found[1] + b"%d/%d" % (round(int(found[3]) * factor * 1000), int(found[4]) * 1000)
