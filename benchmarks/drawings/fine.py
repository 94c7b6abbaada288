"""Fine lines, pale and close together: graph paper, floor plans, city maps, contour lines, sheet music."""

import math
from itertools import pairwise

import numpy as np

from benchmarks.drawings.canvas import Box, Canvas, Point
from benchmarks.drawings.colors import BLACK, WHITE, Color, brightness, mix, random_color, random_palette
from benchmarks.drawings.fonts import random_word, random_words
from benchmarks.drawings.installed import SANS, SERIF
from benchmarks.drawings.lineart import smooth


def graph_paper(canvas: Canvas) -> None:
    """Draw figures on square, isometric or dotted paper."""
    rng = canvas.rng
    paper, ink = _paper_and_ink(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    step, width = float(rng.uniform(3.5, 18)), float(rng.choice([0.5, 0.5, 0.75, 1]))
    opacity, every = float(rng.uniform(0.12, 0.5)), int(rng.choice([1, 2, 4, 5, 5, 10]))
    tint = ink if rng.random() < 0.6 else random_color(rng, 0.2, 0.9)
    kind = rng.random()
    if kind < 0.75:
        for angle in (0.0, math.pi / 2):
            _ruled(canvas, angle, (step, every), tint, (width, opacity))
    elif kind < 0.9:
        for angle in (math.pi / 6, math.pi / 2, -math.pi / 6):
            _ruled(canvas, angle, (step, every), tint, (width, opacity))
    else:
        for x in np.arange(step / 2, canvas.width, step):
            for y in np.arange(step / 2, canvas.height, step):
                canvas.ellipse((float(x), float(y)), (width, width), mix(paper, tint, opacity))
    for _ in range(int(rng.integers(0, 14))):
        _figure(canvas, ink if rng.random() < 0.6 else random_color(rng, 0.1, 0.9))


def _ruled(canvas: Canvas, angle: float, rhythm: tuple[float, int], ink: Color, pen: tuple[float, float]) -> None:
    """Rule the canvas with parallel lines, of which every n-th is twice as wide; `pen` is width and opacity."""
    (step, every), (width, opacity) = rhythm, pen
    middle, reach = (canvas.width / 2, canvas.height / 2), math.hypot(canvas.width, canvas.height) / 2 + step
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    for index in range(-int(reach / step) - 1, int(reach / step) + 2):
        x, y = middle[0] + index * step * across[0], middle[1] + index * step * across[1]
        ends = [(x - reach * along[0], y - reach * along[1]), (x + reach * along[0], y + reach * along[1])]
        canvas.wash(ends, ink, width * (2 if index % every == 0 and every > 1 else 1), opacity)


def _figure(canvas: Canvas, ink: Color) -> None:
    """Draw a curve, a box, a circle or a word in a thin pen."""
    rng = canvas.rng
    x, y = float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height))
    reach, width = float(rng.uniform(5, 120)), float(rng.choice([0.6, 0.8, 1, 1.4, 2]))
    kind = rng.random()
    if kind < 0.3:
        around = np.array((x, y)) + rng.normal(0, reach, (5, 2))
        canvas.line(smooth(around.tolist(), bool(rng.random() < 0.3)), ink, width)
    elif kind < 0.5:
        canvas.rectangle((x, y, x + reach, y + reach * float(rng.uniform(0.3, 2))), None, ink, width)
    elif kind < 0.8:
        canvas.ellipse((x, y), (reach, reach * float(rng.choice([1, 1, rng.uniform(0.3, 1)]))), None, ink, width)
    else:
        font = SANS[int(rng.integers(len(SANS)))]
        canvas.text((x, y), random_words(rng, font, 2), font, float(rng.uniform(7, 14)), ink)


