"""Chroma planes: halved in size next to luma, and back, where the samples really lie.

Along a halved axis a chroma sample lies in the middle of two luma samples (centred: JPEG, and vertically everywhere)
or on the first of the two (left: MPEG-2 and every later video codec, horizontally).
"""

import torch
from torch import Tensor

MARGIN = 1  # chroma samples that `enlarge` needs beyond each end


def enlarge(x: Tensor, dim: int, left: bool) -> Tensor:
    """Double an axis by linear interpolation: n + 2 * MARGIN samples to 2 * n."""
    n = x.shape[dim] - 2 * MARGIN
    before, here, after = (x.narrow(dim, start, n) for start in range(3))
    pairs = (here, (here + after) / 2) if left else (0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after)
    return torch.stack(pairs, dim + 1).flatten(dim, dim + 1)


def halve(x: Tensor, dim: int, left: bool) -> Tensor:
    """Halve an axis of even length by averaging around each sample; the border is repeated."""
    steps = torch.arange(0, x.shape[dim], 2, device=x.device)
    even, odd = x.index_select(dim, steps), x.index_select(dim, steps + 1)
    if not left:
        return (even + odd) / 2
    before = torch.cat([even.narrow(dim, 0, 1), odd.narrow(dim, 0, len(steps) - 1)], dim)
    return 0.25 * before + 0.5 * even + 0.25 * odd
