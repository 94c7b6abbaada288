"""Colors that go together: paper, ink that can be read on it, and some others."""

import colorsys
from dataclasses import dataclass

import numpy as np

Color = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """Hold the colors of one drawing; `ink` can be read on `paper`, and so can the `accents`, more or less."""

    paper: Color
    ink: Color
    accents: tuple[Color, ...]


def random_color(rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> Color:
    """Return a color of any hue whose brightness lies between `low` and `high`."""
    saturation = rng.beta(1.2, 1.5)
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(low, high))
    return round(255 * red), round(255 * green), round(255 * blue)


def random_palette(rng: np.random.Generator) -> Palette:
    """Choose dark on light, light on dark, black on white or two colors far apart."""
    kind = rng.random()
    if kind < 0.2:
        paper, ink = WHITE, BLACK
    elif kind < 0.55:
        paper, ink = random_color(rng, 0.85, 1.0), random_color(rng, 0.0, 0.35)
    elif kind < 0.75:
        paper, ink = random_color(rng, 0.0, 0.3), random_color(rng, 0.8, 1.0)
    else:
        paper, ink = _far_apart(rng)
    return Palette(paper, ink, tuple(random_color(rng, 0.15, 1.0) for _ in range(6)))


def mix(first: Color, second: Color, share: float) -> Color:
    """Return `first` with a share (0..1) of `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _far_apart(rng: np.random.Generator) -> tuple[Color, Color]:
    while True:
        paper, ink = random_color(rng), random_color(rng)
        if abs(brightness(paper) - brightness(ink)) > 70:
            return paper, ink


def brightness(color: Color) -> float:
    """Return how bright a color looks, 0 to 255."""
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue
