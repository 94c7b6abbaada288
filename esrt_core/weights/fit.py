"""Fit the tensors of a file to the network that they should fill."""

from collections.abc import Mapping

import torch
from torch import Tensor

from esrt_core.errors import WeightsError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.authors import our_names
from esrt_core.weights.configuration import Shape, without_prefix


def empty_network(config: ESRTConfig) -> ESRT:
    """Make the network without memory for its numbers, in eval mode."""
    with torch.device("meta"):
        return ESRT(config).eval()


def fit_tensors(state: Mapping[str, Tensor], config: ESRTConfig, name: str) -> dict[str, Tensor]:
    """Return the tensors under our names, in float32 on the CPU.

    `state` has our names or the authors', with or without `module.`. Raises WeightsError, naming the file `name`, for
    missing, extra or mis-shaped tensors, for numbers that are not floating point and for non-finite ones.
    """
    expected = {ours: tuple(tensor.shape) for ours, tensor in empty_network(config).state_dict().items()}
    named = _match(state, expected, name)
    for ours, full in named.items():
        _check_tensor(state[full], expected[ours], f"{name}: tensor {full}", config)
    return {ours: state[full].detach().to("cpu", torch.float32) for ours, full in named.items()}


def _match(state: Mapping[str, Tensor], expected: Mapping[str, Shape], name: str) -> dict[str, str]:
    """Map every one of our names to a name in the file; none may be missing or left over."""
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
    for word, names in (("lacks", missing), ("has unknown", extra)):
        if names:
            raise WeightsError(f"{name} {word} {_listed(names)}; expected exactly the {len(expected)} tensors of ESRT")
    return named


def _check_tensor(tensor: Tensor, shape: Shape, what: str, config: ESRTConfig) -> None:
    if tuple(tensor.shape) != shape:
        raise WeightsError(
            f"{what} has shape {_spelled(tuple(tensor.shape))}, expected {_spelled(shape)} for ESRT x{config.scale} "
            f"with {config.channels} channels and {config.blocks} blocks"
        )
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(f"{what} holds {kind} numbers, expected float32, float16 or bfloat16")
    bad = tensor.numel() - int(torch.isfinite(tensor.float()).sum())
    if bad:
        raise WeightsError(f"{what} has {bad} of {tensor.numel()} numbers that are NaN or infinite; expected none")


def _spelled(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "()"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{'tensor' if len(names) == 1 else 'tensors'} {shown}{more}"
