"""The headers of a JPEG XL file: depth, channels and color of its samples; and a file of a codestream with metadata.

ISO/IEC 18181-1, annex D (image headers) and E (color encoding); 18181-2 (boxes).
"""

from collections.abc import Callable
from dataclasses import dataclass

from esrt_core.errors import MediaError
from esrt_core.media.image.isobmff import box, walk

ReadAt = Callable[[int, int], bytes]  # offset, length
START, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_CODESTREAMS = {b"jxlc": 0, b"jxlp": 4}  # boxes, and the bytes before their part of the codestream
# ISO/IEC 18181-2, section 9; jbrd rebuilds a JPEG of the old pixels.
_KNOWN_BOXES = (b"JXL ", b"ftyp", b"jxll", b"jxli", b"jxlc", b"jxlp", b"jbrd", b"Exif", b"xml ", b"free", b"skip")
OFFSET_OF_TIFF = bytes(4)  # begins the content of the box Exif
_HEADER_BYTES = 4096  # names of extra channels may be long
_MOST_CHANNELS = 256  # in profile Main
_MOST_BOX_BYTES = 1 << 24
ALPHA, _SPOT, _FILTER = 0, 2, 5  # types of extra channels
_GRAY, _XYB, _CUSTOM = 1, 3, 2
_LINEAR, _SRGB = 6, 11  # transfer functions 8 and 13 of H.273, as an enumeration stores them
_SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))  # of a U32: the bits and the offset of each of its four forms
_BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_BITS = ((0, 32), (0, 16), (0, 24), (6, 1))
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
_POINT = ((19, 0), (19, 524_288), (20, 1_048_576), (21, 2_097_152))


@dataclass(frozen=True)
class Header:
    """Describe the samples of a codestream.

    `bits` are those of a color sample; `extra` the types of further channels, see ALPHA; `is_premultiplied` whether
    colors are multiplied by the first alpha; `linear_at` is where the four bits that say that samples are linear begin,
    counted in bits from the start, or None if they are not.
    """

    bits: int = 8
    is_float: bool = False
    extra: tuple[int, ...] = ()
    is_animated: bool = False
    linear_at: int | None = None
    is_premultiplied: bool = False


def read_header(read_at: ReadAt, byte_size: int) -> Header | None:
    """Return the header of a JPEG XL file, bare or in boxes; None if it is cut off or not a JPEG XL."""
    at = _codestream_at(read_at, byte_size)
    return None if at is None else parse_header(read_at(at, _HEADER_BYTES))


def parse_header(codestream: bytes) -> Header | None:
    """Return the header at the start of a codestream, or None if it is cut off or none."""
    if not codestream.startswith(START):
        return None
    bits = _Bits(codestream)
    bits.skip(16)
    _skip_size(bits)
    header = Header() if bits.take(1) else _parse_metadata(bits)
    return header if bits.at <= 8 * len(codestream) else None


def read_box(read_at: ReadAt, byte_size: int, kind: bytes) -> bytes | None:
    """Return the content of the first box of a kind, which may be compressed by Brotli in a box brob; None without one.

    Raises: MediaError if it is damaged, or larger than 16 MiB.
    """
    if read_at(0, len(CONTAINER)) != CONTAINER:
        return None
    for found in walk(read_at, 0, byte_size):
        if found.kind == kind:
            return found.read(read_at)
        if found.kind == b"brob" and read_at(found.at, 4) == kind:
            return _decompressed(found.read(read_at)[4:])
    return None


def further_boxes(read_at: ReadAt, byte_size: int) -> tuple[str, ...]:
    """Return the kinds of boxes that are neither structure nor EXIF or XMP, such as jumb for signed or private data."""
    if read_at(0, len(CONTAINER)) != CONTAINER:
        return ()
    found = walk(read_at, 0, byte_size)
    kinds = (read_at(each.at, 4) if each.kind == b"brob" else each.kind for each in found)
    return tuple(dict.fromkeys(kind.decode("latin-1").strip() for kind in kinds if kind not in _KNOWN_BOXES))


