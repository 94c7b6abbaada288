"""Plans: circles, arcs, dashed lines, fine grids, arrows, flow charts, maps of lines, as an engineer draws them."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.drawings.canvas import Canvas, Point
from benchmarks.drawings.colors import Color, mix, random_palette
from benchmarks.drawings.fonts import random_word, random_words
from benchmarks.drawings.installed import SANS, SERIF
from benchmarks.drawings.lineart import smooth


def geometry(canvas: Canvas) -> None:
    """Draw circles, polygons, arcs and lines, some dashed, over a fine grid."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    if rng.random() < 0.7:
        _grid(canvas, mix(palette.paper, palette.ink, float(rng.uniform(0.1, 0.5))))
    font = SANS[int(rng.integers(len(SANS)))]
    for _ in range(int(rng.integers(8, 30))):
        centre = (float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height)))
        radius = float(rng.choice([rng.uniform(2, 12), rng.uniform(8, 60), rng.uniform(40, 200)]))
        ink = palette.ink if rng.random() < 0.6 else palette.accents[int(rng.integers(6))]
        width = float(rng.choice([0.6, 1, 1, 1.5, 2, 3]))
        _shape(canvas, centre, radius, ink, width)
        if rng.random() < 0.4:
            canvas.text((centre[0] + 3, centre[1]), random_word(rng, font), font, float(rng.uniform(7, 13)), ink)


def _grid(canvas: Canvas, ink: Color) -> None:
    rng = canvas.rng
    step = float(rng.uniform(3, 16))
    step = float(round(step)) if rng.random() < 0.5 else step
    width, every = float(rng.choice([0.4, 0.6, 1])), int(rng.integers(4, 11))
    for index in range(int(max(canvas.width, canvas.height) / step) + 1):
        stroke = width * (2 if index % every == 0 else 1)
        canvas.line([(index * step, 0), (index * step, canvas.height)], ink, stroke)
        canvas.line([(0, index * step), (canvas.width, index * step)], ink, stroke)


def _shape(canvas: Canvas, centre: Point, radius: float, ink: Color, width: float) -> None:
    rng = canvas.rng
    (x, y), kind = centre, rng.random()
    if kind < 0.35:
        start, span = float(rng.uniform(0, 6.3)), 2 * math.pi if rng.random() < 0.7 else float(rng.uniform(1, 5))
        flat = 1.0 if rng.random() < 0.7 else float(rng.uniform(0.2, 0.9))
        angles = np.linspace(start, start + span, max(24, int(radius * 3)))
        points = [(x + radius * math.cos(a), y + flat * radius * math.sin(a)) for a in angles.tolist()]
    elif kind < 0.6:
        sides, turn = int(rng.integers(3, 9)), float(rng.choice([0, rng.uniform(0, 3)]))
        angles = turn + np.arange(sides + 2) * 2 * math.pi / sides
        points = [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles.tolist()]
    elif kind < 0.8:
        turn = float(rng.choice([0, math.pi / 2, rng.uniform(0, math.pi)]))
        points = [
            (x - radius * 2 * math.cos(turn), y - radius * 2 * math.sin(turn)),
            (x + radius * 2 * math.cos(turn), y + radius * 2 * math.sin(turn)),
        ]
    else:
        anchors = centre + rng.normal(0, radius, (int(rng.integers(3, 6)), 2))
        points = smooth(anchors.tolist(), False)
    if rng.random() < 0.35:
        dashed(canvas, points, ink, width, (float(rng.uniform(1.5, 9)), float(rng.uniform(1.5, 6))))
    else:
        canvas.line(points, ink, width)
    if rng.random() < 0.15 and kind >= 0.6:
        _head(canvas, points[-2], points[-1], ink, 4 + 2 * width)


def dashed(canvas: Canvas, points: Sequence[Point], ink: Color, width: float, lengths: tuple[float, float]) -> None:
    """Draw a polyline in dashes: lengths of a dash and of a gap in px."""
    places = np.asarray(points, np.float64)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    for start in np.arange(0, along[-1], sum(lengths)):
        at = np.linspace(start, min(start + lengths[0], along[-1]), 5)
        canvas.line(
            list(
                zip(
                    np.interp(at, along, places[:, 0]).tolist(),
                    np.interp(at, along, places[:, 1]).tolist(),
                    strict=True,
                )
            ),
            ink,
            width,
        )


