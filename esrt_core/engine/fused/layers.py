"""Linear layers with fixed weights, on channels-last maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.kernels import Layer, is_supported, kernel_convolution, pack


class FixedPReLU(nn.Module):
    """A PReLU with one fixed slope a channel."""

    slope: Tensor

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.register_buffer("slope", to_float32(slope))
        self.bounded = bool((slope <= 1).all())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        if x.is_cpu and x.dtype != torch.float32 and self.bounded:
            # The same to the last bit where no slope is above 1: torch's own takes seven times as long in bfloat16.
            return torch.maximum(x, x * self.slope[:, None, None])
        return F.prelu(x, self.slope)

    def factors(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return what is multiplied with values above zero and with those below, (C,) each."""
        return torch.ones(channels), self.slope.expand(channels)


class FixedClamp(nn.Module):
    """Keep what is above zero, or what is below, in place."""

    def __init__(self, positive: bool) -> None:
        super().__init__()
        self.positive = positive

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x.clamp_(min=0) if self.positive else x.clamp_(max=0)

    def factors(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return what is multiplied with values above zero and with those below, (C,) each."""
        kept, gone = torch.ones(channels), torch.zeros(channels)
        return (kept, gone) if self.positive else (gone, kept)


class FixedConv(nn.Module):
    """A convolution of odd size, zero padded, whose weights are already computed, and what follows it."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None, act: FixedPReLU | FixedClamp | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", to_float32(weight).contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else to_float32(bias))
        self.act = act
        self._layer: Layer | None = None

    def forward(self, x: Tensor, residual: Tensor | None = None, alpha: float = 1.0) -> Tensor:
        """Convolve (B, C, H, W) to (B, D, H, W), act, add alpha times the residual; the result has the type of that."""
        if is_supported(x, self.weight, residual):
            if self._layer is None:
                self._layer = self._packed()
            return kernel_convolution(x, self._layer, residual, alpha)
        height, width = self.weight.shape[2:]
        y = convolve(x, self.weight, self.bias, (height // 2, width // 2))
        if self.act is not None:
            y = self.act(y)
        return y if residual is None else y.to(residual.dtype).add_(residual, alpha=alpha)

    def _packed(self) -> Layer:
        channels = len(self.weight)
        factors = (torch.ones(channels),) * 2 if self.act is None else self.act.factors(channels)
        return pack(self.weight, self.bias, *factors)


class FixedLinear(nn.Module):
    """A linear layer over the last axis whose weights are already computed."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", to_float32(weight))
        self.register_buffer("bias", None if bias is None else to_float32(bias))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., D), in one matrix product even for a part of a map."""
        return F.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias).view(*x.shape[:-1], -1)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add the layer's result for x (..., C) to a contiguous (..., D) in place; the bias is left out."""
        total.view(-1, total.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]), self.weight.t())


def to_float32(weights: Tensor) -> Tensor:
    """Copy composed weights into a contiguous float32 tensor of their own, rounded once."""
    return weights.detach().to(torch.float32, copy=True).contiguous()


def to_float64(parameter: Tensor) -> Tensor:
    """Return a parameter in float64, so that composing weights costs no precision."""
    return parameter.detach().to(torch.float64)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    """Convolve with zero padding.

    On a CPU always by oneDNN: conv2d takes other code for a single small map, slower and with other last bits, so that
    a picture's bytes would depend on how many share its batch. The result is channels last, which costs nothing where
    it already is: what follows adds to it in place through `rows`, and some GPU libraries return it otherwise.
    """
    if x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        y = torch.mkldnn_convolution(x, weight, bias, padding, (1, 1), (1, 1), 1)
    else:
        y = F.conv2d(x, weight, bias, padding=padding)
    return y.contiguous(memory_format=torch.channels_last)


def scaled(factor: Tensor, bias: Tensor | None) -> Tensor | None:
    """Multiply a layer's bias, if it has one, by a scalar or a matrix."""
    if bias is None:
        return None
    return factor @ to_float64(bias) if factor.dim() == 2 else factor * bias


def rows(x: Tensor) -> Tensor:
    """View a channels-last map (B, C, H, W) as contiguous (B, H, W, C)."""
    return x.permute(0, 2, 3, 1).contiguous()


def planes(x: Tensor) -> Tensor:
    """View (B, H, W, C) as a channels-last map (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)
