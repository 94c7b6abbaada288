"""The merged image of the Photoshop files that Pillow refuses or misreads: read its channels, and convert its colors.

Such are files of 16 bits, large ones (PSB), bitmaps, LAB, and all with channels beside those that Pillow reads.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.image import photoshop, psd
from esrt_core.media.image.icc import to_srgb
from esrt_core.media.image.pixels import raw_samples, unmixed

_RAW, _PACK_BITS, _ZIP, _ZIP_WITH_PREDICTION = range(4)
_WHITE_LAB = (255, 128, 128)
_SIGN = 128  # of a and b, which Photoshop stores from 0


def decode(data: bytes) -> NDArray[Any]:
    """Return the samples of the merged image, (H, W), or (H, W, C) with 2 to 4 channels; CMYK and LAB as sRGB.

    uint8 of 0 to 255, or of 0 and 1 (white) for a bitmap; uint16.

    Raises: MediaError if data are missing or damaged.
    """

    def read_at(at: int, length: int) -> bytes:
        return data[at : at + length]

    header = psd.read_header(data[: psd.HEADER_BYTES], read_at)
    assert header is not None
    planes = _planes(data, sum(psd.layer_section(read_at)), header)
    if header.mode in psd.CONVERTED:
        icc = next(
            (held for number, held, _ in photoshop.resources(psd.resources(read_at)) if number == photoshop.ICC), None
        )
        return _converted(planes, header, icc)
    if header.mode == psd.INDEXED:
        palette = np.frombuffer(data[30:798].ljust(768, b"\0"), np.uint8).reshape(3, 256).T
        color: NDArray[Any] = palette[planes[0]]
        if header.transparent is None:
            return color
        return np.dstack([color, np.where(planes[0] == header.transparent, 0, 255).astype(np.uint8)])
    kept = planes[: header.channels]
    return np.ascontiguousarray(kept[0] if header.channels == 1 else np.moveaxis(kept, 0, -1))


def _converted(planes: NDArray[Any], header: psd.Header, icc: bytes | None) -> NDArray[np.uint8]:
    """Return CMYK or LAB as sRGB, of which alpha is straight."""
    mode = psd.CONVERTED[header.mode]
    count = psd.COLORS[header.mode]
    eight = (planes >> 8 if header.bits == 16 else planes)[: count + header.has_alpha].astype(np.uint8)
    color = np.moveaxis(eight[:count], 0, -1)  # (H, W, C)
    color = 255 - color if header.mode == psd.CMYK else color
    alpha = eight[count] if header.has_alpha else None
    if alpha is not None:
        matte = np.zeros(4) if header.mode == psd.CMYK else np.array(_WHITE_LAB)
        color = np.rint(np.clip(unmixed(color, alpha / np.float32(255), matte), 0, 255)).astype(np.uint8)
    if header.mode == psd.LAB:
        color = np.dstack([color[..., :1], color[..., 1:] ^ _SIGN])
    image = Image.frombytes(mode, (header.width, header.height), color.tobytes(), "raw", mode)
    result = np.asarray(to_srgb(mode, icc)[0](image))
    return result if alpha is None else np.dstack([result, alpha])


def _planes(data: bytes, at: int, header: psd.Header) -> NDArray[Any]:
    """Return the channels, (channels, H, W), of the image data at an offset."""
    compression = int.from_bytes(data[at : at + 2], "big")
    rows = _rows(data, at + 2, compression, header)
    if header.bits == 1:
        samples: NDArray[Any] = 1 - np.unpackbits(rows, axis=1)[:, : header.width]
    else:
        samples = rows.astype(np.uint16 if header.bits == 16 else np.uint8)
        if compression == _ZIP_WITH_PREDICTION:
            samples = np.cumsum(samples, axis=1, dtype=samples.dtype)
    return samples.reshape(header.stored, header.height, header.width)


def _rows(data: bytes, at: int, compression: int, header: psd.Header) -> NDArray[Any]:
    """Return the samples of all rows of all channels, (channels * H, W); of a bitmap bytes of eight."""
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
    width = -(-header.width // 8) if header.bits == 1 else header.width
    return raw_samples(data, ">u2" if header.bits == 16 else np.uint8, rows * width, at).reshape(rows, width)


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