def _head(canvas: Canvas, before: Point, tip: Point, ink: Color, size: float) -> None:
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    corners = [(size * math.cos(angle + turn), size * math.sin(angle + turn)) for turn in (2.7, -2.7)]
    canvas.polygon([tip, *((tip[0] + dx, tip[1] + dy) for dx, dy in corners)], ink)


def flow(canvas: Canvas) -> None:
    """Join labelled boxes, ovals and diamonds with arrows."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    font, size = SANS[int(rng.integers(len(SANS)))], float(rng.uniform(7, 14))
    stroke = float(rng.choice([0.8, 1, 1.5, 2]))
    step_x, step_y = float(rng.uniform(80, 160)), float(rng.uniform(45, 100))
    tint = mix(palette.paper, palette.accents[0], float(rng.uniform(0, 0.6)))
    for row in range(int(canvas.height / step_y) + 1):
        for column in range(int(canvas.width / step_x) + 1):
            x, y = round((column + 0.5) * step_x), round((row + 0.5) * step_y)
            for dx, dy in ((step_x, 0.0), (0.0, step_y)):
                if rng.random() < 0.7:
                    start, tip = (float(x), float(y)), (x + dx * 0.68, y + dy * 0.68)
                    if rng.random() < 0.3:
                        dashed(canvas, [start, tip], palette.ink, stroke, (4, 3))
                    else:
                        canvas.line([start, tip], palette.ink, stroke)
                    _head(canvas, start, tip, palette.ink, 5 + stroke)
            wide, tall = step_x * 0.32, step_y * 0.3
            kind = rng.random()
            if kind < 0.6:
                canvas.rectangle(
                    (x - wide, y - tall, x + wide, y + tall), tint, palette.ink, stroke, float(rng.choice([0, 4, 9]))
                )
            elif kind < 0.8:
                canvas.ellipse((x, y), (wide, tall), tint, palette.ink, stroke)
            else:
                corners = [(x - wide, y), (x, y - tall), (x + wide, y), (x, y + tall)]
                canvas.polygon(corners, tint)
                canvas.line([*corners, corners[0], corners[1]], palette.ink, stroke)
            canvas.text((x, y), random_word(rng, font), font, size, palette.ink, "mm")


def street_map(canvas: Canvas) -> None:
    """Draw streets with casings over parks and water, and names."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    for color in palette.accents[:3]:
        anchors = rng.uniform(-0.2, 1.2, 2) * (canvas.width, canvas.height) + rng.normal(0, 70, (5, 2))
        canvas.polygon(smooth(anchors.tolist(), True), mix(palette.paper, color, 0.4))
    streets = []
    for _ in range(int(rng.integers(6, 22))):
        ends = rng.uniform(-0.1, 1.1, (3, 2)) * (canvas.width, canvas.height)
        streets.append((smooth(ends.tolist(), False), float(rng.uniform(1, 10))))
    casing, face = (
        mix(palette.paper, palette.ink, 0.4),
        mix(palette.paper, palette.accents[3], float(rng.uniform(0, 0.5))),
    )
    for points, width in streets:
        canvas.line(points, casing, width + 2)
    for points, width in streets:
        canvas.line(points, face, width)
    fonts = (*SANS, *SERIF)
    font = fonts[int(rng.integers(len(fonts)))]
    for points, _ in streets:
        x, y = points[int(rng.integers(len(points)))]
        canvas.text((x, y), random_words(rng, font, 2), font, float(rng.uniform(7, 12)), palette.ink, "mm")
        canvas.ellipse((x - 8, y), (2.5, 2.5), palette.accents[4], palette.ink, 0.7)


