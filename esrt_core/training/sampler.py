"""Batches: which crops are due at a step, and their pixels gathered on the device."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.training.bank import PictureBank
from esrt_core.training.degradation import Damage, degrade, draw_damage, region_side

TURNS = 8  # flips and rotations of a square
CANDIDATES = 2  # crops drawn for each one taken: the more detailed is
GPU_SHARE = 0.6  # of the free memory that the pictures may take

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Crops:
    """Name square crops: rows of the bank's table, top left LR px and the turn of each. All have one shape."""

    rows: Tensor
    top: Tensor
    left: Tensor
    turn: Tensor

    def taken(self, choice: Tensor) -> "Crops":
        """Return one of the candidates (B, CANDIDATES) of each sample."""
        index = choice[:, None]
        return Crops(*(x.gather(1, index)[:, 0] for x in (self.rows, self.top, self.left, self.turn)))


def draw_crops(random: np.random.Generator, table: NDArray[np.int64], patch: int, count: int) -> NDArray[np.int64]:
    """Draw crops as (4, count, CANDIDATES): row, top, left and turn; pictures in proportion to their size."""
    heights, widths = table[:, 0], table[:, 1]
    ends = np.cumsum(heights * widths)
    shape = (count, CANDIDATES)
    rows = np.searchsorted(ends, random.integers(0, ends[-1], shape), side="right")
    top = random.integers(0, heights[rows] - patch + 1)
    left = random.integers(0, widths[rows] - patch + 1)
    return np.stack([rows, top, left, random.integers(0, TURNS, shape)])


class Sampler:
    """Make batches from a bank. What is drawn depends on the seed and the step alone: there is no order to save.

    The pixels lie on the device when its memory holds them, and are gathered where they lie.
    """

    def __init__(self, bank: PictureBank, seed: int, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.scale = bank.scale
        self.seed = seed
        self.device = device
        self.rank = rank
        self.world = world
        home = device if _fits(bank, device) else torch.device("cpu")
        self.table = bank.table
        self._table = torch.from_numpy(bank.table).to(home)
        self._lr = torch.from_numpy(bank.lr).to(home)
        self._hr = torch.from_numpy(bank.hr).to(home)

    def batch(self, step: int, patch: int, count: int) -> Batch:
        """Return this process's share of the batch of a step, LR as in the bank.

        LR (B, 3, patch, patch) and HR (B, 3, patch * scale, ...), float32 RGB in [0, 1], channels last in memory.
        """
        lr, hr = self._crops(np.random.default_rng((self.seed, step)), patch, count)
        return as_input(lr).to(self.device), as_input(hr).to(self.device)

    def damaged_batch(self, step: int, patch: int, count: int) -> Batch:
        """Return what batch() does with LR made from HR by random damage."""
        random = np.random.default_rng((self.seed, step))
        side = region_side(patch)
        hr = as_input(self._crops(random, side, count)[1]).to(self.device)
        drawn = draw_damage(random, count)
        damage = Damage(**{name: self._share(values) for name, values in vars(drawn).items()})
        lr = degrade(hr, self.scale, damage, int(random.integers(2**62)) + self.rank)
        top, left = (int(place) for place in random.integers(0, side - patch + 1, 2))
        return _cut(lr, top, left, patch), _cut(hr, top * self.scale, left * self.scale, patch * self.scale)

    def _share(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(values[self.rank :: self.world])

    def _crops(self, random: np.random.Generator, side: int, count: int) -> Batch:
        """Return uint8 LR (B, side, side, 3) and HR."""
        drawn = draw_crops(random, self.table, side, count)[:, self.rank :: self.world]
        crops = Crops(*torch.from_numpy(drawn).to(self._lr.device))
        candidates = self._gather(self._lr, crops, side, 1)  # (B, CANDIDATES, side, side, 3)
        choice = detail(candidates).argmax(1)
        lr = candidates[torch.arange(len(choice), device=choice.device), choice]
        return lr, self._gather(self._hr, crops.taken(choice), side, self.scale)

    def _gather(self, pixels: Tensor, crops: Crops, side: int, factor: int) -> Tensor:
        """Return uint8 crops (..., side * factor, side * factor, 3) of LR (factor 1) or HR (factor = scale)."""
        _, width, first_lr, first_hr = self._table[crops.rows].unbind(-1)
        first = (first_lr if factor == 1 else first_hr) + crops.top * width * factor**2 + crops.left * factor
        down, across = turned_grid(side * factor, pixels.device)
        indices = first[..., None, None] + down[crops.turn] * (width * factor)[..., None, None] + across[crops.turn]
        return pixels[indices]


def _fits(bank: PictureBank, device: torch.device) -> bool:
    if device.type != "cuda":
        return device.type == "cpu"
    free, _ = torch.cuda.mem_get_info(device)
    return bank.lr.nbytes + bank.hr.nbytes < GPU_SHARE * free


@lru_cache(maxsize=8)
def turned_grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every pixel of a square under each turn: two tensors (TURNS, side, side)."""
    rows, columns = np.indices((side, side), np.int64)
    turns = [(k, flip) for flip in (False, True) for k in range(4)]
    turned = (np.stack([np.rot90(grid.T if flip else grid, k) for k, flip in turns]) for grid in (rows, columns))
    down, across = (torch.from_numpy(grid).to(device) for grid in turned)
    return down, across


def detail(crops: Tensor) -> Tensor:
    """Return how much there is to see in uint8 crops (..., H, W, 3): the mean step between neighboring pixels."""
    green = crops[..., 1].float()
    across = (green[..., :, 1:] - green[..., :, :-1]).abs().mean((-2, -1))
    down = (green[..., 1:, :] - green[..., :-1, :]).abs().mean((-2, -1))
    return across + down


def as_input(pixels: Tensor) -> Tensor:
    """Turn uint8 (B, H, W, 3) into float32 (B, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def _cut(pixels: Tensor, top: int, left: int, side: int) -> Tensor:
    return pixels[..., top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)
