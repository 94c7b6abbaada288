"""What of the network a training step computes in half precision.

Compiled blocks: the small operations of the network fused.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.device import multiplies_bfloat16
from esrt_core.model.blocks import HPB
from esrt_core.model.esrt import ESRT, Upsampler
from esrt_core.model.transformer import ET, WHOLE, Windows
from esrt_core.training.state import LossScale


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


SCALE = 2.0**14  # of the loss, for Float16, at most

# Weights cast inside a recorded CUDA graph must be cast again by each replay, so autocast keeps no cache of them.


class Float16(nn.Module):
    """Run a network in float16; its loss must be scaled for the backward pass."""

    def __init__(self, network: ESRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """As the network."""
        with torch.autocast(x.device.type, torch.float16, cache_enabled=False):
            out: Tensor = self.network(x, windows)
        return out


class Bfloat16Backbones(nn.Module):
    """Run the backbones of a network in bfloat16, and what makes the picture in float32.

    Everything in bfloat16 would round the picture to steps of about a gray level. Weights learn to suit that, and near
    the end of a run the gradients point elsewhere than float32's (measured in benchmarks/training.md).
    """

    def __init__(self, network: ESRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """As the network."""
        features = self.network.head(x)
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            refined = self.network.ltb(self.network.lcb(features), windows)
        return self.network.enlarge(features, refined.float())


def in_half_precision(network: ESRT, device: torch.device) -> nn.Module:
    """Return a network for training on a device, as fast as that allows with float32's gradients."""
    if device.type == "cuda":
        return Float16(network)
    return Bfloat16Backbones(network) if multiplies_bfloat16(device) else network


def loss_scale(device: torch.device) -> LossScale:
    """Return what the loss of in_half_precision() is multiplied by at first."""
    return LossScale(SCALE if device.type == "cuda" else 1.0, device)
