"""Halftones: pictures printed as dots or lines of changing size."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drawings.canvas import Canvas
from benchmarks.drawings.colors import Color, random_palette

_PROCESS_INKS = ((0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0))
_PROCESS_ANGLES = (15.0, 75.0, 0.0, 45.0)


def dots(canvas: Canvas) -> None:
    """Print a smooth picture in one ink."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    tone = _smooth_tone(canvas)
    cover = _dots if rng.random() < 0.65 else _lines
    share = cover(canvas, tone, float(rng.uniform(4, 14)), math.radians(float(rng.uniform(0, 90))))
    _print(canvas, share, palette.paper, palette.ink)


def process_print(canvas: Canvas) -> None:
    """Print in cyan, magenta, yellow and black at the usual four angles."""
    pitch = float(canvas.rng.uniform(4, 10))
    paper = np.ones((*_size(canvas), 3), np.float32)
    for ink, angle in zip(_PROCESS_INKS, _PROCESS_ANGLES, strict=True):
        tone = _smooth_tone(canvas) * (0.4 if ink == (0, 0, 0) else 0.85)
        share = _dots(canvas, tone, pitch, math.radians(angle))[..., None]
        paper *= 1 - share * (1 - np.asarray(ink, np.float32) / 255)
    canvas.image.paste(Image.fromarray((paper * 255 + 0.5).astype(np.uint8)))


def _size(canvas: Canvas) -> tuple[int, int]:
    return canvas.image.height, canvas.image.width


def _smooth_tone(canvas: Canvas) -> NDArray[np.float32]:
    """Return darkness in 0..1, (H, W), that changes slowly, with an edge or two."""
    rng = canvas.rng
    coarse = rng.random((int(rng.integers(2, 6)), int(rng.integers(2, 6)))).astype(np.float32)
    tone = np.asarray(Image.fromarray(coarse).resize(canvas.image.size, Image.Resampling.BICUBIC)).copy()
    rows, columns = np.ogrid[: canvas.image.height, : canvas.image.width]
    for _ in range(int(rng.integers(0, 4))):
        y, x = rng.random(2) * _size(canvas)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < (float(rng.uniform(0.05, 0.3)) * canvas.image.width) ** 2
        tone[inside] = 1 - tone[inside]
    return np.asarray(np.clip(tone, 0.03, 0.97), np.float32)


def _rotated(canvas: Canvas, pitch: float, angle: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return coordinates (H, W) along the screen's two axes, in cells."""
    height, width = _size(canvas)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    cell = np.float32(pitch * canvas.factor)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u, v = (columns * cos + rows * sin) / cell, (rows * cos - columns * sin) / cell
    return np.asarray(u, np.float32), np.asarray(v, np.float32)


def _dots(canvas: Canvas, tone: NDArray[np.float32], pitch: float, angle: float) -> NDArray[np.float32]:
    u, v = _rotated(canvas, pitch, angle)
    u -= np.floor(u) + np.float32(0.5)
    v -= np.floor(v) + np.float32(0.5)
    return np.asarray(u * u + v * v < tone / math.pi, np.float32)  # a dot's area is its cell's tone


def _lines(canvas: Canvas, tone: NDArray[np.float32], pitch: float, angle: float) -> NDArray[np.float32]:
    u, _ = _rotated(canvas, pitch, angle)
    return np.asarray(np.abs(u - np.floor(u) - np.float32(0.5)) < tone / 2, np.float32)


def _print(canvas: Canvas, share: NDArray[np.float32], paper: Color, ink: Color) -> None:
    inked = Image.fromarray((share * 255).astype(np.uint8))
    canvas.image.paste(paper, (0, 0, *canvas.image.size))
    canvas.image.paste(ink, (0, 0, *canvas.image.size), inked)
