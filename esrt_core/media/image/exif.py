"""EXIF blocks, kept byte for byte: read their directories, patch single values in place, or move directories to a TIFF.

Parsing a block and writing it anew loses what the parser does not know: the offsets within maker notes count from the
block's start, text may be UTF-8 although the standard says ASCII, and types change. EXIF 3.0, CIPA DC-008; TIFF 6.0.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Literal

from esrt_core.errors import MediaError
from esrt_core.media.image.turning import placed

ORIENTATION = 0x0112
EXIF, GPS = 0x8769, 0x8825  # tags of IFD0 that point to further directories
MAKER_NOTE = 0x927C
_INTEROPERABILITY = 0xA005  # a pointer within the EXIF directory
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # ImageWidth, PixelXDimension; ImageLength, PixelYDimension
_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_FOCAL_PLANE_X, _FOCAL_PLANE_Y = 0xA20E, 0xA20F  # px per unit on the sensor
USER_COMMENT = 0x9286
ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL, _LONG8 = 2, 3, 4, 5, 7, 10, 16
_RESOLUTIONS, _RESOLUTION_UNIT = (0x011A, 0x011B), 0x0128
_INCH = 2  # as a unit of resolution
# The size in bytes of one value of each type, and of the parts that the byte order applies to.
TYPES = {
    **dict.fromkeys((1, 2, 6, 7), (1, 1)),
    **dict.fromkeys((3, 8), (2, 2)),
    **dict.fromkeys((4, 9, 11, 13), (4, 4)),
    **dict.fromkeys((5, 10), (8, 4)),
    **dict.fromkeys((12, 16, 17, 18), (8, 8)),
}
# Maker notes whose offsets count from their own start, or that have none (ExifTool's documentation of maker notes,
# https://exiftool.org/makernote_types.html).
_MOVABLE_MAKER_NOTES = re.compile(
    rb"Apple iOS\0|Nikon\0\x02|FUJIFILM|GENERALE|OLYMPUS\0|OM SYSTEM\0|PENTAX \0|S1\0{6}\x0c\0{3}|RICOH\0(?:II|MM)"
    rb"|MOT\0|SEMC MS\0|LEICA0|LEICA\0[\0\x01\x04-\x07\x10\x1a]\0|GE\x0c\0{3}\x16\0{3}|KYOCERA|ISLMAKERNOTE000\0"
    rb"|KDK|IIII[\x02-\x06]\0|610[\0-\x04]|RECONYX|\x01\xf1|[\t\n\r -~]+\0*\Z"
)
_MOST_BYTES = 1 << 26

Order = Literal["little", "big"]
ReadAt = Callable[[int, int], bytes]  # offset, length


@dataclass(frozen=True)
class Value:
    """Hold one entry of a directory: its type, how many values, and their bytes."""

    type: int
    count: int
    raw: bytes


@dataclass(frozen=True)
class _Entry:
    """Locate an entry of a directory and its values in a block, bytes from the start."""

    tag: int
    type: int
    count: int
    at: int
    value_at: int

    def overlaps(self, start: int, end: int) -> bool:
        """Return whether values lie between two offsets, as in damaged blocks."""
        return self.value_at < end and start < self.value_at + TYPES[self.type][0] * self.count


Directory = dict[int, Value]
Carried = Callable[[int, Value], bool]  # tag, value


@dataclass(frozen=True)
class Directories:
    """Hold the directories of an EXIF block or a TIFF's page that describe the image.

    `lost_maker_notes` is whether there are maker notes that cannot be moved.
    """

    order: Order
    image: Directory
    exif: Directory
    gps: Directory
    interoperability: Directory = field(default_factory=dict)
    lost_maker_notes: bool = False


def orientation(block: bytes) -> int | None:
    """Return the orientation of an EXIF block, 1 to 8; None if it has none or a wrong one."""
    order = order_of(block)
    for entry in _entries(block, _first(block, order), order)[0]:
        if entry.tag == ORIENTATION:
            value = int.from_bytes(block[entry.value_at : entry.value_at + TYPES[entry.type][0]], order)
            return value if 1 <= value <= 8 else None
    return None


def upright(block: bytes, turn: int, width: int, height: int) -> bytes:
    """Return a block as it is for pixels that were oriented: with the orientation 1, turned subject, no thumbnail.

    `turn` is the orientation that was applied, 1 to 8; `width` and `height` are those of the stored pixels, in px. The
    bytes of the thumbnail stay where they are, but nothing points to them.
    """
    order = order_of(block)
    patched = bytearray(block)
    entries, next_at = _entries(block, _first(block, order), order)
    for entry in entries:
        if entry.tag == ORIENTATION:  # of whatever type it is read from
            size = TYPES[entry.type][0]
            patched[entry.value_at : entry.value_at + size] = (1).to_bytes(size, order)
    inner = _exif_entries(block, order)
    if next_at is not None and not any(entry.overlaps(next_at, next_at + 4) for entry in (*entries, *inner)):
        patched[next_at : next_at + 4] = bytes(4)
    for entry in inner:
        if entry.tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) and entry.type == SHORT and entry.count >= 2:
            place = partial(placed, turn=turn, size=(width, height), stated=_stated_size(block, inner, order))
            _change(patched, entry, order, place)
    found = {entry.tag: entry for entry in inner}
    across, down = found.get(_FOCAL_PLANE_X), found.get(_FOCAL_PLANE_Y)
    if turn >= 5 and across is not None and down is not None and across.type == down.type == RATIONAL:
        for target, origin in ((across, down), (down, across)):
            patched[target.value_at : target.value_at + 8] = block[origin.value_at : origin.value_at + 8]
    return bytes(patched)


def for_size(block: bytes, width: int, height: int, factor: tuple[float, float]) -> bytes:
    """Return a block with the result's size in px; `factor` is how much wider and higher it is than the source."""
    order = order_of(block)
    patched = bytearray(block)
    for entry in (*_entries(block, _first(block, order), order)[0], *_exif_entries(block, order)):
        if entry.tag in (*_WIDTHS, *_HEIGHTS):
            _set(patched, entry, width if entry.tag in _WIDTHS else height, order)
        elif entry.tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) and entry.type == SHORT:
            _change(patched, entry, order, lambda values: [v * factor[i % 2] for i, v in enumerate(values)])
        elif entry.tag in (_FOCAL_PLANE_X, _FOCAL_PLANE_Y) and entry.type == RATIONAL:
            _multiply(patched, entry, order, factor[entry.tag == _FOCAL_PLANE_Y])
    return bytes(patched)


