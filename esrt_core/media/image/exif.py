"""EXIF blocks, kept byte for byte: read their directories, patch single values in place, or move directories to a TIFF.

Parsing a block and writing it anew loses what the parser does not know: the offsets within maker notes count from the
block's start, text may be UTF-8 although the standard says ASCII, and types change. EXIF 3.0, CIPA DC-008; TIFF 6.0.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from esrt_core.errors import MediaError

ORIENTATION = 0x0112
EXIF, GPS = 0x8769, 0x8825  # tags of IFD0 that point to further directories
MAKER_NOTE = 0x927C
_INTEROPERABILITY = 0xA005  # a pointer within the EXIF directory
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)  # ImageWidth, PixelXDimension; ImageLength, PixelYDimension
_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_RESOLUTIONS, _RESOLUTION_UNIT = (0x011A, 0x011B), 0x0128
_INCH = 2  # as a unit of resolution
_SHORT, _LONG, _RATIONAL = 3, 4, 5
# The size in bytes of one value of each type, and of the parts that the byte order applies to.
_TYPES = {
    **dict.fromkeys((1, 2, 6, 7), (1, 1)),
    **dict.fromkeys((3, 8), (2, 2)),
    **dict.fromkeys((4, 9, 11, 13), (4, 4)),
    **dict.fromkeys((5, 10), (8, 4)),
    **dict.fromkeys((12, 16, 17, 18), (8, 8)),
}
_RELATIVE_MAKER_NOTES = (b"Nikon\0\2", b"OLYMPUS\0", b"OM SYSTEM\0", b"FUJIFILM", b"Apple iOS\0", b"PENTAX \0")
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


Directory = dict[int, Value]


@dataclass(frozen=True)
class Directories:
    """Hold the directories of an EXIF block or a TIFF's first page that describe the image.

    `lost_maker_notes` is whether there are maker notes that cannot be moved.
    """

    order: Order
    image: Directory
    exif: Directory
    gps: Directory
    lost_maker_notes: bool = False


def orientation(block: bytes) -> int | None:
    """Return the orientation of an EXIF block, 1 to 8; None if it has none or a wrong one."""
    order = _order(block)
    for entry in _entries(block, _first(block, order), order)[0]:
        if entry.tag == ORIENTATION:
            value = int.from_bytes(block[entry.value_at : entry.value_at + _TYPES[entry.type][0]], order)
            return value if 1 <= value <= 8 else None
    return None


def upright(block: bytes, width: int, height: int) -> bytes:
    """Return a block as it is for pixels that were oriented: with the orientation 1, turned subject, no thumbnail.

    `width` and `height` are those of the stored pixels, in px. The bytes of the thumbnail stay where they are, but
    nothing points to them.
    """
    turn = orientation(block) or 1
    order = _order(block)
    patched = bytearray(block)
    entries, next_at = _entries(block, _first(block, order), order)
    for entry in entries:
        if entry.tag == ORIENTATION:
            _set(patched, entry, 1, order)
    if next_at is not None:
        patched[next_at : next_at + 4] = bytes(4)
    for entry in _exif_entries(block, order):
        if entry.tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) and entry.type == _SHORT and entry.count >= 2:
            _change(patched, entry, order, lambda values: _turned(values, turn, width, height))
    return bytes(patched)


def for_size(block: bytes, width: int, height: int, factor: tuple[float, float]) -> bytes:
    """Return a block with the result's size in px; `factor` is how much wider and higher it is than the source."""
    order = _order(block)
    patched = bytearray(block)
    for entry in (*_entries(block, _first(block, order), order)[0], *_exif_entries(block, order)):
        if entry.tag in (*_WIDTHS, *_HEIGHTS):
            _set(patched, entry, width if entry.tag in _WIDTHS else height, order)
        elif entry.tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) and entry.type == _SHORT:
            _change(patched, entry, order, lambda values: [v * factor[i % 2] for i, v in enumerate(values)])
    return bytes(patched)


