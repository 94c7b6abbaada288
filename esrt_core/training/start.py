"""The weights that a run starts from."""

from dataclasses import dataclass
from pathlib import Path

import torch

from esrt_core.errors import TrainingError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.options import TrainOptions
from esrt_core.training.trainer import UPSAMPLERS
from esrt_core.weights.checkpoint import load_checkpoint

SUFFIXES = (".safetensors", ".pth", ".pt")
FROM_SCRATCH, NEW_UPSAMPLER, FINE_TUNING = {"adam": 1e-3, "muon": 3e-3}, 8e-4, 3e-4


@dataclass(frozen=True)
class Start:
    """Hold the network before training, a word for where it comes from, and the peak learning rate that suits it."""

    network: ESRT
    source: str
    new_upsampler: bool
    lr: float


def load_start(options: TrainOptions) -> Start:
    """Make or load the network that a run starts from; the seed decides what is drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.from_scratch:
            config = ESRTConfig(options.scale, options.channels, options.blocks)
            return Start(ESRT(config), "random weights", False, options.lr or FROM_SCRATCH[options.optimiser])
        path = find_weights(options.start, options.scale)
        loaded = load_checkpoint(path).network
        if loaded.config.scale == options.scale:
            return Start(loaded.train(), str(path), False, options.lr or FINE_TUNING)
        return Start(_with_new_upsampler(loaded, options.scale), str(path), True, options.lr or NEW_UPSAMPLER)


def find_weights(start: str, scale: int) -> Path:
    """Return the file that a name or a path means."""
    path = Path(start)
    if path.suffix.lower() in SUFFIXES or path.exists():
        if not path.is_file():
            raise TrainingError(f"{path} does not exist; name a weights file or a model for --init.")
        return path
    from esrt_core.weights.store import resolve

    return resolve(start, scale).path


def _with_new_upsampler(loaded: ESRT, scale: int) -> ESRT:
    """Return a network of another scale with the body of this one."""
    network = ESRT(ESRTConfig(scale, loaded.config.channels, loaded.config.blocks))
    body = {name: value for name, value in loaded.state_dict().items() if not name.startswith(UPSAMPLERS)}
    network.load_state_dict(body, strict=False)
    return network