def with_metadata(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Return a JPEG XL file in boxes with EXIF and XMP before its pixels."""
    boxes = [box(b"Exif", OFFSET_OF_TIFF, exif)] if exif is not None else []
    boxes += [box(b"xml ", xmp)] if xmp is not None else []
    found = next(each for each in walk(_reader(file), 0, len(file)) if each.kind in _CODESTREAMS)
    return b"".join([file[: found.at - 8], *boxes, file[found.at - 8 :]])


def as_srgb(file: bytes) -> bytes:
    """Return a JPEG XL file of linear samples whose header says that they are sRGB.

    Samples that are stored losslessly keep their values; of others, which are stored as XYB, the decoder makes sRGB.
    """
    start = _codestream_at(_reader(file), len(file))
    header = None if start is None else parse_header(file[start : start + _HEADER_BYTES])
    if start is None or header is None or header.linear_at is None:
        raise ValueError("a JPEG XL whose samples are not linear")
    held, (at, shift) = bytearray(file), divmod(8 * start + header.linear_at, 8)
    changed = int.from_bytes(held[at : at + 2], "little") ^ (_LINEAR ^ _SRGB) << shift
    held[at : at + 2] = changed.to_bytes(2, "little")
    return bytes(held)


def _decompressed(data: bytes) -> bytes:
    import imagecodecs  # here: it takes longer to import than a small picture to decode

    try:
        return bytes(imagecodecs.brotli_decode(data, out=_MOST_BOX_BYTES))
    except (imagecodecs.BrotliError, ValueError) as error:
        raise MediaError("a box cannot be decompressed") from error


def _codestream_at(read_at: ReadAt, byte_size: int) -> int | None:
    if read_at(0, 2) == START:
        return 0
    if read_at(0, len(CONTAINER)) != CONTAINER:
        return None
    found = next((each for each in walk(read_at, 0, byte_size) if each.kind in _CODESTREAMS), None)
    return None if found is None else found.at + _CODESTREAMS[found.kind]


def _reader(file: bytes) -> ReadAt:
    return lambda at, length: file[at : at + length]


class _Bits:
    """Read bits from the lowest of each byte up; behind the end they are 0."""

    def __init__(self, data: bytes) -> None:
        self._value, self.at = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        value = self._value >> self.at & ((1 << count) - 1)
        self.at += count
        return value

    def skip(self, count: int) -> None:
        self.at += count

    def number(self, forms: tuple[tuple[int, int], ...]) -> int:
        count, offset = forms[self.take(2)]
        return self.take(count) + offset


def _skip_size(bits: _Bits) -> None:
    if bits.take(1):  # in units of 8 px
        bits.skip(5)
        if not bits.take(3):  # no ratio of sides
            bits.skip(5)
        return
    bits.number(_SIDE)
    if not bits.take(3):
        bits.number(_SIDE)


def _skip_preview(bits: _Bits) -> None:
    forms = ((0, 16), (0, 32), (5, 1), (9, 33)) if bits.take(1) else ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.number(forms)
    if not bits.take(3):
        bits.number(forms)


def _skip_animation(bits: _Bits) -> None:
    bits.number(((0, 100), (0, 1000), (10, 1), (30, 1)))
    bits.number(((0, 1), (0, 1001), (8, 1), (10, 1)))
    bits.number(((0, 0), (3, 0), (16, 0), (32, 0)))
    bits.skip(1)


def _parse_metadata(bits: _Bits) -> Header:
    is_animated = False
    if bits.take(1):  # extra fields
        bits.skip(3)  # orientation
        if bits.take(1):
            _skip_size(bits)
        if bits.take(1):
            _skip_preview(bits)
        if is_animated := bool(bits.take(1)):
            _skip_animation(bits)
    is_float, depth = _take_depth(bits)
    bits.skip(1)  # 16-bit buffers suffice
    count = bits.number(((0, 0), (0, 1), (4, 2), (12, 1)))
    channels = [_take_channel(bits) for _ in range(min(count, _MOST_CHANNELS))]
    bits.skip(1)  # stored as XYB
    extra = tuple(kind for kind, _ in channels)
    is_premultiplied = next((is_associated for kind, is_associated in channels if kind == ALPHA), False)
    return Header(depth, is_float, extra, is_animated, _find_linear(bits), is_premultiplied)


def _take_depth(bits: _Bits) -> tuple[bool, int]:
    is_float = bool(bits.take(1))
    depth = bits.number(_FLOAT_BITS if is_float else _BITS)
    bits.skip(4 * is_float)  # the exponent
    return is_float, depth


def _take_channel(bits: _Bits) -> tuple[int, bool]:
    """Return the type of an extra channel, and whether it is an alpha by which colors are multiplied."""
    if bits.take(1):  # alpha of 8 bits
        return ALPHA, False
    kind = bits.number(_ENUM)
    _take_depth(bits)
    bits.number(((0, 0), (0, 3), (0, 4), (3, 1)))  # its lower resolution
    bits.skip(8 * bits.number(((0, 0), (4, 0), (5, 16), (10, 48))))  # its name
    is_associated = kind == ALPHA and bool(bits.take(1))
    bits.skip(64 * (kind == _SPOT))
    if kind == _FILTER:
        bits.number(((0, 1), (2, 0), (4, 3), (8, 19)))
    return kind, is_associated


def _find_linear(bits: _Bits) -> int | None:
    """Return where the color encoding says that samples are linear, or None."""
    if bits.take(1) or bits.take(1):  # sRGB, or an ICC profile
        return None
    space = bits.number(_ENUM)
    if space == _XYB:
        return None
    if bits.number(_ENUM) == _CUSTOM:  # white point
        _skip_points(bits, 1)
    if space != _GRAY and bits.number(_ENUM) == _CUSTOM:  # primaries
        _skip_points(bits, 3)
    if bits.take(1):  # a gamma
        return None
    at = bits.at + 2
    return at if bits.number(_ENUM) == _LINEAR + 2 else None


def _skip_points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.number(_POINT)
