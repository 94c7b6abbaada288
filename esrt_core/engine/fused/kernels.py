"""Our own kernels in C, where they were compiled and the processor can run them.

Attention by our own kernel (attention.c) where there is one, else by torch.

3 x 3 and 5 x 5 convolutions by our own kernel (convolution.c): Winograd's minimal filtering.
"""

import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.model.transformer import attention

FOLDER = Path(__file__).parent
PROCESSORS = {"AVX512": "avx512", "AVX2": "avx2"}  # what torch calls the processor, and what a library's name ends in
POINTER, LONG, FLOAT, INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
ARGUMENTS: dict[str, tuple[type, ...]] = {  # by source: attention.c, convolution.c
    "attention": (*[POINTER] * 2, *[LONG] * 3, FLOAT, INT),
    "convolution": (*[POINTER] * 6, FLOAT, POINTER, *[LONG] * 6, INT),
}


def entry(name: str, source: bytes) -> str:
    """Return the name of the function that is compiled from a source; as hatch_build.py names it."""
    return f"{name}_{hashlib.sha256(source).hexdigest()[:16]}"


@cache
def load_kernel(name: str) -> Callable[..., int] | None:
    """Return the kernel of a source for this processor, or None.

    There is none where it was not compiled when the package was installed, or from another source; on older
    processors; and where torch has not loaded the OpenMP that the kernels share with it, lest they fight for the cores.
    """
    processor = PROCESSORS.get(torch.backends.cpu.get_cpu_capability())
    library = FOLDER / f"{name}_{processor}.so"
    if processor is None or not library.exists():
        return None
    try:
        kernel = ctypes.CDLL(str(library))[entry(name, (FOLDER / f"{name}.c").read_bytes())]
    except (OSError, AttributeError):
        return None
    kernel.argtypes = ARGUMENTS[name]
    kernel.restype = ctypes.c_int
    return kernel


DIM = 18  # channels of a head, as in attention.c: those of the published width


def kernel_attention(qkv: Tensor, heads: int, scale: float) -> Tensor:
    """Attend over whole sequences, as esrt_core.model.transformer.attention does.

    qkv: (B, n, 3 * heads * d) to (B, n, heads * d). The kernel computes in float32 whatever the type; its results
    depend neither on the batch nor on the number of threads.
    """
    kernel = load_kernel("attention") if qkv.is_cpu and qkv.shape[2] == 3 * heads * DIM else None
    if kernel is None:
        return attention(qkv, heads, scale)
    batch, length, _ = qkv.shape
    source = qkv.to(torch.float32).contiguous()
    out = torch.empty(batch, length, heads * DIM)
    if kernel(source.data_ptr(), out.data_ptr(), batch, length, heads, scale, torch.get_num_threads()):
        raise MemoryError
    return out.to(qkv.dtype)


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


def is_supported(x: Tensor, weight: Tensor, residual: Tensor | None = None) -> bool:
    """Say whether the kernel can convolve x (B, C, H, W) with a weight (D, C, k, k) and add a residual (B, D, H, W)."""
    outputs, inputs, size = weight.shape[:3]
    fits = inputs % WHOLE == 0 and inputs <= MOST and size in SIZES and (residual is None or outputs % WHOLE == 0)
    float32 = x.is_cpu and x.dtype == weight.dtype == torch.float32
    return fits and float32 and load_kernel("convolution") is not None


def pack(weight: Tensor, bias: Tensor | None, positive: Tensor, negative: Tensor) -> Layer:
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


def kernel_convolution(x: Tensor, layer: Layer, residual: Tensor | None, alpha: float) -> Tensor:
    """Convolve x (B, C, H, W) with zero padding, bend the sums, add alpha times the residual (B, D, H, W).

    All are channels last. The result depends neither on the batch nor on the number of threads.
    """
    kernel = load_kernel("convolution")
    assert kernel is not None, "see `is_supported`"
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