def with_resolution(block: bytes, dpi: int) -> bytes:
    """Return a block whose entries of resolution, if it has them, say `dpi` px per inch."""
    order = _order(block)
    patched = bytearray(block)
    for entry in _entries(block, _first(block, order), order)[0]:
        if entry.tag in _RESOLUTIONS and entry.type == _RATIONAL:
            patched[entry.value_at : entry.value_at + 8] = dpi.to_bytes(4, order) + (1).to_bytes(4, order)
        elif entry.tag == _RESOLUTION_UNIT:
            _set(patched, entry, _INCH, order)
    return bytes(patched)


def without_orientation(block: bytes) -> bytes:
    """Return a block without its orientation entry; Pillow's AVIF writer would rewrite a block that has one."""
    order = _order(block)
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

    return read_directories(read_at, None)


def read_directories(read_at: ReadAt, wanted: Collection[int] | None) -> Directories:
    """Return the directories of an EXIF block or TIFF file, of the first only the tags that are wanted.

    Maker notes are kept only if they can be moved, and nothing points to a directory within them.

    Raises: MediaError if it is damaged.
    """
    head = read_at(0, 16)
    order = _order(head)
    big = head[2:4] in (b"+\0", b"\0+")
    first = int.from_bytes(head[8:16] if big else head[4:8], order)
    image = _read_directory(read_at, first, order, big, wanted)
    inner = {}
    for tag in (EXIF, GPS):
        pointer = image.pop(tag, None)
        at = 0 if pointer is None else int.from_bytes(pointer.raw, order)
        inner[tag] = _read_directory(read_at, at, order, big, None) if at else {}
    inner[EXIF].pop(_INTEROPERABILITY, None)
    note = inner[EXIF].get(MAKER_NOTE)
    lost = note is not None and not note.raw.startswith(_RELATIVE_MAKER_NOTES)
    if lost:
        del inner[EXIF][MAKER_NOTE]
    return Directories(order, image, inner[EXIF], inner[GPS], lost)


def build(source: Directories) -> bytes:
    """Return an EXIF block of directories."""
    header = (b"II*\0" if source.order == "little" else b"MM\0*") + (8).to_bytes(4, source.order)
    pointers = {tag: Value(_LONG, 1, bytes(4)) for tag, inner in _inner(source) if inner}
    end = 8 + len(directory_bytes(source.image | pointers, 8, source.order))
    parts = []
    for tag, inner in _inner(source):
        if inner:
            pointers[tag] = Value(_LONG, 1, end.to_bytes(4, source.order))
            parts.append(directory_bytes(inner, end, source.order))
            end += len(parts[-1])
    return header + directory_bytes(source.image | pointers, 8, source.order) + b"".join(parts)


def little_endian(source: Directories) -> Directories:
    """Return directories in the byte order of the TIFF files that are written."""
    if source.order == "little":
        return source
    image, exif, gps = ({tag: _swapped(value) for tag, value in each.items()} for each in _all(source))
    return Directories("little", image, exif, gps, source.lost_maker_notes)


def directory_bytes(directory: Directory, offset: int, order: Order) -> bytes:
    """Return a directory with its values behind it, as it is to lie at an even offset of a file or block."""
    entries, values = len(directory).to_bytes(2, order), b""
    behind = offset + 2 + 12 * len(directory) + 4
    for tag, value in sorted(directory.items()):
        entries += tag.to_bytes(2, order) + value.type.to_bytes(2, order) + value.count.to_bytes(4, order)
        if len(value.raw) <= 4:
            entries += value.raw.ljust(4, b"\0")
        else:
            entries += (behind + len(values)).to_bytes(4, order)
            values += value.raw + bytes(len(value.raw) % 2)
    return entries + bytes(4) + values


def _inner(source: Directories) -> tuple[tuple[int, Directory], ...]:
    return (EXIF, source.exif), (GPS, source.gps)


def _all(source: Directories) -> tuple[Directory, Directory, Directory]:
    return source.image, source.exif, source.gps


