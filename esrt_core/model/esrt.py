"""ESRT, the Efficient Super-Resolution Transformer (Lu et al., CVPRW 2022, arXiv 2108.11084)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.architecture import SCALES
from esrt_core.model.blocks import HPB, conv3x3, scalar
from esrt_core.model.transformer import ET, WHOLE, Windows


@dataclass(frozen=True)
class ESRTConfig:
    """Hold the hyperparameters of the network; the paper's has 32 channels and three HPBs.

    Raises: ValueError if the scale is not one of SCALES.
    """

    scale: int
    channels: int = 32
    blocks: int = 3

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(f"ESRT has scales {SCALES}, not {self.scale}")


class LCB(nn.Module):
    """Lightweight CNN backbone: a chain of HPBs whose results are concatenated."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.hpb = nn.ModuleList(HPB(channels) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        results = []
        for hpb in self.hpb:
            x = hpb(x)
            results.append(x)
        return torch.cat(results, 1)  # (B, blocks * C, H, W)


class LTB(nn.Module):
    """Lightweight transformer backbone: merge the CNN backbone's results, then one efficient transformer."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.reduce = conv3x3(blocks * channels, channels)
        self.et = ET(channels)
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        out: Tensor = self.conv(self.et(self.reduce(x), windows))
        return out


class Upsampler(nn.Module):
    """Upscale by convolutions and pixel shuffles, then reduce to three channels."""

    def __init__(self, channels: int, scale: int, bias: bool) -> None:
        super().__init__()
        self.factors = (2, 2) if scale == 4 else (scale,)
        self.steps = nn.ModuleList(conv3x3(channels, channels * f * f) for f in self.factors)
        self.last = conv3x3(channels, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        for step, factor in zip(self.steps, self.factors, strict=True):
            x = F.pixel_shuffle(step(x), factor)
        out: Tensor = self.last(x)
        return out


class ESRT(nn.Module):
    """Upscale RGB pictures by 2, 3 or 4.

    Input (B, 3, H, W), RGB in [0, 1], H and W at least MIN_SIDE; output (B, 3, scale * H, scale * W), not clamped.
    `windows` splits the attention into (rows, columns) of windows so that its cost per pixel stays constant; the
    default is the paper's form over the whole input.
    """

    def __init__(self, config: ESRTConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.head = conv3x3(3, channels)
        self.lcb = LCB(channels, config.blocks)
        self.ltb = LTB(channels, config.blocks)
        self.a1 = scalar()
        self.a2 = scalar()
        self.reduce = conv3x3(channels, channels)
        self.tail = Upsampler(channels, config.scale, bias=True)
        self.up = Upsampler(channels, config.scale, bias=False)

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        features = self.head(x)  # (B, C, H, W)
        return self.enlarge(features, self.ltb(self.lcb(features), windows))

    def enlarge(self, features: Tensor, refined: Tensor) -> Tensor:
        """Make the picture from the head's features and the backbones' refined ones, each (B, C, H, W)."""
        body = self.a1 * features + self.a2 * refined
        out: Tensor = F.relu(self.up(features)) + self.tail(self.reduce(body))
        return out
