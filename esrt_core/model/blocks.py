"""The convolutional blocks of ESRT: CA, RU, ARFB and HPB (arXiv 2108.11084, section 3.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size (zero padding of 1)."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def scalar() -> nn.Parameter:
    """Return a learned scalar of shape (1,) that starts at 1."""
    return nn.Parameter(torch.ones(1))


class Conv1x1(nn.Conv2d):
    """A 1 x 1 convolution without bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W)."""
        if not x.is_cuda:
            return super().forward(x)
        # As a matrix product: cuDNN computes the gradients of a 1 x 1 convolution from channels-first copies.
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1)).permute(0, 3, 1, 2)


class CA(nn.Module):
    """Channel attention: weight every channel by a function of all channel means."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // reduction, 1)
        self.up = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * torch.sigmoid(self.up(F.relu(self.down(pooled))))


class RU(nn.Module):
    """Residual unit: halve the channels, restore them, add the weighted input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = conv3x3(channels, channels // 2)
        self.act = nn.PReLU(channels // 2)
        self.expand = conv3x3(channels // 2, channels)
        self.m1 = scalar()
        self.m2 = scalar()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(self.act(self.reduce(x)))
        return self.m1 * x + self.m2 * y


class ARFB(nn.Module):
    """Adaptive residual feature block: two residual units, fused and weighted by learned scalars."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ru1 = RU(channels)
        self.ru2 = RU(channels)
        self.fuse = Conv1x1(2 * channels, channels)
        self.ca = CA(channels)
        self.conv = conv3x3(channels, channels, bias=False)
        self.l1 = scalar()  # unused; the published network has it and counts it
        self.l2 = scalar()
        self.l3 = scalar()
        self.l4 = scalar()
        self.l5 = scalar()

    def forward(self, x: Tensor) -> Tensor:
        r1 = self.ru1(x)
        r2 = self.ru2(r1)
        y = F.relu(self.fuse(torch.cat([self.l2 * r2, self.l3 * r1], 1)))
        y = F.relu(self.conv(self.ca(y)))
        return self.l4 * x + self.l5 * y


class HPB(nn.Module):
    """High preserving block: refine the low frequencies at half size, keep the high ones at full size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.arfb_enc = ARFB(channels)
        self.arfb_low = ARFB(channels)
        self.arfb_high = ARFB(channels)
        self.fuse = Conv1x1(2 * channels, channels)
        self.ca = CA(channels)
        self.arfb_out = ARFB(channels)

    def forward(self, x: Tensor) -> Tensor:
        encoded = self.arfb_enc(x)
        low = F.avg_pool2d(encoded, 2)  # (B, C, H // 2, W // 2)
        high = self.arfb_high(encoded - resize_to(low, encoded))  # high-frequency filtering module (HFM)
        for _ in range(5):  # the same weights each time
            low = self.arfb_low(low)
        y = F.relu(self.fuse(torch.cat([resize_to(low, x), high], 1)))
        out: Tensor = self.arfb_out(self.ca(y))
        return out + x


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly to the height and width of another tensor, corners aligned."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)
