"""The data of a run: choose pictures, split off the validation set, and decode each picture once into a bank.

A bank holds all pixels in two flat arrays: in memory, or in memory-mapped files (a store) if memory cannot hold them or
several processes share them.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.decoding import DecodeError, decode_json
from esrt_core.errors import MediaError, TrainingError
from esrt_core.evaluation.dataset import read_pair
from esrt_core.files import free_bytes, make_folder
from esrt_core.media.image.picture import ReadLimits
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.system.memory import available_bytes
from esrt_core.training.degradation import region_side
from esrt_core.training.distributed import Replica
from esrt_core.training.events import TrainObserver, Unusable
from esrt_core.training.options import TrainOptions
from esrt_core.training.pictures import Picture, Selection, find_pictures, split_validation
from esrt_core.training.schedule import Stage
from esrt_core.weights.settings import store_options

MAX_WORKERS = 16
MEMORY_SHARE = 0.6  # of the available memory, for decoded pictures
MIN_VALIDATION_SIDE = 16  # LR px
VERSION = 1
SPARE_BYTES = 64 * 2**20  # left free on the disk of a store
LR, HR, METADATA = "lr.u8", "hr.u8", "store.json"

Pixels = NDArray[np.uint8]
Table = NDArray[np.int64]  # a row per picture: LR height, LR width, index of the first LR px, of the first HR px


@dataclass(frozen=True)
class PictureBank:
    """Hold concatenated pictures: `lr` (n, 3) and `hr` (n * scale**2, 3), uint8 RGB, row-major inside each picture.

    `table` holds the size and the offset of each. Both arrays may be memory maps.
    """

    lr: Pixels
    hr: Pixels
    table: Table
    scale: int

    @property
    def nbytes(self) -> int:
        """Size of the pixels in bytes."""
        return self.lr.nbytes + self.hr.nbytes


@dataclass(frozen=True)
class Data:
    """Hold the pictures of a run, split into training and validation."""

    training: tuple[Picture, ...]
    held_out: tuple[Picture, ...]

    def without(self, unusable: Sequence[Unusable]) -> "Data":
        """Return the data without held-out pictures that turned out to be unusable."""
        paths = {each.path for each in unusable}
        return replace(self, held_out=tuple(picture for picture in self.held_out if picture.path not in paths))

    def summary(self) -> dict[str, object]:
        """Return the entry of run.json about the data."""
        return {
            "training_pictures": len(self.training),
            "training_pixels": sum(picture.width * picture.height for picture in self.training),
            "held_out": [str(picture.path) for picture in self.held_out],
        }


def choose_data(options: TrainOptions, stages: Sequence[Stage], observer: TrainObserver) -> Data:
    """Find the pictures and split them; report unusable ones to the observer.

    Raises: TrainingError if no picture is usable, or if training and validation do not each get one of their own.
    """
    patch = max(stage.patch for stage in stages)
    smallest = patch if options.degrade == "none" else region_side(patch)
    found = _usable(options.sources, options, smallest, observer)
    if options.val is None:
        return Data(*split_validation(found.usable, options.seed))
    held_out = _usable((options.val,), options, MIN_VALIDATION_SIDE, observer).usable
    own = {picture.path.resolve() for picture in held_out}
    training = tuple(picture for picture in found.usable if picture.path.resolve() not in own)
    if not training:
        raise TrainingError(f"every picture is also in {options.val}; use different pictures for --val")
    return Data(training, held_out)


def decode(
    pictures: Sequence[Picture], scale: int, replica: Replica, observer: TrainObserver, progress: ProgressCallback
) -> PictureBank:
    """Decode the training pictures into memory, or into a store shared by the processes of this machine.

    Raises: TrainingError if none can be decoded, or if neither memory nor disk can hold them.
    """
    if replica.world > 1 or _bytes(pictures, scale) > MEMORY_SHARE * available_bytes():
        bank, damaged = _shared_bank(pictures, scale, replica, progress)
    else:
        bank, damaged = fill(empty_bank(pictures, scale), pictures, progress)
    for each in damaged:
        observer(each)
    if not len(bank.table):
        raise TrainingError(f"every picture is damaged, such as {damaged[0].path}: {damaged[0].reason}")
    return bank


def layout(pictures: Sequence[Picture], scale: int) -> Table:
    """Return the table of a bank of these pictures."""
    sizes = np.array([picture.lr_size(scale) for picture in pictures], np.int64).reshape(-1, 2)
    counts = sizes[:, 0] * sizes[:, 1]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return np.stack([sizes[:, 0], sizes[:, 1], first, first * scale**2], 1)


def lr_pixels(table: Table) -> int:
    """Return the number of LR px in a bank with this table."""
    return int((table[:, 0] * table[:, 1]).sum())


def empty_bank(pictures: Sequence[Picture], scale: int) -> PictureBank:
    """Return an uninitialized bank in memory with room for the pictures."""
    table = layout(pictures, scale)
    count = lr_pixels(table)
    return PictureBank(np.empty((count, 3), np.uint8), np.empty((count * scale**2, 3), np.uint8), table, scale)


def fill(
    bank: PictureBank, pictures: Sequence[Picture], progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Decode pictures in parallel into a bank with room for them.

    Returns the bank, without the rows of damaged pictures, and the damaged pictures.
    """
    good: list[int] = []
    damaged: list[Unusable] = []
    for row, error in enumerate(_decode_all(bank, pictures)):
        if error is None:
            good.append(row)
        else:
            damaged.append(Unusable(pictures[row].path, str(error)))
        progress(Progress("reading pictures", row + 1, len(pictures), "pictures"))
    return replace(bank, table=bank.table[good]), tuple(damaged)


