"""Batches: which crops are due at a step, and their pixels gathered on the device."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.training.bank import PictureBank

TURNS = 8  # flips and rotations of a square
CANDIDATES = 2  # crops drawn for each one taken: the more detailed is

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Crops:
    """Name square crops: rows of the bank's table, top left LR px and the turn of each. All have one shape."""

    rows: Integers
    top: Integers
    left: Integers
    turn: Integers


def draw_crops(bank: PictureBank, patch: int, count: int, seed: int, step: int) -> Crops:
    """Draw `count` x CANDIDATES crops, pictures in proportion to their size.

    The draw depends on the seed and the step alone, so that there is no order of the data to save.
    """
    random = np.random.default_rng((seed, step))
    heights, widths = bank.table[:, 0], bank.table[:, 1]
    ends = np.cumsum(heights * widths)
    shape = (count, CANDIDATES)
    rows = np.searchsorted(ends, random.integers(0, ends[-1], shape), side="right")
    top = random.integers(0, heights[rows] - patch + 1)
    left = random.integers(0, widths[rows] - patch + 1)
    return Crops(rows, top, left, random.integers(0, TURNS, shape))


class Sampler:
    """Make batches from a bank. Pixels are gathered where the bank's tensors are."""

    def __init__(self, bank: PictureBank, seed: int, rank: int = 0, world: int = 1, device: str = "cpu") -> None:
        self.bank = bank
        self.seed = seed
        self.share = slice(rank, None, world)
        self.lr = torch.from_numpy(bank.lr).to(device)
        self.hr = torch.from_numpy(bank.hr).to(device)

    def batch(self, step: int, patch: int, count: int) -> tuple[Tensor, Tensor]:
        """Return this process's share of the batch of a step.

        LR (B, 3, patch, patch) and HR (B, 3, patch * scale, ...), float32 RGB in [0, 1], channels last in memory.
        """
        drawn = draw_crops(self.bank, patch, count, self.seed, step)
        crops = Crops(*(values[self.share] for values in (drawn.rows, drawn.top, drawn.left, drawn.turn)))
        candidates = self._gather(self.lr, crops, patch, 1)  # (B, CANDIDATES, patch, patch, 3)
        best = detail(candidates).argmax(1)
        chosen = np.arange(len(best)), best.cpu().numpy()
        taken = Crops(*(values[chosen] for values in (crops.rows, crops.top, crops.left, crops.turn)))
        small = candidates[torch.arange(len(best), device=best.device), best]
        return as_input(small), as_input(self._gather(self.hr, taken, patch, self.bank.scale))

    def _gather(self, pixels: Tensor, crops: Crops, patch: int, factor: int) -> Tensor:
        """Return uint8 crops (..., side, side, 3) of LR (factor 1) or HR (factor = scale), side = patch * factor."""
        _, width, first_lr, first_hr = np.moveaxis(self.bank.table[crops.rows], -1, 0)
        first = (first_lr if factor == 1 else first_hr) + (crops.top * factor) * (width * factor) + crops.left * factor
        down, across = turned_grid(patch * factor)
        indices = first[..., None, None] + down[crops.turn] * (width * factor)[..., None, None] + across[crops.turn]
        return pixels[torch.from_numpy(indices).to(pixels.device)]


@lru_cache(maxsize=8)
def turned_grid(side: int) -> tuple[Integers, Integers]:
    """Return the row and the column of every pixel of a square under each turn: two arrays (TURNS, side, side)."""
    rows, columns = np.indices((side, side), np.int64)
    turns = [(k, flip) for flip in (False, True) for k in range(4)]
    turned = [[np.rot90(grid.T if flip else grid, k) for k, flip in turns] for grid in (rows, columns)]
    return np.stack(turned[0]), np.stack(turned[1])


def detail(crops: Tensor) -> Tensor:
    """Return how much there is to see in uint8 crops (..., H, W, 3): the mean step between neighbouring pixels."""
    green = crops[..., 1].float()
    across = (green[..., :, 1:] - green[..., :, :-1]).abs().mean((-2, -1))
    down = (green[..., 1:, :] - green[..., :-1, :]).abs().mean((-2, -1))
    return across + down


def as_input(pixels: Tensor) -> Tensor:
    """Turn uint8 (B, H, W, 3) into float32 (B, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float().div_(255)
