"""The patch store: a picture bank on disk, for pictures that memory cannot hold or that several processes share."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esrt_core.errors import TrainingError
from esrt_core.files import free_bytes
from esrt_core.progress import ProgressCallback
from esrt_core.training.bank import PictureBank, Pixels, Table, fill, layout, lr_pixels
from esrt_core.training.events import Unusable
from esrt_core.training.pictures import Picture
from esrt_core.weights.settings import store_options

VERSION = 1
SPARE = 64 * 2**20  # bytes left free beside a store
LR, HR, ABOUT = "lr.u8", "hr.u8", "store.json"


def cache_folder() -> Path:
    """Return the folder of all stores."""
    return store_options().cache / "training"


def open_store(
    cache: Path, pictures: Sequence[Picture], scale: int, progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Map the store of these pictures, built first unless it is there; also returns the damaged pictures.

    A store belongs to its pictures' paths. It is built anew, in its old place, when a size or a time has changed.
    Raises TrainingError when the disk has no room for it.
    """
    folder = cache / _digest([str(picture.path.resolve()) for picture in pictures], scale)[:16]
    stamp = _digest([_stamp(picture) for picture in pictures], scale)
    about = _read_about(folder)
    if about.get("stamp") != stamp:
        _build(folder, stamp, pictures, scale, progress)
        about = _read_about(folder)
    table = np.array(about["table"], np.int64).reshape(-1, 4)
    damaged = tuple(Unusable(Path(path), reason) for path, reason in about["damaged"])
    return _map(folder, table, layout(pictures, scale), scale), damaged


def _build(folder: Path, stamp: str, pictures: Sequence[Picture], scale: int, progress: ProgressCallback) -> None:
    table = layout(pictures, scale)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    _check_room(folder.parent, table, scale)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".esrt-tmp-") as name:
        temporary = Path(name, "store")
        temporary.mkdir()
        for file, size in ((LR, 3 * lr_pixels(table)), (HR, 3 * lr_pixels(table) * scale**2)):
            with Path(temporary, file).open("wb") as stream:
                stream.truncate(size)
        bank, damaged = fill(_map(temporary, table, table, scale, "r+"), pictures, progress)
        about = {
            "stamp": stamp,
            "table": bank.table.tolist(),
            "damaged": [(str(each.path), each.reason) for each in damaged],
        }
        Path(temporary, ABOUT).write_text(json.dumps(about), "utf-8")
        temporary.rename(folder)


def _check_room(folder: Path, table: Table, scale: int) -> None:
    need, free = 3 * lr_pixels(table) * (1 + scale**2), free_bytes(folder)
    if need + SPARE > free:
        raise TrainingError(
            f"The pictures do not fit into memory, and their store needs {need / 1e9:.1f} GB in {folder}, which has "
            f"{free / 1e9:.1f} GB free; make room, use fewer pictures, or set ESRT_HOME to a folder on another disk."
        )


def _map(folder: Path, table: Table, whole: Table, scale: int, mode: Any = "c") -> PictureBank:
    """Map the files; in mode "c" nothing is ever written back."""
    count = lr_pixels(whole)
    lr: Pixels = np.memmap(folder / LR, np.uint8, mode, shape=(count, 3))
    hr: Pixels = np.memmap(folder / HR, np.uint8, mode, shape=(count * scale**2, 3))
    return PictureBank(lr, hr, table, scale)


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # no store, or not a whole one: it is built
    return content


def _stamp(picture: Picture) -> list[object]:
    paths = [picture.path] if picture.lr_path is None else [picture.path, picture.lr_path]
    return [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _digest(content: object, scale: int) -> str:
    return hashlib.sha256(json.dumps([VERSION, scale, content]).encode()).hexdigest()
