"""Interface elements: windows with their buttons, lists, icons and fields; tables; charts."""

import math
from dataclasses import dataclass

from benchmarks.drawings.canvas import Box, Canvas
from benchmarks.drawings.colors import Color, mix, random_color, random_palette
from benchmarks.drawings.fonts import PLAIN, random_word, random_words


@dataclass(frozen=True)
class _Theme:
    """Hold the looks that all elements of one screen share."""

    panel: Color
    field: Color
    ink: Color
    faint: Color
    accent: Color
    font: str
    size: float
    radius: float


def screen(canvas: Canvas) -> None:
    """Draw a desktop with overlapping windows."""
    rng = canvas.rng
    canvas.fade(random_color(rng, 0.1, 0.9), random_color(rng, 0.1, 0.9), float(rng.uniform(0, 6)))
    for _ in range(int(rng.integers(2, 6))):
        width, height = float(rng.uniform(0.5, 1.0)) * canvas.width, float(rng.uniform(0.45, 1.0)) * canvas.height
        at = (
            float(round(rng.uniform(-0.1, 0.8) * (canvas.width - 0.5 * width))),
            float(round(rng.uniform(-0.05, 0.8) * (canvas.height - 0.5 * height))),
        )
        _window(canvas, (*at, at[0] + round(width), at[1] + round(height)), _theme(canvas))


def table(canvas: Canvas) -> None:
    """Fill a table: head row, zebra stripes, numbers set flush right."""
    theme = _theme(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), theme.field)
    _table(canvas, (4, 4, canvas.width - 4, canvas.height - 4), theme)


def _theme(canvas: Canvas) -> _Theme:
    rng, palette = canvas.rng, random_palette(canvas.rng)
    dark = rng.random() < 0.35
    panel = random_color(rng, 0.12, 0.28) if dark else mix(random_color(rng, 0.85, 1), (255, 255, 255), 0.5)
    ink = (230, 232, 235) if dark else (25, 25, 30)
    field = mix(panel, (0, 0, 0) if dark else (255, 255, 255), 0.6)
    radius = float(rng.choice([0, 0, 3, 6, 12]))
    font, size = str(rng.choice(PLAIN)), float(rng.uniform(8, 15))
    return _Theme(panel, field, ink, mix(panel, ink, 0.3), palette.accents[0], font, size, radius)


def _window(canvas: Canvas, box: Box, theme: _Theme) -> None:
    rng = canvas.rng
    left, top, right, bottom = box
    bar = round(theme.size * 2.2)
    canvas.rectangle((left + 4, top + 5, right + 4, bottom + 5), (30, 30, 34), radius=theme.radius)
    canvas.rectangle(box, theme.panel, theme.faint, 1, theme.radius)
    title = mix(theme.panel, theme.accent, 0.7)
    canvas.rectangle((left + 1, top + 1, right - 1, top + bar), title, radius=theme.radius)
    canvas.text((left + 10, top + bar / 2), random_words(rng, theme.font, 2), theme.font, theme.size, theme.ink, "lm")
    for index, color in enumerate([(235, 90, 80), (240, 190, 70), (100, 190, 90)]):
        centre = (right - 14 - index * theme.size * 1.5, top + bar / 2)
        canvas.ellipse(centre, (theme.size * 0.4, theme.size * 0.4), color, mix(color, (0, 0, 0), 0.3))
    _fill(canvas, (left + 8, top + bar + 8, right - 8, bottom - 8), theme)


def _fill(canvas: Canvas, box: Box, theme: _Theme) -> None:
    """Stack elements from top to bottom, now and then two side by side."""
    left, top, right, bottom = box
    rng = canvas.rng
    elements = (_buttons, _field, _checks, _icons, _table, _paragraph, _slider, _chart)
    while bottom - top > theme.size * 2.5:
        height = min(bottom - top, theme.size * float(rng.choice([2.5, 2.5, 4, 8, 14])))
        if rng.random() < 0.3 and right - left > 160:
            middle = (left + right) / 2
            for part in ((left, top, middle - 5, top + height), (middle + 5, top, right, top + height)):
                elements[int(rng.integers(len(elements)))](canvas, part, theme)
        else:
            elements[int(rng.integers(len(elements)))](canvas, (left, top, right, top + height), theme)
        top = round(top + height + theme.size * 0.6)


