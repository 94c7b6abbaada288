"""The weights that a run starts from."""

from dataclasses import dataclass

import torch

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.options import TrainOptions
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.store import WeightsFile, available_scales, resolve

UPSAMPLERS = ("tail.", "up.")

# Peak learning rates. Muon is the default from scratch alone, where it was compared (benchmarks/optimizer.md).
FROM_SCRATCH = {"adam": 1e-3, "muon": 5e-3}
NEW_UPSAMPLER = {"adam": 8e-4, "muon": 2e-3}
FINE_TUNING = {"adam": 3e-4, "muon": 1e-3}


@dataclass(frozen=True)
class Start:
    """Hold the network before training, where it comes from, the optimizer and the peak learning rate that suit it."""

    network: ESRT
    source: str
    new_upsampler: bool
    optimizer: str
    lr: float
    notes: tuple[str, ...] = ()


def load_start(options: TrainOptions) -> Start:
    """Make or load the network that a run starts from; the seed decides what is drawn. Raises WeightsError."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.from_scratch:
            config = ESRTConfig(options.scale, options.channels, options.blocks)
            optimizer = _choose(options.optimizer, "muon")
            return Start(ESRT(config), "random weights", False, optimizer, options.lr or FROM_SCRATCH[optimizer])
        file = _find(options.start, options.scale)
        network = load_checkpoint(file.path).network
        new = file.scale != options.scale
        optimizer = _choose(options.optimizer, "adam")
        lr = options.lr or (NEW_UPSAMPLER if new else FINE_TUNING)[optimizer]
        if new:
            network = _with_new_upsampler(network, options.scale)
        return Start(network, f"{file.name} x{file.scale} {file.sha256[:8]}", new, optimizer, lr, file.notes)


def _choose(asked: str, suited: str) -> str:
    return suited if asked == "auto" else asked


def _find(start: str, scale: int) -> WeightsFile:
    """Return the weights of a name or file, at the scale where there are any."""
    scales = available_scales(start)
    return resolve(start, scale if scale in scales else max(scales))


def _with_new_upsampler(loaded: ESRT, scale: int) -> ESRT:
    """Return a network of another scale with the body of this one."""
    network = ESRT(ESRTConfig(scale, loaded.config.channels, loaded.config.blocks))
    body = {name: value for name, value in loaded.state_dict().items() if not name.startswith(UPSAMPLERS)}
    network.load_state_dict(body, strict=False)
    return network
