"""Animation frames to one animated file."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from esrt_core.media.embedding import save_parameters
from esrt_core.media.encoder import encoding
from esrt_core.media.formats import AVIF, GIF, PNG, Format
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.gif import to_palette
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import Metadata
from esrt_core.media.still import quality_parameters

_FOREVER = 0
_CLEAR_TO_BACKGROUND = 2  # GIF disposal


class _Spool(ImageFile.ImageFile):
    """Give Pillow's writers the frames that lie as raw RGBA in a temporary file, one in memory at a time."""

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
        self.fp = self._raw  # loading a frame drops it
        offset = frame * self._frame_size[0] * self._frame_size[1] * 4
        raw = "RGBX" if self._opaque else "RGBA"
        self.tile = [ImageFile._Tile("raw", (0, 0, *self._frame_size), offset, (raw, 0, 1))]

    def tell(self) -> int:
        return self._number


def write_animation(
    frames: Iterable[tuple[Frame, float]],
    file: BinaryIO,
    target: Format,
    metadata: Metadata,
    options: EncodeOptions,
    folder: Path | None,
) -> None:
    """Write frames of 8 bits, each with its time in ms, as an animated file.

    The frames wait in a temporary file in `folder`, because Pillow's writers go over them more than once. What Pillow
    itself keeps until the end: GIF one byte a pixel and frame, PNG three or four, WebP and AVIF compressed frames.
    """
    with tempfile.TemporaryFile(dir=folder) as raw:
        durations, size, opaque = _spool(frames, raw)
        with encoding(target):
            animation = _Spool(raw, size, len(durations), opaque=opaque)
            if target is GIF:
                _save_gif(animation, file, durations, metadata)
            else:
                _save(animation, file, durations, target, metadata, options)


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
    animation.save(file, target.pillow[0], save_all=True, duration=times, **parameters)


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


def _save_gif(animation: _Spool, file: BinaryIO, durations: list[float], metadata: Metadata) -> None:
    times = [round(time) for time in _rounded(durations, 10)]  # a GIF counts hundredths of a second
    plays = metadata.loop or _FOREVER
    parameters: dict[str, Any] = {} if plays == 1 else {"loop": max(plays - 1, 0)}
    if animation.mode == "RGBA":
        parameters["disposal"] = _CLEAR_TO_BACKGROUND
    frames = _palette_frames(animation)
    first = next(frames)
    first.save(file, "GIF", save_all=True, append_images=frames, duration=times, optimize=False, **parameters)


def _palette_frames(animation: _Spool) -> Iterator[Image.Image]:
    previous = None
    for number in range(animation.n_frames):
        animation.seek(number)
        pixels = np.asarray(animation)
        alpha = np.ascontiguousarray(pixels[..., 3]) if animation.mode == "RGBA" else None
        frame = Frame((np.ascontiguousarray(pixels[..., :3]),), alpha=alpha)
        previous = to_palette(frame, previous, dither=False)
        yield previous


def _rounded(durations: list[float], step: int) -> Iterator[float]:
    """Yield durations in whole steps, at least one where there was any time, whose sum follows the true one."""
    ideal = given = 0.0
    for duration in durations:
        ideal += duration
        rounded = max(round((ideal - given) / step), 1 if duration > 0 else 0) * step
        given += rounded
        yield rounded
