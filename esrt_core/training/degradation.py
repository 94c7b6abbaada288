"""What happens to photos before people enlarge them: blur, resizing, noise and JPEG, in this order."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.training.jpeg import MCU, jpeg

KERNELS = ("bicubic", "bilinear", "area", "lanczos")
UNDAMAGED = 0.15  # share of samples made by bicubic alone
BLURRED, NOISY, COMPRESSED, HALVED = 0.4, 0.4, 0.85, 0.75  # shares of the others; HALVED of the compressed ones
MOST_BLUR = 0.5  # sigma in LR px
MOST_NOISE = 6.0  # sigma in grey levels
QUALITIES = (30, 95)
BLUR_REACH = 3.0  # sigmas

Values = NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """Hold what is done to each sample of a batch, arrays of its length.

    blur: sigma of the Gaussian in LR px; kernel: index in KERNELS; noise: sigma in grey levels; coloured: whether the
    noise differs between channels; quality: JPEG quality, 0 for none; halved: whether chroma is 4:2:0.
    """

    blur: Values
    kernel: Values
    noise: Values
    coloured: Values
    quality: Values
    halved: Values


def draw_damage(random: np.random.Generator, count: int) -> Damage:
    """Draw the damage of `count` samples."""
    damaged = random.random(count) >= UNDAMAGED
    blurred, noisy, compressed = (damaged & (random.random(count) < share) for share in (BLURRED, NOISY, COMPRESSED))
    low, high = QUALITIES
    return Damage(
        blur=blurred * random.uniform(0.1, MOST_BLUR, count),
        kernel=damaged * random.integers(0, len(KERNELS), count),
        noise=noisy * random.uniform(0.5, MOST_NOISE, count),
        coloured=random.random(count) < 0.5,
        quality=compressed * random.integers(low, high + 1, count),
        halved=random.random(count) < HALVED,
    )


def region_side(patch: int) -> int:
    """Return the side of the region, LR px, that is damaged so that a patch can be cut at any place of JPEG's grid."""
    return MCU * math.ceil((patch + MCU) / MCU)


def degrade(hr: Tensor, scale: int, damage: Damage, seed: int) -> Tensor:
    """Make damaged LR: (B, 3, H, W) RGB in [0, 1], sides multiples of the scale, to (B, 3, H / scale, W / scale).

    The result has 8 bits. The seed decides the noise.
    """
    lr = _resized(_blurred(hr, damage.blur * scale), scale, damage.kernel) * 255
    lr = (lr + _noise(lr, damage, seed)).round().clamp(0, 255)
    quality = torch.from_numpy(damage.quality).to(hr.device)
    compressed = jpeg(lr, quality.clamp(min=1), torch.from_numpy(damage.halved).to(hr.device))
    return torch.where(quality[:, None, None, None] > 0, compressed, lr) / 255


def _blurred(pixels: Tensor, sigmas: Values) -> Tensor:
    """Blur each picture with its own Gaussian, borders mirrored; a sigma of 0 leaves it as it is."""
    batch, channels, height, width = pixels.shape
    reach = max(1, math.ceil(BLUR_REACH * float(sigmas.max())))
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / np.maximum(sigmas, 1e-3)[:, None]) ** 2)
    weights /= weights.sum(1, keepdims=True)
    kernel = torch.from_numpy(weights).to(pixels).repeat_interleave(channels, 0)[:, None]  # (B * C, 1, taps)
    x = F.pad(pixels.reshape(1, -1, height, width), (reach,) * 4, mode="reflect")
    x = F.conv2d(x, kernel[:, :, :, None], groups=batch * channels)
    x = F.conv2d(x, kernel[:, :, None, :], groups=batch * channels)
    return x.reshape(pixels.shape)


def _resized(pixels: Tensor, scale: int, kernels: Values) -> Tensor:
    """Shrink each picture with its own kernel, antialiased."""
    height, width = pixels.shape[2:]
    rows = torch.from_numpy(_matrices(height // scale, scale)[kernels]).to(pixels)  # (B, H / scale, H)
    columns = torch.from_numpy(_matrices(width // scale, scale)[kernels]).to(pixels)
    return rows[:, None] @ pixels @ columns[:, None].mT


@lru_cache(maxsize=8)
def _matrices(size: int, scale: int) -> NDArray[np.float32]:
    """Return the matrices (KERNELS, size, size * scale) that shrink a line; beyond its ends it repeats the last px."""
    shapes = {"bicubic": (_cubic, 2.0), "bilinear": (_triangle, 1.0), "area": (_box, 0.5), "lanczos": (_lanczos, 3.0)}
    matrices = np.zeros((len(KERNELS), size, size * scale))
    for index, name in enumerate(KERNELS):
        shape, support = shapes[name]
        reach = math.ceil(support * scale) + 1
        centres = (np.arange(size) + 0.5) * scale - 0.5
        places = np.floor(centres).astype(int)[:, None] + np.arange(-reach, reach + 1)
        weights = shape((places - centres[:, None]) / scale)
        weights /= weights.sum(1, keepdims=True)
        np.add.at(matrices[index], (np.arange(size)[:, None], places.clip(0, size * scale - 1)), weights)
    single: NDArray[np.float32] = matrices.astype(np.float32)
    return single


def _cubic(x: Values) -> Values:
    """Keys' cubic with a = -0.5, MATLAB's."""
    x = np.abs(x)
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0.0))


def _triangle(x: Values) -> Values:
    return np.asarray(np.maximum(0.0, 1 - np.abs(x)))


def _box(x: Values) -> Values:
    return np.asarray(np.abs(x) < 0.5, np.float64)


def _lanczos(x: Values) -> Values:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _noise(lr: Tensor, damage: Damage, seed: int) -> Tensor:
    """Return Gaussian noise in grey levels."""
    generator = torch.Generator(lr.device).manual_seed(seed)
    noise = torch.randn(lr.shape, generator=generator, device=lr.device)
    coloured = torch.from_numpy(damage.coloured).to(lr.device)[:, None, None, None]
    sigma = torch.from_numpy(damage.noise).to(lr)[:, None, None, None]
    return torch.where(coloured, noise, noise[:, :1]) * sigma
