"""The data of a run: chosen, split, decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from esrt_core.errors import TrainingError
from esrt_core.progress import ProgressCallback
from esrt_core.training.bank import PictureBank, empty_bank, fill, layout, lr_pixels
from esrt_core.training.degradation import region_side
from esrt_core.training.distributed import Replica
from esrt_core.training.events import TrainObserver, Unusable
from esrt_core.training.memory import available_bytes
from esrt_core.training.options import TrainOptions
from esrt_core.training.pictures import Picture, Selection, find_pictures, hold_out
from esrt_core.training.schedule import Stage
from esrt_core.training.store import cache_folder, open_store

MEMORY_SHARE = 0.6  # of the available memory that decoded pictures may take
MIN_VALIDATION_SIDE = 16  # LR px


@dataclass(frozen=True)
class Data:
    """Hold the pictures of a run, split."""

    training: tuple[Picture, ...]
    held_out: tuple[Picture, ...]

    def without(self, unusable: Sequence[Unusable]) -> "Data":
        """Leave out held-out pictures that turned out to be unusable."""
        paths = {each.path for each in unusable}
        return replace(self, held_out=tuple(picture for picture in self.held_out if picture.path not in paths))

    def summary(self) -> dict[str, object]:
        """Return what run.json says about the data."""
        return {
            "training_pictures": len(self.training),
            "training_pixels": sum(picture.width * picture.height for picture in self.training),
            "held_out": [str(picture.path) for picture in self.held_out],
        }


def choose_data(options: TrainOptions, stages: Sequence[Stage], observer: TrainObserver) -> Data:
    """Find the pictures and split them; reports those that cannot be used.

    Raises TrainingError where none can, or where no two different ones are left to train and to validate on.
    """
    patch = max(stage.patch for stage in stages)
    smallest = patch if options.degrade == "none" else region_side(patch)
    found = _usable(options.sources, options, smallest, observer)
    if options.val is None:
        return Data(*hold_out(found.usable, options.seed))
    held_out = _usable((options.val,), options, MIN_VALIDATION_SIDE, observer).usable
    own = {picture.path.resolve() for picture in held_out}
    training = tuple(picture for picture in found.usable if picture.path.resolve() not in own)
    if not training:
        raise TrainingError(f"Every picture is also in {options.val}; training and validation need different ones.")
    return Data(training, held_out)


def decode(
    pictures: Sequence[Picture], scale: int, own: Replica, observer: TrainObserver, progress: ProgressCallback
) -> PictureBank:
    """Decode the training pictures into memory, or into a store that the processes of this machine share.

    Raises TrainingError where none can be decoded, or where neither memory nor disk can hold them.
    """
    if own.world > 1 or _bytes(pictures, scale) > MEMORY_SHARE * available_bytes():
        bank, damaged = _shared(pictures, scale, own, progress)
    else:
        bank, damaged = fill(empty_bank(pictures, scale), pictures, progress)
    for each in damaged:
        observer(each)
    if not len(bank.table):
        raise TrainingError(f"Every picture is damaged, such as {damaged[0].path}: {damaged[0].reason}.")
    return bank


def _shared(
    pictures: Sequence[Picture], scale: int, own: Replica, progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Let one process a machine build the store."""
    cache: Path = cache_folder()
    if own.local_rank == 0:
        open_store(cache, pictures, scale, progress)
    own.wait()
    return open_store(cache, pictures, scale, progress)


def _bytes(pictures: Sequence[Picture], scale: int) -> int:
    return 3 * lr_pixels(layout(pictures, scale)) * (1 + scale**2)


def _usable(sources: tuple[Path, ...], options: TrainOptions, smallest: int, observer: TrainObserver) -> Selection:
    found = find_pictures(sources, options.scale, smallest, options.lr_dir)
    for each in found.unusable:
        observer(each)
    if not found.usable:
        names = ", ".join(map(str, sources))
        reason = f"; {found.unusable[0].reason}" if found.unusable else ""
        raise TrainingError(f"No usable picture in {names}{reason}.")
    return found
