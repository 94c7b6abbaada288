"""Colors that a file stores mixed with a matte by their alpha: which files have them, and the colors without it.

A frame's alpha is straight: enlarged as they are, mixed colors would give dark or bright fringes. Pillow separates
those of TIFF, libavif those of AVIF, at every depth; the rest is told here.
"""

from dataclasses import replace

import numpy as np

from esrt_core.media.image import jp2, jxl, psd, tga
from esrt_core.media.image.formats import HEIF, JPEG2000, JXL, PSD, TGA
from esrt_core.media.image.opening import Opened
from esrt_core.media.image.picture import Page
from esrt_core.media.image.pixels import normalize, restore, unmixed

BLACK, WHITE = 0.0, 1.0
_SEEN = 1 / 16  # alpha: of what is fainter, noise alone would set the range of float values
_DX10, _DX10_AT, _ALPHA_MODE_AT, _PREMULTIPLIED = b"DX10", 84, 144, 2  # DDS_HEADER_DXT10, miscFlags2


def matte_of(opening: Opened) -> float | None:
    """Return the gray, 0 (black) to 1 (white), with which a decoder leaves the colors of a file mixed, or None."""
    read_at, size = opening.read_at, opening.byte_size
    if opening.format is JXL:
        header = jxl.read_header(read_at, size)
        return BLACK if header is not None and header.is_premultiplied else None
    if opening.format is HEIF:
        is_mixed = opening.deep is not None and opening.image is not None and opening.image.mode in ("RGBa", "La")
        return BLACK if is_mixed else None  # of 8 bits Pillow separates them
    if opening.format is JPEG2000:
        return BLACK if jp2.read(read_at, size).is_premultiplied else None
    if opening.format is TGA:
        return BLACK if tga.is_premultiplied(read_at, size) else None
    if opening.format is PSD:
        layered = psd.read_header(opening.head, read_at)
        is_mixed = layered is not None and layered.has_transparency and layered.mode not in psd.CONVERTED
        return WHITE if is_mixed else None
    return BLACK if _is_premultiplied_dds(opening.head) else None


def straightened(page: Page, matte: float) -> Page:
    """Return a page whose colors are mixed with a matte by its alpha, with its colors alone; black where it is 0."""
    frame = page.frame
    if frame.alpha is None:
        return page
    stored, is_float = frame.planes[0], frame.depth == 32
    if page.value_range is not None:
        stored = restore(stored, page.value_range)
    color = unmixed(stored, frame.alpha / np.float32(frame.peak), matte * frame.peak)
    if not is_float:
        color = np.rint(np.clip(color, 0, frame.peak)).astype(stored.dtype)
        return replace(page, frame=replace(frame, planes=(color,)))
    seen = color[frame.alpha >= _SEEN]
    color = np.clip(color, seen.min(initial=0), seen.max(initial=1))
    values, value_range, _ = normalize(color)
    return replace(page, frame=replace(frame, planes=(values,)), value_range=value_range)


def _is_premultiplied_dds(head: bytes) -> bool:
    is_new = head.startswith(b"DDS ") and head[_DX10_AT : _DX10_AT + 4] == _DX10
    return is_new and int.from_bytes(head[_ALPHA_MODE_AT : _ALPHA_MODE_AT + 4], "little") & 7 == _PREMULTIPLIED
