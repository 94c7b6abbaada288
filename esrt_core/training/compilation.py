"""Compiled blocks: the small operations of the network fused."""

from torch import nn

from esrt_core.model.blocks import ARFB


def compile_blocks(network: nn.Module, backend: str = "inductor") -> None:
    """Let torch.compile fuse what lies between the convolutions of every ARFB, where most of a step's time goes.

    The code of one serves all of them. Where compiling fails, torch says so and the blocks run as they are. Names of
    parameters stay, and a copy of the network is a plain one.
    """
    import torch._dynamo  # takes seconds, and only a GPU needs it

    torch._dynamo.config.suppress_errors = True
    for module in network.modules():
        if isinstance(module, ARFB):
            module.compile(backend=backend, dynamic=False)