def value_of(block: bytes, tag: int) -> Value | None:
    """Return an entry of the block's first or EXIF directory, or None."""
    order = order_of(block)
    for entry in (*_entries(block, _first(block, order), order)[0], *_exif_entries(block, order)):
        if entry.tag == tag:
            size = TYPES[entry.type][0] * entry.count
            return Value(entry.type, entry.count, block[entry.value_at : entry.value_at + size])
    return None


def is_damaged_inside(block: bytes) -> bool:
    """Return whether the EXIF directory of a block, below its first, is cut off or lies outside."""
    order = order_of(block)
    at = _pointer(block, order)
    return at is not None and not _holds_directory(block, at, order)


def numbers(value: Value, order: Order) -> list[float]:
    """Return the values of an entry of integers or rationals; a rational whose denominator is 0 is left out."""
    size, part = TYPES[value.type]
    signed = value.type in (6, 8, 9, SIGNED_RATIONAL)
    parts = [int.from_bytes(value.raw[at : at + part], order, signed=signed) for at in range(0, len(value.raw), part)]
    if size == part:
        return [float(number) for number in parts]
    return [above / below for above, below in zip(parts[::2], parts[1::2], strict=False) if below]


def with_entries(block: bytes | None, image: Directory, exif: Directory) -> bytes:
    """Return a block with further entries in its first and its EXIF directory, values in the byte order of `order_of`.

    All bytes of the block stay where they are, but for pointers: a directory that grows is copied behind them, with its
    offsets. Without a block, one in big-endian order is made.
    """
    if block is None:
        return build(Directories("big", image, exif, {}))
    order = order_of(block)
    grown = bytearray(block + bytes(len(block) % 2))
    first = _first(block, order)
    if exif:
        pointer = next((entry for entry in _entries(block, first, order)[0] if entry.tag == EXIF), None)
        at = _pointer(block, order)
        offset = len(grown)
        grown += _grown_directory(block, at, exif, offset, order)
        if pointer is not None:
            grown[pointer.value_at : pointer.value_at + 4] = offset.to_bytes(4, order)
        else:
            image = image | {EXIF: Value(LONG, 1, offset.to_bytes(4, order))}
    if image:
        offset = len(grown)
        grown += _grown_directory(bytes(grown), first, image, offset, order)
        grown[4:8] = offset.to_bytes(4, order)
    return bytes(grown)