def _buttons(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    bottom = min(bottom, top + theme.size * 2.2)
    while right - left > theme.size * 3:
        label = random_word(canvas.rng, theme.font)
        width = round(canvas.text_width(label, theme.font, theme.size) + theme.size * 1.8)
        if left + width > right:
            break
        filled = canvas.rng.random() < 0.4
        face = theme.accent if filled else mix(theme.panel, theme.ink, 0.08)
        canvas.rectangle((left, top, left + width, bottom), face, theme.faint, 1, theme.radius)
        centre = (left + width / 2, (top + bottom) / 2)
        canvas.text(centre, label, theme.font, theme.size, (255, 255, 255) if filled else theme.ink, "mm")
        left += width + 8


def _field(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    bottom = min(bottom, top + theme.size * 2.2)
    label = random_word(canvas.rng, theme.font)
    canvas.text((left, (top + bottom) / 2), label, theme.font, theme.size, theme.ink, "lm")
    start = left + canvas.text_width(label, theme.font, theme.size) + 10
    canvas.rectangle((start, top, right, bottom), theme.field, theme.faint, 1, theme.radius)
    if right - start > 60:
        text = random_word(canvas.rng, theme.font)
        canvas.text((start + 6, (top + bottom) / 2), text, theme.font, theme.size, theme.faint, "lm")


def _checks(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    rng, side = canvas.rng, theme.size
    rounded = side / 2 if rng.random() < 0.4 else 2
    while bottom - top > side * 1.2:
        chosen = rng.random() < 0.5
        face = theme.accent if chosen else theme.field
        canvas.rectangle((left, top, left + side, top + side), face, theme.ink, 1, rounded)
        if chosen:
            tick = [(0.2, 0.55), (0.42, 0.78), (0.8, 0.25)]
            canvas.line([(left + x * side, top + y * side) for x, y in tick], (255, 255, 255), 1.5)
        label = random_words(rng, theme.font, 2)
        if left + 2 * side + canvas.text_width(label, theme.font, side) < right:
            canvas.text((left + 1.6 * side, top + side / 2), label, theme.font, side, theme.ink, "lm")
        top += side * 1.6


def _icons(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    rng = canvas.rng
    side = min(bottom - top, float(rng.uniform(16, 40)))
    while left + side < right:
        color = random_color(rng, 0.3, 1)
        canvas.rectangle((left, top, left + side, top + side), mix(theme.panel, color, 0.25), color, 1.5, side * 0.2)
        _glyph(canvas, (left + side / 2, top + side / 2), side * 0.3, color)
        left += side * 1.3


def _glyph(canvas: Canvas, centre: tuple[float, float], radius: float, color: Color) -> None:
    rng = canvas.rng
    corners = int(rng.integers(3, 9))
    turn = float(rng.choice([0, -math.pi / 2, math.pi / 4]))
    star = rng.random() < 0.4
    points = []
    for index in range(corners * (2 if star else 1)):
        angle = turn + 2 * math.pi * index / (corners * (2 if star else 1))
        reach = radius * (0.45 if star and index % 2 else 1.0)
        points.append((centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)))
    if rng.random() < 0.5:
        canvas.polygon(points, color)
    else:
        canvas.line([*points, points[0], points[1]], color, 1.5)


def _table(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    rng, step = canvas.rng, round(theme.size * float(canvas.rng.uniform(1.5, 2.1)))
    columns = max(1, min(int(rng.integers(2, 7)), int((right - left) / (theme.size * 5))))
    width = (right - left) / columns
    lined = rng.random() < 0.6
    for row in range(int((bottom - top) / step)):
        y = top + row * step
        face = mix(theme.panel, theme.accent, 0.5) if row == 0 else theme.field if row % 2 else theme.panel
        canvas.rectangle((left, y, right, y + step), face)
        for column in range(columns):
            x = left + column * width
            text = random_word(rng, theme.font) if column == 0 or row == 0 else f"{rng.uniform(0, 999):.2f}"
            at, anchor = ((x + 4, y + step / 2), "lm") if column == 0 else ((x + width - 5, y + step / 2), "rm")
            if canvas.text_width(text, theme.font, theme.size) < width - 8:
                canvas.text(at, text, theme.font, theme.size, theme.ink, anchor)
            if lined:
                canvas.line([(x, y), (x, y + step)], theme.faint, 1)
        if lined:
            canvas.line([(left, y + step), (right, y + step)], theme.faint, 1)


def _paragraph(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    while bottom - top > theme.size * 1.2:
        text = random_words(canvas.rng, theme.font, 30)
        while text and canvas.text_width(text, theme.font, theme.size) > right - left:
            text = text.rpartition(" ")[0]
        canvas.text((left, top), text, theme.font, theme.size, theme.ink)
        top += theme.size * 1.35


def _slider(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    middle, thick = (top + bottom) / 2, theme.size * 0.3
    knob = left + (right - left) * float(canvas.rng.uniform(0.05, 0.95))
    canvas.rectangle((left, middle - thick, right, middle + thick), theme.faint, radius=thick)
    canvas.rectangle((left, middle - thick, knob, middle + thick), theme.accent, radius=thick)
    if canvas.rng.random() < 0.6:
        canvas.ellipse((knob, middle), (theme.size * 0.6, theme.size * 0.6), theme.field, theme.ink)


def _chart(canvas: Canvas, box: Box, theme: _Theme) -> None:
    left, top, right, bottom = box
    rng = canvas.rng
    canvas.rectangle(box, theme.field, theme.faint, 1)
    count = max(2, int((right - left) / float(rng.uniform(7, 24))))
    width = (right - left) / count
    for index in range(count):
        height = float(rng.beta(2, 2)) * (bottom - top - 4)
        x = left + index * width
        color = mix(theme.accent, theme.ink, 0.3 * (index % 2))
        canvas.rectangle((x + 0.15 * width, bottom - height, x + 0.85 * width, bottom), color)