def read_pixels(picture: Picture, scale: int) -> tuple[Pixels, Pixels]:
    """Read a picture as LR (h, w, 3) and HR (h * scale, w * scale, 3), uint8 RGB, with LR made as in evaluation.

    Raises: MediaError if the picture or its given LR cannot be read.
    """
    pair = read_pair(picture.path, picture.lr_path, scale, picture.limits)
    if pair.lr.shape[:2] != picture.lr_size(scale):
        raise MediaError(f"{picture.path} does not match the size in its header")
    return pair.lr, pair.hr


def cache_folder() -> Path:
    """Return the folder that holds all stores."""
    return store_options().cache / "training"


def open_store(
    cache: Path, pictures: Sequence[Picture], scale: int, progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Map the store of these pictures, building it if it is missing or stale; also return the damaged pictures.

    The pictures' paths identify a store. It is rebuilt in place if the size or modification time of a file has changed.

    Raises: TrainingError if the disk is too full.
    """
    folder = cache / _digest([str(picture.path.resolve()) for picture in pictures], scale)[:16]
    stamp = _digest([_stamp(picture) for picture in pictures], scale)
    full = layout(pictures, scale)
    content = _read_store(folder, stamp, full, scale)
    if content is None:
        _build(folder, stamp, pictures, scale, progress)
        content = _read_store(folder, stamp, full, scale)
    if content is None:
        raise TrainingError(f"{folder} was changed while it was written; run one training at a time there")
    table = np.array(content.table, np.int64).reshape(-1, 4)
    damaged = tuple(Unusable(Path(path), reason) for path, reason in content.damaged)
    return _map(folder, table, full, scale), damaged


def _usable(sources: tuple[Path, ...], options: TrainOptions, smallest: int, observer: TrainObserver) -> Selection:
    found = find_pictures(sources, options.scale, smallest, options.lr_dir, ReadLimits(options.max_pixels))
    for each in found.unusable:
        observer(each)
    if not found.usable:
        names = ", ".join(map(str, sources))
        reason = f"; {found.unusable[0].reason}" if found.unusable else ""
        raise TrainingError(f"no usable picture in {names}{reason}")
    return found


def _shared_bank(
    pictures: Sequence[Picture], scale: int, replica: Replica, progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Open the store, built by one process per machine."""
    cache: Path = cache_folder()
    if replica.local_rank == 0:
        open_store(cache, pictures, scale, progress)
    replica.wait()
    return open_store(cache, pictures, scale, progress)


def _bytes(pictures: Sequence[Picture], scale: int) -> int:
    return 3 * lr_pixels(layout(pictures, scale)) * (1 + scale**2)


def _decode_all(bank: PictureBank, pictures: Sequence[Picture]) -> Iterator[MediaError | None]:
    """Decode every picture into the bank; yield, in order, the error of each or None."""

    from threadpoolctl import threadpool_limits  # of the extra `train`, see check_packages()

    def store(row: int) -> MediaError | None:
        try:
            lr, hr = read_pixels(pictures[row], bank.scale)
        except MediaError as error:
            return error
        _, _, first_lr, first_hr = bank.table[row]
        bank.lr[first_lr : first_lr + lr.size // 3] = lr.reshape(-1, 3)
        bank.hr[first_hr : first_hr + hr.size // 3] = hr.reshape(-1, 3)
        return None

    # Otherwise the matrix products of the resampling would use all cores in every worker at once.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1)) as pool,
    ):
        try:
            yield from pool.map(store, range(len(pictures)))
        finally:
            pool.shutdown(cancel_futures=True)


def _build(folder: Path, stamp: str, pictures: Sequence[Picture], scale: int, progress: ProgressCallback) -> None:
    table = layout(pictures, scale)
    make_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    _check_room(folder.parent, table, scale)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".esrt-tmp-") as name:
        temporary = Path(name, "store")
        temporary.mkdir()
        for file, size in ((LR, 3 * lr_pixels(table)), (HR, 3 * lr_pixels(table) * scale**2)):
            with _report_errors(folder):
                _reserve(temporary / file, size)
        bank, damaged = fill(_map(temporary, table, table, scale, "r+"), pictures, progress)
        metadata = {
            "stamp": stamp,
            "table": bank.table.tolist(),
            "damaged": [(str(each.path), each.reason) for each in damaged],
        }
        with _report_errors(folder):
            Path(temporary, METADATA).write_text(json.dumps(metadata), "utf-8")
            temporary.rename(folder)


def _reserve(path: Path, size: int) -> None:
    """Make a file with all its blocks: a disk that fills up while a mapped file is written would kill the process."""
    with path.open("wb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
        else:
            stream.truncate(size)


@contextmanager
def _report_errors(folder: Path) -> Iterator[None]:
    """Report an OSError as a TrainingError that names the folder of the store."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written ({error.strerror}); free some space and rerun") from error


def _check_room(folder: Path, table: Table, scale: int) -> None:
    need, free = 3 * lr_pixels(table) * (1 + scale**2), free_bytes(folder)
    if need + SPARE_BYTES > free:
        raise TrainingError(
            f"the pictures do not fit into memory, and storing them decoded takes {need / 1e9:.1f} GB in {folder}, "
            f"which has {free / 1e9:.1f} GB free; free some space, use fewer pictures, or set ESRT_HOME to a folder "
            "on another disk"
        )


def _map(folder: Path, table: Table, full_table: Table, scale: int, mode: Any = "c") -> PictureBank:
    """Map the files, copy-on-write by default, as a bank with `table`; `full_table` also counts damaged pictures."""
    count = lr_pixels(full_table)
    lr: Pixels = np.memmap(folder / LR, np.uint8, mode, shape=(count, 3))
    hr: Pixels = np.memmap(folder / HR, np.uint8, mode, shape=(count * scale**2, 3))
    return PictureBank(lr, hr, table, scale)


@dataclass(frozen=True)
class _Content:
    """Hold what a store's metadata say: the table's rows, and the path and reason of each damaged picture."""

    stamp: str
    table: list[tuple[int, int, int, int]]
    damaged: list[tuple[str, str]]


def _read_store(folder: Path, stamp: str, full: Table, scale: int) -> _Content | None:
    """Return what a store holds; None if it is missing, stale or damaged, so that it must be built."""
    try:
        content = decode_json((folder / METADATA).read_bytes(), _Content)
        sizes = [(folder / name).stat().st_size for name in (LR, HR)]
    except (OSError, DecodeError):
        return None
    whole = sizes == [3 * lr_pixels(full), 3 * lr_pixels(full) * scale**2]
    known = {tuple(row) for row in full.tolist()}
    return content if content.stamp == stamp and whole and known.issuperset(content.table) else None


def _stamp(picture: Picture) -> list[object]:
    paths = [picture.path] if picture.lr_path is None else [picture.path, picture.lr_path]
    return [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _digest(content: object, scale: int) -> str:
    return hashlib.sha256(json.dumps([VERSION, scale, content]).encode()).hexdigest()