def with_resolution(block: bytes, dpi: int) -> bytes:
    """Return a block whose entries of resolution, if it has them, say `dpi` px per inch."""
    order = order_of(block)
    patched = bytearray(block)
    for entry in _entries(block, _first(block, order), order)[0]:
        if entry.tag in _RESOLUTIONS and entry.type == RATIONAL:
            patched[entry.value_at : entry.value_at + 8] = dpi.to_bytes(4, order) + (1).to_bytes(4, order)
        elif entry.tag == _RESOLUTION_UNIT:
            _set(patched, entry, _INCH, order)
    return bytes(patched)


def without_orientation(block: bytes) -> bytes:
    """Return a block without its orientation entry; Pillow's AVIF writer would rewrite a block that has one."""
    order = order_of(block)
    first = _first(block, order)
    entries, _ = _entries(block, first, order)
    at = next((entry.at for entry in entries if entry.tag == ORIENTATION), None)
    if at is None:
        return block
    count = int.from_bytes(block[first : first + 2], order)
    end = first + 2 + 12 * count + 4
    later = block[at + 12 : end]
    return block[:first] + (count - 1).to_bytes(2, order) + block[first + 2 : at] + later + bytes(12) + block[end:]


def directories(block: bytes) -> Directories:
    """Return the directories of an EXIF block. Raises MediaError if it is damaged."""

    def read_at(at: int, length: int) -> bytes:
        return block[at : at + length]

    return read_directories(read_at, None, lambda tag, value: True)


def read_directories(read_at: ReadAt, first: int | None, carried: Carried) -> Directories:
    """Return the directories of an EXIF block or of a page of a TIFF, of the first only what is to be carried.

    `first` is the offset of the first directory, None for that of the header. Maker notes are kept only if they can be
    moved.

    Raises: MediaError if it is damaged.
    """
    head = read_at(0, 16)
    order = order_of(head)
    big = head[2:4] in (b"+\0", b"\0+")
    if first is None:
        first = int.from_bytes(head[8:16] if big else head[4:8], order)
    whole = _read_directory(read_at, first, order, big)
    inner = {tag: _pointed(read_at, whole.pop(tag, None), order, big) for tag in (EXIF, GPS)}
    interoperability = _pointed(read_at, inner[EXIF].pop(_INTEROPERABILITY, None), order, big)
    image = {tag: value for tag, value in whole.items() if carried(tag, value)}
    lost = False
    for directory in (image, inner[EXIF]):
        note = directory.get(MAKER_NOTE)
        if note is not None and not _MOVABLE_MAKER_NOTES.match(note.raw):
            del directory[MAKER_NOTE]
            lost = True
    return Directories(order, image, inner[EXIF], inner[GPS], interoperability, lost)


def build(source: Directories) -> bytes:
    """Return an EXIF block of directories."""
    header = (b"II*\0" if source.order == "little" else b"MM\0*") + (8).to_bytes(4, source.order)
    _, found = nested(source, 0)
    end = 8 + len(directory_bytes(source.image | {tag: Value(LONG, 1, bytes(4)) for tag in found}, 8, source.order))
    below, found = nested(source, end)
    pointers = {tag: Value(LONG, 1, at.to_bytes(4, source.order)) for tag, at in found.items()}
    return header + directory_bytes(source.image | pointers, 8, source.order) + below


