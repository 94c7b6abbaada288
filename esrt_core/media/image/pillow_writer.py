"""Write still images and animations of 8 bits with Pillow.

GIF frames are quantized here, to palettes that stay constant over an animation where they can.
"""

import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import with_nclx
from esrt_core.media.image.codec_writer import AVIF_SPEED, PNG_LEVEL
from esrt_core.media.image.formats import AVIF, GIF, HEIF, JPEG, JXL, PNG, TGA, WEBP, Format, encoding
from esrt_core.media.image.metadata import save_parameters
from esrt_core.media.image.picture import EncodeOptions, Metadata

_OPTIMIZED_JPEG_PIXELS = 4_000_000  # optimized Huffman tables need the whole image's coefficients in memory
_FOREVER = 0
_CLEAR_TO_BACKGROUND = 2  # GIF disposal
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
        file.write(_encoded(image, target, parameters).getbuffer())
    else:
        with encoding(target):
            image.save(file, target.pillow[0], **parameters)


def write_animation(
    frames: Iterable[tuple[Frame, float]],
    file: BinaryIO,
    target: Format,
    metadata: Metadata,
    options: EncodeOptions,
    folder: Path | None,
) -> None:
    """Write frames of 8 bits, each with its duration in ms, as an animated file.

    The frames are spooled to a temporary file in `folder`, because Pillow's writers iterate them more than once. Pillow
    itself holds until the end: for GIF one byte a pixel and frame, for PNG three or four, for WebP and AVIF the
    compressed frames.

    Raises: MediaError if the encoder refuses them.
    """
    with tempfile.TemporaryFile(dir=folder) as raw:
        durations, size, opaque = _spool(frames, raw)
        animation = _Spool(raw, size, len(durations), opaque=opaque)
        if target is GIF:
            with tempfile.TemporaryFile(dir=folder) as indices:
                _save_gif(animation, indices, file, durations, metadata)
        else:
            _save(animation, file, durations, target, metadata, options)


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
    return _indexed(indices.tobytes(), image.size, palette + [0] * (768 - len(palette)), has_transparency=True)


def _indexed(indices: bytes, size: tuple[int, int], palette: list[int], has_transparency: bool) -> Image.Image:
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


class _Spool(ImageFile.ImageFile):
    """Give Pillow's writers frames stored as raw RGBA in a temporary file, one in memory at a time."""

    format = "spool"
    _mode = "RGB"

    def __init__(self, file: IO[bytes], size: tuple[int, int], count: int, *, opaque: bool) -> None:
        self._raw, self._frame_size, self._opaque = file, size, opaque
        self.n_frames = count
        self.is_animated = count > 1
        self._number = 0
        super().__init__(file)

    def _open(self) -> None:
        self._size = self._frame_size
        self._mode = "RGB" if self._opaque else "RGBA"
        self.seek(0)

    def seek(self, frame: int) -> None:
        if not 0 <= frame < self.n_frames:
            raise EOFError("no more frames")
        self._number = frame
        self.fp = self._raw  # load() clears it
        offset = frame * self._frame_size[0] * self._frame_size[1] * 4
        raw = "RGBX" if self._opaque else "RGBA"
        self.tile = [ImageFile._Tile("raw", (0, 0, *self._frame_size), offset, (raw, 0, 1))]

    def tell(self) -> int:
        return self._number


def _spool(frames: Iterable[tuple[Frame, float]], raw: IO[bytes]) -> tuple[list[float], tuple[int, int], bool]:
    durations: list[float] = []
    size, opaque = (0, 0), True
    for frame, duration in frames:
        size = (frame.width, frame.height)
        opaque = opaque and frame.alpha is None
        raw.write(_rgba(frame).data)
        durations.append(duration)
    return durations, size, opaque


def _rgba(frame: Frame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels = np.empty((frame.height, frame.width, 4), np.uint8)
    pixels[..., :3] = frame.planes[0][..., None] if frame.space is ColorSpace.GRAY else frame.planes[0]
    pixels[..., 3] = 255 if frame.alpha is None else frame.alpha
    return pixels


def _save(
    animation: _Spool,
    file: BinaryIO,
    durations: list[float],
    target: Format,
    metadata: Metadata,
    options: EncodeOptions,
) -> None:
    pixels = animation.width * animation.height
    parameters = quality_parameters(target, options, pixels, ColorSpace.RGB) | save_parameters(metadata, target)
    if target is not AVIF:
        parameters["loop"] = metadata.loop or _FOREVER
    times = durations if target is PNG else [round(time) for time in _rounded(durations, 1)]
    whole: BinaryIO = file if metadata.color is None else io.BytesIO()
    with encoding(target):
        animation.save(whole, target.pillow[0], save_all=True, duration=times, **parameters)
    if isinstance(whole, io.BytesIO) and metadata.color is not None:
        file.write(with_nclx(whole.getvalue(), metadata.color) if target is AVIF else whole.getvalue())


def _save_gif(
    animation: _Spool, indices: IO[bytes], file: BinaryIO, durations: list[float], metadata: Metadata
) -> None:
    """Write a GIF; the frames' palette indices are spooled too, so that Pillow's writer runs no code of ours."""
    times = [round(time) for time in _rounded(durations, 10)]  # GIF counts in hundredths of a second
    plays = metadata.loop or _FOREVER
    parameters: dict[str, Any] = {} if plays == 1 else {"loop": max(plays - 1, 0)}
    if animation.mode == "RGBA":
        parameters["disposal"] = _CLEAR_TO_BACKGROUND
    palettes = _spool_indices(animation, indices)
    indices.seek(0)
    images = (
        _indexed(indices.read(animation.width * animation.height), animation.size, palette, animation.mode == "RGBA")
        for palette in palettes
    )
    first = next(images)
    with encoding(GIF):
        first.save(file, "GIF", save_all=True, append_images=images, duration=times, optimize=False, **parameters)


def _spool_indices(animation: _Spool, indices: IO[bytes]) -> list[list[int]]:
    """Quantize the frames into a file of palette indices and return their palettes."""
    palettes: list[list[int]] = []
    previous = None
    for number in range(animation.n_frames):
        animation.seek(number)
        pixels = np.asarray(animation)
        alpha = np.ascontiguousarray(pixels[..., 3]) if animation.mode == "RGBA" else None
        previous = to_palette(Frame((np.ascontiguousarray(pixels[..., :3]),), alpha=alpha), previous, dither=False)
        indices.write(previous.tobytes())
        palettes.append(previous.getpalette("RGB") or [])
    return palettes


def _rounded(durations: list[float], step: int) -> Iterator[float]:
    """Yield durations in ms rounded to whole steps, at least one step if above 0, without accumulating an error."""
    exact = total = 0.0
    for duration in durations:
        exact += duration
        rounded = max(round((exact - total) / step), 1 if duration > 0 else 0) * step
        total += rounded
        yield rounded


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
