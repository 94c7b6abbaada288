"""Pages and programs in installed fonts, edges on whole px as on a screen: text, windows, sheets, listings."""

from dataclasses import dataclass
from itertools import pairwise

from benchmarks.drawings.canvas import Box, Canvas
from benchmarks.drawings.colors import WHITE, Color, mix, random_color, random_palette
from benchmarks.drawings.fonts import random_word, random_words
from benchmarks.drawings.installed import MONOSPACED, SANS, SCRIPTS, SERIF


@dataclass(frozen=True)
class _Look:
    """Hold the colors and the font that a program's window has."""

    face: Color
    card: Color
    ink: Color
    faint: Color
    accent: Color
    font: str
    size: float
    radius: int


def page(canvas: Canvas) -> None:
    """Set paragraphs in one to three columns, with headings, words in bold and in color, in one script or several."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    paper, ink = (WHITE, (20, 20, 20)) if rng.random() < 0.5 else (palette.paper, palette.ink)
    canvas.rectangle((0, 0, canvas.width, canvas.height), paper)
    scripts = tuple(SCRIPTS)
    margin, columns = round(float(rng.uniform(4, 24))), int(rng.integers(1, 4))
    width = (canvas.width - margin) / columns - margin
    body = _choice(canvas, SERIF if rng.random() < 0.5 else SANS)
    size, mixed = float(rng.uniform(8, 18)), rng.random() < 0.35
    for column in range(columns):
        left, top = float(round(margin + column * (width + margin))), float(margin)
        while top < canvas.height:
            font = _choice(canvas, scripts) if mixed and rng.random() < 0.6 else body
            large = size * float(rng.choice([1, 1, 1, 1.4, 2]))
            color = ink if rng.random() < 0.8 else palette.accents[int(rng.integers(3))]
            for _ in range(int(rng.integers(1, 7))):
                _line(canvas, (left, round(top)), width, font, large, color)
                top += round(large * 1.4)
            top += round(size * float(rng.uniform(0.2, 1)))


def _choice(canvas: Canvas, fonts: tuple[str, ...]) -> str:
    return fonts[int(canvas.rng.integers(len(fonts)))]


def _line(canvas: Canvas, at: tuple[float, float], width: float, font: str, size: float, ink: Color) -> None:
    """Write words until the line is full, one at least."""
    left = at[0]
    while True:
        text = random_words(canvas.rng, font, 1)
        wide = canvas.text_width(text, font, size)
        if left > at[0] and left + wide > at[0] + width:
            return
        canvas.text((left, at[1]), text, font, size, ink)
        left += wide + size * 0.28


def _look(canvas: Canvas) -> _Look:
    rng = canvas.rng
    dark = rng.random() < 0.4
    face = random_color(rng, 0.08, 0.2) if dark else mix(random_color(rng, 0.85, 1), WHITE, 0.7)
    card = mix(face, WHITE, 0.08 if dark else 0.7)
    ink = (225, 228, 232) if dark else (32, 33, 36)
    fonts = (*SANS, *SANS, *SCRIPTS)
    font = fonts[int(rng.integers(len(fonts)))]
    size, radius = float(rng.choice([10, 11, 12, 13, 14, 16])), int(rng.choice([0, 2, 4, 8, 14]))
    return _Look(
        face, card, ink, mix(card, ink, float(rng.uniform(0.15, 0.5))), random_color(rng, 0.3, 0.9), font, size, radius
    )


def program(canvas: Canvas) -> None:
    """Draw a program's window: bar, side list with icons, cards of text, buttons, switches and fields."""
    rng, look = canvas.rng, _look(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), look.face)
    bar, side = round(look.size * 2.4), round(float(rng.uniform(0, 0.35)) * canvas.width)
    canvas.rectangle((0, 0, canvas.width, bar), look.accent)
    left = 10.0
    while left < canvas.width:
        word = random_word(rng, look.font)
        canvas.text((round(left), bar / 2), word, look.font, look.size, WHITE, "lm")
        left += canvas.text_width(word, look.font, look.size) + 14
    if side > 40:
        canvas.rectangle((0, bar, side, canvas.height), look.card)
        canvas.rectangle((side - 1, bar, side, canvas.height), look.faint)
        step = round(look.size * 2.2)
        for row in range(bar, canvas.height, step):
            canvas.rectangle((0, row + step - 1, side, row + step), look.faint)
            _icon(canvas, (8, row + 5, 8 + look.size, row + 5 + look.size), look)
            canvas.text(
                (14 + look.size, row + step / 2),
                random_word(rng, look.font)[: side // 9],
                look.font,
                look.size,
                look.ink,
                "lm",
            )
    top = float(bar + 8)
    while top < canvas.height:
        height = round(look.size * float(rng.uniform(4, 12)))
        _card(canvas, (side + 8, top, canvas.width - 8, top + height), look)
        top += height + 8


def _card(canvas: Canvas, box: Box, look: _Look) -> None:
    rng = canvas.rng
    canvas.rectangle(box, look.card, look.faint, 1, look.radius)
    left, top, right, bottom = box[0] + 8, box[1] + 6, box[2] - 8, box[3] - 6
    while top + look.size * 2 < bottom and right - left > 60:
        kind = rng.random()
        if kind < 0.5:
            _line(canvas, (left, top), right - left, look.font, look.size, look.ink if kind < 0.4 else look.faint)
            top += round(look.size * 1.4)
        elif kind < 0.75:
            _buttons(canvas, (left, top, right, top + round(look.size * 1.9)), look)
            top += round(look.size * 2.3)
        else:
            _controls(canvas, (left, top, right, top + round(look.size * 1.4)), look)
            top += round(look.size * 1.9)


def _buttons(canvas: Canvas, box: Box, look: _Look) -> None:
    left = box[0]
    while True:
        label = random_word(canvas.rng, look.font)
        width = round(canvas.text_width(label, look.font, look.size)) + 16
        if left + width > box[2]:
            return
        filled = canvas.rng.random() < 0.5
        canvas.rectangle(
            (left, box[1], left + width, box[3]), look.accent if filled else look.card, look.accent, 1, look.radius
        )
        ink = WHITE if filled else look.accent
        canvas.text((left + width / 2, (box[1] + box[3]) / 2), label, look.font, look.size, ink, "mm")
        left += width + 6


def _controls(canvas: Canvas, box: Box, look: _Look) -> None:
    """Draw a box to tick, a switch, a field with text, or icons."""
    rng, (left, top, right, bottom) = canvas.rng, box
    middle, side, kind = (top + bottom) / 2, bottom - top, rng.random()
    if kind < 0.3:
        canvas.rectangle((left, top, left + side, bottom), look.accent, look.faint, 1, 3)
        canvas.line([(left + side * x, top + side * y) for x, y in ((0.2, 0.5), (0.42, 0.75), (0.8, 0.25))], WHITE, 1.6)
        _line(canvas, (left + side + 6, top), right - left - side - 6, look.font, look.size, look.ink)
    elif kind < 0.5:
        canvas.rectangle((left, top, left + 2 * side, bottom), look.faint, radius=side / 2)
        canvas.ellipse((left + side * float(rng.choice([0.5, 1.5])), middle), (side * 0.4, side * 0.4), WHITE)
    elif kind < 0.8:
        canvas.rectangle((left, top - 2, right, bottom + 2), look.face, look.faint, 1, look.radius)
        canvas.text((left + 6, middle), random_words(rng, look.font, 2), look.font, look.size, look.ink, "lm")
    else:
        while left + side < right:
            _icon(canvas, (left, top, left + side, bottom), look)
            left += side * 1.6


def _icon(canvas: Canvas, box: Box, look: _Look) -> None:
    """Draw a clock, a house, a glass, a letter, a cross or a menu, in thin lines."""
    left, top, right, bottom = box
    side, width, kind = right - left, float(canvas.rng.choice([1, 1.3, 1.6, 2])), int(canvas.rng.integers(6))
    middle = ((left + right) / 2, (top + bottom) / 2)
    paths = (
        ((0.5, 0.2), (0.5, 0.5), (0.7, 0.65)),
        ((0.1, 0.5), (0.5, 0.1), (0.9, 0.5), (0.8, 0.5), (0.8, 0.9), (0.2, 0.9), (0.2, 0.5)),
        ((0.65, 0.65), (0.95, 0.95)),
        ((0.05, 0.2), (0.95, 0.2), (0.95, 0.8), (0.05, 0.8), (0.05, 0.2), (0.5, 0.55), (0.95, 0.2)),
        ((0.15, 0.15), (0.85, 0.85), (0.5, 0.5), (0.15, 0.85), (0.85, 0.15)),
        ((0.1, 0.2), (0.9, 0.2), (0.9, 0.5), (0.1, 0.5), (0.1, 0.8), (0.9, 0.8)),
    )
    canvas.line([(left + x * side, top + y * side) for x, y in paths[kind]], look.ink, width)
    if kind in (0, 2):
        reach = side * (0.45 if kind == 0 else 0.33)
        canvas.ellipse(middle, (reach, reach), None, look.ink, width)


def sheet(canvas: Canvas) -> None:
    """Fill a sheet of cells with words and numbers, ruled by lines of one px."""
    rng, look = canvas.rng, _look(canvas)
    canvas.rectangle((0, 0, canvas.width, canvas.height), look.card)
    step, lines = round(look.size * float(rng.uniform(1.3, 1.9))), rng.random() < 0.8
    edges = [0]
    while edges[-1] < canvas.width:
        edges.append(edges[-1] + round(float(rng.uniform(4, 9)) * look.size))
    for row, top in enumerate(range(0, canvas.height, step)):
        face = look.accent if row == 0 else look.face if row % 2 else look.card
        canvas.rectangle((0, top, canvas.width, top + step), face)
        for place, (left, right) in enumerate(pairwise(edges)):
            number = row > 0 and place > 0 and rng.random() < 0.8
            text = f"{rng.normal(0, 900):,.2f}" if number else random_word(rng, look.font)
            at, anchor = ((right - 5, top + step / 2), "rm") if number else ((left + 4, top + step / 2), "lm")
            if canvas.text_width(text, look.font, look.size) < right - left - 6:
                canvas.text(at, text, look.font, look.size, WHITE if row == 0 else look.ink, anchor)
            if lines:
                canvas.rectangle((right - 1, top, right, top + step), look.faint)
        if lines:
            canvas.rectangle((0, top + step - 1, canvas.width, top + step), look.faint)


def listing(canvas: Canvas) -> None:
    """Set a program or a terminal's lines in a monospaced font."""
    rng, palette = canvas.rng, random_palette(canvas.rng)
    canvas.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    font, size = _choice(canvas, MONOSPACED), float(rng.uniform(9, 16))
    step, indent = canvas.text_width("m", font, size), 0
    for number, top in enumerate(range(3, canvas.height, round(size * float(rng.uniform(1.2, 1.5)))), 1):
        canvas.text((3 * step, top), str(number), font, size, mix(palette.paper, palette.ink, 0.45), "ra")
        indent = min(max(0, indent + int(rng.integers(-1, 2))), 6)
        left = (4 + 2 * indent) * step
        for _ in range(int(rng.integers(0, 8))):
            signs = ("=", "(x, y):", "[i]", "->", "{", "};", '"text"', "+=", "#", "0x3F", "==", "$")
            token = random_word(rng, font) if rng.random() < 0.6 else signs[int(rng.integers(len(signs)))]
            canvas.text(
                (left, top),
                token,
                font,
                size,
                palette.ink if rng.random() < 0.5 else palette.accents[int(rng.integers(4))],
            )
            left += (len(token) + 1) * step
