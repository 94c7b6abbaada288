"""Photoshop files of 1 and 16 bits, large ones (PSB) and such with transparency beside gray: read the merged image.

Pillow refuses them, inverts bitmaps, and reads no transparency but the fourth channel of RGB.

Adobe Photoshop File Formats Specification, https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.image.isobmff import ReadAt
from esrt_core.media.image.pixels import raw_samples

_HEADER = struct.Struct(">4sH6xHIIHH")  # signature, version, channels, height, width, bits, color mode
_HEADER_AT, _VERSION_AT, _LARGE = 26, 4, 2
_BITMAP, _GRAY, _RGB, _CMYK, _MULTICHANNEL, _DUOTONE, _LAB = 0, 1, 3, 4, 7, 8, 9  # color modes
_COLORS = {_BITMAP: 1, _GRAY: 1, _RGB: 3, _DUOTONE: 1}  # of what is decoded here
_READ = _COLORS | {2: 1, _CMYK: 4, _MULTICHANNEL: 1, _LAB: 3}  # the channels that Pillow reads
_DEEP_LAYERS = (b"Lr16", b"Lr32", b"Layr")
_TRANSPARENT = (b"Mtrn", b"Mt16", b"Mt32")  # blocks that say that the merged image is
_LONG_BLOCKS = (*_DEEP_LAYERS, *_TRANSPARENT, b"LMsk", b"Alph", b"FMsk", b"lnk2", b"FEid", b"FXid", b"PxSD")
_RAW, _PACK_BITS, _ZIP, _ZIP_WITH_PREDICTION = range(4)


@dataclass(frozen=True)
class Header:
    """Hold the header of a Photoshop file: what it stores, and the channels of what is read of it.

    `channels` are 1 (gray), 2 (with transparency), 3 (RGB) or 4, `is_large` is whether it is a PSB.
    """

    is_large: bool
    stored: int
    height: int
    width: int
    bits: int
    mode: int
    channels: int = 0

    @property
    def as_small(self) -> tuple[int, bytes]:
        """The place and bytes of what Pillow must find in the header: the version, and 8 bits."""
        sizes = struct.pack(">6xHIIH", self.stored, self.height, self.width, 8)
        return _VERSION_AT, b"\0\1" + sizes


def read_header(head: bytes, read_at: ReadAt) -> Header | None:
    """Return the header of a file whose merged image Pillow does not read whole or right; None for any other file."""
    header = _parsed(head)
    if header is None or header.mode not in _COLORS or header.bits not in (1, 8, 16):
        return None
    color = _COLORS[header.mode]
    has_alpha = has_transparency(read_at) if header.mode != _BITMAP and header.stored > color else False
    is_rgba = (header.mode, header.stored) == (_RGB, 4)  # which Pillow takes for RGB with alpha
    is_read = header.bits == 8 and not header.is_large and (is_rgba or not has_alpha)
    return None if is_read else replace(header, channels=color + (has_alpha or is_rgba))


def left_out(head: bytes, read_at: ReadAt) -> tuple[str, ...]:
    """Return notes on what is not read of a file's merged image."""
    header = _parsed(head)
    if header is None or header.mode not in _READ:
        return ()
    if header.mode == _MULTICHANNEL:
        return (f"only the first of {header.stored} channels of the multichannel Photoshop file is read, as gray",)
    color = _READ[header.mode]
    has_alpha = header.stored > color and has_transparency(read_at)
    notes = ["the inks of the duotone are left out: it is read as gray"] if header.mode == _DUOTONE else []
    if has_alpha and header.mode in (_CMYK, _LAB):
        notes.append("the transparency of the Photoshop file is left out: the picture lies on white")
    further = header.stored - color - (has_alpha or (header.mode, header.stored) == (_RGB, 4))
    if further > 0:
        notes.append(f"further channels of the Photoshop file ({further}) left out")
    return tuple(notes)


def resources(read_at: ReadAt) -> bytes:
    """Return the section of image resources."""
    at = 30 + int.from_bytes(read_at(26, 4), "big")
    return read_at(at + 4, int.from_bytes(read_at(at, 4), "big"))


def layer_count(read_at: ReadAt) -> int:
    """Return how many layers a file has beside its merged image."""
    return abs(_signed_count(read_at))


def has_transparency(read_at: ReadAt) -> bool:
    """Return whether the fourth channel of the merged image is its transparency; its colors then lie on white."""
    if _signed_count(read_at) < 0:
        return True
    return any(kind in _TRANSPARENT for kind, _ in _blocks(read_at))


