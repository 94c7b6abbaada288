"""Boxes of AVIF, HEIF and JPEG 2000 files: walk them, read an item's properties, and add metadata to an AVIF.

ISO/IEC 14496-12 (boxes), 23008-12 (items and properties), AV1 Codec ISO Media File Format Binding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]  # offset, length
_MOST_BYTES = 1 << 24  # of a box that is read whole
_OF_TILES = (b"colr", b"hvcC", b"av1C", b"pixi")  # properties that describe samples


@dataclass(frozen=True)
class Box:
    """Locate the content of one box: bytes `at` to `end` of the file."""

    kind: bytes
    at: int
    end: int

    def read(self, read_at: ReadAt) -> bytes:
        """Return the content, at most the first 16 MiB."""
        return read_at(self.at, min(self.end - self.at, _MOST_BYTES))


def walk(read_at: ReadAt, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets, up to the first that is cut off before its content."""
    while at + 8 <= end:
        header = read_at(at, 16)
        size, start = int.from_bytes(header[:4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(header[8:16], "big"), at + 16
        stop = end if size == 0 else at + size
        if len(header) < 8 or stop < start:
            return
        yield Box(header[4:8], start, min(stop, end))
        at = stop


def inside(content: bytes, skip: int = 0) -> list[tuple[bytes, bytes]]:
    """Return the kind and content of each box in a box's content, behind its first `skip` bytes."""
    boxes = walk(lambda at, length: content[at : at + length], skip, len(content))
    return [(box.kind, content[box.at : box.end]) for box in boxes]


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box."""
    content = b"".join(parts)
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def properties(read_at: ReadAt, byte_size: int) -> list[tuple[bytes, bytes]]:
    """Return the properties of the primary item of an AVIF or HEIF file, each its kind and content.

    An image of tiles has the color and the bits of its first tile where it states none itself, as Canon writes it.
    """
    meta = dict(inside(first_content(read_at, byte_size, b"meta"), 4))
    primary = primary_of(meta)
    own = associated(meta, primary)
    stated = {kind for kind, _ in own}
    tiles = references(meta).get((b"dimg", primary), [])
    of_tile = associated(meta, tiles[0]) if tiles else []
    return own + [(kind, content) for kind, content in of_tile if kind in _OF_TILES and kind not in stated]


def primary_of(meta: dict[bytes, bytes]) -> int:
    """Return the number of the primary item, of the boxes in a meta box."""
    pitm = meta.get(b"pitm", b"")
    return int.from_bytes(pitm[4:6] if pitm[:1] == b"\0" else pitm[4:8], "big")


def associated(meta: dict[bytes, bytes], item: int) -> list[tuple[bytes, bytes]]:
    """Return the properties of an item, each its kind and content, of the boxes in a meta box."""
    declared = dict(inside(meta.get(b"iprp", b"")))
    held = inside(declared.get(b"ipco", b""))
    numbers = associations(declared.get(b"ipma", b"")).get(item, [])
    return [held[number - 1] for number, _ in numbers if 0 < number <= len(held)]


def item_infos(meta: dict[bytes, bytes]) -> dict[int, bytes]:
    """Return the type of each item by its number, of the boxes in a meta box."""
    infos, found = meta.get(b"iinf", b""), {}
    for kind, entry in inside(infos, 6 if infos[:1] == b"\0" else 8):
        wide = 4 if entry[:1] == b"\3" else 2  # bytes of an item's number
        if kind == b"infe":
            found[int.from_bytes(entry[4 : 4 + wide], "big")] = entry[6 + wide : 10 + wide]
    return found


def references(meta: dict[bytes, bytes]) -> dict[tuple[bytes, int], list[int]]:
    """Return the items that an item refers to, by the kind of the reference and its number."""
    iref = meta.get(b"iref", b"")
    wide = 4 if iref[:1] == b"\1" else 2
    found: dict[tuple[bytes, int], list[int]] = {}
    for kind, content in inside(iref, 4):
        start = wide + 2
        targets = (int.from_bytes(content[at : at + wide], "big") for at in range(start, len(content), wide))
        found.setdefault((kind, int.from_bytes(content[:wide], "big")), []).extend(targets)
    return found


def associations(ipma: bytes) -> dict[int, list[tuple[int, bool]]]:
    """Return which properties an item has, from 1, and whether each is essential, of an ipma box's content."""
    found: dict[int, list[tuple[int, bool]]] = {}
    wide_item, wide_index = (4 if ipma[:1] > b"\0" else 2), (2 if ipma[3:4] and ipma[3] & 1 else 1)
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        if at >= len(ipma):
            break
        item, count = int.from_bytes(ipma[at : at + wide_item], "big"), ipma[at + wide_item : at + wide_item + 1]
        at += wide_item + 1
        essential = 1 << (8 * wide_index - 1)
        for _ in range(int.from_bytes(count, "big")):
            number = int.from_bytes(ipma[at : at + wide_index], "big")
            found.setdefault(item, []).append((number & (essential - 1), bool(number & essential)))
            at += wide_index
    return found


def bits_of(read_at: ReadAt, byte_size: int) -> int:
    """Return the bits of a sample of an AVIF or HEIF file's primary item; 0 if it does not say."""
    held = dict(properties(read_at, byte_size))
    if len(config := held.get(b"av1C", b"")) > 2:
        return 8 + 2 * bool(config[2] & 0x40) + 2 * bool(config[2] & 0x20)  # high_bitdepth, twelve_bit
    if len(config := held.get(b"hvcC", b"")) > 17:
        return 8 + (config[17] & 7)  # bit_depth_luma_minus8, ISO 14496-15
    return max(held.get(b"pixi", b"")[5:], default=0)  # of a grid


def is_gray(read_at: ReadAt, byte_size: int) -> bool:
    """Return whether an AVIF or HEIF file's primary item has one channel beside its alpha."""
    held = dict(properties(read_at, byte_size))
    if len(config := held.get(b"av1C", b"")) > 2:
        return bool(config[2] & 0x10)  # monochrome
    if len(config := held.get(b"hvcC", b"")) > 16:
        return config[16] & 3 == 0  # chroma_format_idc, ISO 14496-15
    return held.get(b"pixi", b"")[4:5] == b"\1"


def first_content(read_at: ReadAt, byte_size: int, kind: bytes) -> bytes:
    """Return the content of the first box of a kind at the top of a file, b"" without one."""
    return next((found.read(read_at) for found in walk(read_at, 0, byte_size) if found.kind == kind), b"")


def read_exif(read_at: ReadAt, byte_size: int) -> bytes | None:
    """Return the EXIF block of an AVIF or HEIF file as it is stored, or None if it has none or it cannot be located."""
    meta = dict(inside(first_content(read_at, byte_size, b"meta"), 4))
    item = next((item for item, kind in item_infos(meta).items() if kind == b"Exif"), None)
    if item is None:
        return None
    data = _item_data(read_at, meta, item)
    return data[4 + int.from_bytes(data[:4], "big") :] or None  # exif_tiff_header_offset, ISO 23008-12, A.2.1


def _item_data(read_at: ReadAt, meta: dict[bytes, bytes], item: int) -> bytes:
    """Return an item's data, at most 16 MiB; b"" if it is not in the file or in the box idat."""
    method, extents = _extents(meta.get(b"iloc", b""), item)
    if method > 1:  # within another item
        return b""
    held, data = meta.get(b"idat", b""), b""
    for at, size in extents:
        size = min(size or _MOST_BYTES, _MOST_BYTES - len(data))
        data += held[at : at + size] if method else read_at(at, size)
    return data


def _extents(iloc: bytes, wanted: int) -> tuple[int, list[tuple[int, int]]]:
    """Return how an item is stored (0 in the file, 1 in idat), and its extents, offset and length; of every version."""
    numbers = _Numbers(iloc)
    version = numbers.take(1)
    numbers.take(3)
    sizes = numbers.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    for _ in range(numbers.take(wide)):
        item = numbers.take(wide)
        method = numbers.take(2) & 15 if version else 0
        numbers.take(2)  # of a file
        base, extents = numbers.take(base_size), []
        for _ in range(numbers.take(2)):
            numbers.take(index_size if version else 0)
            at, size = base + numbers.take(offset_size), numbers.take(length_size)
            extents.append((at, size))
        if numbers.at > len(iloc):
            break
        if item == wanted:
            return method, extents
    return 0, []


class _Numbers:
    """Read numbers of a box in turn; behind its end they are 0."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, size: int) -> int:
        value = int.from_bytes(self._data[self.at : self.at + size], "big")
        self.at += size
        return value


def with_metadata(file: bytes, exif: bytes | None, xmp: bytes | None, icc: bytes | None) -> bytes:
    """Return an AVIF file of one picture, as libavif writes it, with EXIF and XMP as items and the ICC profile."""
    items = [(b"Exif", b"\0", bytes(4) + exif)] if exif is not None else []  # offset of the TIFF header
    items += [(b"mime", b"\0application/rdf+xml\0", xmp)] if xmp is not None else []
    if not items and icc is None:
        return file
    found = next(each for each in walk(lambda at, length: file[at : at + length], 0, len(file)) if each.kind == b"meta")
    before, old, after = file[: found.at - 8], file[found.at : found.end], file[found.end :]
    data = b"".join(content for _, _, content in items)
    grown = len(_meta(old, items, icc, 0, len(file))) - len(old)  # the offsets do not change the length
    end_of_pixels = len(file) + grown + 8
    return before + box(b"meta", _meta(old, items, icc, grown, end_of_pixels)) + after + box(b"mdat", data)


Items = list[tuple[bytes, bytes, bytes]]  # type, what follows it in infe (names), data


def _meta(old: bytes, items: Items, icc: bytes | None, grown: int, data_at: int) -> bytes:
    """Return a meta box's content with further items, their data from offset `data_at`, and the profile."""
    children = inside(old, 4)
    held = dict(children)
    primary = int.from_bytes(held[b"pitm"][4:6], "big")
    located = _locations(held[b"iloc"])
    first = max(located) + 1
    numbers = range(first, first + len(items))
    located = {item: [(at + grown, size) for at, size in extents] for item, extents in located.items()}
    for number, (_, _, data) in zip(numbers, items, strict=True):
        located[number] = [(data_at, len(data))]
        data_at += len(data)
    entries = [
        box(b"infe", b"\2\0\0\0", number.to_bytes(2, "big"), bytes(2), kind, names)
        for number, (kind, names, _) in zip(numbers, items, strict=True)
    ]
    references = [box(b"cdsc", number.to_bytes(2, "big"), b"\0\1", primary.to_bytes(2, "big")) for number in numbers]
    count = int.from_bytes(held[b"iinf"][4:6], "big") + len(items)
    changed = {
        b"iloc": _iloc(located),
        b"iinf": held[b"iinf"][:4] + count.to_bytes(2, "big") + held[b"iinf"][6:] + b"".join(entries),
        b"iref": held.get(b"iref", bytes(4)) + b"".join(references),
    }
    if icc is not None:
        changed[b"iprp"] = _with_profile(held[b"iprp"], primary, icc)
    if references and b"iref" not in held:
        children.append((b"iref", b""))
    return old[:4] + b"".join(box(kind, changed.get(kind, content)) for kind, content in children)


def _locations(iloc: bytes) -> dict[int, list[tuple[int, int]]]:
    """Return the extents, offset and length, of each item of an iloc box of version 0, as libavif writes it."""
    sizes = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4  # of an offset, a length, a base offset
    if iloc[0] or sizes[2]:
        raise ValueError("an AVIF with item locations of another kind")
    at, found = 8, {}
    for _ in range(int.from_bytes(iloc[6:8], "big")):
        item, count = int.from_bytes(iloc[at : at + 2], "big"), int.from_bytes(iloc[at + 4 : at + 6], "big")
        at += 6
        extents = []
        for _ in range(count):
            middle, end = at + sizes[0], at + sizes[0] + sizes[1]
            extents.append((int.from_bytes(iloc[at:middle], "big"), int.from_bytes(iloc[middle:end], "big")))
            at = end
        found[item] = extents
    return found


def _iloc(located: dict[int, list[tuple[int, int]]]) -> bytes:
    parts = [b"\0\0\0\0\x44\0", len(located).to_bytes(2, "big")]
    for item, extents in located.items():
        parts.append(item.to_bytes(2, "big") + bytes(2) + len(extents).to_bytes(2, "big"))
        parts += [at.to_bytes(4, "big") + size.to_bytes(4, "big") for at, size in extents]
    return b"".join(parts)


def _with_profile(iprp: bytes, item: int, icc: bytes) -> bytes:
    """Return an iprp box's content in which an item has an ICC profile too."""
    held = dict(inside(iprp))
    properties_held = held[b"ipco"] + box(b"colr", b"prof", icc)
    number = len(inside(properties_held))
    owned = associations(held[b"ipma"])
    owned.setdefault(item, []).append((number, False))
    parts = [b"\0\0\0\0", len(owned).to_bytes(4, "big")]
    for owner, numbers in owned.items():
        parts.append(owner.to_bytes(2, "big") + bytes([len(numbers)]))
        parts += [bytes([index | 0x80 * essential]) for index, essential in numbers]
    return box(b"ipco", properties_held) + box(b"ipma", *parts)
