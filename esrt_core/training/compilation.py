"""Compiled blocks: the small operations of the network fused."""

import torch.nn.functional as F
from torch import nn

from esrt_core.model.blocks import HPB
from esrt_core.model.esrt import Upsampler
from esrt_core.model.transformer import ET


def compile_blocks(network: nn.Module, backend: str = "inductor") -> None:
    """Let torch.compile fuse what lies between the convolutions and products of the HPBs, the ET and the upsamplers.

    The code of one serves its likes. Where compiling fails, torch says so and the blocks run as they are. Names of
    parameters stay, and a copy of the network is a plain one.
    """
    import torch._dynamo  # takes seconds, and only a GPU needs it

    torch._dynamo.config.suppress_errors = True
    # Compiled, the gradient of a resized map becomes additions one by one into single values.
    torch._dynamo.disallow_in_graph(F.interpolate)
    for module in network.modules():
        if isinstance(module, HPB | ET | Upsampler):
            module.compile(backend=backend, dynamic=False)
