"""Write still images of 8 bits with Pillow, and quantize frames for GIF.

Palettes stay constant over an animation where they can.
"""

import io
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import webp
from esrt_core.media.image.codec_writer import AVIF_SPEED, PNG_LEVEL, behind_header
from esrt_core.media.image.formats import AVIF, GIF, HEIF, JPEG, JXL, PNG, TGA, WEBP, Format, encoding
from esrt_core.media.image.metadata import add_to_gif, save_parameters
from esrt_core.media.image.picture import EncodeOptions, Metadata, Resolution, Unit

_OPTIMIZED_JPEG_PIXELS = 4_000_000  # optimized Huffman tables need the whole image's coefficients in memory
_TRANSPARENT = 255
_SAMPLE_PIXELS = 1_000_000
_KEPT_PALETTE_ERROR = 1.1  # the last frame's palette is reused while its error is at most this much larger


def write_still(frame: Frame, file: BinaryIO, target: Format, metadata: Metadata, options: EncodeOptions) -> None:
    """Write a frame that fits the format (see encode.fit).

    Raises: MediaError if the encoder refuses it.
    """
    image = to_palette(frame) if target is GIF else to_pillow(frame)
    parameters = quality_parameters(target, options, frame.width * frame.height, frame.space)
    parameters |= save_parameters(metadata, target)
    if target is JPEG:  # writing to a file, Pillow loses the errno of a full disk, or never returns
        encoded = _encoded(image, target, parameters).getbuffer()
        if metadata.resolution is not None:
            _set_density(encoded, metadata.resolution)
        file.write(encoded)
    elif target is WEBP and metadata.webp_chunks:
        whole = _encoded(image, target, parameters).getvalue()
        file.write(webp.with_chunks(whole, image.size, metadata.webp_chunks))
    else:
        written = behind_header(file, target, metadata)
        with encoding(target):
            image.save(written, target.pillow[0], **parameters)
        if target is GIF:
            add_to_gif(file, metadata)


def quality_parameters(target: Format, options: EncodeOptions, pixels: int, space: ColorSpace) -> dict[str, Any]:
    """Return the quality settings as arguments of Pillow's `Image.save`."""
    quality = options.quality or target.default_quality
    lossless = bool(options.lossless) and options.quality is None
    if target is JPEG:
        return {"quality": quality, "subsampling": "4:4:4", "optimize": pixels <= _OPTIMIZED_JPEG_PIXELS}
    if target is WEBP:
        return {"lossless": True, "quality": 60, "method": 4} if lossless else {"quality": quality, "method": 4}
    if target is AVIF:
        subsampling = "4:0:0" if space is ColorSpace.GRAY else "4:4:4"
        return {"quality": quality, "subsampling": subsampling, "speed": AVIF_SPEED}
    if target is HEIF:
        return {"quality": -1 if lossless else quality, "chroma": 444}
    if target is JXL:
        return {"lossless": True} if lossless else {"quality": quality}
    if target is PNG:
        return {"compress_level": PNG_LEVEL}
    return {"compression": "tga_rle"} if target is TGA else {}


def to_pillow(frame: Frame) -> Image.Image:
    """Return a frame of 8 bits as a Pillow image in mode L, LA, RGB or RGBA."""
    if frame.alpha is None:
        return Image.fromarray(np.ascontiguousarray(frame.planes[0]))
    return Image.fromarray(np.dstack([frame.planes[0], frame.alpha]))


def to_palette(frame: Frame, previous: Image.Image | None = None, *, dither: bool = True) -> Image.Image:
    """Return a frame of 8 bits in mode P; alpha below 128 becomes transparent.

    The palette is computed from visible pixels only. The palette of `previous` is reused while it is nearly as good, so
    that static areas do not flicker. Dithering suits a still image; in an animation its pattern moves. A frame with an
    alpha plane gets a transparent index even if nothing is transparent: ImageMagick shows the area of a frame without
    one as transparent after a frame that has one.
    """
    color = frame.planes[0]
    if frame.space is ColorSpace.GRAY:
        color = np.repeat(color[..., None], 3, axis=2)
    if frame.alpha is None:
        return _quantized(color, None, previous, dither)
    hidden = frame.alpha < 128
    image = _quantized(color, hidden, previous, dither)
    indices = np.array(image)
    indices[hidden] = _TRANSPARENT
    palette = (image.getpalette("RGB") or [])[: 3 * _TRANSPARENT]
    return indexed(indices.tobytes(), image.size, palette + [0] * (768 - len(palette)), has_transparency=True)


def indexed(indices: bytes, size: tuple[int, int], palette: list[int], has_transparency: bool) -> Image.Image:
    """Return an image in mode P of a palette and its indices; the last index may be transparent."""
    image = Image.frombytes("P", size, indices)
    image.putpalette(palette, "RGB")
    if has_transparency:
        image.info["transparency"] = _TRANSPARENT
    return image


def _encoded(image: Image.Image, target: Format, parameters: dict[str, Any]) -> io.BytesIO:
    whole = io.BytesIO()
    try:
        with encoding(target):
            image.save(whole, target.pillow[0], **parameters)
    except MediaError:  # for optimized tables Pillow's buffer holds one byte a px, and noise takes more
        if not parameters.get("optimize"):
            raise
        return _encoded(image, target, parameters | {"optimize": False})
    return whole


def _set_density(file: memoryview, resolution: Resolution) -> None:
    """Set the density in the JFIF segment of a file: px per inch or centimeter, or the shape of a pixel."""
    if bytes(file[6:11]) != b"JFIF\0":
        return
    if resolution.unit is Unit.NONE:
        unit, (x, y) = 0, resolution.ratio(0xFFFF)
    else:
        unit = 2 if resolution.unit is Unit.CM else 1
        x, y = (min(round(value), 0xFFFF) for value in resolution.per(Unit.CM if unit == 2 else Unit.INCH))
    file[13:18] = bytes([unit]) + x.to_bytes(2, "big") + y.to_bytes(2, "big")


def _quantized(
    color: NDArray[np.uint8], hidden: NDArray[np.bool_] | None, previous: Image.Image | None, dither: bool
) -> Image.Image:
    visible = color.reshape(-1, 3) if hidden is None else color[~hidden]
    if not len(visible):
        visible = np.zeros((1, 3), np.uint8)
    sample = visible[:: max(1, len(visible) // _SAMPLE_PIXELS)]
    fresh = Image.fromarray(sample[None]).quantize(_TRANSPARENT, Image.Quantize.MEDIANCUT)
    palette = (
        fresh
        if previous is None or _error(sample, previous) > _error(sample, fresh) * _KEPT_PALETTE_ERROR
        else previous
    )
    method = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
    return Image.fromarray(color).quantize(palette=palette, dither=method)


def _error(sample: NDArray[np.uint8], palette: Image.Image) -> float:
    mapped = Image.fromarray(sample[None]).quantize(palette=palette, dither=Image.Dither.NONE)
    difference = np.asarray(mapped.convert("RGB"), np.int16)[0] - sample
    return float(np.square(difference, dtype=np.float64).mean())
