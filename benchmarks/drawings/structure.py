"""Structure: facades, tiled floors, walls and fences, as a camera sees them, in perspective."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawings.canvas import Canvas, Point
from benchmarks.drawings.colors import Color, mix, random_color, random_palette

View = Callable[[float, float], Point]  # a point of the unit square -> px
_REACH = 0.12  # how far the square reaches past the picture where nothing is tilted
_SMALLEST = 3.0  # px between two lines at the far end, lest they run into one another


def floor(canvas: Canvas) -> None:
    """Tile a plane in two colors or more, with or without joints."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    view, nearest = random_view(canvas)
    count = int(rng.integers(4, max(5, int(nearest / _SMALLEST / 2))))
    colors = palette.accents[: int(rng.integers(1, 4))]
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    for row in range(count):
        for column in range(count):
            if (row + column) % 2 or rng.random() < 0.15:
                color = _shaded(rng, colors[(row * 7 + column) % len(colors)])
                _patch(canvas, view, (column / count, row / count, (column + 1) / count, (row + 1) / count), color)
    if rng.random() < 0.6:
        width = float(rng.uniform(0.5, 2.5))
        for index in range(count + 1):
            canvas.line([view(index / count, 0), view(index / count, 1)], palette.ink, width)
            canvas.line([view(0, index / count), view(1, index / count)], palette.ink, width)


def facade(canvas: Canvas) -> None:
    """Build a house front: storeys of windows with frames, bars and ledges."""
    rng = canvas.rng
    gray = float(rng.uniform(0.3, 0.9))  # most houses are not painted in bright colors
    wall, glass, frame = (
        mix(random_color(rng, low, high), (150, 145, 140), gray) for low, high in ((0.3, 1), (0.0, 0.5), (0.1, 1))
    )
    canvas.fade(wall, mix(wall, (20, 20, 30), float(rng.uniform(0, 0.5))), float(rng.uniform(0, 6)))
    view, nearest = random_view(canvas)
    most = max(4, int(nearest / 14))
    columns, rows = int(rng.integers(3, most + 1)), int(rng.integers(3, most + 1))
    inset_x, inset_y = rng.uniform(0.08, 0.3, 2) / (columns, rows)
    bars = int(rng.integers(0, 4)), int(rng.integers(0, 3))
    for row in range(rows):
        if rng.random() < 0.7:
            ledge = row / rows
            _patch(canvas, view, (0, ledge, 1, ledge + 0.1 / rows), mix(wall, frame, 0.5))
        for column in range(columns):
            left, top = column / columns + inset_x, row / rows + inset_y
            right, bottom = (column + 1) / columns - inset_x, (row + 1) / rows - inset_y
            _window(canvas, view, (left, top, right, bottom), (_shaded(rng, glass), frame), bars)


def _window(
    canvas: Canvas,
    view: View,
    box: tuple[float, float, float, float],
    colors: tuple[Color, Color],
    bars: tuple[int, int],
) -> None:
    left, top, right, bottom = box
    edge_x, edge_y = 0.06 * (right - left), 0.06 * (bottom - top)
    _patch(canvas, view, box, colors[1])
    _patch(canvas, view, (left + edge_x, top + edge_y, right - edge_x, bottom - edge_y), colors[0])
    for index in range(bars[0]):
        x = left + (right - left) * (index + 1) / (bars[0] + 1)
        _patch(canvas, view, (x - edge_x / 3, top, x + edge_x / 3, bottom), colors[1])
    for index in range(bars[1]):
        y = top + (bottom - top) * (index + 1) / (bars[1] + 1)
        _patch(canvas, view, (left, y - edge_y / 3, right, y + edge_y / 3), colors[1])


def bricks(canvas: Canvas) -> None:
    """Lay bricks in a running bond."""
    rng = canvas.rng
    brick, mortar = random_color(rng, 0.25, 0.95), random_color(rng, 0.2, 1)
    canvas.rectangle((0, 0, canvas.width, canvas.height), mortar)
    view, nearest = random_view(canvas)
    rows = int(rng.integers(6, max(7, int(nearest / 6))))
    columns = max(3, int(rows * float(rng.uniform(0.3, 0.8))))
    joint = float(rng.uniform(0.04, 0.15))
    for row in range(rows):
        for column in range(-1, columns + 1):
            left = (column + 0.5 * (row % 2)) / columns
            right, top, bottom = left + (1 - joint * rows / columns / 2) / columns, row / rows, (row + 1 - joint) / rows
            _patch(canvas, view, (max(left, -0.2), top, min(right, 1.2), bottom), _shaded(rng, brick))


