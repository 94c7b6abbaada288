"""Photoshop's image resources, in which JPEG, TIFF, PSD and ImageMagick's PNG keep IPTC data.

Adobe Photoshop File Formats Specification (November 2019), "Image Resources"; IPTC-NAA Information Interchange Model
4.2.
"""

from collections.abc import Iterable, Iterator

SEGMENT = b"Photoshop 3.0\0"  # begins a JPEG's APP13
RESOLUTION, IPTC, EXIF, XMP = 0x03ED, 0x0404, 0x0422, 0x0424  # numbers of resources
_THUMBNAILS = (0x0409, 0x040C)
_IPTC_DIGEST = 0x0425
_GUIDES, _SLICES = 0x0408, 0x041A  # places in the image
# What a document has elsewhere in a result (resolution, profile, EXIF, XMP), or that describes its layers and channels.
_OF_DOCUMENT = (RESOLUTION, EXIF, 0x0423, XMP, 0x040F, *_THUMBNAILS, _SLICES)
_OF_LAYERS = (0x0400, 0x0402, 0x042D, 0x0430, 0x0433, 0x0434, 0x0435, 0x043D)
_OF_CHANNELS = (0x03EE, 0x03EF, 0x03F7, 0x0403, 0x0412, 0x0415, 0x0416, 0x0417, 0x041D, 0x0421, 0x042B)
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


def upright(data: bytes | None, turn: int) -> bytes | None:
    """Return resources for pixels to which the orientation `turn` was applied: then without thumbnails and guides.

    What cannot be read at the end stays as it is.
    """
    if data is None or turn == 1:
        return data
    found = list(resources(data))
    read = sum(len(whole) for _, _, whole in found)
    dropped = (*_THUMBNAILS, _GUIDES, _SLICES)
    return b"".join(whole for number, _, whole in found if number not in dropped) + data[read:]


def for_size(data: bytes | None, factor: tuple[float, float]) -> bytes | None:
    """Return resources whose guides fit a picture `factor` times as wide and high."""
    if data is None:
        return None
    found = list(resources(data))
    read = sum(len(whole) for _, _, whole in found)
    parts = (_scaled(whole, len(content), factor) if number == _GUIDES else whole for number, content, whole in found)
    return b"".join(parts) + data[read:]


def of_document(found: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """Return the resources of a Photoshop file, each its number, name and content, that describe a flat picture."""
    left_out = {*_OF_DOCUMENT, *_OF_LAYERS, *_OF_CHANNELS}
    return b"".join(_resource(number, name, content) for number, name, content in found if number not in left_out)


def with_resolution(data: bytes, dpi: int) -> bytes:
    """Return resources whose resolution, if they have it, is `dpi` px per inch."""
    changed = bytearray(data)
    at = 0
    for number, content, whole in resources(data):
        start = at + len(whole) - len(content) - len(content) % 2
        if number == RESOLUTION and len(content) == 16:
            for place in (start, start + 8):
                changed[place : place + 4] = (dpi << 16).to_bytes(4, "big")
        at += len(whole)
    return bytes(changed)


def iptc_of(data: bytes) -> bytes | None:
    """Return the IPTC data among resources, one behind the other if there are several, or None."""
    found = [content for number, content, _ in resources(data) if number == IPTC]
    return b"".join(found) if found else None


def has_more(data: bytes) -> bool:
    """Return whether resources hold more than IPTC, and what stands elsewhere in a result or shows the old pixels."""
    said = {IPTC, _IPTC_DIGEST, *_OF_DOCUMENT}
    return any(number not in said for number, _, _ in resources(data))


def of_iptc(iptc: bytes) -> bytes:
    """Return one resource that holds IPTC data."""
    return _resource(IPTC, b"", iptc)


def segments(data: bytes) -> Iterable[bytes]:
    """Yield the data of a JPEG's APP13 segments."""
    for at in range(0, len(data), _PART_BYTES):
        yield SEGMENT + data[at : at + _PART_BYTES]


def _resource(number: int, name: bytes, content: bytes) -> bytes:
    named = bytes([len(name)]) + name + bytes(1 - len(name) % 2)
    return (
        b"8BIM"
        + number.to_bytes(2, "big")
        + named
        + len(content).to_bytes(4, "big")
        + content
        + bytes(len(content) % 2)
    )


def _scaled(whole: bytes, size: int, factor: tuple[float, float]) -> bytes:
    """Return the resource of guides for a larger picture: places in 1/32 px and directions."""
    changed, start = bytearray(whole), len(whole) - size - size % 2 + 16
    for at in range(start, len(whole) - 4, 5):
        place = int.from_bytes(whole[at : at + 4], "big", signed=True)
        changed[at : at + 4] = round(place * factor[whole[at + 4] & 1]).to_bytes(4, "big", signed=True)
    return bytes(changed)
