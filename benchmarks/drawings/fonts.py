"""The fonts that come with Pillow and matplotlib, the same on every machine, and those that are installed."""

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import ImageFont

from benchmarks.drawings import installed

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MONOSPACED = ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "cmtt10")
PLAIN = ("", "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "cmss10")  # "" is Pillow's own
SERIF = (
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmb10",
    "cmti10",
)
FONTS = (*PLAIN, *SERIF, *MONOSPACED)
_COMMON = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its "
    "about than into them can only other time new some could these two may first then do any like my now over such "
    "our man me even most made after also did many off before must well back through years much where your way down "
    "should because long each just state those people too mister how little good world make very year still see own "
    "work men day get here between both life being under three never know same last another while us might great go "
    "come since against right came take used Quality Zoom Exit Figure Jump Vector Kyoto Quebec Wharf Boxes Fjord "
    "Museum Station Avenue Bakery Hotel Radio Physics Library Window Settings Password Network Download Version "
    "Account Monday Friday October kernel matrix buffer"
)
_FOREIGN = (
    "größer Straße naïve façade Übung señor garçon Ærø çok ıssız łódź příliš žluťoučký Привет мир дорога вокзал улица "
    "книга Ελλάδα μέτρο φως λόγος κόσμος Ñandú Çeşme ångström"
)


@lru_cache(maxsize=256)
def load_font(name: str, size: int) -> Font:
    """Load a font by its name in FONTS, or its file's name, at a size in px."""
    if installed.is_file(name):
        found = installed.place(name)
        return ImageFont.load_default(size) if found is None else ImageFont.truetype(str(found), size)
    if not name:
        return ImageFont.load_default(size)
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def random_word(rng: np.random.Generator, font: str) -> str:
    """Return a word, a number or a sign that the font can write."""
    if font in installed.SCRIPTS and installed.place(font) is not None:
        return installed.foreign_word(rng, font)
    kind = rng.random()
    if kind < 0.08:
        return str(rng.integers(0, 10 ** int(rng.integers(1, 6))))
    if kind < 0.12:
        return str(rng.choice(["(x+1)", "$4.99", "12:45", "50%", "a/b", "&", "#7", "e-mail:", "[3]", "v2.1", "A=B?"]))
    if kind < 0.2 and font.startswith("DejaVu"):
        return str(rng.choice(_FOREIGN.split()))
    word = str(rng.choice(_COMMON.split()))
    style = rng.random()
    return word.upper() if style < 0.06 else word.capitalize() if style < 0.2 else word


def random_words(rng: np.random.Generator, font: str, count: int) -> str:
    """Return some words in a row, with a comma or a full stop here and there."""
    words = [random_word(rng, font) + str(rng.choice(["", "", "", "", "", "", ",", "."])) for _ in range(count)]
    return " ".join(words)