def fence(canvas: Canvas) -> None:
    """Draw one, two or three families of parallel bars whose spacing drifts."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.fade(palette.paper, mix(palette.paper, palette.accents[5], 0.4), float(rng.uniform(0, 6)))
    span = math.hypot(canvas.width, canvas.height)
    for family in range(int(rng.integers(1, 4))):
        angle, spacing = float(rng.uniform(0, math.pi)), float(rng.uniform(4, 30))
        drift, share = float(rng.uniform(1.0, 1.04)), float(rng.uniform(0.15, 0.6))
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        color = palette.ink if family == 0 else palette.accents[family]
        offset = -span / 2
        while offset < span / 2:
            x, y = canvas.width / 2 + across[0] * offset, canvas.height / 2 + across[1] * offset
            ends = [(x - span * along[0], y - span * along[1]), (x + span * along[0], y + span * along[1])]
            canvas.line(ends, color, spacing * share)
            offset += spacing
            spacing = min(max(spacing * drift, 3.0), 60.0)


def skyline(canvas: Canvas) -> None:
    """Put several house fronts before a sky."""
    rng = canvas.rng
    canvas.fade(random_color(rng, 0.6, 1), random_color(rng, 0.6, 1), math.pi / 2)
    left = -20.0
    while left < canvas.width:
        width, height = float(rng.uniform(0.15, 0.5)) * canvas.width, float(rng.uniform(0.4, 1.0)) * canvas.height
        front = canvas.blank(width, height, (0, 0, 0))
        facade(front)
        slope = float(rng.uniform(-0.12, 0.12)) * height
        top = canvas.height - height
        roof = [(left, top + max(slope, 0)), (left + width, top + max(-slope, 0))]
        canvas.paste(front, (left, top), [*roof, (left + width, canvas.height), (left, canvas.height)])
        left += width * float(rng.uniform(0.8, 1.2))


def random_view(canvas: Canvas) -> tuple[View, float]:
    """Look at the unit square from somewhere; also return its shortest side in px."""
    rng = canvas.rng
    width, height = canvas.width, canvas.height
    corners = [(-_REACH, -_REACH), (1 + _REACH, -_REACH), (1 + _REACH, 1 + _REACH), (-_REACH, 1 + _REACH)]
    moved = np.array(corners) + float(rng.choice([0.0, 0.2, 0.4])) * rng.uniform(-1, 1, (4, 2))
    points = [(x * width, y * height) for x, y in moved.tolist()]
    if not _is_convex(points):
        points = [(x * width, y * height) for x, y in corners]
    matrix = _homography(points)

    def view(u: float, v: float) -> Point:
        x, y, w = (matrix @ (u, v, 1.0)).tolist()
        return x / w, y / w

    sides = [math.dist(points[index], points[(index + 1) % 4]) for index in range(4)]
    return view, min(sides)


def _homography(corners: Sequence[Point]) -> NDArray[np.float64]:
    """Map the corners of the unit square to four points (Heckbert, "Fundamentals of Texture Mapping", 1989)."""
    rows, values = [], []
    for (u, v), (x, y) in zip([(0, 0), (1, 0), (1, 1), (0, 1)], corners, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        values += [x, y]
    return np.append(np.linalg.solve(np.array(rows, np.float64), np.array(values)), 1.0).reshape(3, 3)


def _is_convex(points: Sequence[Point]) -> bool:
    turns = []
    for index in range(4):
        (ax, ay), (bx, by), (cx, cy) = (points[(index + step) % 4] for step in range(3))
        turns.append((bx - ax) * (cy - by) - (by - ay) * (cx - bx))
    return min(turns) > 0


def _patch(canvas: Canvas, view: View, box: tuple[float, float, float, float], color: Color) -> None:
    left, top, right, bottom = box
    canvas.polygon([view(left, top), view(right, top), view(right, bottom), view(left, bottom)], color)


def _shaded(rng: np.random.Generator, color: Color) -> Color:
    return mix(color, (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0), float(rng.uniform(0, 0.25)))
