"""Weights files and torch: a network from checked tensors, .pth files read without running code, and files written."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.header import MAX_BYTES, CheckpointMetadata, check_file
from esrt_core.weights.tensors import StoredTensor, Weights, fit_tensors, load_weights

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
MAX_DEPTH = 3
ZIP, PICKLE = b"PK", b"\x80"  # the first bytes of files by torch since 1.6, and before
EXPECTED = "expected a state_dict saved by torch"


@dataclass(frozen=True)
class Checkpoint:
    """Hold a network (float32, on the CPU, in eval mode) and the metadata of its file."""

    network: ESRT
    metadata: CheckpointMetadata


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a weights file as load_weights() does, into a network.

    Raises: WeightsError as load_weights() does.
    """
    weights = load_weights(path)
    return Checkpoint(make_network(weights), weights.metadata)


def make_network(weights: Weights) -> ESRT:
    """Return a network with its own copy of the weights: float32, on the CPU, in eval mode."""
    with torch.device("meta"):
        network = ESRT(_config(weights.metadata)).eval()
    state = {name: torch.from_numpy(values.copy()) for name, values in weights.tensors.items()}
    network.load_state_dict(state, assign=True)
    return network


def weights_of(network: ESRT) -> Weights:
    """Return a copy of a network's weights.

    Raises: WeightsError if they are not finite.
    """
    config = network.config
    metadata = CheckpointMetadata(config.scale, config.channels, config.blocks)
    return Weights(fit_tensors(stored_tensors(network.state_dict()), metadata, "the network"), metadata)


def stored_tensors(state: Mapping[str, Tensor]) -> dict[str, StoredTensor]:
    """Return the tensors of a state_dict for fit_tensors()."""
    return {name: _stored(tensor) for name, tensor in state.items()}


def _stored(tensor: Tensor) -> StoredTensor:
    def read() -> NDArray[np.float32]:
        # Contiguous: safetensors writes the memory as it lies, and training keeps channels last.
        values: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32, copy=True).contiguous().numpy()
        return values

    return StoredTensor(tuple(tensor.shape), unusual(tensor), read)


def unusual(tensor: Tensor) -> str:
    """Return what makes a tensor other than plain floating-point numbers in memory, "" if nothing does."""
    if tensor.is_meta:
        return "has no values"
    if tensor.layout != torch.strided:
        return "is sparse"
    if tensor.is_quantized or not tensor.is_floating_point():
        return f"has type {str(tensor.dtype).removeprefix('torch.')}"
    return ""


def save_checkpoint(
    weights: ESRT | Mapping[str, Tensor], path: Path, metadata: CheckpointMetadata, half: bool = False
) -> None:
    """Write a network or its state_dict atomically to a safetensors file, with our parameter names.

    `half` stores float16, which is loaded as float32.

    Raises: WeightsError if the tensors do not match the metadata; TargetError if the file cannot be written.
    """
    content = checkpoint_bytes(weights, path.name, metadata, half)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(content)


def checkpoint_bytes(
    weights: ESRT | Mapping[str, Tensor], name: str, metadata: CheckpointMetadata, half: bool = False
) -> bytes:
    """Return the content of the file that save_checkpoint() writes; messages call it `name`."""
    state = weights.state_dict() if isinstance(weights, ESRT) else weights
    tensors = fit_tensors(stored_tensors(state), metadata, name)
    if half:
        with np.errstate(over="ignore"):
            tensors = {key: values.astype(np.float16) for key, values in tensors.items()}
        stored = {key: StoredTensor(each.shape, "", partial(np.asarray, each)) for key, each in tensors.items()}
        fit_tensors(stored, metadata, f"{name} in float16")  # whose largest number is 65,504
    return save({key: np.ascontiguousarray(values) for key, values in tensors.items()}, metadata.to_strings())


def load_pickled(path: Path, device: torch.device) -> Any:
    """Return what a file by torch holds, read by torch's restricted unpickler, which never runs code.

    A damaged or hostile file can raise anything at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated kinds of tensors
        return torch.load(path, map_location=device, weights_only=True)


def write_pickled(content: Any, path: Path) -> None:
    """Write a file as torch.save does, through memory.

    torch's own writer turns an OSError such as a full disk into a RuntimeError without a reason.
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    path.write_bytes(memory.getbuffer())


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth or .pt file, unwrapped from common containers.

    Only torch's restricted unpickler is used, which never runs code.

    Raises: WeightsError if the file holds anything but a mapping of names to tensors.
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(2)
    if start == ZIP:
        check_archive(path, MAX_BYTES)
    elif start[:1] != PICKLE:
        raise WeightsError(f"{path} was not saved by torch; {EXPECTED}")
    try:
        content = load_pickled(path, torch.device("cpu"))
    except Exception as error:  # a damaged or hostile pickle can raise anything at all
        raise WeightsError(f"{path} {_reason(str(error))}; {EXPECTED}") from error
    return _tensors(content, path, MAX_DEPTH)


def _config(metadata: CheckpointMetadata) -> ESRTConfig:
    return ESRTConfig(metadata.scale, metadata.channels, metadata.blocks)


def check_archive(path: Path, limit: int) -> None:
    """Check an archive by torch before it is unpacked.

    Raises: WeightsError if it is damaged, holds a program, or would unpack to more than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path} is truncated or damaged; download or create it again") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise WeightsError(f"{path} is a TorchScript program, not plain tensors; {EXPECTED}")
    size = sum(entry.file_size for entry in entries)
    if size > limit:
        raise WeightsError(f"{path} unpacks to {size:,} bytes; weights may have up to {limit:,}")


def _reason(message: str) -> str:
    """Return why torch did not load a file; torch's own message would recommend to trust it."""
    refused = re.search(r"(?:Unsupported global: GLOBAL|class) (\S+)", message)
    if refused:
        return f"holds more than plain tensors ({refused[1]}), which is never loaded"
    return "is truncated or damaged, or holds more than plain tensors"


def _tensors(content: Any, path: Path, depth: int) -> dict[str, Tensor]:
    """Return the mapping of names to tensors inside the wrappers.

    Raises: WeightsError if there is something else.
    """
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}; expected a mapping of names to tensors")
    wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)
    if wrapper and depth:
        return _tensors(content[wrapper], path, depth - 1)
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            found = type(value).__name__
            raise WeightsError(f"{path} holds {str(key)[:60]!r}, a {found}; expected a mapping of names to tensors")
    return content
