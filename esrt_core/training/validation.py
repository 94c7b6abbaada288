"""PSNR on held-out pictures: what decides which weights are the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from esrt_core.errors import MediaError, TrainingError
from esrt_core.evaluation.protocol import bicubic, psnr_y
from esrt_core.training.bank import read_pair
from esrt_core.training.distributed import Replica
from esrt_core.training.pictures import Picture, Pixels

WINDOW = 48  # LR px: the attention's windows have about this side, as in inference
CPU_PIXELS = 60_000  # LR px in all; a GPU takes whole pictures
MOST_SIDE = 256
MIN_VALIDATION_SIDE = 16


@dataclass(frozen=True)
class Crop:
    """Hold the middle of a held-out picture, uint8 RGB: LR (h, w, 3) and HR (h * scale, w * scale, 3)."""

    name: str
    lr: Pixels
    hr: Pixels


def cut_crops(pictures: Sequence[Picture], scale: int, budget: int) -> tuple[Crop, ...]:
    """Read held-out pictures and cut their middles, squares of such a side that all have `budget` LR px at most."""
    side = min(MOST_SIDE, math.isqrt(max(1, budget // max(1, len(pictures)))))
    crops = []
    for picture in pictures:
        try:
            lr, hr = read_pair(picture, scale)
        except MediaError as error:
            raise TrainingError(f"{picture.path} is held out to validate on, but {error}.") from error
        crops.append(_middle(picture.path.name, lr, hr, side, scale))
    return tuple(crops)


def _middle(name: str, lr: Pixels, hr: Pixels, side: int, scale: int) -> Crop:
    height, width = (min(side, length) for length in lr.shape[:2])
    top, left = (lr.shape[0] - height) // 2, (lr.shape[1] - width) // 2
    small = lr[top : top + height, left : left + width]
    large = hr[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Crop(name, np.ascontiguousarray(small), np.ascontiguousarray(large))


class Validator:
    """Measure networks on the crops; the processes share the work."""

    def __init__(self, crops: tuple[Crop, ...], scale: int, replica: Replica) -> None:
        self.crops = crops
        self.scale = scale
        self.replica = replica

    def bicubic_psnr(self) -> float:
        """Return the mean PSNR of bicubic, dB."""
        return _mean([psnr_y(bicubic(crop.lr, self.scale), crop.hr, self.scale) for crop in self.crops])

    def psnr(self, network: nn.Module) -> float:
        """Return the mean PSNR of a network, dB; the same number in every process."""
        own = self.crops[self.replica.rank :: self.replica.world]
        values = [psnr_y(enlarge(network, crop.lr, self.replica.device), crop.hr, self.scale) for crop in own]
        return _mean([value for part in self.replica.gather(values) for value in part])


@torch.inference_mode()
def enlarge(network: nn.Module, lr: Pixels, device: torch.device) -> Pixels:
    """Enlarge uint8 RGB (H, W, 3) in float32, attention in windows; the result is rounded to uint8."""
    x = torch.from_numpy(lr).to(device).permute(2, 0, 1)[None].float().div(255)
    windows = (max(1, round(lr.shape[0] / WINDOW)), max(1, round(lr.shape[1] / WINDOW)))
    y = network(x, windows).clamp(0, 1).mul(255).round()
    result: Pixels = y[0].permute(1, 2, 0).to("cpu", torch.uint8).contiguous().numpy()
    return result


def _mean(values: list[float]) -> float:
    finite = [min(value, 100.0) if math.isfinite(value) or value > 0 else 0.0 for value in values]
    return sum(finite) / len(finite)
