"""What Pillow does not read of a BMP: samples in bits of any width, of which it knows a few arrangements, and profiles.

BITMAPV5HEADER, https://learn.microsoft.com/windows/win32/api/wingdi/ns-wingdi-bitmapv5header.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.image.pixels import raw_samples

ReadAt = Callable[[int, int], bytes]  # offset, length
COMPRESSION_AT = 30
_BIT_FIELDS, _ALPHA_BIT_FIELDS, _MASKS_AT = 3, 6, 54
_HEADERS = (40, 52, 56, 108, 124)  # 64 is OS/2, where 3 means another compression
_HEADER_AT, _HEADER_BYTES = 14, 124  # of version 5
_EMBEDDED, _LINKED = b"DEBM", b"KNIL"  # color spaces: the profile is in the file, or in another one
_KNOWN_32 = (  # to Pillow: masks of red, green, blue and alpha
    (0xFF0000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0),
    (0xFF000000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
    (0, 0, 0, 0),
)
_KNOWN_16 = ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F))


@dataclass(frozen=True)
class Fields:
    """Describe the samples of a BMP: the bits of a pixel; the masks of red, green, blue and, if it has it, alpha."""

    pixel_bits: int
    masks: tuple[int, ...]

    @property
    def bits(self) -> int:
        """The bits of the widest sample, at least 8."""
        return max(8, *(mask.bit_count() for mask in self.masks))


def fields_of(head: bytes) -> Fields | None:
    """Return the bit fields of a BMP that Pillow does not read, from its first bytes; None for any other file."""
    size, pixel_bits = int.from_bytes(head[14:18], "little"), int.from_bytes(head[28:30], "little")
    compression = int.from_bytes(head[COMPRESSION_AT : COMPRESSION_AT + 4], "little")
    has_fields = compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS) and pixel_bits in (16, 32)
    if not (head.startswith(b"BM") and size in _HEADERS and has_fields and len(head) >= _MASKS_AT + 16):
        return None
    masks = tuple(int.from_bytes(head[at : at + 4], "little") for at in range(_MASKS_AT, _MASKS_AT + 16, 4))
    if size < 56 and compression == _BIT_FIELDS:
        masks = (*masks[:3], 0)
    if compression == _BIT_FIELDS and (masks in _KNOWN_32 if pixel_bits == 32 else masks[:3] in _KNOWN_16):
        return None
    masks = masks if masks[3] else masks[:3]
    return Fields(pixel_bits, masks) if all(_is_run(mask) and mask >> pixel_bits == 0 for mask in masks) else None


def decode(data: bytes) -> NDArray[Any]:
    """Return the samples, (H, W, 3) or (H, W, 4), of 0 to 255 or, if some have more than 8 bits, to 65535.

    Alpha that is 0 everywhere was not meant, as browsers have it.

    Raises: MediaError if samples are missing.
    """
    fields = fields_of(data)
    if fields is None:
        raise MediaError("no bit fields")
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    row = -(-width * fields.pixel_bits // 32) * 32 // fields.pixel_bits  # in pixels, filled up to four bytes
    start = int.from_bytes(data[10:14], "little")
    stored = raw_samples(data, f"<u{fields.pixel_bits // 8}", row * abs(height), start)
    pixels = stored.reshape(abs(height), row)[:: -1 if height > 0 else 1, :width]
    channels = [_channel(pixels, mask, 255 if fields.bits == 8 else 65535) for mask in fields.masks]
    if len(channels) == 4 and not channels[3].any():
        channels[3][...] = np.iinfo(channels[3].dtype).max
    return np.stack(channels, axis=-1)


def read_profile(read_at: ReadAt) -> bytes | None:
    """Return the ICC profile within a BMP file, or None."""
    header = _header_5(read_at)
    if header[56:60] != _EMBEDDED:
        return None
    at, size = (int.from_bytes(header[place : place + 4], "little") for place in (112, 116))
    return read_at(_HEADER_AT + at, size) or None


def has_linked_profile(read_at: ReadAt) -> bool:
    """Return whether a BMP names a file that holds its profile."""
    return _header_5(read_at)[56:60] == _LINKED


def _header_5(read_at: ReadAt) -> bytes:
    """Return the header of version 5, b"" if the file has another."""
    header = read_at(_HEADER_AT, _HEADER_BYTES)
    return header if header[:4] == _HEADER_BYTES.to_bytes(4, "little") else b""


def _channel(pixels: NDArray[Any], mask: int, peak: int) -> NDArray[Any]:
    shift = (mask & -mask).bit_length() - 1
    samples = (pixels & mask) >> shift
    return np.rint(samples.astype(np.float64) * (peak / (mask >> shift))).astype(np.uint8 if peak == 255 else np.uint16)


def _is_run(mask: int) -> bool:
    """Return whether the bits of a mask stand side by side."""
    lowest = mask & -mask
    return mask > 0 and (mask + lowest) & mask == 0
