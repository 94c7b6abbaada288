"""Write animations of 8 bits: APNG here, GIF, WebP and AVIF with Pillow.

Pillow joins frames that are equal, until nothing but a still is left; here they stay frames.
"""

import io
import struct
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import png, webp
from esrt_core.media.image.cicp import with_nclx
from esrt_core.media.image.codec_writer import PNG_LEVEL
from esrt_core.media.image.formats import AVIF, GIF, PNG, WEBP, Format, encoding
from esrt_core.media.image.metadata import add_to_gif, png_chunks, save_parameters
from esrt_core.media.image.picture import EncodeOptions, Metadata
from esrt_core.media.image.pillow_writer import indexed, quality_parameters, to_palette

_FOREVER = 0
_CLEAR_TO_BACKGROUND = 2  # GIF disposal
_LONGEST = 65_535  # of a numerator or denominator in fcTL
_WEBP_ANIMATED, _WEBP_OVERWRITES = 0x02, 0x02  # VP8X; ANMF: the frame is not blended


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
    itself holds until the end: for GIF one byte a pixel and frame, for WebP and AVIF the compressed frames.

    Raises: MediaError if the encoder refuses them.
    """
    with tempfile.TemporaryFile(dir=folder) as raw:
        durations, size, opaque = _spool(frames, raw)
        animation = _Spool(raw, size, len(durations), opaque=opaque)
        if target is GIF:
            with tempfile.TemporaryFile(dir=folder) as indices:
                _save_gif(animation, indices, file, durations, metadata)
        elif target is PNG:
            _save_apng(animation, file, durations, metadata)
        else:
            _save(animation, file, durations, target, metadata, options)


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
    """Write a WebP or AVIF."""
    pixels = animation.width * animation.height
    parameters = quality_parameters(target, options, pixels, ColorSpace.RGB) | save_parameters(metadata, target)
    if target is WEBP:
        parameters["loop"] = metadata.loop or _FOREVER
    times = [round(time) for time in _rounded(durations, 1)]
    whole = io.BytesIO()
    with encoding(target):
        animation.save(whole, target.pillow[0], save_all=True, duration=times, **parameters)
    data = whole.getvalue()
    if target is AVIF:
        file.write(data if metadata.color is None else with_nclx(data, metadata.color))
    else:
        data = _as_animated_webp(data, animation.size, times, metadata.loop or _FOREVER)
        file.write(webp.with_chunks(data, animation.size, metadata.webp_chunks) if metadata.webp_chunks else data)


def _as_animated_webp(data: bytes, size: tuple[int, int], times: list[int], plays: int) -> bytes:
    """Return an animation of equal frames for the still that libwebp makes of them; an animation stays as it is.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    chunks = list(webp.chunks(data))
    kinds = {kind for kind, _ in chunks}
    if b"ANIM" in kinds or len(times) == 1:
        return data
    coded = b"".join(webp.chunk(kind, content) for kind, content in chunks if kind in (b"ALPH", b"VP8 ", b"VP8L"))
    has_alpha = any(kind == b"VP8L" and content[4] & 0x10 for kind, content in chunks)
    flags = _WEBP_ANIMATED | sum(flag for kind, flag in webp.FLAGS.items() if kind in kinds)
    flags |= webp.FLAGS[b"ALPH"] * has_alpha
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    parts = [webp.extended(flags, size)]
    parts += [webp.chunk(kind, content) for kind, content in chunks if kind == b"ICCP"]
    parts.append(webp.chunk(b"ANIM", bytes(4) + plays.to_bytes(2, "little")))
    for time in times:
        header = bytes(6) + sides + time.to_bytes(3, "little") + bytes([_WEBP_OVERWRITES])
        parts.append(webp.chunk(b"ANMF", header + coded))
    parts += [webp.chunk(kind, content) for kind, content in chunks if kind in (b"EXIF", b"XMP ")]
    return webp.file_of(parts)


def _save_apng(animation: _Spool, file: BinaryIO, durations: list[float], metadata: Metadata) -> None:
    """Write an APNG: each frame the part of the canvas that changes, which replaces what was there.

    PNG specification, third edition, W3C, section 11.3.5.
    """
    color_type = 6 if animation.mode == "RGBA" else 2
    header = struct.pack(">2I5B", *animation.size, 8, color_type, 0, 0, 0)
    file.write(png.SIGNATURE + png.chunk_bytes(b"IHDR", header) + png_chunks(metadata))
    file.write(png.chunk_bytes(b"acTL", struct.pack(">2I", animation.n_frames, metadata.loop or _FOREVER)))
    previous: NDArray[np.uint8] | None = None
    sequence = 0
    for number, duration in enumerate(durations):
        animation.seek(number)
        pixels = np.array(animation)
        left, top, right, bottom = _changed(previous, pixels)
        delay = Fraction(duration / 1000).limit_denominator(_LONGEST)
        seconds = (min(delay.numerator, _LONGEST), delay.denominator)
        control = struct.pack(">5I2H2B", sequence, right - left, bottom - top, left, top, *seconds, 0, 0)
        file.write(png.chunk_bytes(b"fcTL", control))
        sequence += 1
        coded = _deflated(pixels[top:bottom, left:right])
        if number:
            file.write(png.chunk_bytes(b"fdAT", sequence.to_bytes(4, "big") + coded))
            sequence += 1
        else:
            file.write(png.chunk_bytes(b"IDAT", coded))
        previous = pixels
    file.write(png.chunk_bytes(b"IEND", b""))


