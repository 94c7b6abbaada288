"""The state of a run, with all that resuming needs: weights, their average, optimizers, loss scale and counters."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from esrt_core.errors import TrainingError
from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT
from esrt_core.training.optimizers import Muon
from esrt_core.weights.checkpoint import check_archive, load_pickled, unusual, write_pickled
from esrt_core.weights.header import MAX_BYTES

VERSION = 1
MAX_COUNT = 2**53  # larger numbers are damage
GROWTH = 1000  # finite steps after which a factor that was halved is doubled again
COUNTERS = {  # attribute of TrainingState: key in the file
    "step": "step",
    "seconds": "seconds",
    "validated": "validated",
    "skipped": "skipped",
    "bicubic_psnr": "bicubic_psnr",
    "start_psnr": "start_psnr",
    "best_psnr": "best_psnr",
    "best_step": "best_step",
    "last_psnr": "last_psnr",
}


class EMA:
    """Average a network's parameters over about 1 / (1 - decay) steps, fewer early in a run.

    The averaged weights are what is validated and kept.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the current parameters to the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = [value.detach() for value in network.parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), values, 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Copy the average into the parameters of a network of the same shape."""
        for name, value in network.named_parameters():
            value.copy_(self.shadow[name])

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """Return the arguments of load_state_dict()."""
        return {"updates": self.updates, "shadow": self.shadow}

    @torch.no_grad()
    def load_state_dict(self, updates: int, shadow: dict[str, Tensor]) -> None:
        """Restore a saved average."""
        self.updates = updates
        for name, value in self.shadow.items():
            value.copy_(shadow[name])


class LossScale:
    """Scale the loss so that gradients stay in float16's range; unscaled, small ones would vanish.

    After a step with gradients that are not finite the factor is halved, down to 1; after GROWTH finite steps it is
    doubled, up to `maximum`.
    """

    def __init__(self, maximum: float, device: torch.device) -> None:
        self.maximum = maximum
        self.factor = torch.tensor(maximum, device=device)  # on the device, where a recorded CUDA graph reads it
        self.finite_steps = 0

    @property
    def is_minimal(self) -> bool:
        """Whether the factor cannot be reduced further."""
        return float(self.factor) <= 1

    def adapt(self, finite: bool) -> None:
        """Adapt the factor after a step."""
        self.finite_steps += finite
        if not finite:
            self.factor.mul_(0.5).clamp_(min=1.0)
        elif self.finite_steps % GROWTH == 0:
            self.factor.mul_(2.0).clamp_(max=self.maximum)

    def restore(self, factor: float, finite_steps: int) -> None:
        """Restore a saved factor, limited to the maximum of this device, which may not be the one it was saved on."""
        self.factor.fill_(min(factor, self.maximum))
        self.finite_steps = finite_steps


@dataclass
class TrainingState:
    """Hold what changes during a run.

    step       steps done; `seconds` is the training time, without interruptions.
    validated  validations done; `best_psnr` and the two baselines are in dB on the held-out pictures.
    skipped    steps skipped in a row because they were not finite.

    The position in the data needs no entry: batches depend only on the seed and the step.
    """

    network: ESRT
    ema: EMA
    scale: LossScale
    optimizers: list[Optimizer] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0
    validated: int = 0
    skipped: int = 0
    bicubic_psnr: float = 0.0
    start_psnr: float = 0.0
    best_psnr: float = 0.0
    best_step: int = 0
    last_psnr: float = 0.0

    def save(self, path: Path) -> None:
        """Write the state to a file atomically.

        Raises: TargetError if it cannot be written.
        """
        content = {
            "version": VERSION,
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "loss_scale": (float(self.scale.factor), self.scale.finite_steps),
            "counters": {key: getattr(self, name) for name, key in COUNTERS.items()},
        }
        with atomic_write(path, overwrite=True) as temporary:
            write_pickled(content, temporary)


@dataclass(frozen=True)
class SavedState:
    """Hold a saved state whose types and shapes are checked; `optimizers` once restore_optimizers() has them."""

    path: Path
    network: dict[str, Tensor]
    shadow: dict[str, Tensor]
    updates: int
    optimizers: list[Any]
    loss_scale: tuple[float, int] | None
    counters: dict[str, Any]

    def damaged(self) -> TrainingError:
        """Return the error of a damaged state."""
        return _damaged(self.path)


def read_state(path: Path, device: torch.device, state: TrainingState) -> SavedState:
    """Read a saved state of a run whose state is like `state`.

    Raises: TrainingError if the file is damaged or was written by another version.
    """
    try:
        check_archive(path, 4 * MAX_BYTES)  # weights, their average, and up to two moments
        content = load_pickled(path, device)
    except Exception as error:  # a damaged pickle can raise anything at all
        raise _damaged(path) from error
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise _damaged(path)
    average, optimizers = content.get("ema"), content.get("optimizers", content.get("optimisers"))  # as 0.1.0 spelled
    scale, counters = content.get("loss_scale"), content.get("counters")  # files of 0.1.0 may have no loss scale
    upsampler_alone = isinstance(counters, dict) and counters.get("body_rests") is True  # 0.1.0's first steps
    if content["version"] != VERSION or upsampler_alone:
        raise TrainingError(f"{path} was written by another version of esrt; use that version to finish the run")
    if not (
        _is_like(state.network.state_dict(), content.get("network"))
        and isinstance(average, dict)
        and _is_like(state.ema.shadow, average.get("shadow"))
        and _is_count(average.get("updates"))
        and isinstance(optimizers, list)
        and (scale is None or _is_loss_scale(scale))
        and isinstance(counters, dict)
        and all(_KINDS[name](counters.get(key)) for name, key in COUNTERS.items())
    ):
        raise _damaged(path)
    return SavedState(
        path, content["network"], average["shadow"], average["updates"], optimizers, scale and tuple(scale), counters
    )


def restore_counters(state: TrainingState, saved: SavedState) -> None:
    """Restore weights, average, loss scale and counters; not the optimizers."""
    state.network.load_state_dict(saved.network)
    state.ema.load_state_dict(saved.updates, saved.shadow)
    state.scale.restore(*(saved.loss_scale or (state.scale.maximum, 0)))
    for name, key in COUNTERS.items():
        setattr(state, name, saved.counters[key])


def restore_optimizers(optimizers: Sequence[Optimizer], saved: SavedState) -> None:
    """Restore the moments of optimizers; their hyperparameters are those of the run's options.

    Raises: TrainingError if the saved ones are not of these optimizers.
    """
    if len(optimizers) != len(saved.optimizers):
        raise saved.damaged()
    for optimizer, content in zip(optimizers, saved.optimizers, strict=True):
        moments = content.get("state") if isinstance(content, dict) else None
        values = [value for group in optimizer.param_groups for value in group["params"]]
        if not isinstance(moments, dict) or not all(
            type(number) is int and 0 <= number < len(values) and _are_moments(each, values[number], optimizer)
            for number, each in moments.items()
        ):
            raise saved.damaged()
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _damaged(path: Path) -> TrainingError:
    return TrainingError(f"{path} is damaged, so the run cannot be resumed; delete its folder or choose another --out")


def _is_like(expected: Mapping[str, Tensor], found: object) -> bool:
    """Return whether `found` has plain tensors of the expected names and shapes."""
    return (
        isinstance(found, dict)
        and found.keys() == expected.keys()
        and all(_is_plain(value) and value.shape == expected[name].shape for name, value in found.items())
    )


def _are_moments(found: object, value: Tensor, optimizer: Optimizer) -> bool:
    """Return whether `found` is what the optimizer keeps for a parameter."""
    keys = {"momentum"} if isinstance(optimizer, Muon) else {"step", "exp_avg", "exp_avg_sq"}
    return (
        isinstance(found, dict)
        and found.keys() == keys
        and all(_is_plain(each) and each.shape == (() if key == "step" else value.shape) for key, each in found.items())
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and not unusual(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT


def _is_number(value: object) -> bool:
    return (isinstance(value, float) and not math.isnan(value)) or (type(value) is int and abs(value) < MAX_COUNT)


def _is_duration(value: object) -> bool:
    return _is_number(value) and isinstance(value, int | float) and 0 <= value < MAX_COUNT


def _is_loss_scale(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and _is_number(value[0]) and _is_count(value[1])


_KINDS: dict[str, Callable[[object], bool]] = {
    "step": _is_count,
    "seconds": _is_duration,
    "validated": _is_count,
    "skipped": _is_count,
    "bicubic_psnr": _is_number,
    "start_psnr": _is_number,
    "best_psnr": _is_number,
    "best_step": _is_count,
    "last_psnr": _is_number,
}
