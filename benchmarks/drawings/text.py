"""Text: pages, posters, program listings, labels at any angle."""

import math

from PIL import Image

from benchmarks.drawings.canvas import Canvas
from benchmarks.drawings.colors import Color, mix, random_palette
from benchmarks.drawings.fonts import FONTS, MONOSPACED, PLAIN, SERIF, random_word, random_words

_SIGNS = ("=", "==", "(x, y):", "[i]", "->", "{", "};", '"text"', "+=", "#")


def page(canvas: Canvas) -> None:
    """Set columns of text under headings."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    margin = float(rng.uniform(4, 28))
    columns = int(rng.integers(1, 4))
    gutter = float(rng.uniform(8, 24))
    width = (canvas.width - 2 * margin - (columns - 1) * gutter) / columns
    size = float(rng.uniform(7, 20))
    body, head = str(rng.choice(SERIF if rng.random() < 0.6 else PLAIN)), str(rng.choice(FONTS))
    for column in range(columns):
        left = margin + column * (width + gutter)
        if column and rng.random() < 0.4:
            canvas.line([(left - gutter / 2, margin), (left - gutter / 2, canvas.height - margin)], palette.ink, 1)
        _column(canvas, left, width, margin, (body, head), size, (palette.ink, palette.accents[0]))


def _column(
    canvas: Canvas,
    left: float,
    width: float,
    margin: float,
    fonts: tuple[str, str],
    size: float,
    colors: tuple[Color, Color],
) -> None:
    rng = canvas.rng
    leading = float(rng.uniform(1.15, 1.6))
    top = margin
    justified = rng.random() < 0.5
    while top < canvas.height - margin - size:
        if rng.random() < 0.3:
            large = size * float(rng.uniform(1.2, 2.4))
            canvas.text((left, top), _fitting(canvas, fonts[1], large, width), fonts[1], large, colors[1])
            top += large * 1.35
        for _ in range(int(rng.integers(2, 9))):
            if top > canvas.height - margin - size:
                break
            _text_line(canvas, (left, top), width, fonts[0], size, colors[0], justified)
            top += size * leading
        top += size * float(rng.uniform(0.2, 1.0))


def _fitting(canvas: Canvas, font: str, size: float, width: float) -> str:
    """Return words that fill a line."""
    line = random_word(canvas.rng, font)
    for _ in range(40):
        longer = f"{line} {random_words(canvas.rng, font, 1)}"
        if canvas.text_width(longer, font, size) > width:
            break
        line = longer
    return line


def _text_line(
    canvas: Canvas, at: tuple[float, float], width: float, font: str, size: float, ink: Color, justified: bool
) -> None:
    line = _fitting(canvas, font, size, width)
    words = line.split(" ")
    if not justified or len(words) == 1:
        canvas.text(at, line, font, size, ink)
        return
    left = at[0]
    space = (width - sum(canvas.text_width(word, font, size) for word in words)) / (len(words) - 1)
    for word in words:
        canvas.text((left, at[1]), word, font, size, ink)
        left += canvas.text_width(word, font, size) + space


def poster(canvas: Canvas) -> None:
    """Set a few large words, some with a shadow, on flat color or a gradient."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.fade(palette.paper, mix(palette.paper, palette.accents[0], rng.uniform(0, 0.5)), rng.uniform(0, 2 * math.pi))
    top = 0.0
    while top < canvas.height:
        font, size = str(rng.choice(FONTS)), float(rng.uniform(18, 110))
        line = _fitting(canvas, font, size, canvas.width * float(rng.uniform(0.5, 1.0)))
        at = (float(rng.uniform(-10, 30)), top)
        ink = palette.ink if rng.random() < 0.6 else palette.accents[int(rng.integers(6))]
        if rng.random() < 0.3:
            offset = size * float(rng.uniform(0.02, 0.07))
            canvas.text((at[0] + offset, at[1] + offset), line, font, size, mix(palette.paper, palette.ink, 0.4))
        canvas.text(at, line, font, size, ink)
        top += size * float(rng.uniform(1.0, 1.4))
        if rng.random() < 0.3:
            canvas.rectangle((at[0], top, canvas.width * float(rng.uniform(0.3, 1)), top + 4), palette.accents[1])
            top += 12


def listing(canvas: Canvas) -> None:
    """Set an indented program in a monospaced font, colored by kind of word."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    font, size = str(rng.choice(MONOSPACED)), float(rng.uniform(8, 17))
    step = canvas.text_width("m", font, size)
    gutter = 4 * step if rng.random() < 0.7 else step
    faint = mix(palette.paper, palette.ink, 0.45)
    indent = 0
    for number in range(1, int(canvas.height / (size * 1.35)) + 2):
        top = (number - 1) * size * 1.35 + 3
        if gutter > 2 * step:
            canvas.text((3 * step, top), str(number), font, size, faint, "ra")
        indent = max(0, indent + int(rng.integers(-1, 2)))
        left = gutter + 2 * indent % 16 * step
        for _ in range(int(rng.integers(0, 7))):
            token = random_word(rng, font) if rng.random() < 0.4 else str(rng.choice(_SIGNS))
            color = palette.ink if rng.random() < 0.5 else palette.accents[int(rng.integers(4))]
            canvas.text((left, top), token, font, size, color)
            left += (len(token) + 1) * step


def labels(canvas: Canvas) -> None:
    """Scatter words of all sizes at all angles, as on a map."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.fade(palette.paper, mix(palette.paper, palette.accents[0], 0.25), rng.uniform(0, 6))
    for _ in range(int(canvas.width * canvas.height / rng.uniform(2500, 9000)) + 3):
        font, size = str(rng.choice(FONTS)), float(rng.uniform(8, 34))
        ink = palette.ink if rng.random() < 0.6 else palette.accents[int(rng.integers(6))]
        at = (float(rng.uniform(-0.1, 0.9) * canvas.width), float(rng.uniform(-0.1, 1.0) * canvas.height))
        _tilted(canvas, random_words(rng, font, int(rng.integers(1, 4))), font, size, ink, at)


def _tilted(canvas: Canvas, text: str, font: str, size: float, ink: Color, at: tuple[float, float]) -> None:
    stamp = canvas.blank(canvas.text_width(text, font, size) + 4, size * 1.5, (0, 0, 0))
    stamp.text((2, 0), text, font, size, (255, 255, 255))
    angle = float(canvas.rng.uniform(-90, 90)) if canvas.rng.random() < 0.6 else 0.0
    mask = stamp.image.convert("L").rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top = (round(value * canvas.factor) for value in at)
    canvas.image.paste(ink, (left, top, left + mask.width, top + mask.height), mask)
