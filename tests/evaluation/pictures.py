"""Pictures of known content, and what damages them."""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from esrt_core.evaluation.resample import imresize

Rgb = NDArray[np.uint8]


@cache
def texture(height: int = 160, width: int = 192, seed: int = 0) -> Rgb:
    """Draw noise of three sizes and overlapping rectangles, and reduce it: sharp and undamaged, as reduced photos."""
    random = np.random.default_rng(seed)
    size = (2 * height, 2 * width)
    picture = np.full((*size, 3), 128.0)
    for step, strength in ((2, 4.0), (12, 13.0), (48, 40.0)):
        picture += imresize(random.normal(0, strength, (size[0] // step + 1, size[1] // step + 1, 1)), *size)
    for _ in range(height * width // 100):
        top, left = random.integers(0, size[0]), random.integers(0, size[1])
        rows, columns = random.integers(6, 60, 2)
        picture[top : top + rows, left : left + columns] += random.normal(0, 30, 3)
    return np.asarray(imresize(picture, height, width).clip(0, 255).round(), np.uint8)


def jpeg(pixels: Rgb, quality: int, subsampling: str = "4:2:0") -> Rgb:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(file))


def smooth(height: int = 160, width: int = 192) -> Rgb:
    """Draw smooth noise without detail."""
    coarse = np.random.default_rng(1).normal(128, 40, (height // 16 + 1, width // 16 + 1, 3))
    return np.asarray(imresize(coarse, height, width).clip(0, 255).round(), np.uint8)


def drawing(height: int = 160, width: int = 192) -> Rgb:
    """Draw text, lines and circles on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for row in range(0, height, 16):
        draw.text((4, row), "The quick brown fox jumps over", fill="black")
    for column in range(0, width, 24):
        draw.line((column, 0, column + 20, height), fill=(200, 30, 30))
        draw.ellipse((column, 60, column + 18, 78), outline="blue")
    return np.array(image)
