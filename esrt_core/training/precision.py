"""Faster training steps with float32's gradients: half precision where it is safe, and compiled blocks on a GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.device import supports_fast_bfloat16
from esrt_core.model.blocks import HPB
from esrt_core.model.esrt import ESRT, Upsampler
from esrt_core.model.transformer import ET, WHOLE, Windows
from esrt_core.training.state import LossScale

MAX_LOSS_SCALE = 2.0**14  # for Float16


def in_half_precision(network: ESRT, device: torch.device) -> nn.Module:
    """Wrap a network to use half precision on a device as far as that leaves the gradients like float32's."""
    if device.type == "cuda":
        return Float16(network)
    return Bfloat16Backbones(network) if supports_fast_bfloat16(device) else network


def loss_scale(device: torch.device) -> LossScale:
    """Return the initial loss scale for in_half_precision()."""
    return LossScale(MAX_LOSS_SCALE if device.type == "cuda" else 1.0, device)


def compile_blocks(network: nn.Module, backend: str = "inductor") -> None:
    """Compile the HPBs, the ET and the upsamplers, to fuse the operations between convolutions and matrix products.

    Blocks of one kind share their compiled code. If compiling fails, torch warns and the blocks run uncompiled. The
    names of parameters do not change, and a copy of the network is not compiled.
    """
    import torch._dynamo  # slow to import and only needed on a GPU

    torch._dynamo.config.suppress_errors = True
    # Compiled, the gradient of a resized map becomes one atomic addition per value.
    torch._dynamo.disallow_in_graph(F.interpolate)
    for module in network.modules():
        if isinstance(module, HPB | ET | Upsampler):
            module.compile(backend=backend, dynamic=False)


# Weights cast inside a recorded CUDA graph must be cast again by each replay, so autocast keeps no cache of them.


class Float16(nn.Module):
    """Run a network in float16; the loss must be scaled for the backward pass."""

    def __init__(self, network: ESRT) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        """As the network."""
        with torch.autocast(x.device.type, torch.float16, cache_enabled=False):
            out: Tensor = self.network(x, windows)
        return out


class Bfloat16Backbones(nn.Module):
    """Run the backbones of a network in bfloat16, and the head and the upsamplers in float32.

    All in bfloat16, the output would be rounded to steps of about a gray level; the weights adapt to that, and near the
    end of a run the gradients point in another direction than float32's (measured in benchmarks/training.md).
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
