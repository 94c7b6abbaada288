"""Scans: a page on a scanner's glass, a little askew, on tinted paper, blurred, with noise."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def scanned(page: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a page as scanned, (H, W, 3) 8-bit RGB of its size."""
    angle = float(rng.uniform(-4, 4))
    turned = page.rotate(angle, Image.Resampling.BICUBIC, fillcolor=page.getpixel((0, 0)))
    soft = turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.9))))
    samples = np.asarray(soft, np.float32) / 255
    paper = np.asarray([1.0, rng.uniform(0.93, 1), rng.uniform(0.8, 1)], np.float32) * np.float32(rng.uniform(0.88, 1))
    ink = np.float32(rng.uniform(0.02, 0.25))
    across = np.linspace(0, float(rng.uniform(-0.1, 0.1)), samples.shape[1], dtype=np.float32)[None, :, None]
    lit = (ink + samples * (paper - ink)) * (1 - np.abs(across))
    noise = rng.normal(0, float(rng.uniform(0, 3)), (*samples.shape[:2], 1)).astype(np.float32)
    return np.asarray((lit * 255 + noise).clip(0, 255).round(), np.uint8)
