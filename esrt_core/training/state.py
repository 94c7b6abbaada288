"""Everything that a run needs to go on where it stopped.

EMA: the moving average of the weights, which is what gets validated and shipped.

What the loss is multiplied by for the backward pass.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from esrt_core.errors import TrainingError
from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT


class EMA:
    """Average a network's parameters over the last 1 / (1 - decay) steps, fewer while the run is young."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the present parameters into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = [value.detach() for value in network.parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), values, 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Write the average into the parameters of a network of the same shape."""
        for name, value in network.named_parameters():
            value.copy_(self.shadow[name])

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """Return what load_state_dict() needs."""
        return {"updates": self.updates, "shadow": self.shadow}

    @torch.no_grad()
    def load_state_dict(self, updates: int, shadow: dict[str, Tensor]) -> None:
        """Go on from a saved average."""
        self.updates = updates
        for name, value in self.shadow.items():
            value.copy_(shadow[name])


GROWTH = 1000  # finite steps after which a factor that was halved is doubled again


class LossScale:
    """Keep the gradients of a step in float16's range.

    Without a factor small ones would vanish. After a step whose gradients are not finite it is half as much, down to 1,
    and in time as much as before again.
    """

    def __init__(self, most: float, device: torch.device) -> None:
        self.most = most
        self.factor = torch.tensor(most, device=device)  # where a recorded step reads it
        self.finite_steps = 0

    @property
    def lowest(self) -> bool:
        """Whether it cannot become less."""
        return float(self.factor) <= 1

    def adapt(self, finite: bool) -> None:
        """Take note of a step."""
        self.finite_steps += finite
        if not finite:
            self.factor.mul_(0.5).clamp_(min=1.0)
        elif self.finite_steps % GROWTH == 0:
            self.factor.mul_(2.0).clamp_(max=self.most)

    def restore(self, factor: float, finite_steps: int) -> None:
        """Go on where a run stopped; one that goes on elsewhere may be allowed less."""
        self.factor.fill_(min(factor, self.most))
        self.finite_steps = finite_steps


VERSION = 1


@dataclass
class TrainingState:
    """Hold what changes while a run goes on.

    step          steps done; `seconds`: training time, over all interruptions.
    body_rests    whether only the upsampler is trained now; `joined`: the step at which the body joined in.
    validated     validations done; `best_psnr` and the two baselines are dB on the held-out pictures.
    skipped       steps skipped in a row because they were not finite.
    The data need no entry: what is drawn depends on the seed and the step alone.
    """

    network: ESRT
    ema: EMA
    scale: LossScale
    optimizers: list[Optimizer] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0
    body_rests: bool = False
    joined: int | None = None
    validated: int = 0
    skipped: int = 0
    bicubic_psnr: float = 0.0
    start_psnr: float = 0.0
    best_psnr: float = 0.0
    best_step: int = 0
    last_psnr: float = 0.0

    def save(self, path: Path) -> None:
        """Write the state to a file that is either the old or the new one, never half of it."""
        content = {
            "version": VERSION,
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "loss_scale": (float(self.scale.factor), self.scale.finite_steps),
            "counters": {name: getattr(self, name) for name in COUNTERS},
        }
        with atomic_write(path, overwrite=True) as temporary:
            torch.save(content, temporary)


COUNTERS = (
    "step",
    "seconds",
    "body_rests",
    "joined",
    "validated",
    "skipped",
    "bicubic_psnr",
    "start_psnr",
    "best_psnr",
    "best_step",
    "last_psnr",
)


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a saved state; raises TrainingError when it is damaged."""
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything at all
        raise TrainingError(
            f"{path} is damaged, so the run cannot go on; delete its folder or choose another."
        ) from error
    if "optimisers" in content:  # how 0.1.0 spelled it
        content["optimizers"] = content.pop("optimisers")
    if content.get("version") != VERSION:
        raise TrainingError(f"{path} was written by another version of esrt; finish the run with that one.")
    return content


def restore_counters(state: TrainingState, content: dict[str, Any]) -> None:
    """Take over weights, average, scale and counters. The optimizers follow once they have been built for the phase."""
    state.network.load_state_dict(content["network"])
    state.ema.load_state_dict(**content["ema"])
    state.scale.restore(*content.get("loss_scale", (state.scale.most, 0)))  # older files have none
    for name in COUNTERS:
        setattr(state, name, content["counters"][name])
