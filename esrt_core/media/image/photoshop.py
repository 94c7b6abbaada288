"""Photoshop's image resources, in which JPEG, TIFF, PSD and ImageMagick's PNG keep IPTC data.

Adobe Photoshop File Formats Specification (November 2019), "Image Resources"; IPTC-NAA Information Interchange Model
4.2.
"""

from collections.abc import Iterable, Iterator

SEGMENT = b"Photoshop 3.0\0"  # begins a JPEG's APP13
RESOLUTION, IPTC, EXIF, XMP = 0x03ED, 0x0404, 0x0422, 0x0424  # numbers of resources
_THUMBNAILS = (0x0409, 0x040C)
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
    """Return resources for pixels to which the orientation `turn` was applied: then without thumbnails.

    What cannot be read at the end stays as it is.
    """
    if data is None or turn == 1:
        return data
    found = list(resources(data))
    read = sum(len(whole) for _, _, whole in found)
    return b"".join(whole for number, _, whole in found if number not in _THUMBNAILS) + data[read:]


def iptc_of(data: bytes) -> bytes | None:
    """Return the IPTC data among resources, or None."""
    return next((content for number, content, _ in resources(data) if number == IPTC), None)


def of_iptc(iptc: bytes) -> bytes:
    """Return one resource that holds IPTC data."""
    return b"8BIM" + IPTC.to_bytes(2, "big") + bytes(2) + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def segments(data: bytes) -> Iterable[bytes]:
    """Yield the data of a JPEG's APP13 segments."""
    for at in range(0, len(data), _PART_BYTES):
        yield SEGMENT + data[at : at + _PART_BYTES]
