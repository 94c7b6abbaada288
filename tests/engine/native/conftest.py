"""Fixtures: the plain network with drawn weights, and the native one for each kind of processor."""

import numpy as np
import pytest
import torch

from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native.library import FOLDER, PROCESSORS, Library, best_processor, open_library
from esrt_core.engine.native.packing import Weights
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.weights.detect import authors_name


def drawn_network(scale: int, seed: int = 1, blocks: int = 3) -> ESRT:
    """Draw every parameter, in the order of the authors' names, so that none is neutral and outputs are large."""
    network = ESRT(ESRTConfig(scale, blocks=blocks)).eval()
    draw = np.random.Generator(np.random.PCG64(seed))
    for name, parameter in sorted((authors_name(name), parameter) for name, parameter in network.named_parameters()):
        shape = tuple(parameter.shape)
        x = draw.standard_normal(shape).astype(np.float32)
        if name.endswith((".scale", "norm1.weight", "norm2.weight")):
            x = 1 + np.float32(0.1) * x
        elif name.endswith("relu.weight"):
            x = np.float32(0.25) + np.float32(0.05) * x
        elif len(shape) == 1:
            x = np.float32(0.05) * x
        else:
            x = x / np.sqrt(np.prod(shape[1:]))
        parameter.data = torch.from_numpy(x.astype(np.float32))
    return network


def named_weights(network: ESRT) -> Weights:
    return {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}


def native_form(network: ESRT, library: Library | None = None) -> NativeESRT:
    return NativeESRT(named_weights(network), network.config.scale, library)


@pytest.fixture(scope="session", params=PROCESSORS)
def library(request: pytest.FixtureRequest) -> Library:
    """Open the library for a kind of processor that this one can run."""
    if not list(FOLDER.glob("*.so")):
        pytest.skip("not compiled: there was no C compiler when the package was installed")
    best = best_processor()
    assert best is not None, "compiled from other sources: pip install -e . again"
    if PROCESSORS.index(request.param) > PROCESSORS.index(best):
        pytest.skip(f"this processor has no {request.param}")
    opened = open_library(request.param)
    assert opened is not None, "compiled from other sources: pip install -e . again"
    return opened
