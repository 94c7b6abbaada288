"""Photoshop's image resources, in which JPEG, TIFF, PSD and ImageMagick's PNG keep IPTC data, paths and guides.

Adobe Photoshop File Formats Specification (November 2019), "Image Resources", "Path resource format"; IPTC-NAA
Information Interchange Model 4.2.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from esrt_core.media.image.turning import turned

SEGMENT = b"Photoshop 3.0\0"  # begins a JPEG's APP13
RESOLUTION, IPTC, ICC, EXIF, XMP = 0x03ED, 0x0404, 0x040F, 0x0422, 0x0424  # numbers of resources
ASPECT = 0x0428
_CAPTION_DIGEST, _COPYRIGHT, _URL, _GUIDES, _CLIPPING = 0x0425, 0x040A, 0x040B, 0x0408, 0x0BB7
_PATHS = range(0x07D0, 0x0BB7)
_SLICES, _SAMPLERS, _COUNTS, _LINKS = 0x041A, 0x0431, 0x0438, 0x041E
_THUMBNAILS = (0x0409, 0x040C)
# What says something of the picture, wherever it is kept.
_DESCRIBING = (IPTC, _CAPTION_DIGEST, _COPYRIGHT, _URL, _GUIDES, _CLIPPING, *_PATHS)
_PLACED = (_SLICES, _SAMPLERS, _COUNTS)  # in px of the source
_NAMES = {IPTC: "IPTC", _COPYRIGHT: "copyright mark", _URL: "URL", _GUIDES: "guides", _CLIPPING: "clipping path"}
_NAMES |= dict.fromkeys(_PATHS, "paths") | {_SLICES: "slices", _SAMPLERS: "color samplers", _COUNTS: "counts"}
_NAMES |= {0x03F0: "caption", 0x0429: "layer comps", 0x0432: "measurement scale", 0x0433: "timeline", _LINKS: "links"}
_NAMES |= {0x1B58: "variables", 0x1B59: "data sets"}
_KNOTS = (1, 2, 4, 5)  # selectors of a path's records that hold points
_RECORD_BYTES, _GUIDE_BYTES, _GUIDES_AT = 26, 5, 16
_PART_BYTES = 65_533 - len(SEGMENT)
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


def resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the number, the content and the whole bytes of each resource, up to the first that is damaged."""
    at = 0
    while data[at : at + 4] in _SIGNATURES and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + 6 + (data[at + 6] + 2) // 2 * 2  # the name, with its length
        size = int.from_bytes(data[start : start + 4], "big")
        end = start + 4 + size + size % 2
        if start + 4 + size > len(data):
            return
        yield number, data[start + 4 : start + 4 + size], data[at:end]
        at = end


