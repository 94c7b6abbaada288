"""JPEG's loss, computed on the device for a whole batch: what Pillow would save and open again."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
MCU = 16  # px that belong together when chroma is halved

# ITU-T T.81, Annex K.1, tables K.1 (luma) and K.2 (chroma), https://www.w3.org/Graphics/JPEG/itu-t81.pdf
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def jpeg(pixels: Tensor, quality: Tensor, halved: Tensor) -> Tensor:
    """Return what a JPEG file keeps of pictures.

    pixels: (B, 3, H, W) RGB in 0..255, whole numbers in float32; quality: (B,) 1 to 100 on libjpeg's scale; halved:
    (B,) bool, whether chroma is subsampled to 4:2:0. Returns the same shape and range, rounded.
    """
    height, width = pixels.shape[2:]
    padded = F.pad(pixels, (0, -width % MCU, 0, -height % MCU), mode="replicate")
    y, chroma = _to_ycc(padded)
    luma_table, chroma_table = quantisation(quality)
    y = _quantised(y, luma_table)
    full = _quantised(chroma, chroma_table)
    half = F.interpolate(_quantised(F.avg_pool2d(chroma, 2).round(), chroma_table), scale_factor=2, mode="bilinear")
    chroma = torch.where(halved[:, None, None, None], half, full)
    return _to_rgb(y, chroma)[..., :height, :width]


def quantisation(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Return libjpeg's tables of luma and of chroma for each quality (B,): two tensors (B, 1, 1, 8, 1, 8)."""
    quality = quality.float().clamp(1, 100)
    factor = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)[:, None, None]
    tables = (torch.tensor(table, device=quality.device).float() for table in (_LUMA, _CHROMA))
    luma, chroma = (((table * factor + 50) / 100).floor().clamp(1, 255) for table in tables)
    return luma[:, None, None, :, None, :], chroma[:, None, None, :, None, :]


def _quantised(plane: Tensor, table: Tensor) -> Tensor:
    """Transform, quantise and transform back (B, C, H, W) in 0..255; the result is rounded and clipped."""
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
    """Return the orthonormal DCT-II matrix (frequency, place)."""
    places = torch.arange(BLOCK, dtype=torch.float64)
    matrix: Tensor = torch.cos(math.pi / BLOCK * (places + 0.5) * places[:, None]) * (2 / BLOCK) ** 0.5
    matrix[0] *= 0.5**0.5
    return matrix.float().to(device)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return luma (B, 1, H, W) and chroma (B, 2, H, W) of JFIF, 0..255, rounded."""
    red, green, blue = rgb.chunk(3, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.cat([(blue - y) / 1.772, (red - y) / 1.402], 1) + 128
    return y.round(), chroma.round().clamp(0, 255)


def _to_rgb(y: Tensor, chroma: Tensor) -> Tensor:
    cb, cr = (chroma - 128).chunk(2, 1)
    rgb = torch.cat([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1)
    return rgb.round().clamp(0, 255)
