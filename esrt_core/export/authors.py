"""Weights under the names of the authors' published code (https://github.com/luissen/ESRT)."""

from pathlib import Path

import torch

from esrt_core.model.esrt import ESRT
from esrt_core.weights.authors import authors_name


def write_authors(network: ESRT, path: Path) -> None:
    """Write a plain state_dict by torch.save, which the authors' code loads strictly, and torch with weights_only."""
    state = network.state_dict()
    torch.save({authors_name(name): tensor.contiguous() for name, tensor in state.items()}, path)
