"""Degradation of training pictures, as photos suffer it: blur, resizing, noise and JPEG, in this order.

JPEG compression is simulated on the device for a whole batch and gives what Pillow would save and read back.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.media.image.jpeg_quality import LUMINANCE_TABLE

KERNELS = ("bicubic", "bilinear", "area", "lanczos")
UNDAMAGED = 0.15  # share of samples reduced by bicubic alone
BLURRED, NOISY, COMPRESSED, HALVED = 0.4, 0.4, 0.85, 0.75  # shares of the other samples; HALVED of the compressed ones
MAX_BLUR = 0.5  # sigma in LR px
MAX_NOISE = 6.0  # sigma in gray levels
QUALITIES = (30, 95)
BLUR_REACH = 3.0  # sigmas
BLOCK = 8
MCU = 16  # side in px of a minimum coded unit with halved chroma

# ITU-T T.81, Annex K.1, table K.2; the luma table is in media.image.jpeg_quality
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)

Values = NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """Hold the degradation of each sample of a batch, as arrays of its length.

    blur     sigma of the Gaussian, LR px.
    kernel   index in KERNELS.
    noise    sigma, gray levels.
    colored  whether the noise differs between channels.
    quality  JPEG quality, 0 for none.
    halved   whether chroma is 4:2:0.
    """

    blur: Values
    kernel: Values
    noise: Values
    colored: Values
    quality: Values
    halved: Values


def draw_damage(random: np.random.Generator, count: int) -> Damage:
    """Draw the degradation of `count` samples."""
    damaged = random.random(count) >= UNDAMAGED
    blurred, noisy, compressed = (damaged & (random.random(count) < share) for share in (BLURRED, NOISY, COMPRESSED))
    low, high = QUALITIES
    return Damage(
        blur=blurred * random.uniform(0.1, MAX_BLUR, count),
        kernel=damaged * random.integers(0, len(KERNELS), count),
        noise=noisy * random.uniform(0.5, MAX_NOISE, count),
        colored=random.random(count) < 0.5,
        quality=compressed * random.integers(low, high + 1, count),
        halved=random.random(count) < HALVED,
    )


def region_side(patch: int) -> int:
    """Return the side in LR px of the region to degrade, so that a patch can start anywhere in JPEG's grid."""
    return MCU * math.ceil((patch + MCU) / MCU)


def degrade(hr: Tensor, scale: int, damage: Damage, seed: int) -> Tensor:
    """Make degraded LR: (B, 3, H, W) RGB in [0, 1], sides multiples of `scale`, to (B, 3, H / scale, W / scale).

    The result is rounded to 8 bits. The seed determines the noise.
    """
    lr = _resized(_blurred(hr, damage.blur * scale), scale, damage.kernel) * 255
    lr = (lr + _noise(lr, damage, seed)).round().clamp(0, 255)
    quality = torch.from_numpy(damage.quality).to(hr.device)
    compressed = jpeg(lr, quality.clamp(min=1), torch.from_numpy(damage.halved).to(hr.device))
    return torch.where(quality[:, None, None, None] > 0, compressed, lr) / 255


def jpeg(pixels: Tensor, quality: Tensor, halved: Tensor) -> Tensor:
    """Compress and decompress pictures as JPEG.

    pixels   (B, 3, H, W) RGB in 0..255, integers in float32.
    quality  (B,) 1 to 100 on libjpeg's scale.
    halved   (B,) bool, whether chroma is subsampled to 4:2:0.

    Returns the same shape and range, rounded.
    """
    height, width = pixels.shape[2:]
    padded = F.pad(pixels, (0, -width % MCU, 0, -height % MCU), mode="replicate")
    y, chroma = _to_ycc(padded)
    luma_table, chroma_table = quantization(quality)
    y = _quantized(y, luma_table)
    full = _quantized(chroma, chroma_table)
    half = F.interpolate(_quantized(F.avg_pool2d(chroma, 2).round(), chroma_table), scale_factor=2, mode="bilinear")
    chroma = torch.where(halved[:, None, None, None], half, full)
    return _to_rgb(y, chroma)[..., :height, :width]


def quantization(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Return libjpeg's luma and chroma quantization tables for each quality (B,): two tensors (B, 1, 1, 8, 1, 8)."""
    quality = quality.float().clamp(1, 100)
    factor = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)[:, None, None]
    tables = (torch.tensor(table, device=quality.device).float() for table in (LUMINANCE_TABLE, _CHROMA))
    luma, chroma = (((table * factor + 50) / 100).floor().clamp(1, 255) for table in tables)
    return luma[:, None, None, :, None, :], chroma[:, None, None, :, None, :]


