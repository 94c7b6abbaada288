"""Which pictures a run can use, and which of them it holds out. No torch."""

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
from esrt_core.media.image.picture import ReadLimits
from esrt_core.training.events import Unusable

HELD_OUT_SHARE = 0.05
FEW_HELD_OUT, MOST_HELD_OUT = 8, 16
LIMITS = ReadLimits()


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
    """Look at the header of every picture in the sources, folders recursively, in the order of their names.

    A picture is usable when its LR has sides of at least `smallest` px. With `lr_dir` its partner there (same name,
    perhaps followed by `x<scale>`) must have exactly its size divided by the scale. Raises TrainingError for a source
    that does not exist.
    """
    partners = None if lr_dir is None else pictures_below(lr_dir)
    usable: list[Picture] = []
    unusable: list[Unusable] = []
    for path in _listed(sources):
        try:
            picture = _look(path)
            _check_size(picture, scale, smallest)
            usable.append(picture if partners is None else _paired(picture, partners, scale))
        except MediaError as error:
            unusable.append(Unusable(path, str(error)))
    return Selection(tuple(usable), tuple(unusable))


def split_validation(pictures: Sequence[Picture], seed: int) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Split the pictures into those to train on and those held out; depends on names and the seed alone.

    Raises TrainingError when there are fewer than two.
    """
    if len(pictures) < 2:
        raise TrainingError("One usable picture is not enough, one has to be held out; add pictures or give --val.")
    count = min(MOST_HELD_OUT, max(1, min(FEW_HELD_OUT, len(pictures) // 4), round(HELD_OUT_SHARE * len(pictures))))
    ranked = sorted(pictures, key=lambda picture: hashlib.sha256(f"{seed}/{picture.path.name}".encode()).digest())
    held = set(ranked[:count])
    return tuple(p for p in pictures if p not in held), tuple(p for p in pictures if p in held)


def pictures_below(folder: Path) -> list[Path]:
    """List the pictures in a folder and its sub-folders, hidden ones left out, in the order of their names."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} does not exist; name a picture or a folder of pictures.")
    paths: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in paths if _is_picture(path)]


def _is_picture(path: Path) -> bool:
    return format_for_path(path) is not None or path.suffix.lower() in RAW_EXTENSIONS  # listed as unusable


def _listed(sources: Iterable[Path]) -> list[Path]:
    """List every picture once."""
    found: dict[Path, None] = {}
    for source in sources:
        found.update(dict.fromkeys([source] if source.is_file() else pictures_below(source)))
    return list(found)


def _look(path: Path) -> Picture:
    info = probe(path, LIMITS)
    if info.pages != 1:
        raise MediaError(f"{path} holds {info.pages} pictures; single ones are needed")
    return Picture(path, info.width, info.height)


def _check_size(picture: Picture, scale: int, smallest: int) -> None:
    least = smallest * scale
    if min(picture.width, picture.height) < least:
        size = f"{picture.width} x {picture.height} px"
        raise MediaError(f"{picture.path} has {size}; at least {least} x {least} are needed")


def _paired(picture: Picture, partners: Sequence[Path], scale: int) -> Picture:
    path = find_lr(picture.path, partners, scale)
    small = _look(path)
    if (small.width * scale, small.height * scale) != (picture.width, picture.height):
        raise MediaError(
            f"{picture.path} has {picture.width} x {picture.height} px; {scale} times its small picture would be "
            f"{small.width * scale} x {small.height * scale}"
        )
    return replace(picture, lr_path=path)
