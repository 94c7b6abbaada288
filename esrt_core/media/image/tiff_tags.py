"""The tags of a TIFF's page that describe the picture and not how it is stored: which ones travel, and their scaling.

TIFF 6.0; OGC GeoTIFF Standard 1.1 (19-008r4), https://docs.ogc.org/is/19-008r4/19-008r4.html.
"""

import struct
from dataclasses import dataclass, replace

from esrt_core.media.image import exif, photoshop
from esrt_core.media.image.byte_order import little_endian, reversed_parts
from esrt_core.media.image.exif import Directory, Value
from esrt_core.media.image.picture import CREDENTIALS, Resolution, Unit, resolution_of

XMP, IPTC, PHOTOSHOP, ICC = 700, 33723, 34377, 34675
X_RESOLUTION, _Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
_UNITS = {1: Unit.NONE, 2: Unit.INCH, 3: Unit.CM}
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
GEO = (_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS, 34736, 34737)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
# How the page is stored, where its parts lie and what its samples are; thumbnails and layers of the old pixels.
_STRUCTURE = frozenset(
    {*range(254, 260), *range(262, 269), 273, 274, *range(277, 282), 284, *range(288, 294), 301, *range(317, 329)}
    | {330, *range(332, 335), 336, 337, *range(338, 352), 400, *range(512, 523), 529, 530, 531, 532, 559}
    | {X_RESOLUTION, _Y_RESOLUTION, RESOLUTION_UNIT, XMP, IPTC, PHOTOSHOP, ICC, 32953, *range(32995, 32999)}
    | {33421, 33422, 34232, 37439, 37724, 50674, 52545, 65420, 65421}
)
_LAYERS, _STONITS, _CREDENTIALS = 37724, 37439, 52545
_RATIONAL_COEFFICIENTS = 50844
_OFFSET_TYPES = (4, 13, 16, 17, 18)  # LONG, IFD, LONG8, SLONG8, IFD8
LOST_MAKER_NOTES = "maker notes left out: their offsets would be wrong in another place"
_SAID = {
    _LAYERS: "Photoshop's layers left out",
    _STONITS: "the brightness of the samples (StoNits) left out",
    _CREDENTIALS: CREDENTIALS,
}
_NO_OFFSETS = (50838,)  # ImageJ's counts of bytes
_OF_EXIF = frozenset({269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 18246, 18249, *range(40091, 40096), 50341})


@dataclass(frozen=True)
class PageTags:
    """Hold what a page of a TIFF carries beside its pixels, in little-endian order.

    `further` are the tags that have no place in EXIF. `lost` names what is left out.
    """

    exif: bytes | None
    xmp: bytes | None
    icc: bytes | None
    photoshop: bytes | None
    resolution: Resolution | None
    further: Directory
    lost: tuple[str, ...]


def read_page_tags(read_at: exif.ReadAt, offset: int, *, is_turned: bool) -> PageTags:
    """Return the tags of the page whose directory lies at `offset` of a file.

    Raises: MediaError if it is damaged.
    """
    stored = exif.read_directories(read_at, offset, lambda tag, value: True)
    everything = little_endian(stored)
    tags = everything.image
    image = {tag: value for tag, value in tags.items() if is_carried(tag, value)}
    lost = [
        f"TIFF tag {tag} left out: it may point into the old file" for tag, value in tags.items() if _points(tag, value)
    ]
    lost += [note for tag, note in _SAID.items() if tag in tags]
    if image.pop(_RATIONAL_COEFFICIENTS, None):
        lost.append("rational polynomial coefficients left out: they are in pixels of the source")
    if is_turned and image.keys() & set(GEO):
        image = {tag: value for tag, value in image.items() if tag not in GEO}
        lost.append("GeoTIFF left out: the page was turned")
    if tags.get(270, Value(0, 0, b"")).raw.startswith(b'{"shape": ['):
        image.pop(270, None)  # tifffile's own description of how the page is stored
    kept = described(replace(everything, image=image))
    if everything.lost_maker_notes:
        lost.append(LOST_MAKER_NOTES)
    xmp, icc = tags.get(XMP), tags.get(ICC)
    return PageTags(
        exif.build(kept) if kept.image or kept.exif or kept.gps else None,
        None if xmp is None else xmp.raw.strip(b"\0") or None,
        None if icc is None else icc.raw,
        photoshop_of(tags[PHOTOSHOP].raw if PHOTOSHOP in tags else b"", _iptc(stored.image)),
        _resolution(tags),
        {tag: value for tag, value in image.items() if not _is_of_exif(tag)},
        tuple(lost),
    )


