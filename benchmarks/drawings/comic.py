"""Comics: panels with figures in flat colors and shadows, screens of dots, speed lines, balloons and sound words."""

import math

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.drawings.canvas import Canvas, Point
from benchmarks.drawings.colors import WHITE, Color, mix, random_color
from benchmarks.drawings.fonts import random_words
from benchmarks.drawings.installed import LETTERED
from benchmarks.drawings.lineart import smooth

_INK = (16, 14, 18)


def strip(canvas: Canvas) -> None:
    """Divide a page into panels and draw each."""
    rng = canvas.rng
    canvas.rectangle((0, 0, canvas.width, canvas.height), WHITE if rng.random() < 0.8 else random_color(rng, 0.8, 1))
    gap, edge = float(rng.uniform(3, 10)), float(rng.uniform(1, 4))
    gray = rng.random() < 0.3
    top, height = gap, float(rng.uniform(90, 240))
    while top < canvas.height:
        left = gap
        while left < canvas.width:
            width = float(rng.uniform(90, 280))
            panel = canvas.blank(width, height, _tone(canvas, gray))
            _scene(panel, gray)
            corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
            canvas.paste(panel, (left, top), corners)
            canvas.line([*corners, corners[0], corners[1]], _INK, edge)
            left += width + gap
        top += height + gap


def _tone(canvas: Canvas, gray: bool) -> Color:
    color = random_color(canvas.rng, 0.25, 1)
    level = round(sum(color) / 3)
    return (level, level, level) if gray else color


def _scene(panel: Canvas, gray: bool) -> None:
    rng = panel.rng
    ink = float(rng.uniform(0.8, 3.2))
    width, height = float(panel.width), float(panel.height)
    if rng.random() < 0.55:
        _screen(panel, [(0, 0), (width, 0), (width, height), (0, height)], _tone(panel, gray))
    if rng.random() < 0.3:
        _speed(panel)
    horizon = height * float(rng.uniform(0.5, 0.8))
    ground = [(0.0, horizon), (width, horizon * float(rng.uniform(0.85, 1.15))), (width, height), (0.0, height)]
    _filled(panel, ground, _tone(panel, gray), ink)
    for _ in range(int(rng.integers(1, 4))):
        _figure(panel, gray, ink)
    for _ in range(int(rng.integers(0, 3))):
        _balloon(panel)
    if rng.random() < 0.2:
        size = float(rng.uniform(22, 48))
        at = (float(rng.uniform(0, width * 0.5)), float(rng.uniform(0, height * 0.7)))
        word, font = random_words(rng, LETTERED[0], 1).upper(), LETTERED[0]
        for across in (-1.5, 0, 1.5):
            for down in (-1.5, 0, 1.5):
                panel.text((at[0] + across, at[1] + down), word, font, size, _INK)
        panel.text(at, word, font, size, random_color(rng, 0.8, 1))


def _filled(panel: Canvas, outline: list[Point], color: Color, ink: float) -> None:
    """Fill a shape flat or with a screen of dots, and draw its outline."""
    if panel.rng.random() < 0.25:
        _screen(panel, outline, color)
    else:
        panel.polygon(outline, color)
    panel.line([*outline, outline[0], outline[1]], _INK, ink)


def _screen(panel: Canvas, outline: list[Point], color: Color) -> None:
    """Fill a shape with dots in rows that are turned."""
    rng = panel.rng
    pitch = float(rng.uniform(3, 9)) * panel.factor
    angle, radius = float(rng.uniform(0, math.pi / 2)), pitch * float(rng.uniform(0.15, 0.48))
    mask = Image.new("1", panel.image.size)
    ImageDraw.Draw(mask).polygon([(x * panel.factor, y * panel.factor) for x, y in outline], fill=1)
    rows, columns = np.arange(mask.height, dtype=np.float32)[:, None], np.arange(mask.width, dtype=np.float32)[None]
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    across, down = columns * cos + rows * sin, rows * cos - columns * sin
    grow = np.float32(rng.uniform(-0.5, 0.5)) * rows / mask.height + 1
    inked = (across % pitch - pitch / 2) ** 2 + (down % pitch - pitch / 2) ** 2 < (radius * grow) ** 2
    paper = WHITE if rng.random() < 0.6 else mix(color, WHITE, 0.6)
    panel.image.paste(paper, (0, 0, *mask.size), mask)
    panel.image.paste(color, (0, 0, *mask.size), Image.fromarray(inked & np.asarray(mask)))


