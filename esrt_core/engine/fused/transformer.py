"""The efficient transformer with layer norm folded into the linear layers. Reference: esrt_core.model.transformer."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.layers import FixedConv, FixedLinear, planes, rows, to_float32, to_float64
from esrt_core.model.transformer import ET, WHOLE, Windows, attention, windowed_attention

PATCH = 3  # px; side of the patch that becomes a token


class FusedET(nn.Module):
    """An ET whose unfolded tokens are never written before the attention.

    LayerNorm is (t - mean) / std, then an affine map, and a linear layer W follows. The affine map goes into W and a
    bias; subtracting the mean is linear too and goes into W (its rows lose their mean); 1 / std is one factor per token
    and commutes with W. So W LayerNorm(unfold(x)) is a 3 x 3 convolution of x, times 1 / std, plus a bias; std comes
    from box sums. After the attention the tokens exist once, in the order (pixel of the patch, channel) of x in memory.
    """

    reduce_bias: Tensor
    expand_bias: Tensor
    fc1_bias: Tensor
    fc2_bias: Tensor

    def __init__(self, et: ET) -> None:
        super().__init__()
        emha, channels = et.emha, et.norm1.normalized_shape[0] // PATCH**2
        self.heads, self.scale = emha.heads, emha.scale
        self.eps1, self.eps2 = et.norm1.eps, et.norm2.eps
        reduce, reduce_bias = _after_norm(et.norm1, emha.reduce)
        self.reduce = FixedConv(reduce.view(-1, channels, PATCH, PATCH))
        self.register_buffer("reduce_bias", to_float32(reduce_bias))
        self.qkv = FixedLinear(emha.qkv.weight)
        order = torch.arange(PATCH**2 * channels).view(channels, PATCH**2).t().flatten()
        self.expand = FixedLinear(emha.expand.weight[order])
        self.register_buffer("expand_bias", to_float32(emha.expand.bias[order]).view(PATCH, -1))
        fc1, fc1_bias = _after_norm(et.norm2, et.mlp.fc1)
        self.fc1 = FixedLinear(fc1[:, order])
        self.register_buffer("fc1_bias", to_float32(fc1_bias))
        self.fc2 = FixedLinear(et.mlp.fc2.weight[order])
        self.register_buffer("fc2_bias", to_float32(et.mlp.fc2.bias[order]))

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """Map x (B, C, H, W), channels last, to the same shape."""
        pixels = rows(x)  # (B, H, W, C)
        reduced = rows(self.reduce(x))
        torch.addcmul(self.reduce_bias, reduced, _patch_rstd(pixels, self.eps1), out=reduced)
        padded = F.pad(pixels, (0, 0, 1, 1, 1, 1))
        total = torch.zeros_like(padded)
        for top, bottom, down in _parts(x.shape[2], windows[0], not x.is_cpu):
            tokens = _patches(padded, top, bottom, self.expand_bias)  # (B, h, W, 9 * C)
            self._transform(tokens, reduced[:, top:bottom], (down, windows[1]))
            _fold_into(total, top, tokens)
        return planes(total[:, 1:-1, 1:-1].contiguous())

    def _transform(self, tokens: Tensor, reduced: Tensor, windows: Windows) -> None:
        """Add attention and MLP to tokens (B, h, W, 9 * C) in place, from `reduced` (B, h, W, 9 * C / 2)."""
        self.expand.add_to(tokens, self._attend(reduced, windows))
        hidden = self.fc1(tokens)
        torch.addcmul(self.fc1_bias, hidden, _rstd(tokens, self.eps2), out=hidden)
        self.fc2.add_to(tokens, hidden.relu_())
        tokens.add_(self.fc2_bias)

    def _attend(self, reduced: Tensor, windows: Windows) -> Tensor:
        """Map `reduced` (B, h, W, 9 * C / 2) to the same shape."""
        attended = [
            windowed_attention(
                self.qkv(reduced[:, :, left:right]), self.heads, self.scale, (windows[0], across), attention
            )
            for left, right, across in _parts(reduced.shape[2], windows[1], not reduced.is_cpu)
        ]
        return torch.cat(attended, 2) if len(attended) > 1 else attended[0]


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Fold the affine map and the centering of a LayerNorm into the linear layer after it; return weight and bias."""
    weight = to_float64(linear.weight) * to_float64(norm.weight)
    bias = to_float64(linear.weight) @ to_float64(norm.bias)
    if linear.bias is not None:
        bias = bias + to_float64(linear.bias)
    return weight - weight.mean(1, keepdim=True), bias


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and mean square over the last axis, which is kept with length 1, in float32."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return x.mean(-1, keepdim=True, dtype=torch.float32), norm.square_().div_(x.shape[-1])


def _rstd(tokens: Tensor, eps: float) -> Tensor:
    """Return 1 / std of each token: (..., D) to (..., 1)."""
    mean, square = _moments(tokens)
    return torch.rsqrt(square - mean * mean + eps).to(tokens.dtype)


def _patch_rstd(pixels: Tensor, eps: float) -> Tensor:
    """Return 1 / std of each zero-padded 3 x 3 patch: (B, H, W, C) to (B, H, W, 1)."""
    mean, square = (F.avg_pool2d(planes(moment), PATCH, 1, 1) for moment in _moments(pixels))
    return rows(torch.rsqrt(square - mean * mean + eps)).to(pixels.dtype)


def _parts(length: int, count: int, at_once: bool) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop, number of windows) for the parts of an axis with `count` windows.

    On a CPU windows are processed one after the other, so that intermediate results stay in the cache.
    """
    if at_once:
        yield 0, length, count
        return
    side, longer = divmod(length, count)
    start = 0
    for index in range(count):
        stop = start + side + (index < longer)
        yield start, stop, 1
        start = stop


def _patches(padded: Tensor, top: int, bottom: int, bias: Tensor) -> Tensor:
    """Unfold 3 x 3 patches of rows top..bottom plus a bias (3, 3 * C): (B, H + 2, W + 2, C) to (B, h, W, 9 * C)."""
    batch, _, width, channels = padded.shape
    row = PATCH * channels  # the three pixels of a row of the patch are adjacent in memory
    shape = (batch, bottom - top, width + 1 - PATCH, PATCH, row)
    strides = padded.stride()
    views = padded.as_strided(shape, (*strides[:3], strides[1], 1), top * strides[1])
    return torch.add(views, bias, out=padded.new_empty(shape)).flatten(3)


def _fold_into(total: Tensor, top: int, tokens: Tensor) -> None:
    """Sum overlapping patches (B, h, W, 9 * C), whose first row is `top`, into `total` (B, H + 2, W + 2, C)."""
    height, width = tokens.shape[1:3]
    for index, part in enumerate(tokens.chunk(PATCH**2, -1)):
        down, right = divmod(index, PATCH)
        total[:, top + down : top + down + height, right : right + width].add_(part)
