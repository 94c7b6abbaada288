"""Find the pictures that a run can use and hold some of them out for validation, without torch."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from esrt_core.errors import MediaError, TrainingError
from esrt_core.evaluation.dataset import find_lr
from esrt_core.media.extensions import RAW_EXTENSIONS
from esrt_core.media.image.decode import probe
from esrt_core.media.image.formats import format_for_path
from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, ReadLimits
from esrt_core.training.events import Unusable

HELD_OUT_SHARE = 0.05
MIN_HELD_OUT, MAX_HELD_OUT = 8, 16


@dataclass(frozen=True)
class Picture:
    """Hold a picture's path, its size in px after orientation, and the path of its given LR picture, if any."""

    path: Path
    width: int
    height: int
    lr_path: Path | None = None

    @property
    def limits(self) -> ReadLimits:
        """The limits for decoding it: its header was within those of the run."""
        return ReadLimits(max(self.width * self.height, DEFAULT_MAX_PIXELS))

    def lr_size(self, scale: int) -> tuple[int, int]:
        """Return (height, width) of its LR in px; rows and columns beyond a multiple of `scale` are cropped."""
        return self.height // scale, self.width // scale


@dataclass(frozen=True)
class Selection:
    """Hold the usable pictures and the unusable files."""

    usable: tuple[Picture, ...]
    unusable: tuple[Unusable, ...]


def find_pictures(
    sources: Sequence[Path],
    scale: int,
    smallest: int,
    lr_dir: Path | None = None,
    limits: ReadLimits = ReadLimits(),  # noqa: B008 (frozen)
) -> Selection:
    """Read the header of every picture in the sources, folders recursively, in order of name.

    A picture is usable if it is within the limits and each side of its LR has at least `smallest` px. With `lr_dir`,
    the LR picture there (same name, optionally followed by `x<scale>`) must have exactly the picture's size divided by
    the scale.

    Raises: TrainingError if a source does not exist.
    """
    partners = None if lr_dir is None else pictures_below(lr_dir)
    usable: list[Picture] = []
    unusable: list[Unusable] = []
    for path in _list_pictures(sources):
        try:
            picture = _probe_picture(path, limits)
            _check_size(picture, scale, smallest)
            usable.append(picture if partners is None else _paired(picture, partners, scale, limits))
        except MediaError as error:
            unusable.append(Unusable(path, str(error)))
    return Selection(tuple(usable), tuple(unusable))


def split_validation(pictures: Sequence[Picture], seed: int) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Split the pictures into training and held-out ones, depending only on their names and the seed.

    Raises: TrainingError if there are fewer than two.
    """
    if len(pictures) < 2:
        raise TrainingError("one usable picture is not enough: one must be held out; add pictures or use --val")
    count = min(MAX_HELD_OUT, max(1, min(MIN_HELD_OUT, len(pictures) // 4), round(HELD_OUT_SHARE * len(pictures))))
    ranked = sorted(pictures, key=lambda picture: hashlib.sha256(f"{seed}/{picture.path.name}".encode()).digest())
    held_out = set(ranked[:count])
    return tuple(p for p in pictures if p not in held_out), tuple(p for p in pictures if p in held_out)


def pictures_below(folder: Path) -> list[Path]:
    """List the pictures in a folder and its subfolders in order of name, without hidden ones."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} does not exist; name a picture or a folder of pictures")
    paths: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in paths if _is_picture(path)]


def _is_picture(path: Path) -> bool:
    return format_for_path(path) is not None or path.suffix.lower() in RAW_EXTENSIONS  # listed as unusable


def _list_pictures(sources: Iterable[Path]) -> list[Path]:
    """List every picture in the sources once."""
    found: dict[Path, None] = {}
    for source in sources:
        found.update(dict.fromkeys([source] if source.is_file() else pictures_below(source)))
    return list(found)


def _probe_picture(path: Path, limits: ReadLimits) -> Picture:
    info = probe(path, limits)
    if info.pages != 1:
        raise MediaError(f"{path} holds {info.pages} pictures; only files with a single picture are used")
    return Picture(path, info.width, info.height)


def _check_size(picture: Picture, scale: int, smallest: int) -> None:
    least = smallest * scale
    if min(picture.width, picture.height) < least:
        size = f"{picture.width} x {picture.height} px"
        raise MediaError(f"{picture.path} has {size}, fewer than the required {least} x {least}")


def _paired(picture: Picture, partners: Sequence[Path], scale: int, limits: ReadLimits) -> Picture:
    path = find_lr(picture.path, partners, scale)
    small = _probe_picture(path, limits)
    if (small.width * scale, small.height * scale) != (picture.width, picture.height):
        raise MediaError(
            f"{picture.path} has {picture.width} x {picture.height} px, but {scale} times its LR picture {path.name} "
            f"is {small.width * scale} x {small.height * scale}"
        )
    return replace(picture, lr_path=path)
