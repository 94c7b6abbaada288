"""The efficient transformer with its normalisations folded into the layers. Plain form: esrt_core.model.transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fast.layers import FixedConv, FixedLinear, exact, planes, rows
from esrt_core.model.transformer import ET, WHOLE, Windows, windowed_attention

PATCH = 3  # px a side of the patch that makes a token


class FastET(nn.Module):
    """ET with its first tokens never written.

    LayerNorm is (t - mean) / std, then an affine map, and a linear layer W follows. The affine map goes into W and a
    bias; subtracting the mean is linear too and goes into W (its rows lose their mean); 1 / std is one factor per token
    and commutes with W. So W LayerNorm(unfold(x)) is a 3 x 3 convolution of x, times 1 / std, plus a bias; std comes
    from box sums. After the attention the tokens exist once, in the order (pixel of the patch, channel) of x in memory.
    """

    def __init__(self, et: ET) -> None:
        super().__init__()
        emha, channels = et.emha, et.norm1.normalized_shape[0] // PATCH**2
        self.heads, self.scale = emha.heads, emha.scale
        self.eps1, self.eps2 = et.norm1.eps, et.norm2.eps
        reduce, reduce_bias = _after_norm(et.norm1, emha.reduce)
        self.reduce = FixedConv(reduce.view(-1, channels, PATCH, PATCH))
        self.qkv = FixedLinear(emha.qkv.weight, exact(emha.qkv.weight) @ reduce_bias)
        order = torch.arange(PATCH**2 * channels).view(channels, PATCH**2).t().flatten()
        self.expand = FixedLinear(emha.expand.weight[order], emha.expand.bias[order])
        fc1, fc1_bias = _after_norm(et.norm2, et.mlp.fc1)
        self.fc1 = FixedLinear(fc1[:, order])
        self.register_buffer("fc1_bias", fc1_bias.to(torch.float32))
        self.fc2 = FixedLinear(et.mlp.fc2.weight[order])
        self.register_buffer("fc2_bias", et.mlp.fc2.bias.detach()[order].clone())

    fc1_bias: Tensor
    fc2_bias: Tensor

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """(B, C, H, W), channels last, to the same."""
        padded = F.pad(rows(x), (0, 0, 1, 1, 1, 1))  # (B, H + 2, W + 2, C)
        reduced = rows(self.reduce(x)).mul_(_patch_rstd(x, self.eps1))  # (B, H, W, heads * d)
        tokens = self.expand(windowed_attention(self.qkv(reduced), self.heads, self.scale, windows))
        _add_patches(tokens, padded)
        hidden = self.fc1(tokens).mul_(_rstd(tokens, self.eps2)).add_(self.fc1_bias).relu_()
        self.fc2.add_to(tokens, hidden)
        return planes(_fold(tokens.add_(self.fc2_bias), x.shape[1]))


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Fold a LayerNorm's affine map and its centring into the linear layer after it: weight, bias."""
    weight = exact(linear.weight) * exact(norm.weight)
    bias = exact(linear.weight) @ exact(norm.bias)
    if linear.bias is not None:
        bias = bias + exact(linear.bias)
    return weight - weight.mean(1, keepdim=True), bias


def _patch_rstd(x: Tensor, eps: float) -> Tensor:
    """Return 1 / std of every zero-padded 3 x 3 patch of x (B, C, H, W), all channels: (B, H, W, 1)."""
    var, mean = torch.var_mean(x.float(), 1, keepdim=True, correction=0)  # (B, 1, H, W)
    moments = F.avg_pool2d(torch.cat([mean, var + mean * mean], 1), PATCH, 1, 1)
    mean, square = moments.chunk(2, 1)
    return torch.rsqrt(square - mean * mean + eps).permute(0, 2, 3, 1)


def _rstd(tokens: Tensor, eps: float) -> Tensor:
    """Return 1 / std over the last axis, which stays with length 1."""
    return torch.rsqrt(torch.var(tokens.float(), -1, correction=0, keepdim=True) + eps)


def _add_patches(tokens: Tensor, padded: Tensor) -> None:
    """Add the 3 x 3 patches of padded (B, H + 2, W + 2, C) to tokens (B, H, W, 9 * C) in place."""
    batch, height, width, _ = tokens.shape
    channels = padded.shape[-1]
    row = PATCH * channels  # the three pixels of a patch's row lie next to each other
    strides = padded.stride()
    patches = padded.as_strided((batch, height, width, PATCH, row), (*strides[:3], strides[1], 1))
    tokens.view(batch, height, width, PATCH, row).add_(patches)


def _fold(tokens: Tensor, channels: int) -> Tensor:
    """Sum overlapping patches, (B, H, W, 9 * C) to (B, H, W, C)."""
    batch, height, width, _ = tokens.shape
    total = tokens.new_zeros(batch, height + 2, width + 2, channels)
    for index, part in enumerate(tokens.chunk(PATCH**2, -1)):
        down, right = divmod(index, PATCH)
        total[:, down : down + height, right : right + width] += part
    return total[:, 1:-1, 1:-1].contiguous()
