"""A small random network and generated pictures."""

import numpy as np
import pytest
import torch

from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.weights.checkpoint import weights_of
from esrt_core.weights.tensors import Weights


def make_network(scale: int = 2) -> ESRT:
    torch.manual_seed(3)
    return ESRT(ESRTConfig(scale, channels=16, blocks=1)).eval()


def noise(height: int, width: int, *channels: int, seed: int = 1) -> Plane:
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)


def rgb(height: int, width: int, seed: int = 1) -> Frame:
    return Frame((noise(height, width, 3, seed=seed),), ColorSpace.RGB)


@pytest.fixture(scope="session")
def network() -> ESRT:
    return make_network()


@pytest.fixture(scope="session")
def weights(network: ESRT) -> Weights:
    """Return weights that the native network does not take, so that the form in torch runs."""
    return weights_of(network)
