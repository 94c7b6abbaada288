"""Pages for a browser: text in many scripts, interfaces, tables, program listings."""

import numpy as np

SANS = ("Roboto", "Carlito", "Cantarell", "Quicksand", "URW Gothic", "Linux Biolinum O")
SERIF = ("Linux Libertine O", "Caladea", "Vollkorn", "C059", "P052", "URW Bookman")
MONOSPACED = ("JetBrains Mono", "Inconsolata", "Nimbus Mono PS")
SCRIPTS = (  # language, font, a few words
    ("ja", "Noto Serif CJK JP", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
    ("zh", "Noto Serif CJK SC", "学而时习之,不亦说乎?有朋自远方来,不亦乐乎?人不知而不愠,不亦君子乎?"),
    ("ko", "Noto Serif CJK KR", "나라의 말이 중국과 달라 문자와 서로 통하지 아니하므로"),
    ("ar", "Noto Naskh Arabic", "ولد جميع الناس أحرارا متساوين في الكرامة والحقوق"),
    ("hi", "Noto Serif Devanagari", "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता"),
    ("th", "Noto Serif Thai", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์"),
    ("he", "Noto Serif Hebrew", "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם"),
    ("ka", "Noto Serif Georgian", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი"),
)
_TEXT = (
    "harbour lantern granite ferry orchard signal meadow copper winter archive compass valley timber canal quartz "
    "engine bridge window market theatre railway northern silver thirteen balance journal velvet paragraph "
    "typical however between without against during through beneath although perhaps whether neither almost "
    "because quickly jagged fuzzy waxing pixel kerning hyphen zephyr mixture oxygen wizard vivid puzzle júbilo "
    "œuvre Ångström fiancé "
)
_WORDS = _TEXT.split()
_HUES = ("#1565c0", "#c62828", "#2e7d32", "#6a1b9a", "#ef6c00", "#00838f", "#37474f", "#ad1457")

Random = np.random.Generator


def words(random: Random, count: int) -> str:
    return " ".join(str(word) for word in random.choice(_WORDS, count))


def one(random: Random, choices: tuple[str, ...]) -> str:
    return choices[int(random.integers(len(choices)))]


def page(css: str, body: str) -> str:
    base = "*{box-sizing:border-box}html,body{margin:0;width:480px;height:480px;overflow:hidden}"
    return f"<!doctype html><meta charset=utf-8><style>{base}{css}</style><body>{body}"


def article(random: Random) -> str:
    """Set columns of text under headings."""
    size, columns = random.uniform(9, 15), int(random.integers(1, 4))
    ink, paper = [("#111", "#fff"), ("#2b2118", "#f6efe0"), ("#ddd", "#1c1d20")][int(random.integers(3))]
    css = (
        f"body{{font:{size:.1f}px/1.4 '{one(random, SERIF)}';color:{ink};background:{paper};"
        f"padding:14px;column-count:{columns};text-align:justify;hyphens:auto}}"
        f"h2{{font-family:'{one(random, SANS)}';margin:0 0 6px}}"
        f"p{{margin:0 0 8px}}b{{color:{one(random, _HUES)}}}"
    )
    parts = [
        f"<h2>{words(random, 2).capitalize()}</h2>"
        + "".join(
            f"<p>{words(random, 30).capitalize()} <b>{words(random, 2)}</b> <i>{words(random, 18)}</i>, "
            f"{random.integers(1, 9999)}.</p>"
            for _ in range(3)
        )
        for _ in range(6)
    ]
    return page(css, "".join(parts))


def scripts(random: Random) -> str:
    """Set paragraphs in several scripts."""
    size = random.uniform(10, 18)
    parts = []
    for index in random.permutation(len(SCRIPTS)):
        language, font, text = SCRIPTS[index]
        across = "rtl" if language in ("ar", "he") else "ltr"
        scale = float(random.choice([0.9, 1, 1.3]))
        parts.append(
            f"<p lang={language} dir={across} style=\"font:{size * scale:.1f}px/1.45 '{font}';margin:0 0 7px;"
            f'color:{one(random, (*_HUES, "#000", "#000"))}">{text} {text}</p>'
        )
    return page(f"body{{padding:10px;background:{one(random, ('#fff', '#fff', '#fdf6e3'))}}}", "".join(parts))


def interface(random: Random) -> str:
    """Lay out an application: menu, list, cards with buttons, fields, switches and icons."""
    dark, font, size = random.random() < 0.4, one(random, SANS), float(random.choice([11, 12, 13, 14]))
    hue, radius = one(random, _HUES), int(random.choice([0, 3, 6, 12]))
    face, card, ink, faint = (
        ("#202124", "#2d2f33", "#e8eaed", "#5f6368") if dark else ("#eef0f3", "#fff", "#222", "#ccc")
    )
    css = (
        f"body{{font:{size}px '{font}';background:{face};color:{ink}}}"
        f"nav{{background:{hue};color:#fff;padding:8px 12px}}"
        f"nav span{{margin-right:14px}}aside{{position:absolute;left:0;top:34px;width:126px;bottom:0;background:{card};"
        f"border-right:1px solid {faint}}}aside div{{padding:6px 10px;border-bottom:1px solid {faint}}}"
        f"main{{position:absolute;left:136px;top:42px;width:336px}}section{{background:{card};border:1px solid {faint};"
        f"border-radius:{radius}px;padding:9px;margin-bottom:9px;box-shadow:0 1px 4px #0004}}"
        f"button{{font:inherit;color:#fff;background:{hue};border:0;border-radius:{radius}px;"
        f"padding:4px 10px;margin-right:6px}}"
        f"button.plain{{background:none;border:1px solid {hue};color:{hue}}}input{{font:inherit}}"
        f"small{{color:{faint}}}svg{{vertical-align:middle;margin-right:5px}}"
    )
    icon = (
        "<svg width=16 height=16 viewBox='0 0 16 16' fill=none stroke=currentColor stroke-width=1.4>{}</svg>",
        (
            "<circle cx=8 cy=8 r=6 /><path d='M8 4v4l3 2'/>",
            "<path d='M2 13V6l6-4 6 4v7zM6 13V9h4v4'/>",
            "<circle cx=7 cy=7 r=4.5 /><path d='M10 10l4 4'/>",
            "<rect x=2 y=4 width=12 height=9 rx=2 /><path d='M2 5l6 4 6-4'/>",
        ),
    )
    menu = "".join(f"<span>{words(random, 1).capitalize()}</span>" for _ in range(4))
    rows = "".join(f"<div>{icon[0].format(one(random, icon[1]))}{words(random, 1)}</div>" for _ in range(16))
    cards = "".join(
        f"<section><b>{words(random, 3).capitalize()}</b><p style='margin:5px 0'>{words(random, 14)}</p>"
        f"<p style='margin:5px 0'><input type=checkbox {'checked' if random.random() < 0.5 else ''}> "
        f"{words(random, 2)} "
        f"<input size=9 value='{words(random, 1)}'> <input type=radio checked></p>"
        f"<button>{words(random, 1)}</button><button class=plain>{words(random, 1)}</button>"
        f"<small>{random.integers(1, 60)} min</small></section>"
        for _ in range(5)
    )
    return page(css, f"<nav>{menu}</nav><aside>{rows}</aside><main>{cards}</main>")


def sheet(random: Random) -> str:
    """Fill a table of words and numbers."""
    size, hue = random.uniform(9.5, 13.5), one(random, _HUES)
    css = (
        f"body{{font:{size:.1f}px '{one(random, SANS)}';background:#fff}}table{{border-collapse:collapse;width:500px}}"
        f"td,th{{border:1px solid #bbb;padding:2px 5px;text-align:right;white-space:nowrap}}"
        f"th{{background:{hue};color:#fff}}"
        "tr:nth-child(even){background:#f1f4f8}td:first-child{text-align:left}"
    )
    columns = int(random.integers(4, 8))
    head = "".join(f"<th>{words(random, 1)[:7]}" for _ in range(columns))
    rows = "".join(
        f"<tr><td>{words(random, 1)}" + "".join(f"<td>{random.normal(0, 900):,.2f}" for _ in range(columns - 1))
        for _ in range(34)
    )
    return page(css, f"<table><tr>{head}{rows}</table>")


def listing(random: Random) -> str:
    """Set a program in colors."""
    dark, size = random.random() < 0.6, random.uniform(9.5, 14)
    face, ink, hues = (
        ("#1e1e2e", "#cdd6f4", ("#f38ba8", "#a6e3a1", "#89b4fa", "#f9e2af"))
        if dark
        else ("#fff", "#24292f", ("#cf222e", "#0a3069", "#8250df", "#116329"))
    )
    lines = []
    for number in range(1, 46):
        tokens = []
        for _ in range(int(random.integers(0, 7))):
            text = str(
                random.choice([*_WORDS[:30], "def", "return", "for", "(x, y):", "== 0", "{", "};", "0x3F", '"ok"'])
            )
            tokens.append(f"<span style='color:{one(random, (*hues, ink))}'>{text}</span>")
        indent = "&nbsp;" * 4 * int(random.integers(0, 4))
        lines.append(f"<i>{number:3d}</i> {indent}{' '.join(tokens)}")
    css = (
        f"body{{font:{size:.1f}px/1.35 '{one(random, MONOSPACED)}';background:{face};color:{ink};white-space:pre;"
        "padding:5px}i{opacity:.5;font-style:normal}"
    )
    return page(css, "\n".join(lines))
