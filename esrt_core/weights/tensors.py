"""The tensors of a network in NumPy: read from a file and checked one by one, without torch for safetensors files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from esrt_core.architecture import parameter_shapes
from esrt_core.errors import WeightsError
from esrt_core.weights.detect import Shape, our_names, without_prefix
from esrt_core.weights.header import PICKLED, CheckpointMetadata, describe, open_safetensors

Tensors = Mapping[str, NDArray[np.float32]]

FLOATING = ("float64", "float32", "float16", "bfloat16")
_NUMPY_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


@dataclass(frozen=True)
class Weights:
    """Hold the tensors of one network, in float32 and by our names, and the metadata of their file."""

    tensors: Tensors
    metadata: CheckpointMetadata

    @property
    def scale(self) -> int:
        """The scale of the network."""
        return self.metadata.scale


@dataclass(frozen=True)
class StoredTensor:
    """Hold a tensor as it is in a file: its shape, what makes it unusable, and a function that returns it in float32.

    `fault` is "" or the end of a sentence ("has type int64"). It and the shape are checked before `read` is called: a
    tensor can look larger than any memory.
    """

    shape: Shape
    fault: str
    read: Callable[[], NDArray[np.float32]]


def load_weights(path: Path) -> Weights:
    """Load ESRT from a .safetensors, .pth or .pt file, with our parameter names or the authors'.

    Other floating-point types are converted to float32. torch is imported only for a .pth or .pt file.

    Raises: WeightsError if the file is missing, damaged or not ESRT, or if tensors are missing, extra, of the wrong
    shape or not finite.
    """
    stored, entries = _read(path)
    metadata = describe({name: tensor.shape for name, tensor in stored.items()}, entries, str(path))
    return Weights(fit_tensors(stored, metadata, str(path)), metadata)


def fit_tensors(stored: Mapping[str, StoredTensor], metadata: CheckpointMetadata, name: str) -> Tensors:
    """Return the tensors in float32 by our names.

    `stored` has our names or the authors', with or without the prefix `module.`.

    Raises: WeightsError, naming the file `name`, if tensors are missing, extra, of the wrong shape, not floating point
    or not finite.
    """
    expected = parameter_shapes(metadata.scale, metadata.channels, metadata.blocks)
    named = _match(stored, expected, name)
    return {
        ours: _checked(stored[full], expected[ours], f"{name}: tensor {full}", metadata) for ours, full in named.items()
    }


def _read(path: Path) -> tuple[Mapping[str, StoredTensor], dict[str, str]]:
    """Return the tensors of a file and the entries of its header."""
    if path.suffix.lower() in PICKLED:
        from esrt_core.weights.checkpoint import read_pickled, stored_tensors

        return stored_tensors(read_pickled(path)), {}
    with open_safetensors(path) as file:
        found = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        return {name: _stored(each) for name, each in found}, file.metadata() or {}


def _stored(each: Mapping[str, Any]) -> StoredTensor:
    """Return a tensor of a safetensors file; https://huggingface.co/docs/safetensors describes the types."""
    shape, dtype = tuple(each["shape"]), _NUMPY_TYPES.get(each["dtype"], str(each["dtype"]))

    def read() -> NDArray[np.float32]:
        if dtype != "bfloat16":
            return np.frombuffer(each["data"], dtype).reshape(shape).astype(np.float32)
        upper = np.frombuffer(each["data"], np.uint16).astype(np.uint32) << 16  # NumPy has no bfloat16: half a float32
        return upper.view(np.float32).reshape(shape)

    return StoredTensor(shape, "" if dtype in FLOATING else f"has type {dtype}", read)


def _match(stored: Mapping[str, StoredTensor], expected: Mapping[str, Shape], name: str) -> dict[str, str]:
    """Map each of our names to a name in the file.

    Raises: WeightsError if a name is missing or left over.
    """
    originals = without_prefix(stored)
    named = {ours: originals[ours] for ours in expected if ours in originals}
    if len(named) < len(expected):
        theirs = our_names(expected)
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


def _checked(tensor: StoredTensor, shape: Shape, what: str, metadata: CheckpointMetadata) -> NDArray[np.float32]:
    if tensor.shape != shape:
        raise WeightsError(
            f"{what} has shape {_shape_text(tensor.shape)}, expected {_shape_text(shape)} for ESRT "
            f"x{metadata.scale} with {metadata.channels} channels and {metadata.blocks} blocks"
        )
    if tensor.fault:
        raise WeightsError(f"{what} {tensor.fault}, expected float32, float16 or bfloat16")
    values = tensor.read()
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise WeightsError(f"{what} has {bad} of {values.size} values that are NaN or infinite; expected none")
    return values


def _shape_text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "()"


def _list_names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{'tensor' if len(names) == 1 else 'tensors'} {shown}{more}"
