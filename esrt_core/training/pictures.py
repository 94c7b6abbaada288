"""Which pictures a run can use, and which of them it holds out. No torch."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from esrt_core.errors import MediaError, TrainingError
from esrt_core.training.events import Unusable

Pixels = NDArray[Any]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
    | {".heic", ".heif", ".jxl", ".jp2", ".tga"}
)
HELD_OUT_SHARE = 0.05
FEW_HELD_OUT, MOST_HELD_OUT = 8, 16
ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height


@dataclass(frozen=True)
class Picture:
    """Name one picture and its size after orientation, px; `lr_path` is its given small picture, if there is one."""

    path: Path
    width: int
    height: int
    lr_path: Path | None = None

    def lr_size(self, scale: int) -> tuple[int, int]:
        """Return (height, width) of its LR; what the scale does not divide is cut off at the bottom and right."""
        return self.height // scale, self.width // scale


@dataclass(frozen=True)
class Selection:
    """Hold the pictures that can be used and those that cannot."""

    usable: tuple[Picture, ...]
    unusable: tuple[Unusable, ...]


def find_pictures(sources: Sequence[Path], scale: int, smallest: int, lr_dir: Path | None = None) -> Selection:
    """Look at every picture in the sources, folders recursively, in the order of their names.

    A picture is usable when its header can be read and its LR has sides of at least `smallest` px. With `lr_dir` its
    partner there (same stem, perhaps followed by `x<scale>`) must have exactly its size divided by the scale. Raises
    TrainingError for a source that does not exist.
    """
    partners = _by_stem(lr_dir) if lr_dir is not None else None
    usable: list[Picture] = []
    unusable: list[Unusable] = []
    for path in _walk(sources):
        try:
            picture = _with_partner(_look(path), scale, partners)
            _check_size(picture, scale, smallest)
            usable.append(picture)
        except MediaError as error:
            unusable.append(Unusable(path, str(error)))
    return Selection(tuple(usable), tuple(unusable))


def hold_out(pictures: Sequence[Picture], seed: int) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Split the pictures into those to train on and those held out; depends on names and the seed alone.

    Raises TrainingError when there are fewer than two.
    """
    if len(pictures) < 2:
        raise TrainingError("One usable picture is not enough: one has to be held out; add pictures or give --val.")
    count = min(MOST_HELD_OUT, max(1, min(FEW_HELD_OUT, len(pictures) // 4), round(HELD_OUT_SHARE * len(pictures))))
    ranked = sorted(pictures, key=lambda picture: hashlib.sha256(f"{seed}/{picture.path.name}".encode()).digest())
    held = set(ranked[:count])
    return tuple(p for p in pictures if p not in held), tuple(p for p in pictures if p in held)


def read_rgb8(path: Path) -> Pixels:
    """Read a picture as uint8 RGB (H, W, 3), oriented; raises MediaError."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            return np.array(_flat(upright))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(_reason(error)) from error


def _flat(image: Image.Image) -> Image.Image:
    """Return RGB: deep gray is scaled to 8 bits, transparency shown on white."""
    if image.mode.startswith("I"):
        return Image.fromarray(
            (np.asarray(image, np.float64) / 65535 * 255 + 0.5).clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if image.has_transparency_data:
        straight = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", straight.size, "white"), straight).convert("RGB")
    return image.convert("RGB")


def _walk(sources: Iterable[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for source in sources:
        if source.is_file():
            found[source] = None
        elif source.is_dir():
            found.update(dict.fromkeys(_pictures_below(source)))
        else:
            raise TrainingError(f"{source} does not exist; name a picture or a folder of pictures.")
    return list(found)


def _pictures_below(folder: Path) -> list[Path]:
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in paths if path.suffix.lower() in SUFFIXES]


def _look(path: Path) -> Picture:
    """Read a picture's size off its header."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) in TURNED
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(_reason(error)) from error
    return Picture(path, height, width) if turned else Picture(path, width, height)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture, or its format is unknown"
    return f"it cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def _check_size(picture: Picture, scale: int, smallest: int) -> None:
    if min(picture.width, picture.height) < smallest * scale:
        least = smallest * scale
        raise MediaError(f"it has {picture.width} x {picture.height} px, at least {least} x {least} are needed")


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder; name the folder of the small pictures.")
    return {path.stem: path for path in _pictures_below(folder)}


def _with_partner(picture: Picture, scale: int, partners: dict[str, Path] | None) -> Picture:
    if partners is None:
        return picture
    stem = picture.path.stem
    path = next((partners[name] for name in (stem, f"{stem}x{scale}", f"{stem}_x{scale}") if name in partners), None)
    if path is None:
        raise MediaError(f"no small picture is named {stem} or {stem}x{scale}")
    small = _look(path)
    if (small.width * scale, small.height * scale) != (picture.width, picture.height):
        raise MediaError(
            f"it has {picture.width} x {picture.height} px, {scale} times its small picture would be "
            f"{small.width * scale} x {small.height * scale}"
        )
    return Picture(picture.path, picture.width, picture.height, path)
