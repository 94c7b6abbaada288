"""The weights that a run starts from, with a suitable optimizer and learning rate."""

from dataclasses import dataclass

import torch

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.options import TrainOptions
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.store import WeightsFile, available_scales, resolve

UPSAMPLERS = ("tail.", "up.")

# Peak learning rates. Muon is the default only from scratch, where it was compared (benchmarks/optimizer.md).
FROM_SCRATCH = {"adam": 1e-3, "muon": 5e-3}
NEW_UPSAMPLER = {"adam": 8e-4, "muon": 2e-3}
FINE_TUNING = {"adam": 3e-4, "muon": 1e-3}


@dataclass(frozen=True)
class Start:
    """Hold the network before training, its source, and the optimizer and peak learning rate to use."""

    network: ESRT
    source: str
    new_upsampler: bool
    optimizer: str
    lr: float
    notes: tuple[str, ...] = ()


def load_start(options: TrainOptions) -> Start:
    """Make or load the network that a run starts from; the seed determines random weights.

    Raises: WeightsError if the weights are missing or cannot be loaded.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.from_scratch:
            config = ESRTConfig(options.scale, options.channels, options.blocks)
            optimizer = _resolve_auto(options.optimizer, "muon")
            return Start(ESRT(config), "random weights", False, optimizer, options.lr or FROM_SCRATCH[optimizer])
        file = _find(options.start, options.scale)
        network = load_checkpoint(file.path).network
        new = file.scale != options.scale
        optimizer = _resolve_auto(options.optimizer, "adam")
        lr = options.lr or (NEW_UPSAMPLER if new else FINE_TUNING)[optimizer]
        if new:
            network = _with_new_upsampler(network, options.scale)
        return Start(network, f"{file.name} x{file.scale} {file.sha256[:8]}", new, optimizer, lr, file.notes)


def _resolve_auto(requested: str, default: str) -> str:
    return default if requested == "auto" else requested


def _find(start: str, scale: int) -> WeightsFile:
    """Return the weights of a name or file, at `scale` if available, else at the largest scale."""
    scales = available_scales(start)
    return resolve(start, scale if scale in scales else max(scales))


def _with_new_upsampler(loaded: ESRT, scale: int) -> ESRT:
    """Return a network of another scale with the body of the loaded one and random upsamplers, to be fitted."""
    network = ESRT(ESRTConfig(scale, loaded.config.channels, loaded.config.blocks))
    body = {name: value for name, value in loaded.state_dict().items() if not name.startswith(UPSAMPLERS)}
    network.load_state_dict(body, strict=False)
    return network
