"""Damage a picture in the way in which another one looks damaged."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from esrt_core.evaluation.damage import Look
from esrt_core.evaluation.prediction import Container
from esrt_core.evaluation.protocol import Rgb

PILLOW_FORMATS = {"webp": "WEBP", "avif": "AVIF", "heic": "HEIF"}
_TRIES = 6  # of halving the range of qualities

Damage = Callable[[Rgb], Rgb]


def reproduced_damage(picture: Rgb, seen: Look, container: Container) -> Damage | None:
    """Return a function that damages 8-bit RGB (H, W, 3) as `picture` looks damaged; None if it cannot be reproduced.

    JPEG has the quality that the file states or that was found. WebP, AVIF and HEIC have the quality that gives the
    picture the bits of its file. Noise is Gaussian and the same in all channels, from a fixed seed.
    """
    quality = container.quality or seen.quality
    if quality is not None:
        return lambda pixels: _saved(pixels, "JPEG", quality)[0]
    if container.codec in PILLOW_FORMATS:
        format_ = PILLOW_FORMATS[container.codec]
        found = _quality_for(picture, format_, container.bits)
        return lambda pixels: _saved(pixels, format_, found)[0]
    if seen.is_noisy:
        return lambda pixels: _noisy(pixels, seen.noise)
    return None


def _quality_for(picture: Rgb, format_: str, bits: float) -> int:
    """Return the quality with which a picture takes about this many bits per px."""
    low, high = 1, 100
    for _ in range(_TRIES):
        middle = (low + high) // 2
        if _saved(picture, format_, middle)[1] < bits:
            low = middle
        else:
            high = middle
    return high


def _saved(pixels: Rgb, format_: str, quality: int) -> tuple[Rgb, float]:
    """Return the pixels as they are read again, and the bits per px."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_, quality=quality)
    return np.array(Image.open(file).convert("RGB")), 8 * file.tell() / (pixels.shape[0] * pixels.shape[1])


def _noisy(pixels: Rgb, sigma: float) -> Rgb:
    noise = np.random.default_rng(0).normal(0, sigma, (*pixels.shape[:2], 1))
    return np.asarray((pixels + noise).round().clip(0, 255), np.uint8)
