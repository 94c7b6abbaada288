"""Line art: outlined shapes, hatching, rings and rays, diagrams."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.drawings.canvas import Canvas, Point
from benchmarks.drawings.colors import WHITE, Color, mix, random_palette
from benchmarks.drawings.fonts import PLAIN, random_word


def cartoon(canvas: Canvas) -> None:
    """Draw closed curves with flat fills and outlines of changing width, some of them hatched."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.fade(palette.paper, mix(palette.paper, palette.accents[0], 0.4), float(rng.uniform(0, 6)))
    for _ in range(int(rng.integers(5, 22))):
        centre = (float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height)))
        outline = _blob(canvas, centre, float(rng.uniform(0.04, 0.3)) * canvas.width)
        fill = palette.accents[int(rng.integers(6))] if rng.random() < 0.75 else palette.paper
        if rng.random() < 0.35:
            _hatched(canvas, outline, fill, palette.ink)
        else:
            canvas.polygon(outline, fill)
        canvas.line([*outline, outline[0], outline[1]], palette.ink, float(rng.uniform(0.7, 5)))


def strokes(canvas: Canvas) -> None:
    """Draw open curves of many widths, as a pen does."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    for _ in range(int(rng.integers(12, 70))):
        points = rng.uniform(-0.1, 1.1, (int(rng.integers(3, 7)), 2)) * (canvas.width, canvas.height)
        if rng.random() < 0.6:
            points = points[0] + (points - points[0]) * float(rng.uniform(0.1, 0.5))
        ink = palette.ink if rng.random() < 0.6 else palette.accents[int(rng.integers(6))]
        canvas.line(smooth(points.tolist(), False), ink, float(rng.choice([0.6, 1, 1.5, 2.5, 4, 8])))


def rings(canvas: Canvas) -> None:
    """Draw concentric circles, spirals and rays."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    for index in range(int(rng.integers(1, 6))):
        centre = (float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height)))
        radius = float(rng.uniform(0.15, 0.6)) * canvas.width
        ink = palette.ink if index == 0 else palette.accents[index]
        kind = rng.random()
        if kind < 0.5:
            _circles(canvas, centre, radius, ink)
        elif kind < 0.75:
            _spiral(canvas, centre, radius, ink)
        else:
            _rays(canvas, centre, radius, ink)


def diagram(canvas: Canvas) -> None:
    """Plot curves, markers or bars over a grid with numbered axes."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    left, top = 0.12 * canvas.width, 0.08 * canvas.height
    right, bottom = 0.96 * canvas.width, 0.88 * canvas.height
    font, size = str(rng.choice(PLAIN)), float(rng.uniform(7, 13))
    faint = mix(palette.paper, palette.ink, 0.25)
    steps = int(rng.integers(4, 11))
    for index in range(steps + 1):
        x, y = left + (right - left) * index / steps, top + (bottom - top) * index / steps
        canvas.line([(x, top), (x, bottom + 4)], faint, 0.8)
        canvas.line([(left - 4, y), (right, y)], faint, 0.8)
        canvas.text((x, bottom + 6), str(index * 10), font, size, palette.ink, "ma")
        canvas.text((left - 6, y), f"{steps - index}.{index}", font, size, palette.ink, "rm")
    for color in palette.accents[: int(rng.integers(2, 7))]:
        _series(canvas, (left, top, right, bottom), color)
    canvas.line([(left, top), (left, bottom), (right, bottom)], palette.ink, 1.5)
    title = f"{random_word(rng, font)} {random_word(rng, font)}"
    canvas.text((canvas.width / 2, 2), title, font, size * 1.3, palette.ink, "ma")


def smooth(points: Sequence[Point], closed: bool) -> list[Point]:
    """Return a Catmull-Rom curve through the points (Catmull and Rom, 1974)."""
    anchors = np.asarray([points[-1], *points, *points[:2]] if closed else [points[0], *points, points[-1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(anchors, anchors[1:], anchors[2:], anchors[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return [(float(x), float(y)) for x, y in np.concatenate(pieces)]


def _blob(canvas: Canvas, centre: Point, radius: float) -> list[Point]:
    rng = canvas.rng
    corners = int(rng.integers(3, 10))
    rough = float(rng.uniform(0, 0.5))
    points = []
    for index in range(corners):
        angle, reach = 2 * math.pi * index / corners, radius * float(rng.uniform(1 - rough, 1 + rough))
        points.append((centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)))
    return smooth(points, True) if rng.random() < 0.7 else points


def _hatched(canvas: Canvas, outline: Sequence[Point], fill: Color, ink: Color) -> None:
    rng = canvas.rng
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    left, top = min(xs), min(ys)
    patch = canvas.blank(max(xs) - left, max(ys) - top, fill)
    reach = patch.width + patch.height
    for _ in range(int(rng.integers(1, 3))):
        slope, spacing, width = float(rng.uniform(-1.5, 1.5)), float(rng.uniform(3, 12)), float(rng.uniform(0.6, 1.6))
        for offset in np.arange(-2 * reach, 2 * reach, spacing):
            patch.line([(0, float(offset)), (patch.width, float(offset) + slope * patch.width)], ink, width)
    canvas.paste(patch, (left, top), outline)


def _circles(canvas: Canvas, centre: Point, radius: float, ink: Color) -> None:
    rng = canvas.rng
    spacing, width = float(rng.uniform(3.5, 16)), float(rng.uniform(0.7, 4))
    flat = float(rng.uniform(0.5, 1))
    for reach in np.arange(radius, spacing, -spacing):
        canvas.ellipse(centre, (float(reach), float(reach) * flat), None, ink, min(width, spacing / 2))


def _spiral(canvas: Canvas, centre: Point, radius: float, ink: Color) -> None:
    turns = radius / float(canvas.rng.uniform(4, 16))
    angles = np.linspace(0, 2 * math.pi * turns, int(60 * turns) + 2)
    reach = radius * angles / angles[-1]
    points = np.stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)], axis=1)
    canvas.line(points.tolist(), ink, float(canvas.rng.uniform(0.8, 2.5)))


def _rays(canvas: Canvas, centre: Point, radius: float, ink: Color) -> None:
    rng = canvas.rng
    count = int(rng.integers(8, 40))
    inner = max(count * 1.2, 0.1 * radius)  # nearer than this the rays would run into one another
    share = float(rng.uniform(0.3, 0.6)) * 2 * math.pi / count
    for index in range(count):
        first = 2 * math.pi * index / count
        corners = [(inner, first), (radius, first), (radius, first + share), (inner, first + share)]
        canvas.polygon([(centre[0] + r * math.cos(a), centre[1] + r * math.sin(a)) for r, a in corners], ink)


def _series(canvas: Canvas, box: tuple[float, float, float, float], color: Color) -> None:
    rng = canvas.rng
    left, top, right, bottom = box
    heights = np.clip(np.cumsum(rng.normal(0, 0.15, 14)) + rng.uniform(0.2, 0.8), 0.02, 0.98)
    places = left + (right - left) * (np.arange(14) + 0.5) / 14
    points = list(zip(places.tolist(), (bottom - (bottom - top) * heights).tolist(), strict=True))
    kind = rng.random()
    if kind < 0.3:
        for x, y in points:
            canvas.rectangle((x - 7, y, x + float(rng.uniform(0, 7)), bottom), color, WHITE, 0.7)
        return
    canvas.line(smooth(points, False) if kind < 0.6 else points, color, float(rng.uniform(0.8, 3)))
    if kind > 0.7:
        for x, y in points:
            canvas.ellipse((x, y), (3, 3), color if kind < 0.85 else WHITE, color, 1)
