"""CA, ARFB and HPB with their learned scalars folded into the weights. Reference: esrt_core.model.blocks."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.layers import (
    FixedClamp,
    FixedConv,
    FixedLinear,
    FixedPReLU,
    planes,
    rows,
    scaled,
    to_float32,
    to_float64,
)
from esrt_core.model.blocks import ARFB, CA, HPB, resize_to

WHOLE_VECTORS = 32  # values; torch's sigmoid vectorizes multiples of it on any CPU and rounds a remainder otherwise


class FusedCA(nn.Module):
    """Channel attention, in place.

    The gates of a sample are padded to whole vectors, so that they do not depend on the batch.
    """

    down_weight: Tensor
    down_bias: Tensor
    up_weight: Tensor
    up_bias: Tensor

    def __init__(self, ca: CA) -> None:
        super().__init__()
        self.channels = ca.up.out_channels
        rest = -self.channels % WHOLE_VECTORS
        for name, layer, more in (("down", ca.down, 0), ("up", ca.up, rest)):
            self.register_buffer(f"{name}_weight", F.pad(to_float32(layer.weight).flatten(1), (0, 0, 0, more)))
            self.register_buffer(f"{name}_bias", F.pad(to_float32(cast(Tensor, layer.bias)), (0, more)))

    def forward(self, x: Tensor) -> Tensor:
        """Scale x (B, C, H, W) in place and return it."""
        pooled = x.mean((2, 3))  # (B, C)
        hidden = F.relu(_sample_by_sample(pooled, self.down_weight, self.down_bias))
        gates = torch.sigmoid(_sample_by_sample(hidden, self.up_weight, self.up_bias))
        return x.mul_(gates[:, : self.channels, None, None])


def _sample_by_sample(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a small linear layer to x (B, C); the rounding of a matrix product would depend on B."""
    return (x[:, None] * weight).sum(2).add_(bias)


class FusedARFB(nn.Module):
    """An ARFB whose second residual unit is merged with the 1 x 1 convolution that follows it.

    With r2 = m1 r1 + m2 expand(p), fuse([l2 r2, l3 r1]) = (l2 m1 A + l3 B) r1 + l2 m2 A expand(p), where A and B are
    the halves of fuse: neither r2 nor the concatenation is computed.
    """

    def __init__(self, arfb: ARFB) -> None:
        super().__init__()
        ru1, ru2 = arfb.ru1, arfb.ru2
        first, second = to_float64(arfb.fuse.weight).flatten(1).chunk(2, 1)  # of r2, of r1: (C, C) each
        through = to_float64(arfb.l2 * ru2.m2) * first
        self.reduce1 = FixedConv(ru1.reduce.weight, ru1.reduce.bias, FixedPReLU(ru1.act.weight))
        self.expand1 = FixedConv(ru1.m2 * ru1.expand.weight, scaled(ru1.m2, ru1.expand.bias))
        self.m1 = float(ru1.m1)
        self.reduce2 = FixedConv(ru2.reduce.weight, ru2.reduce.bias, FixedPReLU(ru2.act.weight))
        self.expand2 = FixedConv(
            torch.einsum("oi,icyx->ocyx", through, to_float64(ru2.expand.weight)), scaled(through, ru2.expand.bias)
        )
        self.skip = FixedLinear(to_float64(arfb.l2 * ru2.m1) * first + to_float64(arfb.l3) * second)
        self.ca = FusedCA(arfb.ca)
        # l5 relu(c) is max(l5 c, 0) for a positive l5 and min(l5 c, 0) for a negative one.
        self.conv = FixedConv(arfb.l5 * arfb.conv.weight, act=FixedClamp(positive=float(arfb.l5) >= 0))
        self.l4 = float(arfb.l4)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W), channels last, to the same shape.

        The layers compute in the dtype of their weights; the residual keeps that of x.
        """
        inner = x.to(self.conv.weight.dtype)
        r1: Tensor = self.expand1(self.reduce1(inner), inner, self.m1)
        y: Tensor = self.expand2(self.reduce2(r1))
        self.skip.add_to(rows(y), rows(r1))
        out: Tensor = self.conv(self.ca(y.relu_()), x, self.l4)
        return out


class FusedHPB(nn.Module):
    """An HPB whose 1 x 1 convolution runs before the low branch is enlarged, on a quarter of the pixels."""

    def __init__(self, hpb: HPB) -> None:
        super().__init__()
        low, high = to_float64(hpb.fuse.weight).flatten(1).chunk(2, 1)
        self.arfb_enc = FusedARFB(hpb.arfb_enc)
        self.arfb_low = FusedARFB(hpb.arfb_low)
        self.arfb_high = FusedARFB(hpb.arfb_high)
        self.fuse_low = FixedLinear(low)
        self.fuse_high = FixedLinear(high)
        self.ca = FusedCA(hpb.ca)
        self.arfb_out = FusedARFB(hpb.arfb_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W), channels last, to the same shape; the residual keeps the dtype of x."""
        encoded = self.arfb_enc(x)
        low = F.avg_pool2d(encoded, 2)
        high = self.arfb_high(encoded.sub_(resize_to(low, x)))
        for _ in range(5):
            low = self.arfb_low(low)
        dtype = self.fuse_low.weight.dtype
        y = resize_to(planes(self.fuse_low(rows(low.to(dtype)))), x)
        self.fuse_high.add_to(rows(y), rows(high.to(dtype)))
        out: Tensor = self.arfb_out(self.ca(y.relu_()).to(x.dtype))
        return out.add_(x)
