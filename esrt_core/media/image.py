"""Still pictures and animations: look at a file, decode it, encode it."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.formats import format_named, format_of_pillow
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import ImageInfo, Metadata, Page, Picture, ReadLimits, Source

__all__ = [
    "EncodeOptions",
    "ImageInfo",
    "Metadata",
    "Page",
    "Picture",
    "ReadLimits",
    "Source",
    "decode",
    "encode",
    "probe",
]


def probe(source: Source, limits: ReadLimits) -> ImageInfo:
    """Describe a picture by its headers. Raises MediaError when it cannot or must not be read."""
    return _open(source).info


def decode(source: Source, limits: ReadLimits) -> Picture:
    """Decode a picture. Raises MediaError when it cannot or must not be read."""
    return _open(source)


def encode(
    pages: Iterable[Page], target: Path | BinaryIO, format: str, metadata: Metadata, options: EncodeOptions
) -> tuple[str, ...]:
    """Write `pages` as one file of the format named `format`; return notes on what was lost."""
    entry = format_named(format)
    if entry is None:
        raise MediaError(f"{format}: not a format")
    frame = next(iter(pages)).frame
    colour = frame.planes[0]
    if frame.alpha is not None and entry.alpha:
        colour = np.dstack([colour, frame.alpha])
    Image.fromarray(colour).save(target, entry.pillow[0])
    return ()


def _open(source: Source) -> Picture:
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=["PNG", "JPEG"]) as image:
            mode = "L" if image.mode in ("1", "L") else "RGBA" if image.has_transparency_data else "RGB"
            pixels = np.asarray(image.convert(mode))
            name = image.format or ""
    except OSError as error:
        raise MediaError(f"{source!r}: {error}") from error
    space = ColorSpace.GRAY if mode == "L" else ColorSpace.RGB
    alpha = np.ascontiguousarray(pixels[..., 3]) if mode == "RGBA" else None
    plane = pixels if mode == "L" else np.ascontiguousarray(pixels[..., :3])
    frame = Frame((plane,), space, 8, alpha)
    info = ImageInfo(format_of_pillow(name), frame.width, frame.height, space, 8, alpha is not None, 1, False, None, 0)
    return Picture((Page(frame),), info)
