"""One picture of 8 or 16 bits to bytes."""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from esrt_core.media.embedding import save_parameters
from esrt_core.media.encoder import encoding
from esrt_core.media.formats import AVIF, GIF, HEIF, JPEG, JPEG2000, JXL, PNG, TGA, WEBP, Format
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.gif import to_palette
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import Metadata

_PNG_LEVEL = 3  # on upscaled photos 5 % larger than 6, in a third of the time
_OPTIMISED_JPEG_PIXELS = 4_000_000  # optimised Huffman tables need the whole picture's coefficients in memory
_AVIF_SPEED = 8  # half the time of 6
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR_END = len(_PNG_SIGNATURE) + 25


def write_still(frame: Frame, file: BinaryIO, target: Format, metadata: Metadata, options: EncodeOptions) -> None:
    """Write a frame that fits the format. Raises MediaError when the encoder refuses it."""
    with encoding(target):
        if frame.depth == 16:
            _write_deep_png(frame, file, metadata)
            return
        image = to_palette(frame) if target is GIF else to_pillow(frame)
        parameters = quality_parameters(target, options, frame.width * frame.height, frame.space)
        parameters |= save_parameters(metadata, target)
        if target in (JPEG, JPEG2000):  # into a file itself, Pillow loses the errno of a full disk, or never ends
            file.write(_encoded(image, target, parameters).getbuffer())
        else:
            image.save(file, target.pillow[0], **parameters)


def _encoded(image: Image.Image, target: Format, parameters: dict[str, Any]) -> io.BytesIO:
    whole = io.BytesIO()
    try:
        image.save(whole, target.pillow[0], **parameters)
    except OSError:  # for optimised tables Pillow makes room for one byte a px, and noise takes more
        if not parameters.get("optimize"):
            raise
        return _encoded(image, target, parameters | {"optimize": False})
    return whole


def to_pillow(frame: Frame) -> Image.Image:
    """Return a frame of 8 bits as a Pillow picture in mode L, LA, RGB or RGBA."""
    if frame.alpha is None:
        return Image.fromarray(np.ascontiguousarray(frame.planes[0]))
    return Image.fromarray(np.dstack([frame.planes[0], frame.alpha]))


def quality_parameters(target: Format, options: EncodeOptions, pixels: int, space: ColorSpace) -> dict[str, Any]:
    """Return the quality settings as arguments of Pillow's `Image.save`."""
    quality = options.quality or target.default_quality
    lossless = bool(options.lossless) and options.quality is None
    if target is JPEG:
        return {"quality": quality, "subsampling": "4:4:4", "optimize": pixels <= _OPTIMISED_JPEG_PIXELS}
    if target is WEBP:
        return {"lossless": True, "quality": 60, "method": 4} if lossless else {"quality": quality, "method": 4}
    if target is AVIF:
        subsampling = "4:0:0" if space is ColorSpace.GRAY else "4:4:4"
        return {"quality": quality, "subsampling": subsampling, "speed": _AVIF_SPEED}
    if target is HEIF:
        return {"quality": -1 if lossless else quality, "chroma": 444}
    if target is JXL:
        return {"lossless": True} if lossless else {"quality": quality}
    if target is PNG:
        return {"compress_level": _PNG_LEVEL}
    return {"compression": "tga_rle"} if target is TGA else {}


def _write_deep_png(frame: Frame, file: BinaryIO, metadata: Metadata) -> None:
    """Write 16 bits, which Pillow cannot, with the metadata chunks of a small PNG that Pillow wrote."""
    pixels = frame.planes[0] if frame.alpha is None else np.dstack([frame.planes[0], frame.alpha])
    encoded = memoryview(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=_PNG_LEVEL))
    small = io.BytesIO()
    mode = "L" if frame.space is ColorSpace.GRAY else "RGB"
    Image.new(mode, (1, 1)).save(small, "PNG", **save_parameters(metadata, PNG))
    file.write(encoded[:_IHDR_END])
    for chunk in _chunks_before_pixels(small.getvalue()):
        file.write(chunk)
    file.write(encoded[_IHDR_END:])


def _chunks_before_pixels(png: bytes) -> Iterator[bytes]:
    at = _IHDR_END
    while png[at + 4 : at + 8] != b"IDAT":
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")  # length, type, data, CRC
        yield png[at:end]
        at = end
