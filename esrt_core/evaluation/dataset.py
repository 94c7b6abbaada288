"""Pairs of HR and LR pictures: find them by name, read them as 8-bit RGB, and make LR if none is given."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esrt_core.errors import MediaError, OptionError
from esrt_core.evaluation.protocol import Rgb, crop_to_multiple, make_lr
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.formats import format_for_path
from esrt_core.media.image.picture import ReadLimits


@dataclass(frozen=True)
class Pair:
    """Hold a picture's HR (sH, sW, 3), cropped to multiples of the scale s, and its LR (H, W, 3), 8-bit RGB."""

    name: str
    hr: Rgb
    lr: Rgb


def find_pictures(source: Path) -> list[Path]:
    """List the pictures of a folder without its subfolders, in order of name, or the one file.

    Raises: OptionError if there are none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise OptionError(f"{source} does not exist; name a folder of HR pictures")
    found = sorted(path for path in source.iterdir() if _is_picture(path))
    if not found:
        in_subfolder = any(path.is_dir() and any(map(_is_picture, path.iterdir())) for path in source.iterdir())
        hint = "its subfolders are not searched: name one of them" if in_subfolder else "name a folder of HR pictures"
        raise OptionError(f"{source} has no readable pictures; {hint}")
    return found


def find_lr(hr: Path, lr_files: Iterable[Path], scale: int) -> Path:
    """Return the LR file of an HR file: `NAMExS`, `NAME_xS`, or the same name, with any extension.

    Raises: MediaError if there is none.
    """
    names = [f"{hr.stem}x{scale}", f"{hr.stem}_x{scale}", hr.stem]
    by_stem = {path.stem: path for path in lr_files}
    for name in names:
        if name in by_stem:
            return by_stem[name]
    raise MediaError(f"no LR picture for {hr.name}: expected {names[0]}{hr.suffix} or {hr.name} in the LR folder")


def read_pair(hr_path: Path, lr_path: Path | None, scale: int, limits: ReadLimits) -> Pair:
    """Read HR and LR; if no LR path is given, make LR by the protocol.

    Raises: MediaError if a picture cannot be read or the sizes do not match the scale.
    """
    hr = crop_to_multiple(read_rgb(hr_path, limits), scale)
    if not hr.size:
        raise MediaError(f"{hr_path.name} has fewer than {scale} px a side; it is too small for x{scale}")
    if lr_path is None:
        return Pair(hr_path.name, hr, make_lr(hr, scale))
    lr = read_rgb(lr_path, limits)
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if lr.shape[:2] != (height, width):
        actual = f"{lr.shape[1]} x {lr.shape[0]}"
        raise MediaError(f"{lr_path.name} has {actual} px; {hr_path.name} at x{scale} needs {width} x {height}")
    return Pair(hr_path.name, hr, lr)


def read_rgb(path: Path, limits: ReadLimits) -> Rgb:
    """Decode a picture as 8-bit RGB (H, W, 3); gray becomes three equal channels, deeper values are rounded.

    Raises: MediaError if the picture cannot be read, is animated, has several pages or is transparent.
    """
    picture = decode(path, limits)
    if picture.info.pages != 1:
        raise MediaError(f"{path.name} has {picture.info.pages} pages or frames; only single pictures are measured")
    frame = next(iter(picture.pages)).frame
    if frame.alpha is not None and (frame.alpha != frame.peak).any():
        raise MediaError(f"{path.name} is transparent, which the protocol does not cover; flatten it first")
    return rgb_of(frame)


def rgb_of(frame: Frame) -> Rgb:
    """Return the pixels of a GRAY or RGB frame as 8-bit RGB (H, W, 3)."""
    if frame.space is ColorSpace.YUV:
        raise ValueError("a YUV frame is not a still picture")
    pixels = frame.planes[0]
    if frame.depth != 8:
        pixels = np.floor(np.clip(pixels.astype(np.float32) / frame.peak, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.stack([pixels] * 3, axis=-1) if frame.space is ColorSpace.GRAY else pixels


def _is_picture(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and format_for_path(path) is not None
