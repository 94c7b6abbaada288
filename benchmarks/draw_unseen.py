"""Draw the unseen drawings on which the weights are compared: python -m benchmarks.draw_unseen FOLDER.

    apt-get install chromium fonts-noto-core fonts-noto-cjk fonts-roboto fonts-crosextra-carlito fonts-cantarell \
        fonts-crosextra-caladea fonts-quicksand fonts-linuxlibertine fonts-vollkorn fonts-urw-base35 \
        fonts-jetbrains-mono fonts-inconsolata

A browser draws the pages and the vector art, matplotlib the charts, in fonts that benchmarks.drawings never uses. Scans
are pages, turned by the browser, on tinted paper, blurred and noisy. 480 x 480 px each, with fixed seeds; other
versions of the browser and of the fonts may draw other pictures.
"""

import argparse
import io
import subprocess
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from benchmarks.unseen import art, pages

SIDE = 480  # px
SEED = 31000

Random = np.random.Generator
Rgb = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=4, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--browser", default="chromium")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    browsed: tuple[art.Kind, ...] = (
        *(pages.article, pages.scripts, pages.interface, pages.sheet, pages.listing),
        *(art.comic, art.line_art, art.street_map),
    )
    for number in range(options.count):
        for place, kind in enumerate(browsed):
            html = kind(np.random.default_rng((options.seed, place, number)))
            Image.fromarray(shot(html, options.browser)).save(options.folder / f"{kind.__name__}-{number}.png")
        random = np.random.default_rng((options.seed, 100, number))
        Image.fromarray(chart(random)).save(options.folder / f"chart-{number}.png")
        source = pages.article if number % 2 else pages.sheet
        askew = f"<style>body{{transform:rotate({random.uniform(-3, 3):.2f}deg) scale(1.1)}}</style>"
        scanned = scan(shot(source(random) + askew, options.browser), random)
        Image.fromarray(scanned).save(options.folder / f"scan-{number}.png")
    print(f"{options.count * (len(browsed) + 2)} pictures of {SIDE} x {SIDE} px in {options.folder}")


def shot(html: str, browser: str) -> Rgb:
    """Return what a browser shows of a page, (SIDE, SIDE, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "page.html"), Path(folder, "page.png")
        source.write_text(html, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--force-device-scale-factor=1", f"--window-size={SIDE},{SIDE}", f"--screenshot={target}"]
        subprocess.run([*command, source.as_uri()], check=True, capture_output=True, timeout=60)
        return np.asarray(Image.open(target).convert("RGB"))[:SIDE, :SIDE]


def chart(random: Random) -> Rgb:
    """Plot lines, bars, points or a heat map with axes, a grid and a legend."""
    family = pages.one(random, ("Roboto", "Carlito", *pages.SERIF[:3]))
    font_manager.findfont(family, fallback_to_default=False)  # raises: the fallback is a font of the training set
    with matplotlib.rc_context({"font.family": family, "font.size": random.uniform(7, 11)}):
        figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained")
        for place in range(rows := int(random.integers(1, 3))):
            axes = figure.add_subplot(rows, 1, place + 1)
            _plot(axes, random)
            axes.set(title=pages.words(random, 3), xlabel=pages.words(random, 1), ylabel=pages.words(random, 1))
            axes.grid(
                visible=bool(random.random() < 0.7), linestyle=str(random.choice(["-", "--", ":"])), linewidth=0.6
            )
        content = io.BytesIO()
        figure.savefig(content, format="png")
    return np.asarray(Image.open(content).convert("RGB"))


def _plot(axes: matplotlib.axes.Axes, random: Random) -> None:
    count, places = int(random.integers(2, 5)), np.arange(24)
    kind = random.random()
    for index in range(count):
        values, label = np.cumsum(random.normal(0, 1, 24)), pages.words(random, 1)
        if kind < 0.5:
            style, marker = str(random.choice(["-", "--", "-.", ":"])), str(random.choice(["", "o", "s", "x", "^"]))
            axes.plot(places, values, style, marker=marker, markersize=4, linewidth=random.uniform(0.8, 2), label=label)
        elif kind < 0.75:
            axes.bar(
                places[::3] + index * 0.6, np.abs(values[::3]), 0.55, label=label, edgecolor="black", linewidth=0.5
            )
        else:
            axes.scatter(values, random.normal(0, 1, 24), s=random.uniform(8, 30), label=label, edgecolors="black")
    axes.legend(fontsize="small")


def scan(turned: Rgb, random: Random) -> Rgb:
    """Blur a page, print it on tinted paper and add noise."""
    blurred = turned.astype(np.float64) / 255
    for axis in (0, 1):
        blurred = 0.2 * np.roll(blurred, 1, axis) + 0.6 * blurred + 0.2 * np.roll(blurred, -1, axis)
    paper, ink = np.array([0.96, 0.93, 0.86]), np.array([0.13, 0.11, 0.12])
    shade = 1 - 0.08 * np.linspace(0, 1, SIDE)[:, None, None]
    tinted = (ink + blurred * (paper - ink)) * shade * 255 + random.normal(0, 1.5, (SIDE, SIDE, 1))
    return np.asarray(tinted.clip(0, 255).round(), np.uint8)


if __name__ == "__main__":
    main()
