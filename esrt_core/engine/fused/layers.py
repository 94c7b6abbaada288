"""Layers with precomputed weights, on channels-last feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FixedPReLU(nn.Module):
    """A PReLU with one fixed slope per channel."""

    slope: Tensor

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.register_buffer("slope", to_float32(slope))
        self.bounded = bool((slope <= 1).all())

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x (B, C, H, W); the shape is kept."""
        if x.is_cpu and x.dtype != torch.float32 and self.bounded:
            # Bit-equal if no slope is above 1; torch's own PReLU takes seven times as long in bfloat16.
            return torch.maximum(x, x * self.slope[:, None, None])
        return F.prelu(x, self.slope)


class FixedClamp(nn.Module):
    """Clamp to values above zero, or to values below it, in place."""

    def __init__(self, positive: bool) -> None:
        super().__init__()
        self.positive = positive

    def forward(self, x: Tensor) -> Tensor:
        """Clamp x (B, C, H, W) and return it."""
        return x.clamp_(min=0) if self.positive else x.clamp_(max=0)


class FixedConv(nn.Module):
    """A zero-padded convolution of odd size with its activation and residual."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None, act: FixedPReLU | FixedClamp | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", to_float32(weight).contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else to_float32(bias))
        self.act = act

    def forward(self, x: Tensor, residual: Tensor | None = None, alpha: float = 1.0) -> Tensor:
        """Convolve x (B, C, H, W) to (B, D, H, W), activate, and add alpha times the residual.

        The result has the dtype of the residual, if there is one.
        """
        height, width = self.weight.shape[2:]
        y = convolve(x, self.weight, self.bias, (height // 2, width // 2))
        if self.act is not None:
            y = self.act(y)
        return y if residual is None else y.to(residual.dtype).add_(residual, alpha=alpha)


class FixedLinear(nn.Module):
    """A linear layer over the last axis."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", to_float32(weight))
        self.register_buffer("bias", None if bias is None else to_float32(bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., C) to (..., D), in one matrix product even for a part of a feature map."""
        return F.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias).view(*x.shape[:-1], -1)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add the result for x (..., C), without the bias, to a contiguous `total` (..., D) in place."""
        total.view(-1, total.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]), self.weight.t())


def to_float32(weights: Tensor) -> Tensor:
    """Return composed weights as a contiguous float32 copy, rounded once."""
    return weights.detach().to(torch.float32, copy=True).contiguous()


def to_float64(parameter: Tensor) -> Tensor:
    """Return a parameter in float64, so that composing weights loses no precision."""
    return parameter.detach().to(torch.float64)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    """Convolve with zero padding.

    On a CPU, always by oneDNN: for a single small map conv2d takes another path, which is slower and rounds otherwise,
    so a picture's bytes would depend on the size of its batch. The result is made channels last (free if it already
    is), because later layers add to it in place through `rows` and some GPU libraries return another layout.
    """
    if x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        y = torch.mkldnn_convolution(x, weight, bias, padding, (1, 1), (1, 1), 1)
    else:
        y = F.conv2d(x, weight, bias, padding=padding)
    return y.contiguous(memory_format=torch.channels_last)


def scaled(factor: Tensor, bias: Tensor | None) -> Tensor | None:
    """Return a layer's bias, if it has one, multiplied by a scalar or a matrix."""
    if bias is None:
        return None
    return factor @ to_float64(bias) if factor.dim() == 2 else factor * bias


def rows(x: Tensor) -> Tensor:
    """View a channels-last map (B, C, H, W) as contiguous (B, H, W, C)."""
    return x.permute(0, 2, 3, 1).contiguous()


def planes(x: Tensor) -> Tensor:
    """View (B, H, W, C) as a channels-last map (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)