def nested(source: Directories, offset: int, *, big: bool = False) -> tuple[bytes, dict[int, int]]:
    """Return the EXIF and GPS directories as they are to lie at an even offset, and the offset of each by its tag."""
    data, found, exif = b"", {}, source.exif
    if source.interoperability:
        size, kind = (8, _LONG8) if big else (4, LONG)
        exif = exif | {_INTEROPERABILITY: Value(kind, 1, offset.to_bytes(size, source.order))}
        data += directory_bytes(source.interoperability, offset, source.order, big=big)
    for tag, directory in ((EXIF, exif), (GPS, source.gps)):
        if directory:
            found[tag] = offset + len(data)
            data += directory_bytes(directory, found[tag], source.order, big=big)
    return data, found


def directory_bytes(directory: Directory, offset: int, order: Order, *, big: bool = False) -> bytes:
    """Return a directory with its values behind it, as it is to lie at an even offset of a file (BigTIFF: `big`)."""
    count_size, size = (8, 8) if big else (2, 4)
    entries, values = len(directory).to_bytes(count_size, order), b""
    behind = offset + count_size + (4 + 2 * size) * len(directory) + size
    for tag, value in sorted(directory.items()):
        entries += tag.to_bytes(2, order) + value.type.to_bytes(2, order) + value.count.to_bytes(size, order)
        if len(value.raw) <= size:
            entries += value.raw.ljust(size, b"\0")
        else:
            entries += (behind + len(values)).to_bytes(size, order)
            values += value.raw + bytes(len(value.raw) % 2)
    return entries + bytes(size) + values


def _grown_directory(block: bytes, at: int | None, more: Directory, offset: int, order: Order) -> bytes:
    """Return a copy of a directory of the block with more entries, which replace those of the same tags."""
    entries: dict[int, bytes] = {}
    if at is not None:
        count = int.from_bytes(block[at : at + 2], order)
        rows = (block[begin : begin + 12] for begin in range(at + 2, at + 2 + 12 * count, 12))
        entries = {int.from_bytes(row[:2], order): row for row in rows if len(row) == 12}
    values = b""
    behind = offset + 2 + 12 * len(entries.keys() | more.keys()) + 4
    for tag, value in more.items():
        field = value.raw.ljust(4, b"\0") if len(value.raw) <= 4 else (behind + len(values)).to_bytes(4, order)
        values += value.raw + bytes(len(value.raw) % 2) if len(value.raw) > 4 else b""
        head = tag.to_bytes(2, order) + value.type.to_bytes(2, order) + value.count.to_bytes(4, order)
        entries[tag] = head + field
    return len(entries).to_bytes(2, order) + b"".join(row for _, row in sorted(entries.items())) + bytes(4) + values


def _pointed(read_at: ReadAt, pointer: Value | None, order: Order, big: bool) -> Directory:
    """Return the directory that an entry points to; an empty one if there is none or it is damaged."""
    try:
        return {} if pointer is None else _read_directory(read_at, int.from_bytes(pointer.raw, order), order, big)
    except MediaError:
        return {}


def order_of(block: bytes) -> Order:
    """Return the byte order of a block. Raises MediaError if it has no TIFF header."""
    orders: dict[bytes, Order] = {b"II": "little", b"MM": "big"}
    order = orders.get(block[:2])
    if order is None or len(block) < 8:
        raise MediaError("EXIF has no TIFF header")
    return order


def _first(block: bytes, order: Order) -> int:
    return int.from_bytes(block[4:8], order)


def _entries(block: bytes, at: int, order: Order) -> tuple[list[_Entry], int | None]:
    """Return the entries of a directory whose values lie in the block, and where the offset of the next one is."""
    if not _holds_directory(block, at, order):
        raise MediaError("an EXIF directory is cut off or lies outside its block")
    end = at + 2 + 12 * int.from_bytes(block[at : at + 2], order)
    entries = []
    for begin in range(at + 2, end, 12):
        tag, kind = (int.from_bytes(block[begin + i : begin + i + 2], order) for i in (0, 2))
        number, offset = (int.from_bytes(block[begin + i : begin + i + 4], order) for i in (4, 8))
        size = TYPES.get(kind, (0, 0))[0] * number
        value_at = begin + 8 if size <= 4 else offset
        if size and value_at + size <= len(block):
            entries.append(_Entry(tag, kind, number, begin, value_at))
    return entries, end if end + 4 <= len(block) else None


