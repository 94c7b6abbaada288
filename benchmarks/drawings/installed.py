"""Fonts of the machine, by file name, and what is written in them; Pillow's own font stands in for one that is missing.

Debian's packages: fonts-liberation, fonts-lato, fonts-open-sans, fonts-inter, fonts-ebgaramond, fonts-comic-neue,
fonts-firacode, fonts-freefont-ttf, fonts-noto-core, fonts-noto-cjk. None of their families is in benchmarks.unseen.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib import font_manager

LATIN = "latin"
SANS = (
    *("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "Lato-Regular.ttf", "Lato-Bold.ttf", "Lato-Light.ttf"),
    *("OpenSans-Regular.ttf", "OpenSans-Semibold.ttf", "Inter-Regular.otf", "Inter-Medium.otf", "Inter-Bold.otf"),
    *("NotoSans-Regular.ttf", "NotoSans-Bold.ttf", "FreeSans.ttf", "LiberationSansNarrow-Regular.ttf"),
)
SERIF = (
    *("LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", "LiberationSerif-Italic.ttf", "NotoSerif-Regular.ttf"),
    *(
        "NotoSerif-Italic.ttf",
        "EBGaramond12-Regular.otf",
        "EBGaramond12-Italic.otf",
        "FreeSerif.ttf",
        "FreeSerifBold.ttf",
    ),
)
MONOSPACED = (
    "LiberationMono-Regular.ttf",
    "FiraCode-Regular.ttf",
    "FiraCode-Bold.ttf",
    "FreeMono.ttf",
    "FreeMonoBold.ttf",
)
LETTERED = ("ComicNeue-Bold.otf", "ComicNeue-BoldItalic.otf", "ComicNeue-Regular.otf", "LiberationSans-Bold.ttf")
SCRIPTS = {  # first and last letter of what is written at random
    "NotoSansCJK-Regular.ttc": ((0x4E00, 0x5FFF), (0x4E00, 0x5FFF), (0x3041, 0x3093), (0x30A1, 0x30F3)),
    "NotoSansCJK-Bold.ttc": ((0x4E00, 0x5FFF), (0xAC00, 0xB5FF), (0x3041, 0x3093)),
    "NotoSansArabic-Regular.ttf": ((0x0627, 0x063A), (0x0641, 0x064A)),
    "NotoSansDevanagari-Regular.ttf": ((0x0905, 0x0939),),
    "NotoSansThai-Regular.ttf": ((0x0E01, 0x0E2E),),
    "NotoSansHebrew-Regular.ttf": ((0x05D0, 0x05EA),),
    "NotoSansTamil-Regular.ttf": ((0x0B95, 0x0B95), (0x0BAE, 0x0BB5)),
    "NotoSansGeorgian-Regular.ttf": ((0x10D0, 0x10F0),),
}


def is_file(name: str) -> bool:
    """Return whether a font is named by its file, as those here are."""
    return name.endswith((".ttf", ".otf", ".ttc"))


@lru_cache(maxsize=1)
def _places() -> dict[str, Path]:
    return {Path(path).name: Path(path) for path in sorted(font_manager.findSystemFonts())} | {
        path.name: path for path in sorted(Path("/usr/share/fonts").rglob("*.ttc"))
    }


def place(name: str) -> Path | None:
    """Return where a font file is, None where it is not installed."""
    return _places().get(name)


def missing() -> list[str]:
    """Return the fonts that are not installed, so that other pictures are drawn than with them."""
    names = dict.fromkeys((*SANS, *SERIF, *MONOSPACED, *LETTERED, *SCRIPTS))
    return [name for name in names if place(name) is None]


def foreign_word(rng: np.random.Generator, name: str) -> str:
    """Return letters in a row from a font of SCRIPTS."""
    ranges = SCRIPTS[name]
    letters = []
    for _ in range(int(rng.integers(1, 9))):
        first, last = ranges[int(rng.integers(len(ranges)))]
        letters.append(chr(int(rng.integers(first, last + 1))))
    return "".join(letters)
