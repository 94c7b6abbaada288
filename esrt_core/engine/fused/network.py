"""The fused network, derived from a trained ESRT when its weights are loaded."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.blocks import FusedHPB
from esrt_core.engine.fused.layers import FixedConv, scaled
from esrt_core.engine.fused.transformer import FusedET
from esrt_core.engine.fused.upsampler import ComposedUpsampler
from esrt_core.model.blocks import HPB
from esrt_core.model.esrt import ESRT
from esrt_core.model.transformer import WHOLE, Windows


class FusedESRT(nn.Module):
    """Compute the result of an ESRT, for inference only, within 1e-4 in float32.

    Input (B, 3, H, W) float32, RGB in [0, 1], H and W at least MIN_SIDE; output (B, 3, scale * H, scale * W) float32.
    In half precision the backbones run in `dtype`; head, long residual, skip path and tail stay in float32. With
    bfloat16, which has few digits, the residuals inside the backbones stay in float32 too.
    """

    def __init__(self, network: ESRT, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        ltb = network.ltb
        self.scale, self.dtype = network.config.scale, dtype
        self.residual = torch.float32 if dtype == torch.bfloat16 else dtype
        self.a1 = float(network.a1)
        self.head = FixedConv(network.head.weight, network.head.bias)
        self.hpb = nn.ModuleList(FusedHPB(cast(HPB, hpb)) for hpb in network.lcb.hpb).to(dtype)
        self.merge = FixedConv(ltb.reduce.weight, ltb.reduce.bias).to(dtype)
        self.et = FusedET(ltb.et).to(dtype)
        self.smooth = FixedConv(network.a2 * ltb.conv.weight, scaled(network.a2, ltb.conv.bias)).to(dtype)
        self.reduce = FixedConv(network.reduce.weight, network.reduce.bias)
        self.tail = ComposedUpsampler(network.tail)
        self.up = ComposedUpsampler(network.up)

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """Upscale x; see the class for shapes and range."""
        features = self.head(x.contiguous(memory_format=torch.channels_last))  # (B, C, H, W)
        body = self._deep(features.to(self.residual), windows).float().add_(features, alpha=self.a1)
        pixels = self.up(features).relu_().add_(self.tail(self.reduce(body)))  # (B, 3 * scale ** 2, H, W)
        return F.pixel_shuffle(pixels, self.scale)

    def _deep(self, x: Tensor, windows: Windows) -> Tensor:
        """Run both backbones on the features of the head (B, C, H, W)."""
        results = []
        for hpb in self.hpb:
            x = hpb(x)
            results.append(x.to(self.dtype))
        out: Tensor = self.smooth(self.et(self.merge(torch.cat(results, 1)), windows))
        return out


def fuse(network: ESRT, dtype: torch.dtype = torch.float32) -> FusedESRT:
    """Return a trained network rewritten for inference; call it as the network, `(x, windows)`, in inference mode.

    The network itself is not changed. `dtype` may be float32, float16 (CUDA) or bfloat16.
    """
    with torch.no_grad():
        return FusedESRT(network, dtype).eval()
