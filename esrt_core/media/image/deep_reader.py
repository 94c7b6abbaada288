"""Read still images that Pillow reduces, refuses or misreads."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from esrt_core.errors import MediaError
from esrt_core.media.image import pixels, png
from esrt_core.media.image.deep import MOST_PIXEL_BYTES, Deep
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.picture import Page
from esrt_core.media.image.pixels import layout_of, read_page
from esrt_core.system.process import suppress_native_stderr


def read_deep(opening: Opened, deep: Deep, image: ImageFile.ImageFile, orientation: int) -> Page:
    """Decode a still image with another decoder than Pillow's.

    Raises: MediaError if it is damaged and that is not allowed.
    """
    try:
        stored = _decode_deep(opening, deep, image)
    except MediaError:
        if not opening.limits.allow_truncated or deep.ours or deep.patch is not None:
            raise
        with opening.decoding():
            image.load()
        page = read_page(image, layout_of(image, None), None, orientation)
        return replace(
            page, notes=(*page.notes, f"{deep.bits} bits reduced to {page.frame.depth}: the file is damaged")
        )
    return pixels.read_deep(stored, deep.bits, deep.peak, image, orientation)


def _decode_deep(opening: Opened, deep: Deep, image: ImageFile.ImageFile) -> NDArray[Any]:
    with reading(opening.name):
        file = opening.file if opening.ancillary is None else png.pixels_only(opening.file)
        file.seek(0)
        data = file.read()
    if deep.ours:
        padding = bytes(image.width * image.height * MOST_PIXEL_BYTES) if opening.limits.allow_truncated else b""
        stored = decode_padded(opening, deep, data, padding)
    else:
        stored = _decode_by_library(opening, deep, data)
    if stored.dtype not in (np.uint8, np.uint16, np.float32) or stored.shape[:2] != (image.height, image.width):
        raise opening.damaged(f"{stored.dtype} samples of shape {stored.shape}")
    return stored


def _decode_by_library(opening: Opened, deep: Deep, data: bytes) -> NDArray[Any]:
    with opening.decoding(), suppress_native_stderr():
        return deep.decode(data)


def decode_padded(opening: Opened, deep: Deep, data: bytes, padding: bytes) -> NDArray[Any]:
    """Return the samples of a file that a decoder of ours reads, with further bytes behind its end."""
    try:
        return deep.decode(data + padding)
    except MediaError as error:
        raise opening.damaged(str(error)) from error
