"""What a TGA file says beside its pixels: its image ID, and the extension area of version 2.

Truevision TGA File Format Specification, version 2.0.
"""

from collections.abc import Callable
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]  # offset, length
_ID_AT = 18
_FOOTER_BYTES, _SIGNATURE = 26, b"TRUEVISION-XFILE.\0"
_AREA_BYTES, _LINE_BYTES = 495, 81
_ALPHA_AT, _PREMULTIPLIED = 494, 4  # the attributes type
_COMMENT_AT, _COMMENT_END = 43, 367  # four lines
# Other fields of the extension area that say something unless they are 0: their places.
_FIELDS = {
    "author": (2, 43),
    "date": (367, 379),
    "job": (379, 426),
    "software": (426, 470),
    "pixel shape": (474, 478),
    "gamma": (478, 482),
}


@dataclass(frozen=True)
class Description:
    """Hold the comments of a TGA, and the names of what else its extension area says."""

    comments: tuple[bytes, ...] = ()
    further: tuple[str, ...] = ()


def read_description(read_at: ReadAt, byte_size: int) -> Description:
    """Return what a TGA says beside its pixels."""
    length = int.from_bytes(read_at(0, 1), "big")
    comments = [read_at(_ID_AT, length).rstrip(b"\0 ")]
    area = _extension_area(read_at, byte_size)
    if not area:
        return Description(tuple(filter(None, comments)))
    lines = [
        area[start : start + _LINE_BYTES].split(b"\0")[0].rstrip(b" ")
        for start in range(_COMMENT_AT, _COMMENT_END, _LINE_BYTES)
    ]
    comments.append(b"\n".join(lines).rstrip(b"\n"))
    further = tuple(name for name, (start, end) in _FIELDS.items() if area[start:end].strip(b"\0 "))
    return Description(tuple(dict.fromkeys(filter(None, comments))), further)


def is_premultiplied(read_at: ReadAt, byte_size: int) -> bool:
    """Return whether the colors of a TGA are multiplied by its alpha."""
    return _extension_area(read_at, byte_size)[_ALPHA_AT:] == bytes([_PREMULTIPLIED])


def _extension_area(read_at: ReadAt, byte_size: int) -> bytes:
    footer = read_at(max(0, byte_size - _FOOTER_BYTES), _FOOTER_BYTES)
    at = int.from_bytes(footer[:4], "little")
    area = read_at(at, _AREA_BYTES) if at and footer.endswith(_SIGNATURE) else b""
    return area if len(area) == _AREA_BYTES else b""
