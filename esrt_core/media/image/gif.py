"""Extensions of a GIF that describe the image: comments, XMP, an ICC profile and the shape of pixels.

GIF89a specification, CompuServe; XMP specification part 3, section 1.1.2; ICC.1:2022, annex B.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from esrt_core.media.image.picture import Resolution, Unit, resolution_of

_SCREEN_BYTES, _ASPECT_AT = 13, 12
_APPLICATION, _COMMENT, _PLAIN_TEXT = 0xFF, 0xFE, 0x01
_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
# Whatever byte of the packet a reader takes as the length of a block, it arrives at the terminator.
_XMP_END = b"\x01" + bytes(range(255, -1, -1)) + b"\0"


@dataclass(frozen=True)
class Extensions:
    """Hold what a GIF carries beside its frames; `further` names what cannot be carried."""

    comments: tuple[bytes, ...] = ()
    xmp: bytes | None = None
    icc: bytes | None = None
    shape: Resolution | None = None
    further: tuple[str, ...] = ()


def read_extensions(file: BinaryIO) -> Extensions:
    """Return what a GIF carries beside its frames, up to the first block that is cut off."""
    file.seek(0)
    screen = file.read(_SCREEN_BYTES).ljust(_SCREEN_BYTES, b"\0")
    comments: list[bytes] = []
    further: list[str] = []
    applications: dict[bytes, bytes] = {}
    for label, name, blocks in _extensions(file, screen):
        if label == _COMMENT:
            comments.append(_joined(blocks))
        elif label == _PLAIN_TEXT:
            further.append("plain text")
        elif label == _APPLICATION and name in (_XMP, _ICC):
            applications.setdefault(name, blocks)
        elif label == _APPLICATION and name not in _LOOPS:
            further.append(name.decode("ascii", "replace"))
    packet = applications.get(_XMP, b"").removesuffix(_XMP_END)
    stated = screen[_ASPECT_AT]  # the width of a pixel over its height is (stated + 15) / 64
    ratio = Fraction(64, stated + 15)
    return Extensions(
        tuple(comment for comment in comments if comment),
        packet or None,
        _joined(applications.get(_ICC, b"")) or None,
        resolution_of(ratio.numerator, ratio.denominator, Unit.NONE) if stated else None,
        tuple(dict.fromkeys(further)),
    )


def holds_shape(shape: Resolution) -> bool:
    """Return whether a GIF can state such a shape of pixels, in steps of 1/64."""
    return 1 <= _stated(shape) <= 255


def add(file: BinaryIO, xmp: str | None, shape: Resolution | None) -> None:
    """Add an XMP packet and the shape of pixels to a GIF that was written to a seekable file."""
    if shape is not None:
        file.seek(_ASPECT_AT)
        file.write(bytes([_stated(shape)]))
    if xmp is not None:
        file.seek(-1, 2)  # the trailer
        file.write(b"!" + bytes([_APPLICATION, len(_XMP)]) + _XMP + xmp.encode("utf-8", "surrogateescape") + _XMP_END)
        file.write(b";")
    file.seek(0, 2)


def _stated(shape: Resolution) -> int:
    return round(64 * shape.y / shape.x) - 15


def _extensions(file: BinaryIO, screen: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the label, the name if it is of an application, and the data blocks of each extension."""
    _skip_colors(file, screen[10])
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b",":
            _skip_colors(file, file.read(9)[8:9].ljust(1, b"\0")[0])
            file.seek(1, 1)
            if _blocks(file) is None:
                return
            continue
        label, name = file.read(1), b""
        if label == bytes([_APPLICATION]):
            name = file.read(int.from_bytes(file.read(1)))
        blocks = _blocks(file)
        if blocks is None:
            return
        yield int.from_bytes(label), name, blocks


def _skip_colors(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _blocks(file: BinaryIO) -> bytes | None:
    """Return data blocks with their lengths and the terminator; None if they are cut off."""
    start = file.tell()
    while length := file.read(1):
        if length == b"\0":
            size = file.tell() - start
            file.seek(start)
            return file.read(size)
        file.seek(length[0], 1)
    return None


def _joined(blocks: bytes) -> bytes:
    at, parts = 0, []
    while at < len(blocks) and blocks[at]:
        parts.append(blocks[at + 1 : at + 1 + blocks[at]])
        at += 1 + blocks[at]
    return b"".join(parts)
