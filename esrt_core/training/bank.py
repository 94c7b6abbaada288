"""The picture bank: every training picture's pixels, decoded once, in two flat arrays."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.resample import imresize
from esrt_core.training.events import Unusable
from esrt_core.training.pictures import Picture, Pixels, read_rgb8

Table = NDArray[np.int64]  # a row a picture: LR height, LR width, first LR px, first HR px
COLUMNS = ("height", "width", "first_lr", "first_hr")


@dataclass(frozen=True)
class PictureBank:
    """Hold pictures end to end: `lr` (n, 3) and `hr` (n * scale**2, 3), uint8 RGB, row-major inside each picture.

    `table` says where each begins. Both arrays may be maps of files on disk.
    """

    lr: Pixels
    hr: Pixels
    table: Table
    scale: int


def layout(pictures: Sequence[Picture], scale: int) -> Table:
    """Return the table of a bank that holds these pictures."""
    sizes = np.array([picture.lr_size(scale) for picture in pictures], np.int64).reshape(-1, 2)
    counts = sizes[:, 0] * sizes[:, 1]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return np.stack([sizes[:, 0], sizes[:, 1], first, first * scale**2], 1)


def lr_pixels(table: Table) -> int:
    """Return how many LR px a table describes."""
    return int((table[:, 0] * table[:, 1]).sum())


def bank_bytes(table: Table, scale: int) -> int:
    """Return the size of a bank."""
    return 3 * lr_pixels(table) * (1 + scale**2)


def fill_memory(
    pictures: Sequence[Picture], scale: int, workers: int, progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Decode all pictures into memory; also returns those that turned out to be damaged."""
    table = layout(pictures, scale)
    lr = np.empty((lr_pixels(table), 3), np.uint8)
    hr = np.empty((lr_pixels(table) * scale**2, 3), np.uint8)
    good, damaged = fill(lr, hr, table, pictures, scale, workers, progress)
    return PictureBank(lr, hr, table[good], scale), damaged


def fill(
    lr: Pixels,
    hr: Pixels,
    table: Table,
    pictures: Sequence[Picture],
    scale: int,
    workers: int,
    progress: ProgressCallback,
) -> tuple[list[int], tuple[Unusable, ...]]:
    """Decode pictures into the arrays, several at once; return the rows that are filled, and what was damaged."""
    good: list[int] = []
    damaged: list[Unusable] = []

    def store(row: int) -> MediaError | None:
        try:
            small, large = read_pair(pictures[row], scale)
        except MediaError as error:
            return error
        _, _, first_lr, first_hr = table[row]
        lr[first_lr : first_lr + small.shape[0] * small.shape[1]] = small.reshape(-1, 3)
        hr[first_hr : first_hr + large.shape[0] * large.shape[1]] = large.reshape(-1, 3)
        return None

    for row, error in enumerate(_parallel(store, len(pictures), workers)):
        if error is None:
            good.append(row)
        else:
            damaged.append(Unusable(pictures[row].path, str(error)))
        progress(Progress("reading pictures", row + 1, len(pictures), "pictures"))
    return good, tuple(damaged)


def _parallel(store: Callable[[int], MediaError | None], count: int, workers: int) -> Iterator[MediaError | None]:
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(store, range(count))
        finally:
            pool.shutdown(cancel_futures=True)


def read_pair(picture: Picture, scale: int) -> tuple[Pixels, Pixels]:
    """Read a picture as LR (h, w, 3) and HR (h * scale, w * scale, 3), uint8 RGB.

    The LR is made by MATLAB's bicubic, rounded to 8 bits, unless it is given. Raises MediaError.
    """
    height, width = picture.lr_size(scale)
    large = read_rgb8(picture.path)
    if large.shape[:2] != (picture.height, picture.width):
        raise MediaError("its header and its pixels have different sizes")
    large = large[: height * scale, : width * scale]
    if picture.lr_path is None:
        return imresize(large, height, width), large
    small = read_rgb8(picture.lr_path)
    if small.shape[:2] != (height, width):
        raise MediaError("the small picture's header and its pixels have different sizes")
    return small, large


def default_workers() -> int:
    """Return how many pictures to decode at once."""
    return min(16, os.cpu_count() or 1)