def _speed(panel: Canvas) -> None:
    rng = panel.rng
    x, y = float(rng.uniform(0.2, 0.8)) * panel.width, float(rng.uniform(0.2, 0.8)) * panel.height
    for _ in range(int(rng.integers(25, 80))):
        angle, inner = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.25, 0.5)) * panel.width
        half, far = float(rng.uniform(0.003, 0.015)), 2.0 * (panel.width + panel.height)
        reach = [(inner, angle), (far, angle - half), (far, angle + half)]
        panel.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in reach], _INK)


def _figure(panel: Canvas, gray: bool, ink: float) -> None:
    """Draw a head on shoulders, with a shadow on one side, eyes, a mouth and hair."""
    rng = panel.rng
    r = float(rng.uniform(10, 45))
    x, y = float(rng.uniform(0.1, 0.9)) * panel.width, float(rng.uniform(0.35, 0.9)) * panel.height
    body = [(-1.6, 4.0), (-1.3, 1.6), (-0.4, 1.0), (0.4, 1.0), (1.3, 1.6), (1.6, 4.0)]
    _filled(panel, smooth([(x + a * r, y + b * r) for a, b in body], True), _tone(panel, gray), ink)
    skin = _tone(panel, gray)
    wide = float(rng.uniform(0.7, 1.0))
    angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    head = [(x + wide * r * math.cos(a), y + r * math.sin(a)) for a in angles]
    panel.polygon(head, skin)
    bow = float(rng.uniform(-0.5, 0.5))
    shade = [
        *head[30:],
        *head[:11],
        *[(x + bow * r * math.cos(a), y + r * math.sin(a)) for a in angles[10:-10][::-1]][::-1],
    ]
    panel.polygon(shade, mix(skin, _INK, 0.3))
    panel.line([*head, head[0], head[1]], _INK, ink)
    for side in (-1, 1):
        eye = (x + side * 0.32 * r, y - 0.15 * r)
        panel.ellipse(eye, (0.2 * r, 0.13 * r), WHITE, _INK, ink * 0.6)
        panel.ellipse(eye, (0.07 * r, 0.09 * r), _INK)
    mouth = [(-0.35, 0.45), (0.0, float(rng.uniform(0.4, 0.65))), (0.35, 0.45)]
    panel.line(smooth([(x + a * r, y + b * r) for a, b in mouth], False), _INK, ink * 0.8)
    hair = [
        (x + wide * r * math.cos(a) * 1.1, y + r * math.sin(a) * float(rng.uniform(1.0, 1.4))) for a in angles[21:40]
    ]
    _filled(panel, [*hair, (x, y - 0.5 * r)], _tone(panel, gray), ink)


def _balloon(panel: Canvas) -> None:
    rng = panel.rng
    font, size = LETTERED[int(rng.integers(len(LETTERED)))], float(rng.uniform(7, 14))
    lines = [random_words(rng, font, int(rng.integers(1, 4))).upper() for _ in range(int(rng.integers(1, 4)))]
    wide = max(panel.text_width(line, font, size) for line in lines) * 0.62 + size
    tall = len(lines) * size * 0.75 + size
    x, y = float(rng.uniform(0.15, 0.85)) * panel.width, float(rng.uniform(0.1, 0.45)) * panel.height
    stroke = float(rng.uniform(0.8, 2.2))
    tail = [(x - size, y + tall * 0.8), (x + float(rng.uniform(-30, 30)), y + tall * 2), (x + size, y + tall * 0.8)]
    panel.polygon(tail, WHITE)
    panel.line(tail, _INK, stroke)
    panel.ellipse((x, y), (wide, tall), WHITE, _INK, stroke)
    panel.polygon(
        [(tail[0][0] + 1, tail[0][1] - stroke), (x, y + tall * 1.15), (tail[2][0] - 1, tail[2][1] - stroke)], WHITE
    )
    for number, line in enumerate(lines):
        panel.text((x, y + (number - (len(lines) - 1) / 2) * size * 1.2), line, font, size, _INK, "mm")
