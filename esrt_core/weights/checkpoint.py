"""A weights file becomes a network, and a network a weights file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.fit import empty_network, fit_tensors
from esrt_core.weights.header import describe, open_safetensors
from esrt_core.weights.metadata import CheckpointMetadata
from esrt_core.weights.pickled import read_pickled
from esrt_core.weights.suffixes import PICKLED


@dataclass(frozen=True)
class Checkpoint:
    """Hold a network (float32, on the CPU, in eval mode) and what its file says about it."""

    network: ESRT
    metadata: CheckpointMetadata


def load_checkpoint(path: Path) -> Checkpoint:
    """Load ESRT from a .safetensors, .pth or .pt file, under our parameter names or the authors'.

    Numbers stored in another floating-point type become float32. Raises WeightsError, in one sentence, for a missing,
    damaged or foreign file, and for missing, extra, mis-shaped or non-finite tensors.
    """
    state, entries = _read(path)
    metadata = describe({name: tuple(tensor.shape) for name, tensor in state.items()}, entries, str(path))
    config = _config(metadata)
    network = empty_network(config)
    network.load_state_dict(fit_tensors(state, config, str(path)), assign=True)
    return Checkpoint(network, metadata)


def save_checkpoint(
    weights: ESRT | Mapping[str, Tensor], path: Path, metadata: CheckpointMetadata, half: bool = False
) -> None:
    """Write a network or its state_dict to a safetensors file, under our names; an older file is replaced at once.

    `half` stores float16, which loads as float32 again. Raises WeightsError when the tensors are not those that the
    metadata describes, TargetError when the file cannot be written.
    """
    state = weights.state_dict() if isinstance(weights, ESRT) else weights
    tensors = fit_tensors(state, _config(metadata), path.name)
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
        fit_tensors(tensors, _config(metadata), f"{path.name} in float16")  # 65,504 is the largest number it holds
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(
            save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata.to_strings())
        )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file and the entries of its header."""
    if path.suffix.lower() in PICKLED:
        return read_pickled(path), {}
    with open_safetensors(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)


def _config(metadata: CheckpointMetadata) -> ESRTConfig:
    return ESRTConfig(metadata.scale, metadata.channels, metadata.blocks)
