"""Everything that a run needs to go on where it stopped."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from esrt_core.errors import TrainingError
from esrt_core.files import atomic_write
from esrt_core.model.esrt import ESRT
from esrt_core.training.ema import EMA
from esrt_core.training.scaling import LossScale

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
    optimisers: list[Optimizer] = field(default_factory=list)
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
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
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
    if content.get("version") != VERSION:
        raise TrainingError(f"{path} was written by another version of esrt; finish the run with that one.")
    return content


def restore_counters(state: TrainingState, content: dict[str, Any]) -> None:
    """Take over weights, average, scale and counters. The optimisers follow once they have been built for the phase."""
    state.network.load_state_dict(content["network"])
    state.ema.load_state_dict(**content["ema"])
    state.scale.restore(*content.get("loss_scale", (state.scale.most, 0)))  # older files have none
    for name in COUNTERS:
        setattr(state, name, content["counters"][name])
