"""EXIF directories in little-endian order, in which TIFF files are written: values, and what is within them."""

from esrt_core.media.image.exif import TYPES, USER_COMMENT, Directories, Value

_ENCODED_TEXT = (USER_COMMENT, 0x001B, 0x001C)  # also GPSProcessingMethod, GPSAreaInformation: text with its encoding
_UNICODE = b"UNICODE\0"  # UTF-16 in the block's byte order
# UNDEFINED values of which parts are in the block's byte order: OECF, SpatialFrequencyResponse and the two named.
_CFA_PATTERN, _DEVICE_SETTINGS = 0xA302, 0xA40B
_TABLES = (0x8828, 0xA20C, _CFA_PATTERN, _DEVICE_SETTINGS)


def little_endian(source: Directories) -> Directories:
    """Return directories in the byte order of the TIFF files that are written."""
    if source.order == "little":
        return source
    parts = (source.image, source.exif, source.gps, source.interoperability)
    image, exif, gps, interoperability = ({tag: _swapped(tag, value) for tag, value in each.items()} for each in parts)
    return Directories("little", image, exif, gps, interoperability, source.lost_maker_notes)


def _swapped(tag: int, value: Value) -> Value:
    part, start = TYPES[value.type][1], 0
    if tag in _ENCODED_TEXT and value.raw.startswith(_UNICODE):
        part, start = 2, len(_UNICODE)
    raw = value.raw[:start] + reversed_parts(value.raw[start:], part)
    return Value(value.type, value.count, _swapped_table(raw, tag) if tag in _TABLES else raw)


def _swapped_table(raw: bytes, tag: int) -> bytes:
    """Return a big-endian table in the other order: columns and rows, then rationals or text at its end (EXIF 3.0)."""
    columns, rows = (int.from_bytes(raw[at : at + 2], "big") for at in (0, 2))
    size = {_CFA_PATTERN: 0, _DEVICE_SETTINGS: len(raw) - 4}.get(tag, 8 * columns * rows)
    if len(raw) < 4 + size:
        return raw
    middle, part = len(raw) - size, 2 if tag == _DEVICE_SETTINGS else 4
    return reversed_parts(raw[:4], 2) + raw[4:middle] + reversed_parts(raw[middle:], part)


def reversed_parts(raw: bytes, part: int) -> bytes:
    """Return bytes of which every `part` are in the other order."""
    return b"".join(raw[at : at + part][::-1] for at in range(0, len(raw), part))
