"""Attention by our own kernel (attention.c) where it was compiled and the processor can run it, else by torch."""

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from esrt_core.model.transformer import attention

SOURCE = Path(__file__).with_name("attention.c")
DIM = 18  # channels of a head, as in attention.c: those of the published width
LIBRARIES = {"AVX512": "attention_avx512.so", "AVX2": "attention_avx2.so"}  # by what torch calls the processor


def fast_attention(qkv: Tensor, heads: int, scale: float) -> Tensor:
    """Attend over whole sequences, as esrt_core.model.transformer.attention does.

    qkv: (B, n, 3 * heads * d) to (B, n, heads * d). The kernel computes in float32 whatever the type; its results
    depend neither on the batch nor on the number of threads.
    """
    kernel = load_kernel() if qkv.is_cpu and qkv.shape[2] == 3 * heads * DIM else None
    if kernel is None:
        return attention(qkv, heads, scale)
    batch, length, _ = qkv.shape
    source = qkv.to(torch.float32).contiguous()
    out = torch.empty(batch, length, heads * DIM)
    if kernel(source.data_ptr(), out.data_ptr(), batch, length, heads, scale, torch.get_num_threads()):
        raise MemoryError
    return out.to(qkv.dtype)


def entry(source: bytes) -> str:
    """Return the name of the function that is compiled from a source; as hatch_build.py names it."""
    return f"attention_{hashlib.sha256(source).hexdigest()[:16]}"


@cache
def load_kernel() -> Callable[..., int] | None:
    """Return the kernel for this processor, or None.

    There is none where it was not compiled when the package was installed, or from another attention.c; on older
    processors; and where torch has not loaded the OpenMP that the kernel shares with it, lest they fight for the cores.
    """
    name = LIBRARIES.get(torch.backends.cpu.get_cpu_capability())
    if name is None or not Path(__file__).with_name(name).exists():
        return None
    try:
        kernel = ctypes.CDLL(str(Path(__file__).with_name(name)))[entry(SOURCE.read_bytes())]
    except (OSError, AttributeError):
        return None
    kernel.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_long] * 3 + [ctypes.c_float, ctypes.c_int]
    kernel.restype = ctypes.c_int
    return kernel
