"""Vector art for a browser: comics with screens of dots, line art, charts and maps, as SVG."""

import math
from collections.abc import Callable

from benchmarks.unseen.pages import SANS, Random, one, page, words

Kind = Callable[[Random], str]

_FLAT = ("#e4572e", "#17bebb", "#ffc914", "#2e282a", "#76b041", "#5c6bc0", "#f7b2bd", "#8d6e63", "#fff3e0", "#b3e5fc")


def comic(random: Random) -> str:
    """Draw panels with figures in flat colors, screens of dots, and balloons."""
    rows = int(random.integers(2, 4))
    height, parts = 464 / rows, [_screens(random)]
    for row in range(rows):
        split = float(random.uniform(150, 330))
        for left, width in ((8.0, split - 12), (split, 472 - split)):
            parts.append(_panel(random, left, 8 + row * height, width, height - 8))
    return _svg("".join(parts), "#fff")


def _screens(random: Random) -> str:
    made = []
    for index in range(3):
        pitch, hue = random.uniform(3.5, 8), one(random, _FLAT)
        made.append(
            f"<pattern id=s{index} width={pitch:.2f} height={pitch:.2f} patternUnits=userSpaceOnUse "
            f"patternTransform='rotate({random.uniform(0, 90):.0f})'><rect width=20 height=20 fill='#fffdf2'/>"
            f"<circle cx={pitch / 2:.2f} cy={pitch / 2:.2f} r={pitch * random.uniform(0.2, 0.42):.2f} "
            f"fill='{hue}'/></pattern>"
        )
    return f"<defs>{''.join(made)}</defs>"


def _panel(random: Random, left: float, top: float, width: float, height: float) -> str:
    fills = (*_FLAT, "url(#s0)", "url(#s1)", "url(#s2)", "url(#s0)", "url(#s1)")
    ink = random.uniform(1, 3.5)
    parts = [f"<rect width={width:.1f} height={height:.1f} fill='{one(random, fills)}'/>"]
    horizon = random.uniform(0.5, 0.8) * height
    parts.append(
        f"<path d='M0 {horizon:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z' fill='{one(random, fills)}' {_ink(ink)}/>"
    )
    for _ in range(int(random.integers(1, 4))):
        x, y, r = random.uniform(0.15, 0.85) * width, random.uniform(0.4, 0.9) * height, random.uniform(14, 40)
        skin, coat = one(random, _FLAT), one(random, fills)
        parts.append(
            f"<path d='M{x - r:.1f} {y + 3 * r:.1f}Q{x - r:.1f} {y + r * 0.7:.1f} {x:.1f} {y + r * 0.7:.1f}"
            f"T{x + r:.1f} {y + 3 * r:.1f}z' fill='{coat}' {_ink(ink)}/>"
            f"<ellipse cx={x:.1f} cy={y:.1f} rx={r * 0.8:.1f} ry={r:.1f} fill='{skin}' {_ink(ink)}/>"
            f"<path d='M{x + r * 0.2:.1f} {y - r:.1f}Q{x + r * 1.3:.1f} {y:.1f} {x:.1f} {y + r:.1f}"
            f"Q{x + r * 0.6:.1f} {y:.1f} {x + r * 0.2:.1f} {y - r:.1f}' fill='#0003'/>"
            f"<circle cx={x - r * 0.3:.1f} cy={y - r * 0.2:.1f} r={r * 0.12:.1f} />"
            f"<circle cx={x + r * 0.3:.1f} cy={y - r * 0.2:.1f} r={r * 0.12:.1f} />"
            f"<path d='M{x - r * 0.3:.1f} {y + r * 0.4:.1f}q{r * 0.3:.1f} {r * 0.3:.1f} {r * 0.6:.1f} 0' "
            f"fill=none {_ink(ink * 0.7)}/>"
        )
    size, x, y = random.uniform(9, 15), random.uniform(0.3, 0.7) * width, random.uniform(20, 34)
    lines = [words(random, 2).upper() for _ in range(2)]
    wide = max(len(line) for line in lines) * size * 0.38
    parts.append(
        f"<path d='M{x:.1f} {y + size:.1f}l{random.uniform(-20, 20):.1f} {size * 2.4:.1f}l10 -{size * 2:.1f}' "
        f"fill='#fff' {_ink(1.5)}/>"
        f"<ellipse cx={x:.1f} cy={y:.1f} rx={wide:.1f} ry={size * 1.7:.1f} fill='#fff' {_ink(1.5)}/>"
        f"<g font-family='{one(random, SANS)}' font-size='{size:.1f}' font-weight=bold text-anchor=middle>"
        f"<text x={x:.1f} y={y - 1:.1f}>{lines[0]}</text><text x={x:.1f} y={y + size:.1f}>{lines[1]}</text></g>"
    )
    return (
        f"<svg x={left:.1f} y={top:.1f} width={width:.1f} height={height:.1f}>{''.join(parts)}"
        f"<rect width={width:.1f} height={height:.1f} fill=none {_ink(4)}/></svg>"
    )