def floor_plan(canvas: Canvas) -> None:
    """Draw a floor plan: walls, doors, hatching, dimension lines."""
    rng = canvas.rng
    paper, ink = _paper_and_ink(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    if rng.random() < 0.4:
        for angle in (0.0, math.pi / 2):
            _ruled(canvas, angle, (float(rng.uniform(5, 14)), 5), ink, (0.5, float(rng.uniform(0.08, 0.3))))
    font, size = SANS[int(rng.integers(len(SANS)))], float(rng.uniform(6.5, 10))
    _rooms(canvas, (14, 14, canvas.width - 26, canvas.height - 26), 3, (ink, paper), font, size)
    thin = float(rng.choice([0.5, 0.7, 1]))
    for upright, side, across in ((False, canvas.width, canvas.height), (True, canvas.height, canvas.width)):
        stops = np.sort(rng.uniform(0.05, 0.95, int(rng.integers(3, 7)))) * side
        _dimension(canvas, stops.tolist(), across - 12, upright, (ink, thin), font, size)


def _rooms(canvas: Canvas, box: Box, depth: int, colors: tuple[Color, Color], font: str, size: float) -> None:
    """Cut a box into rooms by walls with doors in them."""
    rng, (left, top, right, bottom), (ink, paper) = canvas.rng, box, colors
    if depth == 0 or min(right - left, bottom - top) < 50:
        kind = rng.random()
        if kind < 0.25:
            panel = canvas.blank(right - left - 6, bottom - top - 6, paper)
            for _ in range(int(rng.integers(1, 3))):
                _ruled(panel, float(rng.uniform(0, 3)), (float(rng.uniform(3, 8)), 1), ink, (0.5, 0.5))
            canvas.paste(panel, (left + 3, top + 3))
        elif kind < 0.8:
            middle = ((left + right) / 2, (top + bottom) / 2)
            canvas.text(middle, f"{random_word(rng, font)} {rng.uniform(3, 40):.1f}", font, size, ink, "mm")
        canvas.rectangle(box, None, ink, float(rng.choice([0.8, 1, 1.5, 2.5])))
        return
    share = float(rng.uniform(0.35, 0.65))
    if right - left > bottom - top:
        cut = left + share * (right - left)
        halves, hinge = ((left, top, cut, bottom), (cut, top, right, bottom)), (cut, float(rng.uniform(top, bottom)))
    else:
        cut = top + share * (bottom - top)
        halves, hinge = ((left, top, right, cut), (left, cut, right, bottom)), (float(rng.uniform(left, right)), cut)
    for half in halves:
        _rooms(canvas, half, depth - 1, colors, font, size)
    start, reach = float(rng.integers(4)) * math.pi / 2, float(rng.uniform(12, 24))
    turns = np.linspace(start, start + math.pi / 2, 24).tolist()
    canvas.line([hinge, *((hinge[0] + reach * math.cos(a), hinge[1] + reach * math.sin(a)) for a in turns)], ink, 0.7)


def _dimension(
    canvas: Canvas, stops: list[float], at: float, upright: bool, pen: tuple[Color, float], font: str, size: float
) -> None:
    """Draw a dimension line with slanted ticks at the stops and numbers between them."""

    def turned(along: float, across: float) -> Point:
        return (across, along) if upright else (along, across)

    canvas.line([turned(stops[0], at), turned(stops[-1], at)], *pen)
    for stop in stops:
        canvas.line([turned(stop, at - 8), turned(stop, at + 4)], *pen)
        canvas.line([turned(stop - 3, at + 3), turned(stop + 3, at - 3)], *pen)
    for first, last in pairwise(stops):
        canvas.text(turned((first + last) / 2, at - 2), f"{(last - first) / 40:.2f}", font, size, pen[0], "ms")


def city_map(canvas: Canvas) -> None:
    """Draw a map of a city: many thin pale streets, some wide ones, parks, names."""
    rng = canvas.rng
    paper = mix(WHITE, random_color(rng, 0.6, 1), float(rng.uniform(0, 0.25)))
    if dark := rng.random() < 0.2:
        paper = mix(BLACK, random_color(rng, 0.2, 0.6), float(rng.uniform(0.3, 0.8)))
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    for _ in range(int(rng.integers(1, 5))):
        middle = rng.uniform(0, 1, 2) * (canvas.width, canvas.height)
        around = middle + rng.normal(0, float(rng.uniform(20, 70)), (5, 2))
        canvas.polygon(smooth(around.tolist(), True), mix(paper, random_color(rng, 0.3, 1), 0.4))
    ink = WHITE if dark else BLACK
    casing, face = mix(paper, ink, float(rng.uniform(0.15, 0.5))), mix(paper, WHITE, 0.2 if dark else 1)
    streets = _network(canvas)
    edge = float(rng.choice([0.5, 0.75, 1, 1.5]))
    major = random_color(rng, 0.5, 1)
    for points, width in streets:
        canvas.line(points, casing, width + 2 * edge)
    for points, width in streets:
        canvas.line(points, major if width > 6 else face, width)
    font = (*SANS, *SERIF)[int(rng.integers(len(SANS) + len(SERIF)))]
    for points, _ in streets[:: int(rng.integers(1, 4))]:
        name = f"{random_word(rng, font)} {random_word(rng, font)}"
        at = points[int(rng.integers(len(points)))]
        canvas.text(at, name, font, float(rng.uniform(7, 11)), mix(paper, ink, 0.7), "mm")


def _network(canvas: Canvas) -> list[tuple[list[Point], float]]:
    """Return bent streets that cross each other, with their widths."""
    rng, streets = canvas.rng, []
    turn, bend = float(rng.choice([0, rng.uniform(0, math.pi)])), float(rng.uniform(0, 30))
    reach = math.hypot(canvas.width, canvas.height) / 2 + 20
    for angle in (turn, turn + math.pi / 2 + float(rng.normal(0, 0.15))):
        at = -reach
        while (at := at + float(rng.uniform(14, 70))) < reach:
            along = np.linspace(-reach, reach, 5)
            across = at + rng.normal(0, bend, 5)
            x = canvas.width / 2 + along * math.cos(angle) - across * math.sin(angle)
            y = canvas.height / 2 + along * math.sin(angle) + across * math.cos(angle)
            first, last = sorted(rng.choice([0, 0, 1, 4, 5, 5], 2).tolist())
            if last - first > 1:
                points = list(zip(x.tolist(), y.tolist(), strict=True))[first:last]
                streets.append((smooth(points, False), float(rng.choice([1, 1.5, 2, 3, 4, 7, 9]))))
    return streets


def contours(canvas: Canvas) -> None:
    """Draw contour lines around summits, every fifth wider and labelled with its height."""
    rng = canvas.rng
    paper, ink = _paper_and_ink(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    font, tint = SANS[int(rng.integers(len(SANS)))], mix(paper, ink, float(rng.uniform(0.25, 1)))
    for _ in range(int(rng.integers(1, 4))):
        middle = rng.uniform(0, 1, 2) * (canvas.width, canvas.height)
        angles = np.linspace(0, 2 * math.pi, 120)
        waves = [(float(rng.uniform(0.02, 0.15)), order, float(rng.uniform(0, 6.3))) for order in range(1, 7)]
        step, width = float(rng.uniform(3.5, 12)), float(rng.choice([0.5, 0.7, 1]))
        for index in range(2, int(rng.uniform(80, 260) / step)):
            shape = 1 + sum(size * math.exp(-index / 30) * np.cos(order * angles + at) for size, order, at in waves)
            x, y = middle[0] + index * step * shape * np.cos(angles), middle[1] + index * step * shape * np.sin(angles)
            canvas.line(list(zip(x.tolist(), y.tolist(), strict=True)), tint, width * (1 if index % 5 else 2))
            if index % 5 == 0:
                place = int(rng.integers(120))
                canvas.text((float(x[place]), float(y[place])), str(index * 20), font, 8, ink, "mm")


def sheet_music(canvas: Canvas) -> None:
    """Draw staves with notes, stems, beams and bars."""
    rng = canvas.rng
    paper, ink = _paper_and_ink(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    space, thin = float(rng.uniform(3.5, 8)), float(rng.choice([0.5, 0.7, 1]))
    for top in np.arange(3 * space, canvas.height, float(rng.uniform(9, 14)) * space).tolist():
        for line in range(5):
            canvas.line([(4, top + line * space), (canvas.width - 4, top + line * space)], ink, thin)
        for x in np.arange(4, canvas.width, float(rng.uniform(14, 30)) * space).tolist():
            canvas.line([(x, top), (x, top + 4 * space)], ink, thin * 1.5)
        heads = np.arange(6 * space, canvas.width - 2 * space, float(rng.uniform(2, 5)) * space).tolist()
        for x in heads:
            y = top + float(rng.integers(-2, 11)) * space / 2
            down = 3.3 * space if rng.random() < 0.5 else -3.3 * space
            edge = x + 0.55 * space * (-1 if down > 0 else 1)
            canvas.ellipse((x, y), (0.62 * space, 0.45 * space), ink if rng.random() < 0.7 else None, ink, thin)
            canvas.line([(edge, y), (edge, y + down)], ink, thin)
            if rng.random() < 0.3:
                tip = (edge + float(rng.uniform(2, 5)) * space, y + down + float(rng.normal(0, space)))
                canvas.line([(edge, y + down), tip], ink, 0.45 * space)


def _paper_and_ink(canvas: Canvas) -> tuple[Color, Color]:
    """Return white, pale or dark paper (blueprints), and ink that can be read on it."""
    rng = canvas.rng
    kind = rng.random()
    if kind < 0.4:
        return WHITE, BLACK if rng.random() < 0.6 else random_color(rng, 0.1, 0.4)
    if kind < 0.65:
        return mix(WHITE, random_color(rng, 0.7, 1), 0.4), random_color(rng, 0.0, 0.35)
    if kind < 0.9:
        return mix(BLACK, random_color(rng, 0.3, 0.7), 0.6), mix(WHITE, random_color(rng, 0.7, 1), 0.4)
    palette = random_palette(rng)
    paper, ink = palette.paper, palette.ink
    return (paper, ink) if abs(brightness(paper) - brightness(ink)) > 70 else (WHITE, BLACK)