def _signed_count(read_at: ReadAt) -> int:
    """Return the number of layers (section "Layer Info"), negative if the merged image has transparency."""
    at, size = _layer_section(read_at)
    wide = _length_bytes(read_at)
    if size < wide + 2:
        return 0
    if int.from_bytes(read_at(at, wide), "big"):
        return int.from_bytes(read_at(at + wide, 2), "big", signed=True)
    counts = (read_at(start, 2) for kind, start in _blocks(read_at) if kind in _DEEP_LAYERS)  # of 16 bits a sample
    return int.from_bytes(next(counts, b""), "big", signed=True)


def _layer_section(read_at: ReadAt) -> tuple[int, int]:
    """Return where the section of layers and masks begins, behind its length, and its length."""
    at = _HEADER_AT
    for _ in range(2):  # color mode data, image resources
        at += 4 + int.from_bytes(read_at(at, 4), "big")
    wide = _length_bytes(read_at)
    return at + wide, int.from_bytes(read_at(at, wide), "big")


def _length_bytes(read_at: ReadAt) -> int:
    """Return how many bytes the length of a section of layers has."""
    return 8 if read_at(_VERSION_AT, 2) == b"\0\2" else 4


def _blocks(read_at: ReadAt) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and place of each block behind the layers and the global mask."""
    at, size = _layer_section(read_at)
    end, wide = at + size, _length_bytes(read_at)
    for length in (wide, 4):  # layers, global mask
        at += length + int.from_bytes(read_at(at, length), "big")
    while at + 12 <= end and (header := read_at(at, 8))[:4] in (b"8BIM", b"8B64"):
        length = wide if header[4:] in _LONG_BLOCKS else 4
        yield header[4:], at + 8 + length
        at += 8 + length + -(-int.from_bytes(read_at(at + 8, length), "big") // 4) * 4


def _parsed(head: bytes) -> Header | None:
    if len(head) < _HEADER_AT:
        return None
    signature, version, stored, height, width, bits, mode = _HEADER.unpack_from(head)
    if signature != b"8BPS" or version not in (1, _LARGE):
        return None
    return Header(version == _LARGE, stored, height, width, bits, mode)


def decode(data: bytes) -> NDArray[Any]:
    """Return the samples of the merged image of a file that read_header() knows, (H, W) or (H, W, C) with 2 to 4 channels.

    uint8 of 0 to 255, or of 0 and 1 (white) for a bitmap; uint16.

    Raises: MediaError if data are missing or damaged.
    """

    def read_at(at: int, length: int) -> bytes:
        return data[at : at + length]

    header = read_header(data[:_HEADER_AT], read_at)
    assert header is not None
    at = sum(_layer_section(read_at))
    compression = int.from_bytes(data[at : at + 2], "big")
    row_bytes = -(-header.width * header.bits // 8)
    rows = _rows(data, at + 2, compression, header, row_bytes)
    if header.bits == 1:
        samples = 1 - np.unpackbits(rows, axis=1)[:, : header.width]
    else:
        samples = rows.view(f">u{header.bits // 8}")
        if compression == _ZIP_WITH_PREDICTION:
            samples = np.cumsum(samples, axis=1, dtype=f"u{header.bits // 8}")
    planes = samples.reshape(header.stored, header.height, header.width)[: header.channels]
    shaped = planes[0] if header.channels == 1 else np.moveaxis(planes, 0, -1)
    return np.ascontiguousarray(shaped).astype(np.uint16 if header.bits == 16 else np.uint8)


def _rows(data: bytes, at: int, compression: int, header: Header, row_bytes: int) -> NDArray[np.uint8]:
    """Return the bytes of all rows of all channels, (channels * H, bytes)."""
    rows = header.stored * header.height
    if compression == _PACK_BITS:
        wide = 4 if header.is_large else 2
        lengths = raw_samples(data, f">u{wide}", rows, at)
        ends = at + wide * rows + np.cumsum(lengths, dtype=np.int64)
        packed = (data[end - size : end] for size, end in zip(lengths, ends, strict=True))
        data, at = _unpacked(packed), 0
    elif compression in (_ZIP, _ZIP_WITH_PREDICTION):
        data, at = _inflated(data[at:]), 0
    elif compression != _RAW:
        raise MediaError(f"compression {compression}")
    return raw_samples(data, np.uint8, rows * row_bytes, at).reshape(rows, row_bytes)


def _unpacked(rows: Iterable[bytes]) -> bytes:
    import imagecodecs  # here: it takes longer to import than a small picture to decode

    try:
        return b"".join(map(imagecodecs.packbits_decode, rows))
    except (RuntimeError, ValueError) as error:
        raise MediaError(f"PackBits: {error}") from error


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise MediaError(str(error)) from error