def _ink(width: float) -> str:
    return f"stroke='#14110f' stroke-width='{width:.2f}' stroke-linejoin='round' stroke-linecap='round'"


def line_art(random: Random) -> str:
    """Draw circles, polygons, dashed lines, arcs and fine grids."""
    dark = random.random() < 0.3
    paper, ink = ("#12202e", "#e6edf3") if dark else ("#fff", "#101418")
    parts = []
    step = random.uniform(5, 16)
    for index in range(int(480 / step)):
        at = index * step
        weight = 1.0 if index % 5 == 0 else 0.5
        parts.append(
            f"<path d='M{at:.2f} 0V480M0 {at:.2f}H480' stroke='{ink}' stroke-opacity=.3 stroke-width={weight} />"
        )
    for _ in range(int(random.integers(10, 20))):
        x, y, r = random.uniform(40, 440), random.uniform(40, 440), random.uniform(6, 110)
        hue = ink if random.random() < 0.6 else one(random, _FLAT)
        dash = (
            f"stroke-dasharray='{random.uniform(2, 9):.1f} {random.uniform(2, 6):.1f}'" if random.random() < 0.4 else ""
        )
        style = f"fill=none stroke='{hue}' stroke-width='{float(random.choice([0.7, 1, 1.5, 2, 3])):.1f}' {dash}"
        kind = random.random()
        if kind < 0.35:
            parts.append(f"<circle cx={x:.1f} cy={y:.1f} r={r:.1f} {style}/>")
        elif kind < 0.5:
            parts.append(
                f"<ellipse cx={x:.1f} cy={y:.1f} rx={r:.1f} ry={r / 3:.1f} "
                f"transform='rotate({r:.0f} {x:.1f} {y:.1f})' {style}/>"
            )
        elif kind < 0.75:
            sides = int(random.integers(3, 8))
            points = [(x + r * math.cos(6.283 * k / sides), y + r * math.sin(6.283 * k / sides)) for k in range(sides)]
            parts.append(f"<polygon points='{' '.join(f'{a:.1f},{b:.1f}' for a, b in points)}' {style}/>")
        else:
            parts.append(
                f"<path d='M{x:.0f} {y:.0f}C{y:.0f} {r:.0f} {r:.0f} {x:.0f} {480 - x:.0f} {480 - y:.0f}' {style}/>"
            )
        parts.append(
            f"<text x={x + 3:.1f} y={y:.1f} font-family='{one(random, SANS)}' font-size=10 fill='{ink}'>{r:.1f}°</text>"
        )
    return _svg("".join(parts), paper)


def street_map(random: Random) -> str:
    """Draw a map: blocks, streets with outlines, water, names along the streets."""
    parts = []
    for _ in range(3):
        x, y, r = random.uniform(0, 480), random.uniform(0, 480), random.uniform(40, 120)
        hue = one(random, ("#aadaff", "#cdeac0", "#cdeac0"))
        parts.append(
            f"<path d='M{x:.0f} {y:.0f}q{r:.0f} -{r:.0f} {2 * r:.0f} 0t-{r:.0f} {1.5 * r:.0f}z' fill='{hue}'/>"
        )
    streets = []
    for index in range(14):
        start, end, bend = random.uniform(-40, 520), random.uniform(-40, 520), random.uniform(-60, 60)
        line = (
            f"M-10 {start:.0f}Q240 {start + bend:.0f} 490 {end:.0f}"
            if index % 2
            else f"M{start:.0f} -10Q{start + bend:.0f} 240 {end:.0f} 490"
        )
        streets.append((line, random.uniform(2, 9), index))
    parts += [
        f"<path d='{line}' fill=none stroke='#b8b2a6' stroke-width={width + 2:.1f} />" for line, width, _ in streets
    ]
    parts += [
        f"<path id=p{index} d='{line}' fill=none stroke='{'#fff' if width < 7 else '#ffe082'}' "
        f"stroke-width={width:.1f} />"
        for line, width, index in streets
    ]
    font = one(random, SANS)
    parts += [
        f"<text font-family='{font}' font-size='{random.uniform(8, 11):.1f}' fill='#555' dy=3>"
        f"<textPath href='#p{index}' "
        f"startOffset='{random.uniform(10, 60):.0f}%'>{words(random, 1).capitalize()} Street</textPath></text>"
        for _, _, index in streets
    ]
    for _ in range(12):
        x, y = random.uniform(10, 470), random.uniform(10, 470)
        parts.append(
            f"<path d='M{x:.0f} {y:.0f}c-6 -8 -6 -14 0 -14s6 6 0 14' fill='{one(random, _FLAT)}' "
            "stroke='#333' stroke-width=.7 />"
            f"<text x={x + 7:.0f} y={y:.0f} font-family='{font}' font-size=9>{words(random, 1)}</text>"
        )
    return _svg("".join(parts), "#f4f1ea")


def _svg(content: str, paper: str) -> str:
    return page(
        f"body{{background:{paper}}}", f"<svg xmlns='http://www.w3.org/2000/svg' width=480 height=480>{content}</svg>"
    )
