"""Batches: draw the crops of a step and gather their pixels on the device."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.training.bank import PictureBank
from esrt_core.training.degradation import Damage, degrade, draw_damage, region_side

ORIENTATIONS = 8  # flips and rotations of a square
CANDIDATES = 2  # crops drawn per sample, of which the most detailed is used
GPU_SHARE = 0.6  # of the free GPU memory, for the pictures

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Crops:
    """Hold square crops as tensors of one shape: row of the bank's table, top and left LR px, orientation."""

    rows: Tensor
    top: Tensor
    left: Tensor
    orientation: Tensor

    def select(self, choice: Tensor) -> "Crops":
        """Return the chosen one (B,) of the candidates (B, CANDIDATES) of each sample."""
        index = choice[:, None]
        return Crops(*(x.gather(1, index)[:, 0] for x in (self.rows, self.top, self.left, self.orientation)))


def draw_crops(random: np.random.Generator, table: NDArray[np.int64], patch: int, count: int) -> NDArray[np.int64]:
    """Draw crops as (4, count, CANDIDATES): row, top, left, orientation; pictures in proportion to their area."""
    heights, widths = table[:, 0], table[:, 1]
    ends = np.cumsum(heights * widths)
    shape = (count, CANDIDATES)
    rows = np.searchsorted(ends, random.integers(0, ends[-1], shape), side="right")
    top = random.integers(0, heights[rows] - patch + 1)
    left = random.integers(0, widths[rows] - patch + 1)
    return np.stack([rows, top, left, random.integers(0, ORIENTATIONS, shape)])


class Sampler:
    """Draw batches from a bank, depending only on the seed and the step, so that a resumed run needs no saved order.

    The pixels are kept on the device if they fit into its memory, else on the CPU, and gathered there.
    """

    def __init__(self, bank: PictureBank, seed: int, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.scale = bank.scale
        self.seed = seed
        self.device = device
        self.rank = rank
        self.world = world
        storage = device if _fits(bank, device) else torch.device("cpu")
        self.table = bank.table
        self._table = torch.from_numpy(bank.table).to(storage)
        self._lr = torch.from_numpy(bank.lr).to(storage)
        self._hr = torch.from_numpy(bank.hr).to(storage)

    def batch(self, step: int, patch: int, count: int) -> Batch:
        """Return this process's share of the batch of a step, with LR from the bank.

        LR is (B, 3, patch, patch), HR (B, 3, patch * scale, patch * scale), float32 RGB in [0, 1], channels last in
        memory.
        """
        lr, hr = self._crops(np.random.default_rng((self.seed, step)), patch, count)
        return as_input(lr).to(self.device), as_input(hr).to(self.device)

    def damaged_batch(self, step: int, patch: int, count: int) -> Batch:
        """Return a batch like batch(), with LR made from HR by random degradation."""
        random = np.random.default_rng((self.seed, step))
        side = region_side(patch)
        hr = as_input(self._crops(random, side, count)[1]).to(self.device)
        drawn = draw_damage(random, count)
        damage = Damage(**{name: self._share(values) for name, values in vars(drawn).items()})
        lr = degrade(hr, self.scale, damage, int(random.integers(2**62)) + self.rank)
        top, left = (int(offset) for offset in random.integers(0, side - patch + 1, 2))
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
        return lr, self._gather(self._hr, crops.select(choice), side, self.scale)

    def _gather(self, pixels: Tensor, crops: Crops, side: int, factor: int) -> Tensor:
        """Return uint8 crops (..., side * factor, side * factor, 3) of LR (factor 1) or HR (factor = scale)."""
        _, width, first_lr, first_hr = self._table[crops.rows].unbind(-1)
        first = (first_lr if factor == 1 else first_hr) + crops.top * width * factor**2 + crops.left * factor
        down, across = oriented_grid(side * factor, pixels.device)
        indices = (
            first[..., None, None]
            + down[crops.orientation] * (width * factor)[..., None, None]
            + across[crops.orientation]
        )
        return pixels[indices]


def _fits(bank: PictureBank, device: torch.device) -> bool:
    if device.type != "cuda":
        return device.type == "cpu"
    free, _ = torch.cuda.mem_get_info(device)
    return bank.lr.nbytes + bank.hr.nbytes < GPU_SHARE * free


@lru_cache(maxsize=8)
def oriented_grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the row and column of every pixel of a square in each orientation: two (ORIENTATIONS, side, side)."""
    rows, columns = np.indices((side, side), np.int64)
    poses = [(k, flip) for flip in (False, True) for k in range(4)]
    oriented = (np.stack([np.rot90(grid.T if flip else grid, k) for k, flip in poses]) for grid in (rows, columns))
    down, across = (torch.from_numpy(grid).to(device) for grid in oriented)
    return down, across


def detail(crops: Tensor) -> Tensor:
    """Return the detail in uint8 crops (..., H, W, 3): the mean absolute difference of neighboring pixels in green."""
    green = crops[..., 1].float()
    across = (green[..., :, 1:] - green[..., :, :-1]).abs().mean((-2, -1))
    down = (green[..., 1:, :] - green[..., :-1, :]).abs().mean((-2, -1))
    return across + down


def as_input(pixels: Tensor) -> Tensor:
    """Convert uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)


def _cut(pixels: Tensor, top: int, left: int, side: int) -> Tensor:
    return pixels[..., top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)
