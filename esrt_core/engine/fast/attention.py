"""Attention by our own kernel (attention.c) where there is one, else by torch."""

import torch
from torch import Tensor

from esrt_core.engine.fast import compiled
from esrt_core.model.transformer import attention

DIM = 18  # channels of a head, as in attention.c: those of the published width


def fast_attention(qkv: Tensor, heads: int, scale: float) -> Tensor:
    """Attend over whole sequences, as esrt_core.model.transformer.attention does.

    qkv: (B, n, 3 * heads * d) to (B, n, heads * d). The kernel computes in float32 whatever the type; its results
    depend neither on the batch nor on the number of threads.
    """
    kernel = compiled.load_kernel("attention") if qkv.is_cpu and qkv.shape[2] == 3 * heads * DIM else None
    if kernel is None:
        return attention(qkv, heads, scale)
    batch, length, _ = qkv.shape
    source = qkv.to(torch.float32).contiguous()
    out = torch.empty(batch, length, heads * DIM)
    if kernel(source.data_ptr(), out.data_ptr(), batch, length, heads, scale, torch.get_num_threads()):
        raise MemoryError
    return out.to(qkv.dtype)
