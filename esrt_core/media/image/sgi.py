"""SGI images: read those of 16 bits, which Pillow reduces to 8, and write both depths.

The SGI Image File Format, version 1.00, P. Haeberli, https://www.fileformat.info/format/sgiimage/spec/
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame
from esrt_core.media.image.pixels import raw_samples

_MAGIC = 474
_HEADER_BYTES = 512
_HEADER = struct.Struct(">hbbHHHHll")  # magic, storage, bytes a sample, dimensions, x, y, z, lowest, highest
_RUN_LENGTH = 1


def bits_of(head: bytes) -> int:
    """Return the bits of a sample, 8 or 16, from a file's first bytes; 0 if it is no SGI image."""
    is_sgi = len(head) >= _HEADER_BYTES and head[:2] == _MAGIC.to_bytes(2, "big")
    return {1: 8, 2: 16}.get(head[3], 0) if is_sgi else 0


def decode_16(data: bytes) -> NDArray[np.uint16]:
    """Return the samples of an image of 16 bits, (H, W) or (H, W, C).

    Raises: MediaError if samples are missing.
    """
    _, storage, _, _, width, height, channels, _, _ = _HEADER.unpack_from(data)
    if data[5] < 3:
        channels, height = 1, height if data[5] == 2 else 1
    if storage == _RUN_LENGTH:
        starts = raw_samples(data, ">u4", channels * height, _HEADER_BYTES)
        rows = np.stack([_expanded(data, int(start), width) for start in starts])
    else:
        rows = raw_samples(data, ">u2", channels * height * width, _HEADER_BYTES)
    planes = rows.reshape(channels, height, width)[:, ::-1]  # stored from the bottom row up
    return np.ascontiguousarray(planes[0] if channels == 1 else np.moveaxis(planes, 0, -1)).astype(np.uint16)


def sgi(frame: Frame) -> tuple[bytes, NDArray[Any]]:
    """Return the header and samples of an uncompressed SGI image of a GRAY or RGB frame of 8 or 16 bits."""
    parts = [frame.planes[0], *([] if frame.alpha is None else [frame.alpha])]
    planes = np.concatenate([part.reshape(frame.height, frame.width, -1) for part in parts], axis=2)
    channels, deep = planes.shape[2], frame.depth > 8
    dimensions = 2 if channels == 1 else 3
    sizes = (frame.width, frame.height, channels)
    header = _HEADER.pack(_MAGIC, 0, 2 if deep else 1, dimensions, *sizes, 0, int(frame.peak))
    samples = np.moveaxis(planes, -1, 0)[:, ::-1].astype(">u2" if deep else np.uint8)
    return header.ljust(_HEADER_BYTES, b"\0"), np.ascontiguousarray(samples)


def _expanded(data: bytes, at: int, width: int) -> NDArray[np.uint16]:
    """Return a run-length encoded row."""
    row, filled = np.empty(width, ">u2"), 0
    while control := int.from_bytes(data[at : at + 2], "big"):
        count, is_copy = control & 0x7F, control & 0x80
        if not count or filled + count > width:
            break
        stored = count if is_copy else 1
        row[filled : filled + count] = raw_samples(data, ">u2", stored, at + 2)
        at += 2 + 2 * stored
        filled += count
    if filled < width:
        raise MediaError(f"a row has {filled} of {width} samples")
    return row