def plot(canvas: Canvas) -> None:
    """Plot lines, bars, points or a pie, with axes, ticks, a grid and a legend."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    fonts = (*SANS, *SANS, *SERIF)
    font, size = fonts[int(rng.integers(len(fonts)))], float(rng.uniform(7, 13))
    left, top = round(float(rng.uniform(24, 60))), round(float(rng.uniform(8, 40)))
    right, bottom = canvas.width - round(float(rng.uniform(6, 24))), canvas.height - round(float(rng.uniform(24, 50)))
    if min(right - left, bottom - top) < 20:  # no room for labels
        left, top, right, bottom = 2, 2, canvas.width - 2, canvas.height - 2
    _axes(canvas, (left, top, right, bottom), (palette.ink, palette.paper), font, size)
    kind = rng.random()
    count = int(rng.integers(2, 6))
    for index, color in enumerate(palette.accents[:count]):
        if kind < 0.3:
            _bars(canvas, (left, top, right, bottom), (index, count), color, palette.ink)
        elif kind < 0.5:
            _cloud(canvas, (left, top, right, bottom), color, palette.ink)
        else:
            _curve(canvas, (left, top, right, bottom), color)
    canvas.text(((left + right) / 2, top - 3), random_words(rng, font, 3), font, size * 1.2, palette.ink, "md")
    wide, tall = size * 7, count * size * 1.35 + 6
    canvas.rectangle((right - wide - 6, top + 6, right - 6, top + 6 + tall), palette.paper, palette.ink, 0.8, 2)
    for index, color in enumerate(palette.accents[:count]):
        y = top + 9 + (index + 0.5) * size * 1.35
        canvas.line([(right - wide, y), (right - wide + 16, y)], color, 1.5)
        canvas.text((right - wide + 20, y), random_word(rng, font)[:7], font, size * 0.9, palette.ink, "lm")


def _axes(
    canvas: Canvas, box: tuple[float, float, float, float], colors: tuple[Color, Color], font: str, size: float
) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    ink, faint = colors[0], mix(colors[1], colors[0], float(rng.uniform(0.1, 0.35)))
    steps, style, stroke = int(rng.integers(4, 10)), rng.random(), float(rng.choice([0.6, 0.8, 1]))
    for index in range(steps + 1):
        x, y = left + (right - left) * index / steps, top + (bottom - top) * index / steps
        for ends in ([(x, top), (x, bottom)], [(left, y), (right, y)]):
            if style < 0.35:
                canvas.line(ends, faint, stroke)
            elif style < 0.7:
                dashed(canvas, ends, faint, stroke, (3, 2) if style < 0.5 else (1, 1.5))
        canvas.line([(x, bottom), (x, bottom + 4)], ink, 0.8)
        canvas.line([(left - 4, y), (left, y)], ink, 0.8)
        canvas.text((x, bottom + 5), f"{index * 5}", font, size, ink, "ma")
        canvas.text((left - 5, y), f"{(steps - index) * 0.2:.1f}", font, size, ink, "rm")
    canvas.line(
        [(left, top), (left, bottom), (right, bottom)]
        + ([(right, top), (left, top), (left, bottom)] if style < 0.6 else []),
        ink,
        float(rng.choice([0.8, 1, 1.5])),
    )


def _bars(
    canvas: Canvas, box: tuple[float, float, float, float], place: tuple[int, int], color: Color, ink: Color
) -> None:
    left, top, right, bottom = box
    groups = 6
    wide = (right - left) / groups / (place[1] + 1)
    for group in range(groups):
        x = left + (right - left) * group / groups + (place[0] + 0.5) * wide
        canvas.rectangle(
            (x, bottom - (bottom - top) * float(canvas.rng.beta(2, 2)), x + wide * 0.9, bottom), color, ink, 0.7
        )


def _cloud(canvas: Canvas, box: tuple[float, float, float, float], color: Color, ink: Color) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    reach = float(rng.uniform(1.5, 4))
    for x, y in rng.beta(2, 2, (int(rng.integers(10, 50)), 2)).tolist():
        at = (left + x * (right - left), top + y * (bottom - top))
        canvas.ellipse(at, (reach, reach), color, ink, 0.6)


def _curve(canvas: Canvas, box: tuple[float, float, float, float], color: Color) -> None:
    rng, (left, top, right, bottom) = canvas.rng, box
    heights = np.clip(np.cumsum(rng.normal(0, 0.12, 20)) + rng.uniform(0.2, 0.8), 0.02, 0.98)
    points = list(zip(np.linspace(left, right, 20).tolist(), (bottom - (bottom - top) * heights).tolist(), strict=True))
    points = smooth(points, False) if rng.random() < 0.4 else points
    width = float(rng.uniform(0.8, 2.5))
    if rng.random() < 0.4:
        dashed(canvas, points, color, width, (float(rng.uniform(1, 7)), float(rng.uniform(1.5, 4))))
    else:
        canvas.line(points, color, width)
    if rng.random() < 0.4:
        for x, y in points[:: max(1, len(points) // 20)]:
            canvas.ellipse((x, y), (2.5, 2.5), color)