def _blurred(pixels: Tensor, sigmas: Values) -> Tensor:
    """Blur each picture with its own Gaussian, with mirrored borders; a sigma of 0 leaves it unchanged."""
    batch, channels, height, width = pixels.shape
    reach = max(1, math.ceil(BLUR_REACH * float(sigmas.max())))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / np.maximum(sigmas, 1e-3)[:, None]) ** 2)
    weights /= weights.sum(1, keepdims=True)
    kernel = torch.from_numpy(weights).to(pixels).repeat_interleave(channels, 0)[:, None]  # (B * C, 1, taps)
    x = F.pad(pixels.reshape(1, -1, height, width), (reach,) * 4, mode="reflect")
    x = F.conv2d(x, kernel[:, :, :, None], groups=batch * channels)
    x = F.conv2d(x, kernel[:, :, None, :], groups=batch * channels)
    return x.reshape(pixels.shape)


def _resized(pixels: Tensor, scale: int, kernels: Values) -> Tensor:
    """Reduce each picture with its own kernel, antialiased."""
    height, width = pixels.shape[2:]
    rows = torch.from_numpy(_matrices(height // scale, scale)[kernels]).to(pixels)  # (B, H / scale, H)
    columns = torch.from_numpy(_matrices(width // scale, scale)[kernels]).to(pixels)
    return rows[:, None] @ pixels @ columns[:, None].mT


@lru_cache(maxsize=8)
def _matrices(size: int, scale: int) -> NDArray[np.float32]:
    """Return the matrices (KERNELS, size, size * scale) that reduce a row; its last px is repeated beyond the ends."""
    shapes = {"bicubic": (_cubic, 2.0), "bilinear": (_triangle, 1.0), "area": (_box, 0.5), "lanczos": (_lanczos, 3.0)}
    matrices = np.zeros((len(KERNELS), size, size * scale))
    for index, name in enumerate(KERNELS):
        shape, support = shapes[name]
        reach = math.ceil(support * scale) + 1
        centers = (np.arange(size) + 0.5) * scale - 0.5
        positions = np.floor(centers).astype(int)[:, None] + np.arange(-reach, reach + 1)
        weights = shape((positions - centers[:, None]) / scale)
        weights /= weights.sum(1, keepdims=True)
        np.add.at(matrices[index], (np.arange(size)[:, None], positions.clip(0, size * scale - 1)), weights)
    single_precision: NDArray[np.float32] = matrices.astype(np.float32)
    return single_precision


def _cubic(x: Values) -> Values:
    """Evaluate Keys' cubic with a = -0.5, as in MATLAB."""
    x = np.abs(x)
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0.0))


def _triangle(x: Values) -> Values:
    return np.asarray(np.maximum(0.0, 1 - np.abs(x)))


def _box(x: Values) -> Values:
    return np.asarray(np.abs(x) < 0.5, np.float64)


def _lanczos(x: Values) -> Values:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _noise(lr: Tensor, damage: Damage, seed: int) -> Tensor:
    """Return Gaussian noise (B, 3, H, W) in gray levels."""
    generator = torch.Generator(lr.device).manual_seed(seed)
    noise = torch.randn(lr.shape, generator=generator, device=lr.device)
    colored = torch.from_numpy(damage.colored).to(lr.device)[:, None, None, None]
    sigma = torch.from_numpy(damage.noise).to(lr)[:, None, None, None]
    return torch.where(colored, noise, noise[:, :1]) * sigma


def _quantized(plane: Tensor, table: Tensor) -> Tensor:
    """Quantize the DCT of (B, C, H, W) in 0..255; the result is rounded and clipped."""
    batch, channels, height, width = plane.shape
    dct = _dct(plane.device)
    blocks = (plane - 128).reshape(batch, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    frequencies = torch.einsum("ui,bcyixj,vj->bcyuxv", dct, blocks, dct)
    kept = (frequencies / table).round() * table
    back: Tensor = torch.einsum("ui,bcyuxv,vj->bcyixj", dct, kept, dct)
    restored: Tensor = (back.reshape(plane.shape) + 128).round()
    return restored.clamp(0, 255)


@lru_cache(maxsize=4)
def _dct(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II matrix (frequency, position)."""
    indices = torch.arange(BLOCK, dtype=torch.float64)
    matrix: Tensor = torch.cos(math.pi / BLOCK * (indices + 0.5) * indices[:, None]) * (2 / BLOCK) ** 0.5
    matrix[0] *= 0.5**0.5
    return matrix.float().to(device)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return JFIF luma (B, 1, H, W) and chroma (B, 2, H, W), 0..255, rounded."""
    red, green, blue = rgb.chunk(3, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.cat([(blue - y) / 1.772, (red - y) / 1.402], 1) + 128
    return y.round(), chroma.round().clamp(0, 255)


def _to_rgb(y: Tensor, chroma: Tensor) -> Tensor:
    cb, cr = (chroma - 128).chunk(2, 1)
    rgb = torch.cat([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1)
    return rgb.round().clamp(0, 255)