def _changed(previous: NDArray[np.uint8] | None, pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part that differs, in px; one pixel if none does."""
    if previous is None:
        return 0, 0, pixels.shape[1], pixels.shape[0]
    differs = (previous != pixels).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _deflated(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as a PNG holds them."""
    whole = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    with encoding(PNG):
        image.save(whole, "PNG", compress_level=PNG_LEVEL)
    return b"".join(chunk.read(whole) for chunk in png.walk(whole) if chunk.kind == b"IDAT")


def _save_gif(
    animation: _Spool, indices: IO[bytes], file: BinaryIO, durations: list[float], metadata: Metadata
) -> None:
    """Write a GIF; the frames' palette indices are spooled too, so that Pillow's writer runs no code of ours."""
    times = [round(time) for time in _rounded(durations, 10)]  # GIF counts in hundredths of a second
    plays = metadata.loop or _FOREVER
    parameters = save_parameters(metadata, GIF) | ({} if plays == 1 else {"loop": max(plays - 1, 0)})
    if animation.mode == "RGBA":
        parameters["disposal"] = _CLEAR_TO_BACKGROUND
    palettes, starts = _spool_indices(animation, indices)
    indices.seek(0)
    images = (
        indexed(indices.read(animation.width * animation.height), animation.size, palette, animation.mode == "RGBA")
        for palette in palettes
    )
    first = next(images)
    whole: Any = file if len(starts) == len(times) else io.BytesIO()
    firsts = [times[start] for start in starts]
    with encoding(GIF):
        first.save(whole, "GIF", save_all=True, append_images=images, duration=firsts, optimize=False, **parameters)
    if whole is not file:
        groups = [times[start:end] for start, end in zip(starts, [*starts[1:], len(times)], strict=True)]
        file.write(_with_repeats(whole.getvalue(), groups))
    add_to_gif(file, metadata)


def _with_repeats(gif: bytes, groups: list[list[int]]) -> bytes:
    """Return a GIF whose frames are repeated, each with the times of its group in ms."""
    at = 13 + (3 << ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0)
    parts, control = [gif[:at]], b"!\xf9\x04\0\0\0\0\0"
    remaining = iter(groups)
    while gif[at : at + 1] in (b"!", b","):
        end = _end_of_block(gif, at)
        block = gif[at:end]
        at = end
        if block.startswith(b"!\xf9"):
            control = block
        elif block.startswith(b","):
            for time in next(remaining):
                repeat = [control[:4], (time // 10).to_bytes(2, "little"), control[6:], block]
                parts.append(b"".join(repeat))
            control = b"!\xf9\x04\0\0\0\0\0"
        else:
            parts.append(block)
    return b"".join(parts) + gif[at:]


def _end_of_block(gif: bytes, at: int) -> int:
    """Return where an extension or image ends, behind its data sub-blocks."""
    if gif[at : at + 1] == b"!":
        at += 2
    else:
        flags = gif[at + 9]
        at += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)  # descriptor, colors, code size
    while gif[at]:
        at += 1 + gif[at]
    return at + 1


def _spool_indices(animation: _Spool, indices: IO[bytes]) -> tuple[list[list[int]], list[int]]:
    """Quantize the frames into a file of palette indices.

    Returns the palettes of the frames that differ from the one before, and the numbers of these frames.
    """
    palettes: list[list[int]] = []
    starts: list[int] = []
    previous, shown = None, None
    for number in range(animation.n_frames):
        animation.seek(number)
        pixels = np.asarray(animation)
        alpha = np.ascontiguousarray(pixels[..., 3]) if animation.mode == "RGBA" else None
        previous = to_palette(Frame((np.ascontiguousarray(pixels[..., :3]),), alpha=alpha), previous, dither=False)
        colors = np.asarray(previous.convert("RGBA"))
        if shown is None or not np.array_equal(colors, shown):
            indices.write(previous.tobytes())
            palettes.append(previous.getpalette("RGB") or [])
            starts.append(number)
        shown = colors
    return palettes, starts


def _rounded(durations: list[float], step: int) -> Iterator[float]:
    """Yield durations in ms rounded to whole steps, at least one step if above 0, without accumulating an error."""
    exact = total = 0.0
    for duration in durations:
        exact += duration
        rounded = max(round((exact - total) / step), 1 if duration > 0 else 0) * step
        total += rounded
        yield rounded
