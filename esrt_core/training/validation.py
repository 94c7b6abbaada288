"""Validation: PSNR on held-out pictures, which determines the best weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from esrt_core.engine.back_projection import correct_colors
from esrt_core.engine.fused import fuse
from esrt_core.engine.geometry import windows_of
from esrt_core.errors import MediaError, TrainingError
from esrt_core.evaluation.protocol import bicubic, psnr_y
from esrt_core.model.esrt import ESRT
from esrt_core.training.bank import Pixels, read_pixels
from esrt_core.training.degradation import degrade, draw_damage
from esrt_core.training.distributed import Replica
from esrt_core.training.events import Unusable
from esrt_core.training.pictures import Picture

CPU_PIXELS = 60_000  # LR px of all crops together, so that a validation takes a few seconds
GPU_PIXELS = 2_000_000
MAX_PSNR = 100.0  # dB, so that one flat crop that is matched exactly does not make the mean infinite


@dataclass(frozen=True)
class Crop:
    """Hold the center of a held-out picture, uint8 RGB: LR (h, w, 3) and HR (h * scale, w * scale, 3)."""

    name: str
    lr: Pixels
    hr: Pixels


def cut_crops(pictures: Sequence[Picture], scale: int, budget: int) -> tuple[tuple[Crop, ...], tuple[Unusable, ...]]:
    """Read held-out pictures and crop their centers to equal squares with at most `budget` LR px in total.

    Returns the crops and the pictures that turned out to be unusable.

    Raises: TrainingError if all are unusable.
    """
    side = math.isqrt(budget // len(pictures))
    crops: list[Crop] = []
    unusable: list[Unusable] = []
    for picture in pictures:
        try:
            lr, hr = read_pixels(picture, scale)
        except MediaError as error:
            unusable.append(Unusable(picture.path, str(error)))
        else:
            crops.append(_center_crop(picture.path.name, lr, hr, side, scale))
    if not crops:
        first = unusable[0]
        raise TrainingError(f"no held-out picture can be used, such as {first.path}: {first.reason}")
    return tuple(crops), tuple(unusable)


def damaged(crops: Sequence[Crop], scale: int, seed: int) -> tuple[Crop, ...]:
    """Return the crops with LR made by random degradation, which the seed determines."""
    degraded = []
    for index, crop in enumerate(crops):
        random = np.random.default_rng((seed, index))
        lr = degrade(as_network_input(crop.hr), scale, draw_damage(random, 1), int(random.integers(2**62)))
        degraded.append(replace(crop, lr=as_pixels(lr)))
    return tuple(degraded)


class Validator:
    """Measure networks on the crops, shared out among the processes."""

    def __init__(self, crops: tuple[Crop, ...], scale: int, replica: Replica) -> None:
        self.crops = crops
        self.scale = scale
        self.replica = replica

    def bicubic_psnr(self) -> float:
        """Return the mean PSNR of bicubic in dB."""
        return _mean([psnr_y(bicubic(crop.lr, self.scale), crop.hr, self.scale) for crop in self.crops])

    def psnr(self, network: ESRT) -> float:
        """Return the mean PSNR of a network in dB, the same in every process."""
        fast = fuse(network)
        own = self.crops[self.replica.rank :: self.replica.world]
        values = [psnr_y(enlarge(fast, crop.lr, self.replica.device), crop.hr, self.scale) for crop in own]
        return _mean([value for part in self.replica.gather(values) for value in part])


@torch.inference_mode()
def enlarge(network: nn.Module, lr: Pixels, device: torch.device) -> Pixels:
    """Upscale uint8 RGB (H, W, 3) in float32 as `esrt upscale` does: windowed attention, corrected colors, rounded."""
    x = as_network_input(lr).to(device)
    return as_pixels(correct_colors(x, network(x, windows_of(*lr.shape[:2]))))


def as_network_input(pixels: Pixels) -> Tensor:
    """Convert uint8 (H, W, 3) to float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255)


def as_pixels(picture: Tensor) -> Pixels:
    """Convert float (1, 3, H, W) to rounded uint8 (H, W, 3)."""
    rounded = picture[0].clamp(0, 1).mul(255).round().permute(1, 2, 0)
    pixels: Pixels = rounded.to("cpu", torch.uint8).contiguous().numpy()
    return pixels


def _center_crop(name: str, lr: Pixels, hr: Pixels, side: int, scale: int) -> Crop:
    height, width = (min(side, length) for length in lr.shape[:2])
    top, left = (lr.shape[0] - height) // 2, (lr.shape[1] - width) // 2
    small = lr[top : top + height, left : left + width]
    large = hr[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Crop(name, small.copy(), large.copy())


def _mean(values: list[float]) -> float:
    return sum(min(value, MAX_PSNR) for value in values) / len(values)
