"""Tell how much of a truncated image has no data.

Decoders do not say which pixels they had data for. So the file is decoded twice, into memory of different content, or a
JPEG with different data behind its end: pixels that differ had none.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from esrt_core.errors import MediaError
from esrt_core.media.image import jpeg, png
from esrt_core.media.image.deep import MOST_PIXEL_BYTES, Deep
from esrt_core.media.image.deep_reader import decode_padded
from esrt_core.media.image.formats import AVIF, HEIF, JPEG, JPEG2000, JXL, WEBP
from esrt_core.media.image.opening import Opened, reading
from esrt_core.media.image.pixels import UPRIGHT

_FURTHER_DATA = (b"", b"\xfe" * 1000, b"\xaa" * 1000, b"\x55" * 1000)  # without 0xFF, of which markers are made
_WHOLE = (AVIF, HEIF, JPEG2000, JXL, WEBP)  # their decoders fill what is missing by themselves
_DAMAGED = "the file is truncated or damaged"
UNKNOWN = f"{_DAMAGED}: part of the image is missing"


def describe_missing(opening: Opened, orientation: int) -> str:
    """Return a note on how much of a still image that was decoded as far as possible is missing."""
    if opening.image is None or opening.format in _WHOLE:
        return UNKNOWN
    try:
        first, *others = _versions(opening)
    except MediaError:
        return UNKNOWN
    differs = np.zeros(first.shape[:2], bool)
    for other in others:
        different = first != other
        differs |= different if different.ndim == 2 else different.any(axis=2)
    if opening.format is JPEG:
        frame = jpeg.find_frame(opening.read_at)
        if frame is not None and frame.is_progressive:
            return f"{_DAMAGED}: fine detail is missing, or part of the image"
        differs[np.cumsum(differs.any(axis=1)) > 0] = True  # what follows the first block without data has none either
    return _in_words(differs, orientation)


def without_end_marker(opening: Opened) -> ImageFile.ImageFile | None:
    """Decode a JPEG that lacks its end marker; None if it lacks pixels too.

    libjpeg does not say which pixels it had data for, so the file is decoded several times, with different data before
    the end marker: that changes the pixels if any are missing.
    """
    data = _bytes_of(opening)
    if jpeg.END in data[-16:] or not jpeg.has_every_scan(data):
        return None
    first, *others = _versions_of_jpeg(opening)
    if not all(np.array_equal(first, other) for other in others):
        return None
    with opening.decoding():
        image = Image.open(io.BytesIO(data + jpeg.END), formats=["JPEG"])
        image.load()
    return image


def _versions(opening: Opened) -> Iterator[NDArray[Any]]:
    if opening.deep is not None and opening.deep.ours:
        return _padded_versions(opening, opening.deep)
    return _versions_of_jpeg(opening) if opening.format is JPEG else _filled_versions(opening)


def _versions_of_jpeg(opening: Opened) -> Iterator[NDArray[Any]]:
    """Yield the pixels of a JPEG that lacks its end, decoded with different data before an end marker."""
    data = _bytes_of(opening)
    for further in _FURTHER_DATA:
        with opening.decoding():
            pixels = np.asarray(Image.open(io.BytesIO(data + further + jpeg.END), formats=["JPEG"]))
        yield pixels


def _padded_versions(opening: Opened, deep: Deep) -> Iterator[NDArray[Any]]:
    assert opening.image is not None
    data = _bytes_of(opening)
    for value in (b"\0", b"\1"):
        padding = value * (opening.image.width * opening.image.height * MOST_PIXEL_BYTES)
        yield decode_padded(opening, deep, data, padding)


def _filled_versions(opening: Opened) -> Iterator[NDArray[Any]]:
    assert opening.image is not None
    data, name = _bytes_of(opening), opening.image.format or ""
    for value in (0, 1):
        with opening.decoding():
            image = Image.open(io.BytesIO(data), formats=[name])
            bands = len(image.getbands())
            image.im = Image.new(image.mode, image.size, value if bands == 1 else (value,) * bands).im
            image.load()
            pixels = np.asarray(image)
        yield pixels


def _bytes_of(opening: Opened) -> bytes:
    with reading(opening.name):
        file = opening.file if opening.ancillary is None else png.pixels_only(opening.file)
        file.seek(0)
        return file.read()


def _in_words(differs: NDArray[np.bool_], orientation: int) -> str:
    rows = np.asarray(differs.any(axis=1))
    height, missing = len(rows), int(rows.sum())
    if not missing:
        return f"{_DAMAGED}, but there were data for every pixel"
    if orientation == UPRIGHT and rows[height - missing :].all():
        return f"{_DAMAGED}: the last {missing:,} of {height:,} rows are missing ({_percent(missing / height)})"
    return f"{_DAMAGED}: {_percent(float(differs.mean()))} of the image is missing"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.005 else f"{share:.0%}".replace("%", " %")