def is_carried(tag: int, value: Value) -> bool:
    """Return whether a tag of a page or of EXIF's first directory describes the picture."""
    return tag not in _STRUCTURE and not _points(tag, value)


def described(source: exif.Directories) -> exif.Directories:
    """Return directories without the tags of the first that have no place in EXIF."""
    image = {tag: value for tag, value in source.image.items() if _is_of_exif(tag) and is_carried(tag, value)}
    return replace(source, image=image)


def scaled(tags: Directory, factor: tuple[float, float]) -> Directory:
    """Return tags whose GeoTIFF coordinates fit a picture `factor` times as wide and high."""
    result = dict(tags)
    half = 0.5 if _is_point(tags) else 0.0  # then a point of the raster is the center of its pixel
    if _PIXEL_SCALE in tags:
        x, y, *rest = _doubles(tags[_PIXEL_SCALE])
        result[_PIXEL_SCALE] = _of_doubles([x / factor[0], y / factor[1], *rest])
    if _TIE_POINTS in tags:
        points = _doubles(tags[_TIE_POINTS])
        for at in range(0, len(points) - 5, 6):
            points[at] = (points[at] + half) * factor[0] - half
            points[at + 1] = (points[at + 1] + half) * factor[1] - half
        result[_TIE_POINTS] = _of_doubles(points)
    if _TRANSFORMATION in tags and tags[_TRANSFORMATION].count == 16:
        matrix = _doubles(tags[_TRANSFORMATION])
        for row in range(0, 12, 4):
            for column, by in enumerate(factor):
                matrix[row + 3] += matrix[row + column] * (half / by - half)
                matrix[row + column] /= by
        result[_TRANSFORMATION] = _of_doubles(matrix)
    return result


def names(tags: Directory) -> str:
    """Return the name of what the tags hold, for a note."""
    others = sorted(tag for tag in tags if tag not in GEO)
    parts = ["GeoTIFF"] if len(others) < len(tags) else []
    if others:
        parts.append(("TIFF tags " if len(others) > 1 else "TIFF tag ") + ", ".join(map(str, others)))
    return " and ".join(parts)


def photoshop_of(resources: bytes, iptc: bytes | None) -> bytes | None:
    """Return Photoshop's image resources with the IPTC that stands beside them, which goes before theirs."""
    if iptc is not None:
        rest = b"".join(whole for number, _, whole in photoshop.resources(resources) if number != photoshop.IPTC)
        resources = photoshop.of_iptc(iptc) + rest
    return resources or None


def _iptc(stored: Directory) -> bytes | None:
    """Return the IPTC of a page as it is in the file; some programs store it as numbers of four bytes, swapped."""
    value = stored.get(IPTC)
    if value is None:
        return None
    swapped = value.type == exif.LONG and value.raw[:1] != b"\x1c" and value.raw[3:4] == b"\x1c"
    return reversed_parts(value.raw, 4) if swapped else value.raw


def _is_of_exif(tag: int) -> bool:
    """Return whether EXIF has a tag in its first or its own directory; TIFF/EP has the latter in the page."""
    return tag in _OF_EXIF or tag in (33434, 33437) or 34850 <= tag <= 34867 or 36864 <= tag <= 42082 or tag == 42240


def _points(tag: int, value: Value) -> bool:
    """Return whether a tag that is unknown here may hold offsets into the file."""
    known = tag < 32768 or _is_of_exif(tag) or tag in _NO_OFFSETS
    return not known and tag not in _STRUCTURE and value.type in _OFFSET_TYPES


def _resolution(tags: Directory) -> Resolution | None:
    unit = _UNITS.get(int(_first(tags, RESOLUTION_UNIT) or 2))
    x, y = _first(tags, X_RESOLUTION), _first(tags, _Y_RESOLUTION)
    return None if unit is None or x is None or y is None else resolution_of(x, y, unit)


def _first(tags: Directory, tag: int) -> float | None:
    value = tags.get(tag)
    found = exif.numbers(value, "little") if value is not None and value.type in (3, 4, 5) else []
    return found[0] if found else None


def _is_point(tags: Directory) -> bool:
    keys = exif.numbers(tags[_GEO_KEYS], "little") if _GEO_KEYS in tags else []
    rows = [keys[at : at + 4] for at in range(4, len(keys) - 3, 4)]
    return any(key == _RASTER_TYPE and at == 0 and value == _PIXEL_IS_POINT for key, at, _, value in rows)


def _doubles(value: Value) -> list[float]:
    return list(struct.unpack(f"<{len(value.raw) // 8}d", value.raw[: len(value.raw) // 8 * 8]))


def _of_doubles(values: list[float]) -> Value:
    return Value(12, len(values), struct.pack(f"<{len(values)}d", *values))