def _exif_entries(block: bytes, order: Order) -> list[_Entry]:
    """Return the entries of the EXIF directory; none if it is damaged, see `is_damaged_inside`."""
    at = _pointer(block, order)
    return [] if at is None or not _holds_directory(block, at, order) else _entries(block, at, order)[0]


def _pointer(block: bytes, order: Order) -> int | None:
    """Return where the EXIF directory is said to be."""
    entries, _ = _entries(block, _first(block, order), order)
    places = (entry.value_at for entry in entries if entry.tag == EXIF)
    return next((int.from_bytes(block[at : at + 4], order) for at in places), None)


def _holds_directory(block: bytes, at: int, order: Order) -> bool:
    return at + 2 <= len(block) and at + 2 + 12 * int.from_bytes(block[at : at + 2], order) <= len(block)


def _stated_size(block: bytes, entries: list[_Entry], order: Order) -> tuple[int, int]:
    """Return the width and height in px that the EXIF directory states, 0 where it does not."""
    found = {entry.tag: entry for entry in entries if entry.type in (SHORT, LONG)}
    sizes = []
    for tag in (_WIDTHS[1], _HEIGHTS[1]):
        at = found[tag].value_at if tag in found else None
        sizes.append(0 if at is None else int.from_bytes(block[at : at + TYPES[found[tag].type][0]], order))
    return sizes[0], sizes[1]


def _set(block: bytearray, entry: _Entry, value: int, order: Order) -> None:
    """Set an entry of one number; a SHORT that is too small for it becomes a LONG, which has room in the entry."""
    if entry.count != 1 or entry.type not in (SHORT, LONG):
        return
    kind = LONG if value > 0xFFFF else entry.type
    block[entry.at + 2 : entry.at + 4] = kind.to_bytes(2, order)
    block[entry.at + 8 : entry.at + 12] = value.to_bytes(TYPES[kind][0], order).ljust(4, b"\0")


def _change(block: bytearray, entry: _Entry, order: Order, change: Callable[[list[float]], list[float]]) -> None:
    """Change the SHORT values of an entry, clipped to what they hold."""
    places = range(entry.value_at, entry.value_at + 2 * entry.count, 2)
    values = change([int.from_bytes(block[at : at + 2], order) for at in places])
    for at, value in zip(places, values, strict=True):
        block[at : at + 2] = min(max(round(value), 0), 0xFFFF).to_bytes(2, order)


def _multiply(block: bytearray, entry: _Entry, order: Order, factor: float) -> None:
    """Multiply the first rational of an entry, as exactly as 32 bits allow."""
    at = entry.value_at
    above, below = (int.from_bytes(block[i : i + 4], order) for i in (at, at + 4))
    if not below:
        return
    result = Fraction(above, below) * Fraction(factor).limit_denominator(1 << 16)
    most = 0xFFFFFFFF
    if max(result.numerator, result.denominator) > most:
        result = result.limit_denominator(max(1, most // max(1, int(result) + 1)))
    block[at : at + 8] = min(result.numerator, most).to_bytes(4, order) + result.denominator.to_bytes(4, order)


def _read_directory(read_at: ReadAt, at: int, order: Order, big: bool) -> Directory:
    """Return a directory of a file; entries of unknown types, or with values outside the file, are left out."""
    count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
    head = read_at(at, count_size)
    table = read_at(at + count_size, min(int.from_bytes(head, order), 1 << 16) * entry_size)
    if len(head) < count_size or len(table) % entry_size:
        raise MediaError("an EXIF directory is cut off")
    found: Directory = {}
    for begin in range(0, len(table), entry_size):
        entry = table[begin : begin + entry_size]
        tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
        count = int.from_bytes(entry[4 : 4 + offset_size], order)
        size = TYPES.get(kind, (0, 0))[0] * count
        if not 0 < size <= _MOST_BYTES:
            continue
        field = entry[4 + offset_size :]
        raw = field[:size] if size <= offset_size else read_at(int.from_bytes(field, order), size)
        if len(raw) == size:
            found[tag] = Value(kind, count, raw)
    return found
