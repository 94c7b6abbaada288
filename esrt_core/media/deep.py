"""More than 8 bits in PNG, JPEG 2000 and AVIF: Pillow cuts their colour to 8, imagecodecs does not."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.formats import AVIF, JPEG2000, PNG, Format
from esrt_core.media.orientation import shown_size, stored_view
from esrt_core.media.picture import Page
from esrt_core.media.samples import page_of, widen_to_16

_DECODERS: dict[Format, Callable[[bytes], NDArray[Any]]] = {
    PNG: imagecodecs.png_decode,
    JPEG2000: imagecodecs.jpeg2k_decode,
    AVIF: imagecodecs.avif_decode,
}
FORMATS = tuple(_DECODERS)
_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I")
_SIZ = b"\xff\x4f\xff\x51"


def bits_of(entry: Format, head: bytes, image: Image.Image) -> int:
    """Return the bits of a sample, by the first bytes of a PNG, JPEG 2000 or AVIF file; 8 for any other."""
    if image.mode not in _MODES or getattr(image, "is_animated", False):
        return 8
    if entry is PNG:
        return max(8, head[24])  # IHDR
    if entry is JPEG2000 and (at := head.find(_SIZ)) >= 0 and at + 42 < len(head):
        return max(8, (head[at + 42] & 0x7F) + 1)  # Ssiz, ISO 15444-1 A.5.1
    if entry is AVIF and (at := head.find(b"av1C")) >= 0 and at + 6 < len(head):
        flags = head[at + 6]  # high_bitdepth and twelve_bit, AV1-ISOBMFF 2.3
        return 8 + 2 * bool(flags & 0x40) + 2 * bool(flags & 0x20)
    return 8


def read_deep(entry: Format, data: bytes, bits: int, image: Image.Image, orientation: int) -> Page:
    """Decode a file of 9 to 16 bits to a page of 16. Raises what imagecodecs raises at damaged data.

    `image` is the file as Pillow opened it: it knows the transparent colour of a PNG without an alpha channel.
    """
    stored = _DECODERS[entry](data)
    if stored.dtype != np.uint16 or stored.shape[:2] != (image.height, image.width):
        raise ValueError(f"{stored.dtype} samples of shape {stored.shape} instead of 16 bits")
    width, height = shown_size(*image.size, orientation)
    shown = np.empty((height, width, *stored.shape[2:]), np.uint16)
    stored_view(shown, orientation)[...] = widen_to_16(stored, bits)
    channels = 1 if shown.ndim == 2 else shown.shape[2]
    alpha = np.ascontiguousarray(shown[..., -1]) if channels in (2, 4) else _keyed_alpha(shown, image)
    colour = shown if channels == 1 else shown[..., 0] if channels <= 2 else shown[..., :3]
    return page_of(np.ascontiguousarray(colour), alpha, 16)


def _keyed_alpha(shown: NDArray[np.uint16], image: Image.Image) -> NDArray[np.uint16] | None:
    """Return alpha that is 0 where a pixel has the file's one transparent colour (PNG's tRNS)."""
    key = image.info.get("transparency")
    if not isinstance(key, int | tuple):
        return None
    same = shown == np.array(key, np.uint16)
    transparent = same if same.ndim == 2 else same.all(axis=2)
    return np.where(transparent, np.uint16(0), np.uint16(65535))
