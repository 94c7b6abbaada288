"""Photoshop files of 16 bits, which Pillow refuses: read the merged image.

Adobe Photoshop File Formats Specification, https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.image.isobmff import ReadAt
from esrt_core.media.image.pixels import raw_samples

BITS_AT = 22  # where the header holds the bits of a sample, as two bytes
_HEADER = struct.Struct(">HIIHH")  # channels, height, width, bits, color mode
_SIGNATURE = b"8BPS\0\1"
_GRAY, _RGB = 1, 3  # color modes
_DEEP_LAYERS = (b"Lr16", b"Lr32", b"Layr")
_TRANSPARENT = (b"Mtrn", b"Mt16", b"Mt32")  # blocks that say that the merged image is
_RAW, _PACK_BITS, _ZIP, _ZIP_WITH_PREDICTION = range(4)


def bits_of(head: bytes) -> int:
    """Return the bits of a sample of a gray or RGB file, from its first bytes; 0 for any other file."""
    if not head.startswith(_SIGNATURE) or int.from_bytes(head[24:26], "big") not in (_GRAY, _RGB):
        return 0
    return int.from_bytes(head[BITS_AT : BITS_AT + 2], "big")


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
    if size < 6:
        return 0
    if int.from_bytes(read_at(at, 4), "big"):
        return int.from_bytes(read_at(at + 4, 2), "big", signed=True)
    counts = (read_at(start, 2) for kind, start in _blocks(read_at) if kind in _DEEP_LAYERS)  # of 16 bits a sample
    return int.from_bytes(next(counts, b""), "big", signed=True)


def _layer_section(read_at: ReadAt) -> tuple[int, int]:
    """Return where the section of layers and masks begins, behind its length, and its length."""
    at = 26
    for _ in range(2):  # color mode data, image resources
        at += 4 + int.from_bytes(read_at(at, 4), "big")
    return at + 4, int.from_bytes(read_at(at, 4), "big")


def _blocks(read_at: ReadAt) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and place of each block behind the layers and the global mask."""
    at, size = _layer_section(read_at)
    end = at + size
    for _ in range(2):  # layers, global mask
        at += 4 + int.from_bytes(read_at(at, 4), "big")
    while at + 12 <= end and (header := read_at(at, 12))[:4] in (b"8BIM", b"8B64"):
        yield header[4:8], at + 12
        at += 12 + -(-int.from_bytes(header[8:], "big") // 4) * 4


def decode_16(data: bytes) -> NDArray[np.uint16]:
    """Return the samples of the merged image of a file of 16 bits: (H, W) or (H, W, 3), and (H, W, 4) with alpha.

    Raises: MediaError if data are missing or damaged.
    """
    stored, height, width, _, mode = _HEADER.unpack(data[12 : 12 + _HEADER.size].ljust(_HEADER.size, b"\0"))
    at = 26
    for _ in range(3):  # color mode data, image resources, layers
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    compression = int.from_bytes(data[at : at + 2], "big")
    color = 1 if mode == _GRAY else 3
    channels = 4 if (mode, stored) == (_RGB, 4) else color  # as Pillow takes it: further channels are no alpha
    samples = _samples(data, at + 2, compression, stored * height, width)
    planes = samples.reshape(stored, height, width)[:channels]
    return np.ascontiguousarray(planes[0] if channels == 1 else np.moveaxis(planes, 0, -1)).astype(np.uint16)


def _samples(data: bytes, at: int, compression: int, rows: int, width: int) -> NDArray[np.uint16]:
    if compression == _RAW:
        return raw_samples(data, ">u2", rows * width, at)
    if compression == _PACK_BITS:
        lengths = raw_samples(data, ">u2", rows, at)
        ends = at + 2 * rows + np.cumsum(lengths, dtype=np.int64)
        packed = (data[end - size : end] for size, end in zip(lengths, ends, strict=True))
        return raw_samples(_unpacked(packed), ">u2", rows * width, 0)
    if compression in (_ZIP, _ZIP_WITH_PREDICTION):
        samples = raw_samples(_inflated(data[at:]), ">u2", rows * width, 0)
        if compression == _ZIP:
            return samples
        return np.cumsum(samples.reshape(rows, width), axis=1, dtype=np.uint16)
    raise MediaError(f"compression {compression}")


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
