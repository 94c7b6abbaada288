"""The efficient transformer of ESRT: EMHA, MLP and ET (arXiv 2108.11084, section 3.2)."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

Windows = tuple[int, int]
WHOLE: Windows = (1, 1)
Attention = Callable[[Tensor, int, float], Tensor]  # as `attention`

SPLITS = 4  # pieces of the Feature Split Module


class EMHA(nn.Module):
    """Efficient multi-head attention: reduce the tokens, attend inside pieces of the sequence, expand again.

    The feature map is cut into `windows` (rows, columns) of equal or nearly equal size; (1, 1) is the paper's form.
    In each window the tokens, in row-major order, form SPLITS consecutive pieces of ceil(N / SPLITS), the last perhaps
    shorter, and attend only inside their piece. No N x N matrix is ever made.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5  # the paper divides the unreduced width: 36 ** -0.5
        self.reduce = nn.Linear(dim, dim // 2, bias=False)
        self.qkv = nn.Linear(dim // 2, dim // 2 * 3, bias=False)
        self.expand = nn.Linear(dim // 2, dim)

    def forward(self, tokens: Tensor, size: tuple[int, int], windows: Windows = WHOLE) -> Tensor:
        qkv: Tensor = self.qkv(self.reduce(tokens))  # (B, H * W, 3 * heads * d)
        attended = windowed_attention(qkv.reshape(qkv.shape[0], *size, -1), self.heads, self.scale, windows, attention)
        expanded: Tensor = self.expand(attended.flatten(1, 2))
        return expanded


def windowed_attention(qkv: Tensor, heads: int, scale: float, windows: Windows, attend: Attention) -> Tensor:
    """Attend inside the windows of a feature map by `attend`: `attention` or an equivalent.

    qkv: (B, H, W, 3 * heads * d), ordered q, k, v, then head, then channel. Returns (B, H, W, heads * d).
    """
    rows = []
    for band, down in _uniform(qkv, 1, windows[0]):
        parts = _uniform(band, 2, windows[1])
        cells = [_equal_windows(part, heads, scale, (down, across), attend) for part, across in parts]
        rows.append(torch.cat(cells, 2) if len(cells) > 1 else cells[0])
    return torch.cat(rows, 1) if len(rows) > 1 else rows[0]


def _uniform(x: Tensor, axis: int, count: int) -> list[tuple[Tensor, int]]:
    """Split an axis into at most two parts with `count` windows in all, of equal length within a part."""
    if count == 1:
        return [(x, 1)]
    length, longer = divmod(x.shape[axis], count)
    if not longer:
        return [(x, count)]
    cut = longer * (length + 1)
    return [(x.narrow(axis, 0, cut), longer), (x.narrow(axis, cut, x.shape[axis] - cut), count - longer)]


def _equal_windows(qkv: Tensor, heads: int, scale: float, windows: Windows, attend: Attention) -> Tensor:
    """Attend inside windows that divide the map evenly; shapes as in windowed_attention."""
    if windows == WHOLE:
        return split_attention(qkv.flatten(1, 2), heads, scale, attend).reshape(*qkv.shape[:3], -1)
    batch, height, width, channels = qkv.shape
    down, across = windows
    h, w = height // down, width // across
    cells = qkv.reshape(batch, down, h, across, w, channels).transpose(2, 3)  # (B, down, across, h, w, 3C)
    out = split_attention(cells.reshape(batch * down * across, h * w, channels), heads, scale, attend)
    return out.reshape(batch, down, across, h, w, -1).transpose(2, 3).reshape(batch, height, width, -1)


def split_attention(qkv: Tensor, heads: int, scale: float, attend: Attention) -> Tensor:
    """Attend inside SPLITS pieces of each sequence: (B, N, 3 * heads * d) to (B, N, heads * d)."""
    batch, length, channels = qkv.shape
    if length % SPLITS == 0:
        pieces = qkv.reshape(batch * SPLITS, length // SPLITS, channels)
        return attend(pieces, heads, scale).reshape(batch, length, -1)
    n = (length + SPLITS - 1) // SPLITS
    parts = [qkv[:, :n], qkv[:, n : 2 * n], qkv[:, 2 * n : 3 * n], qkv[:, 3 * n :]]
    return torch.cat([attend(part, heads, scale) for part in parts if part.shape[1]], 1)


def attention(qkv: Tensor, heads: int, scale: float) -> Tensor:
    """Attend over whole sequences: (B, n, 3 * heads * d) to (B, n, heads * d)."""
    batch, length, channels = qkv.shape
    dim = channels // (3 * heads)
    q, k, v = qkv.reshape(batch, length, 3, heads, dim).permute(2, 0, 3, 1, 4)  # each (B, heads, n, d)
    if qkv.is_cuda:  # the kernels that make no n x n matrix need a multiple of 8; zeros change nothing
        q, k, v = (F.pad(x, (0, -dim % 8)) for x in (q, k, v))
    out = _dot_product_attention(q, k, v, scale)[..., :dim]
    return out.transpose(1, 2).reshape(batch, length, heads * dim)


def _dot_product_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):  # its backward is slower in bfloat16 there
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), scale=scale)
    return F.scaled_dot_product_attention(q, k, v, scale=scale)


class MLP(nn.Module):
    """Two linear layers with a ReLU between them, four times narrower inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim // 4)
        self.fc2 = nn.Linear(dim // 4, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.relu(self.fc1(tokens)))
        return out


class ET(nn.Module):
    """Efficient transformer: 3 x 3 patches as tokens, one attention and one MLP, folded back by overlapping sums."""

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        dim = 9 * channels
        self.norm1 = nn.LayerNorm(dim)
        self.emha = EMHA(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim)

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        size = (x.shape[2], x.shape[3])
        tokens = patches(x)  # (B, H * W, 9C)
        tokens = tokens + self.emha(self.norm1(tokens), size, windows)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return overlapping_sum(tokens, size)


def patches(x: Tensor) -> Tensor:
    """Make a token of every zero-padded 3 x 3 patch, channel by channel: (B, C, H, W) to (B, H * W, 9C).

    Equivalent to unfold, in operations that a compiler can fuse with those around it; overlapping_sum likewise to fold.
    """
    tokens: Tensor = _Patches.apply(x)  # type: ignore[no-untyped-call]
    return tokens


def overlapping_sum(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Sum overlapping patches: (B, H * W, 9C) to (B, C, H, W)."""
    total: Tensor = _OverlappingSum.apply(tokens, size)  # type: ignore[no-untyped-call]
    return total


class _Patches(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        height, width = ctx.size = x.shape[2:]
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (B, H + 2, W + 2, C)
        beside = torch.stack([padded[:, :, right : right + width] for right in range(3)], 4)
        around = torch.stack([beside[:, down : down + height] for down in range(3)], 4)  # (B, H, W, C, 3, 3)
        return around.flatten(3).flatten(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return overlapping_sum(gradient, ctx.size)


class _OverlappingSum(Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = size
        padded = F.pad(tokens.reshape(-1, height, width, tokens.shape[2]), (0, 0, 1, 1, 1, 1))
        padded = padded.view(*padded.shape[:3], -1, 3, 3)
        total: Tensor = padded[:, 2:, 2:, :, 0, 0]
        for down, right in tuple(product(range(3), range(3)))[1:]:
            up, left = 2 - down, 2 - right
            total = total + padded[:, up : up + height, left : left + width, :, down, right]
        return total.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return patches(gradient), None
