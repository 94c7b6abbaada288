"""What of the network a training step computes in half precision."""

import torch
from torch import Tensor, nn

from esrt_core.engine.device import multiplies_bfloat16
from esrt_core.model.esrt import ESRT
from esrt_core.model.transformer import WHOLE, Windows
from esrt_core.training.scaling import LossScale

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

    Everything in bfloat16 would round the picture to steps of about a grey level. Weights learn to suit that, and near
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