def of_psd(data: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the resources of a Photoshop file that describe the picture, and the names of others that say much."""
    found = list(resources(data))
    kept = b"".join(
        whole
        for number, content, whole in found
        if number == _CAPTION_DIGEST or (number in _DESCRIBING and _says(number, content))
    )
    lost = [_NAMES[number] for number, content, _ in found if number not in _DESCRIBING and _says(number, content)]
    return kept or None, tuple(dict.fromkeys(lost))


def without_places(data: bytes | None) -> tuple[bytes | None, tuple[str, ...]]:
    """Return resources without those that are in px of the source, and the names of these that say something."""
    if data is None:
        return None, ()
    lost = [_NAMES[number] for number, content, _ in resources(data) if number in _PLACED and _says(number, content)]
    kept = _changed(data, lambda number, content: None if number in _PLACED else content)
    return kept or None, tuple(dict.fromkeys(lost))


def names(data: bytes) -> str:
    """Return the names of what resources say, for a note."""
    found = dict.fromkeys(_NAMES[number] for number, content, _ in resources(data) if _says(number, content))
    own = ", ".join(name for name in found if name != "IPTC")
    parts = [*(["IPTC"] if "IPTC" in found else []), *([f"Photoshop's {own}"] if own else [])]
    return " and ".join(parts) or "Photoshop's data"


def without_iptc(data: bytes) -> bytes:
    """Return resources but for IPTC and the digest of it."""
    return _changed(data, lambda number, content: None if number in (IPTC, _CAPTION_DIGEST) else content)


def upright(data: bytes | None, turn: int, width: int, height: int) -> bytes | None:
    """Return resources for pixels that were oriented: paths and guides are turned, thumbnails left out.

    `turn` is the orientation that was applied, 1 to 8; `width` and `height` are those of the stored pixels, in px. What
    cannot be read at the end stays as it is.
    """
    if data is None or turn == 1:
        return data

    def change(number: int, content: bytes) -> bytes | None:
        if number in _THUMBNAILS:
            return None
        if number in _PATHS:
            return _turned_path(content, turn)
        if number == RESOLUTION and turn >= 5:
            return content[8:16] + content[:8]
        return _turned_guides(content, turn, width, height) if number == _GUIDES else content

    return _changed(data, change)


def for_size(data: bytes | None, factor: tuple[float, float]) -> bytes | None:
    """Return resources for a picture `factor` times as wide and high: guides are moved, paths count in its sides."""
    if data is None:
        return None
    return _changed(data, lambda number, content: _scaled_guides(content, factor) if number == _GUIDES else content)


def with_resolution(data: bytes | None, dpi: int) -> bytes | None:
    """Return resources whose resolution, if they have one, is `dpi` px per inch."""
    value = (dpi << 16).to_bytes(4, "big")

    def change(number: int, content: bytes) -> bytes:
        is_resolution = number == RESOLUTION and len(content) == 16
        return value + content[4:8] + value + content[12:] if is_resolution else content

    return None if data is None else _changed(data, change)


def aspect_of(content: bytes) -> float:
    """Return how wide a pixel is for its height, of the resource ASPECT; 1 if it does not say."""
    value: float = struct.unpack_from(">d", content, 4)[0] if len(content) >= 12 else 1.0
    return value if 0.01 < value < 100 else 1.0


def iptc_of(data: bytes) -> bytes | None:
    """Return the IPTC data among resources, one behind the other if there are several, or None if there is nothing."""
    return b"".join(content for number, content, _ in resources(data) if number == IPTC) or None


def of_iptc(iptc: bytes) -> bytes:
    """Return one resource that holds IPTC data."""
    return b"8BIM" + IPTC.to_bytes(2, "big") + bytes(2) + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def segments(data: bytes) -> Iterable[bytes]:
    """Yield the data of a JPEG's APP13 segments."""
    for at in range(0, len(data), _PART_BYTES):
        yield SEGMENT + data[at : at + _PART_BYTES]


def _says(number: int, content: bytes) -> bool:
    """Return whether a resource says more than what Photoshop always writes."""
    if number not in _NAMES:
        return False
    if number == _SLICES:
        return _slice_count(content) > 1
    if number == _GUIDES:
        return len(content) > _GUIDES_AT
    return bool((content[4:] if number in _PLACED else content).strip(b"\0"))  # behind the version


def _slice_count(content: bytes) -> int:
    if content[:4] == b"\0\0\0\6":
        at = 20 + 4 + 2 * int.from_bytes(content[20:24], "big")  # behind the bounds and the name
    else:
        at = content.find(b"slicesVlLs") + 10
    return int.from_bytes(content[at : at + 4], "big") if at > 9 else 0


def _changed(data: bytes, change: Callable[[int, bytes], bytes | None]) -> bytes:
    """Return resources with other contents of the same lengths, without those for which `change` returns None."""
    parts, read = [], 0
    for number, content, whole in resources(data):
        read += len(whole)
        changed = change(number, content)
        if changed is not None:
            start = 10 + (whole[6] + 2) // 2 * 2  # behind the name and the length
            parts.append(whole[:start] + changed + whole[start + len(content) :])
    return b"".join(parts) + data[read:]


def _turned_path(content: bytes, turn: int) -> bytes:
    result = bytearray(content)
    for at in range(0, len(content) - _RECORD_BYTES + 1, _RECORD_BYTES):
        if int.from_bytes(content[at : at + 2], "big") not in _KNOTS:
            continue
        for point in range(at + 2, at + _RECORD_BYTES, 8):
            y, x = (value / (1 << 24) for value in struct.unpack_from(">2i", content, point))
            x, y = turned([x, y], turn, 1, 1)
            struct.pack_into(">2i", result, point, round(y * (1 << 24)), round(x * (1 << 24)))
    return bytes(result)


def _turned_guides(content: bytes, turn: int, width: int, height: int) -> bytes:
    def move(place: int, is_horizontal: bool) -> tuple[int, bool]:
        point = turned([0, place] if is_horizontal else [place, 0], turn, 32 * width, 32 * height)
        is_horizontal ^= turn >= 5
        return round(point[is_horizontal]), is_horizontal

    return _moved_guides(content, move)


def _scaled_guides(content: bytes, factor: tuple[float, float]) -> bytes:
    return _moved_guides(content, lambda place, is_horizontal: (round(place * factor[is_horizontal]), is_horizontal))


def _moved_guides(content: bytes, move: Callable[[int, bool], tuple[int, bool]]) -> bytes:
    """Return the resource of guides, whose places count in 1/32 px, with each one moved."""
    result = bytearray(content)
    for at in range(_GUIDES_AT, len(content) - _GUIDE_BYTES + 1, _GUIDE_BYTES):
        place, is_horizontal = struct.unpack_from(">ib", content, at)
        struct.pack_into(">ib", result, at, *move(place, bool(is_horizontal)))
    return bytes(result)