def _swapped(value: Value) -> Value:
    part = _TYPES[value.type][1]
    raw = b"".join(value.raw[at : at + part][::-1] for at in range(0, len(value.raw), part))
    return Value(value.type, value.count, raw)


def _order(block: bytes) -> Order:
    orders: dict[bytes, Order] = {b"II": "little", b"MM": "big"}
    order = orders.get(block[:2])
    if order is None or len(block) < 8:
        raise MediaError("EXIF has no TIFF header")
    return order


def _first(block: bytes, order: Order) -> int:
    return int.from_bytes(block[4:8], order)


def _entries(block: bytes, at: int, order: Order) -> tuple[list[_Entry], int | None]:
    """Return the entries of a directory whose values lie in the block, and where the offset of the next one is."""
    if at + 2 > len(block):
        raise MediaError("an EXIF directory lies outside its block")
    count = int.from_bytes(block[at : at + 2], order)
    end = at + 2 + 12 * count
    if end > len(block):
        raise MediaError("an EXIF directory is cut off")
    entries = []
    for begin in range(at + 2, end, 12):
        tag, kind = (int.from_bytes(block[begin + i : begin + i + 2], order) for i in (0, 2))
        number, offset = (int.from_bytes(block[begin + i : begin + i + 4], order) for i in (4, 8))
        size = _TYPES.get(kind, (0, 0))[0] * number
        value_at = begin + 8 if size <= 4 else offset
        if size and value_at + size <= len(block):
            entries.append(_Entry(tag, kind, number, begin, value_at))
    return entries, end if end + 4 <= len(block) else None


def _exif_entries(block: bytes, order: Order) -> list[_Entry]:
    for entry in _entries(block, _first(block, order), order)[0]:
        if entry.tag == EXIF:
            return _entries(block, int.from_bytes(block[entry.value_at : entry.value_at + 4], order), order)[0]
    return []


def _set(block: bytearray, entry: _Entry, value: int, order: Order) -> None:
    """Set an entry of one number; a SHORT that is too small for it becomes a LONG, which has room in the entry."""
    if entry.count != 1 or entry.type not in (_SHORT, _LONG):
        return
    kind = _LONG if value > 0xFFFF else entry.type
    block[entry.at + 2 : entry.at + 4] = kind.to_bytes(2, order)
    block[entry.at + 8 : entry.at + 12] = value.to_bytes(_TYPES[kind][0], order).ljust(4, b"\0")


def _change(block: bytearray, entry: _Entry, order: Order, change: Callable[[list[float]], list[float]]) -> None:
    """Change the SHORT values of an entry, clipped to what they hold."""
    places = range(entry.value_at, entry.value_at + 2 * entry.count, 2)
    values = change([int.from_bytes(block[at : at + 2], order) for at in places])
    for at, value in zip(places, values, strict=True):
        block[at : at + 2] = min(max(round(value), 0), 0xFFFF).to_bytes(2, order)


def _turned(values: list[float], turn: int, width: int, height: int) -> list[float]:
    """Return a point (x, y), a circle (x, y, diameter) or a rectangle (x, y, width, height) in oriented px."""
    x, y, *sides = values
    right, bottom = width - 1 - x, height - 1 - y
    points = [(x, y), (right, y), (right, bottom), (x, bottom), (y, x), (bottom, x), (bottom, right), (y, right)]
    return [*points[turn - 1], *(sides[::-1] if turn >= 5 else sides)]


def _read_directory(read_at: ReadAt, at: int, order: Order, big: bool, wanted: Collection[int] | None) -> Directory:
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
        size = _TYPES.get(kind, (0, 0))[0] * count
        if not 0 < size <= _MOST_BYTES or (wanted is not None and tag not in wanted):
            continue
        field = entry[4 + offset_size :]
        raw = field[:size] if size <= offset_size else read_at(int.from_bytes(field, order), size)
        if len(raw) == size:
            found[tag] = Value(kind, count, raw)
    return found
