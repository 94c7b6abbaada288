"""3 x 3 convolutions by our own kernel (convolution.c): Winograd's minimal filtering F(4 x 4, 3 x 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from esrt_core.engine.fast import compiled

WHOLE = 16  # channels come in multiples of it, and input channels are at most MOST, as in convolution.c
MOST = 256
FINITE = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # the points along one axis; infinity is the sixth


@dataclass(frozen=True)
class Layer:
    """Hold a convolution ready for the kernel, in float32.

    kernel               (36, in, out), evaluated at the points.
    bias                 (out,).
    positive, negative   (out,): what sums above and below zero are multiplied by.
    """

    kernel: Tensor
    bias: Tensor
    positive: Tensor
    negative: Tensor


def takes(x: Tensor, weight: Tensor) -> bool:
    """Say whether the kernel can convolve x (B, C, H, W) with a weight (D, C, 3, 3)."""
    outputs, inputs = weight.shape[:2]
    fits = inputs % WHOLE == 0 and outputs % WHOLE == 0 and inputs <= MOST
    float32 = x.is_cpu and x.dtype == weight.dtype == torch.float32
    return fits and float32 and compiled.load_kernel("convolution") is not None


def evaluate(weight: Tensor) -> Tensor:
    """Evaluate a weight (D, C, 3, 3) at the points: (36, C, D), rounded once."""
    rows = []
    for point in FINITE:
        others = [point - other for other in FINITE if other != point]
        rows.append(torch.tensor([1, point, point**2], dtype=torch.float64) / torch.tensor(others).double().prod())
    matrix = torch.stack([*rows, torch.tensor([0, 0, 1], dtype=torch.float64)])
    evaluated = torch.einsum("ij,dcjk,lk->ilcd", matrix, weight.double(), matrix)
    return evaluated.flatten(0, 1).to(torch.float32).contiguous()


def fast_convolution(x: Tensor, layer: Layer, residual: Tensor | None, alpha: float) -> Tensor:
    """Convolve x (B, C, H, W) with zero padding of 1, bend the sums, add alpha times the residual (B, D, H, W).

    All are channels last. The result depends neither on the batch nor on the number of threads.
    """
    kernel = compiled.load_kernel("convolution")
    assert kernel is not None, "see `takes`"
    (batch, inputs, height, width), outputs = x.shape, len(layer.bias)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty(batch, outputs, height, width, memory_format=torch.channels_last)
    added = None
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
        added = residual.data_ptr()
    fixed = (layer.kernel, layer.bias, layer.positive, layer.negative)
    shape = (batch, height, width, inputs, outputs)
    pointers = (x.data_ptr(), *(tensor.data_ptr() for tensor in fixed), added)
    if kernel(*pointers, alpha, y.data_ptr(), *shape, torch.get_num_threads()):
        raise MemoryError
    return y
