"""Load a network from a weights file, checking every tensor, and save one; .pth files are read without running code."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.detect import Shape, our_names, without_prefix
from esrt_core.weights.header import MAX_BYTES, PICKLED, CheckpointMetadata, check_file, describe, open_safetensors

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
    """Load ESRT from a .safetensors, .pth or .pt file, with our parameter names or the authors'.

    Other floating-point types are converted to float32.

    Raises: WeightsError if the file is missing, damaged or not ESRT, or if tensors are missing, extra, of the wrong
    shape or not finite.
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
    tensors = fit_tensors(state, _config(metadata), name)
    if half:
        tensors = {key: tensor.half() for key, tensor in tensors.items()}
        fit_tensors(tensors, _config(metadata), f"{name} in float16")  # whose largest number is 65,504
    return save({key: tensor.contiguous() for key, tensor in tensors.items()}, metadata.to_strings())


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


def empty_network(config: ESRTConfig) -> ESRT:
    """Make a network on the meta device, in eval mode."""
    with torch.device("meta"):
        return ESRT(config).eval()


def fit_tensors(state: Mapping[str, Tensor], config: ESRTConfig, name: str) -> dict[str, Tensor]:
    """Return the tensors with our names, in float32 on the CPU.

    `state` has our names or the authors', with or without the prefix `module.`.

    Raises: WeightsError, naming the file `name`, if tensors are missing, extra, of the wrong shape, not floating point
    or not finite.
    """
    expected = {ours: tuple(tensor.shape) for ours, tensor in empty_network(config).state_dict().items()}
    named = _match(state, expected, name)
    for ours, full in named.items():
        _check_tensor(state[full], expected[ours], f"{name}: tensor {full}", config)
    return {ours: state[full].detach().to("cpu", torch.float32) for ours, full in named.items()}


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


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file and the entries of its header."""
    if path.suffix.lower() in PICKLED:
        return read_pickled(path), {}
    with open_safetensors(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)


def _config(metadata: CheckpointMetadata) -> ESRTConfig:
    return ESRTConfig(metadata.scale, metadata.channels, metadata.blocks)


def _match(state: Mapping[str, Tensor], expected: Mapping[str, Shape], name: str) -> dict[str, str]:
    """Map each of our names to a name in the file.

    Raises: WeightsError if a name is missing or left over.
    """
    originals = without_prefix(state)
    theirs = our_names(expected)
    named = {ours: originals[ours] for ours in expected if ours in originals}
    named |= {ours: originals[other] for other, ours in theirs.items() if ours not in named and other in originals}
    missing = [ours for ours in expected if ours not in named]
    extra = sorted(set(originals.values()) - set(named.values()))
    if len(missing) > len(expected) // 2:
        raise WeightsError(
            f"{name} is not ESRT: it has {len(named)} of the {len(expected)} tensors expected and {len(extra)} others"
        )
    for problem, names in (("lacks", missing), ("has unknown", extra)):
        if names:
            found = _list_names(names)
            raise WeightsError(f"{name} {problem} {found}; expected exactly the {len(expected)} tensors of ESRT")
    return named


def _check_tensor(tensor: Tensor, shape: Shape, what: str, config: ESRTConfig) -> None:
    if tuple(tensor.shape) != shape:
        raise WeightsError(
            f"{what} has shape {_shape_text(tuple(tensor.shape))}, expected {_shape_text(shape)} for ESRT "
            f"x{config.scale} with {config.channels} channels and {config.blocks} blocks"
        )
    if reason := unusual(tensor):
        raise WeightsError(f"{what} {reason}, expected float32, float16 or bfloat16")
    bad = tensor.numel() - int(torch.isfinite(tensor.float()).sum())
    if bad:
        raise WeightsError(f"{what} has {bad} of {tensor.numel()} values that are NaN or infinite; expected none")


def unusual(tensor: Tensor) -> str:
    """Return what makes a tensor other than plain floating-point numbers in memory, "" if nothing does."""
    if tensor.is_meta:
        return "has no values"
    if tensor.layout != torch.strided:
        return "is sparse"
    if tensor.is_quantized or not tensor.is_floating_point():
        return f"has type {str(tensor.dtype).removeprefix('torch.')}"
    return ""


def _shape_text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "()"


def _list_names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{'tensor' if len(names) == 1 else 'tensors'} {shown}{more}"


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
