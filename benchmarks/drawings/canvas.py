"""Canvas: a picture drawn several times too large, so that reducing it leaves no jagged edge."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.drawings.colors import Color
from benchmarks.drawings.fonts import load_font

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Canvas:
    """Draw in px of the finished picture; `rng` is the one source of chance."""

    def __init__(self, rng: np.random.Generator, width: float, height: float, factor: int, paper: Color) -> None:
        self.rng = rng
        self.width = max(1, round(width))
        self.height = max(1, round(height))
        self.factor = factor
        self.image = Image.new("RGB", (self.width * factor, self.height * factor), paper)
        self._draw = ImageDraw.Draw(self.image)

    def blank(self, width: float, height: float, paper: Color) -> "Canvas":
        """Return a canvas of another size that shares factor and chance."""
        return Canvas(self.rng, width, height, self.factor, paper)

    def paste(self, other: "Canvas", at: Point, shape: Sequence[Point] | None = None) -> None:
        """Put another canvas down at a corner; of it only a polygon shows, where one is given in this canvas' px."""
        left, top = (round(value * self.factor) for value in at)
        mask = None
        if shape is not None:
            mask = Image.new("1", other.image.size)
            ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in self._scaled(shape)], fill=1)
        self.image.paste(other.image, (left, top), mask)

    def fade(self, start: Color, end: Color, angle: float) -> None:
        """Fill the whole canvas with a linear gradient in direction `angle` (radians)."""
        across = np.linspace(0, np.cos(angle) * self.width, self.image.width, dtype=np.float32)
        down = np.linspace(0, np.sin(angle) * self.height, self.image.height, dtype=np.float32)
        ramp = across[None, :] + down[:, None]
        ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
        first, last = np.asarray(start, np.float32), np.asarray(end, np.float32)
        self.image.paste(Image.fromarray((first + ramp[..., None] * (last - first) + 0.5).astype(np.uint8)))

    def polygon(self, points: Sequence[Point], fill: Color) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._scaled(points), fill=fill)

    def line(self, points: Sequence[Point], fill: Color, width: float) -> None:
        """Draw a polyline with rounded corners."""
        self._draw.line(self._scaled(points), fill=fill, width=self._stroke(width), joint="curve")

    def wash(self, points: Sequence[Point], ink: Color, width: float, opacity: float) -> None:
        """Draw a polyline in translucent ink, `opacity` 0..1: where two cross, it is darker."""
        ink_with_alpha = (*ink, round(255 * opacity))
        ImageDraw.Draw(self.image, "RGBA").line(self._scaled(points), ink_with_alpha, self._stroke(width))

    def rectangle(
        self, box: Box, fill: Color | None, outline: Color | None = None, width: float = 1, radius: float = 0
    ) -> None:
        """Draw a rectangle, perhaps with rounded corners; one too small for its outline is left out."""
        left, top, right, bottom = (value * self.factor for value in box)
        stroke = self._stroke(width) if outline else 0
        if min(right - left, bottom - top) > 2 * stroke:
            corner = min(radius * self.factor, (right - left) / 2, (bottom - top) / 2)
            self._draw.rounded_rectangle((left, top, right, bottom), corner, fill, outline, stroke)

    def ellipse(
        self, centre: Point, radii: Point, fill: Color | None, outline: Color | None = None, width: float = 1
    ) -> None:
        """Draw an upright ellipse."""
        (x, y), (across, down) = centre, radii
        left, top, right, bottom = (value * self.factor for value in (x - across, y - down, x + across, y + down))
        self._draw.ellipse((left, top, right, bottom), fill, outline, self._stroke(width) if outline else 0)

    def text(self, at: Point, text: str, font: str, size: float, fill: Color, anchor: str = "la") -> None:
        """Write one line; `anchor` as Pillow's, left and ascender unless told."""
        loaded = load_font(font, round(size * self.factor))
        self._draw.text(self._scaled([at])[0], text, fill, loaded, anchor)

    def text_width(self, text: str, font: str, size: float) -> float:
        """Return how wide one line would be, in px."""
        return float(load_font(font, round(size * self.factor)).getlength(text)) / self.factor

    def _stroke(self, width: float) -> int:
        return max(1, round(width * self.factor))

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.factor, y * self.factor) for x, y in points]
