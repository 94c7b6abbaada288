"""3 x 3 and 5 x 5 convolutions by our own kernel (convolution.c): Winograd's minimal filtering."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.engine.fast import compiled

WHOLE = 16  # channels come in multiples of it: outputs are filled up; as in convolution.c
MOST = 256  # input channels
SIZES = (3, 5)
FINITE = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # the points along one axis; infinity is the sixth


@dataclass(frozen=True)
class Layer:
    """Hold a convolution ready for the kernel, in float32.

    kernel               (36, in, out), evaluated at the points; out is a multiple of WHOLE.
    bias                 (out,).
    positive, negative   (out,): what sums above and below zero are multiplied by.
    outputs              how many of the output channels are wanted.
    size                 the side of the kernel, 3 or 5.
    """

    kernel: Tensor
    bias: Tensor
    positive: Tensor
    negative: Tensor
    outputs: int
    size: int


def takes(x: Tensor, weight: Tensor, residual: Tensor | None = None) -> bool:
    """Say whether the kernel can convolve x (B, C, H, W) with a weight (D, C, k, k) and add a residual (B, D, H, W)."""
    outputs, inputs, size = weight.shape[:3]
    fits = inputs % WHOLE == 0 and inputs <= MOST and size in SIZES and (residual is None or outputs % WHOLE == 0)
    float32 = x.is_cpu and x.dtype == weight.dtype == torch.float32
    return fits and float32 and compiled.load_kernel("convolution") is not None


def prepare(weight: Tensor, bias: Tensor | None, positive: Tensor, negative: Tensor) -> Layer:
    """Make a weight (D, C, k, k) and what belongs to it, (D,) each, ready for the kernel."""
    outputs = len(weight)
    bias = torch.zeros(outputs) if bias is None else bias
    kernel, bias, positive, negative = map(_filled_up, (evaluate(weight), bias, positive, negative))
    return Layer(kernel, bias, positive, negative, outputs, weight.shape[2])


def evaluate(weight: Tensor) -> Tensor:
    """Evaluate a weight (D, C, k, k) at the points: (36, C, D), rounded once."""
    powers = torch.arange(weight.shape[2], dtype=torch.float64)
    rows = []
    for point in FINITE:
        others = torch.tensor([point - other for other in FINITE if other != point], dtype=torch.float64)
        rows.append(point**powers / others.prod())
    matrix = torch.stack([*rows, (powers == powers[-1]).double()])
    evaluated = torch.einsum("ij,dcjk,lk->ilcd", matrix, weight.double(), matrix)
    return evaluated.flatten(0, 1).to(torch.float32)


def _filled_up(x: Tensor) -> Tensor:
    """Fill the last axis up with zeros to a multiple of WHOLE."""
    return F.pad(x, (0, -x.shape[-1] % WHOLE)).contiguous()


def fast_convolution(x: Tensor, layer: Layer, residual: Tensor | None, alpha: float) -> Tensor:
    """Convolve x (B, C, H, W) with zero padding, bend the sums, add alpha times the residual (B, D, H, W).

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
    shape = (batch, height, width, inputs, outputs, layer.size)
    pointers = (x.data_ptr(), *(tensor.data_ptr() for tensor in fixed), added)
    if kernel(*pointers, alpha, y.data_ptr(), *shape, torch.get_num_threads()):
        raise MemoryError
    return y[:, : layer.outputs]
