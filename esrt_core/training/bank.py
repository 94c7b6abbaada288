"""The picture bank: every training picture's pixels, decoded once, in two flat arrays."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from esrt_core.errors import MediaError
from esrt_core.evaluation.pairs import read_pair
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.training.events import Unusable
from esrt_core.training.pictures import LIMITS, Picture

MOST_WORKERS = 16

Pixels = NDArray[np.uint8]
Table = NDArray[np.int64]  # a row a picture: LR height, LR width, first LR px, first HR px


@dataclass(frozen=True)
class PictureBank:
    """Hold pictures end to end: `lr` (n, 3) and `hr` (n * scale**2, 3), uint8 RGB, row-major inside each picture.

    `table` says where each begins. Both arrays may be maps of files on disk.
    """

    lr: Pixels
    hr: Pixels
    table: Table
    scale: int

    @property
    def nbytes(self) -> int:
        """Size of the pixels in bytes."""
        return self.lr.nbytes + self.hr.nbytes


def layout(pictures: Sequence[Picture], scale: int) -> Table:
    """Return the table of a bank that holds these pictures."""
    sizes = np.array([picture.lr_size(scale) for picture in pictures], np.int64).reshape(-1, 2)
    counts = sizes[:, 0] * sizes[:, 1]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return np.stack([sizes[:, 0], sizes[:, 1], first, first * scale**2], 1)


def lr_pixels(table: Table) -> int:
    """Return how many LR px a table describes."""
    return int((table[:, 0] * table[:, 1]).sum())


def empty_bank(pictures: Sequence[Picture], scale: int) -> PictureBank:
    """Make a bank in memory with room for the pictures."""
    table = layout(pictures, scale)
    count = lr_pixels(table)
    return PictureBank(np.empty((count, 3), np.uint8), np.empty((count * scale**2, 3), np.uint8), table, scale)


def fill(
    bank: PictureBank, pictures: Sequence[Picture], progress: ProgressCallback
) -> tuple[PictureBank, tuple[Unusable, ...]]:
    """Decode pictures into a bank with room for them, several at once.

    Returns the bank, whose table lacks those that turned out to be damaged, and these.
    """
    good: list[int] = []
    damaged: list[Unusable] = []
    for row, error in enumerate(_decoded(bank, pictures)):
        if error is None:
            good.append(row)
        else:
            damaged.append(Unusable(pictures[row].path, str(error)))
        progress(Progress("reading pictures", row + 1, len(pictures), "pictures"))
    return replace(bank, table=bank.table[good]), tuple(damaged)


def read_pixels(picture: Picture, scale: int) -> tuple[Pixels, Pixels]:
    """Read a picture as LR (h, w, 3) and HR (h * scale, w * scale, 3), uint8 RGB, LR as the evaluation makes it.

    Raises MediaError.
    """
    pair = read_pair(picture.path, picture.lr_path, scale, LIMITS)
    if pair.lr.shape[:2] != picture.lr_size(scale):
        raise MediaError(f"{picture.path} has not the size that its header says")
    return pair.lr, pair.hr


def _decoded(bank: PictureBank, pictures: Sequence[Picture]) -> Iterator[MediaError | None]:
    """Decode every picture into its place; yields, in their order, what was wrong with each."""

    def store(row: int) -> MediaError | None:
        try:
            lr, hr = read_pixels(pictures[row], bank.scale)
        except MediaError as error:
            return error
        _, _, first_lr, first_hr = bank.table[row]
        bank.lr[first_lr : first_lr + lr.size // 3] = lr.reshape(-1, 3)
        bank.hr[first_hr : first_hr + hr.size // 3] = hr.reshape(-1, 3)
        return None

    # The products of matrices in a picture's resampling would each take all cores, in every worker at once.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(min(MOST_WORKERS, os.cpu_count() or 1)) as pool,
    ):
        try:
            yield from pool.map(store, range(len(pictures)))
        finally:
            pool.shutdown(cancel_futures=True)
