"""A scene: one painter's picture, or several side by side, perhaps turned, reduced to its final size."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drawings import comic, desktop, fine, halftone, interface, lineart, plans, structure, text
from benchmarks.drawings.canvas import Canvas
from benchmarks.drawings.scan import scanned

Drawing = Callable[[int, int], NDArray[np.uint8]]
Painter = Callable[[Canvas], None]
Painters = dict[Painter, float]  # and how often each is chosen

EVERYTHING: Painters = {  # text and structure most: photographs teach them least
    text.page: 4,
    text.poster: 2.5,
    text.listing: 1.5,
    text.labels: 2,
    structure.facade: 3,
    structure.skyline: 1.5,
    structure.floor: 2,
    structure.bricks: 1.5,
    structure.fence: 2,
    lineart.cartoon: 3,
    lineart.strokes: 1.5,
    lineart.rings: 1.5,
    lineart.diagram: 1.5,
    halftone.dots: 1,
    halftone.process_print: 0.5,
    interface.screen: 3,
    interface.table: 1,
}
_PAGES: Painters = {text.page: 5, text.listing: 2, interface.table: 2, lineart.diagram: 2, lineart.cartoon: 1}
GRAPHICS: Painters = {  # what people enlarge who have no photo: the drawing weights' pictures
    desktop.page: 6,
    desktop.program: 4,
    desktop.sheet: 2.5,
    desktop.listing: 2,
    comic.strip: 4,
    plans.geometry: 3,
    plans.flow: 1.5,
    plans.street_map: 1.5,
    plans.plot: 3,
    text.page: 1,
    text.poster: 1,
    text.labels: 1.5,
    structure.fence: 0.5,
    lineart.cartoon: 2,
    lineart.strokes: 1,
    lineart.rings: 1.5,
    halftone.dots: 0.5,
    halftone.process_print: 0.3,
    interface.screen: 1,
}
FINE: Painters = {
    fine.graph_paper: 4,
    fine.floor_plan: 2,
    fine.city_map: 3,
    fine.contours: 1,
    fine.sheet_music: 1,
    plans.geometry: 1,
}
_SCANNED = 0.1  # share of graphics that come from a scanner
_FACTOR = 4
_PAPER = (128, 128, 128)
REDUCERS = (Image.Resampling.BOX, Image.Resampling.HAMMING, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def draw(seed: int, size: int) -> NDArray[np.uint8]:
    """Draw a picture of `size` x `size` px: 8-bit RGB (size, size, 3), equal for equal seed and size.

    Everything is drawn four times too large and reduced, so that edges are smooth. The fonts are Pillow's and
    matplotlib's own: other versions of them may draw another picture.
    """
    return _draw(seed, size, EVERYTHING)


def draw_page(seed: int, size: int) -> NDArray[np.uint8]:
    """Draw, as `draw` does, a page or several: text, listings, tables, diagrams, line art."""
    return _draw(seed, size, _PAGES)


def draw_graphic(seed: int, size: int) -> NDArray[np.uint8]:
    """Draw, as `draw` does, pages, programs, comics, charts, plans and scans, in the fonts that are installed."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(rng, size, size, _FACTOR, _PAPER)
    if rng.random() < _SCANNED:
        _choose(rng, {desktop.page: 3, desktop.sheet: 1, plans.plot: 1, plans.flow: 1})(canvas)
        return scanned(canvas.image.resize((size, size), Image.Resampling.BOX), rng)
    _compose(canvas, GRAPHICS)
    return _reduced(canvas, size)


def draw_fine(seed: int, size: int) -> NDArray[np.uint8]:
    """Draw, as `draw` does, fine lines: graph paper, floor plans, city maps, contour lines, sheet music."""
    canvas = Canvas(np.random.default_rng(seed), size, size, _FACTOR, _PAPER)
    _compose(canvas, FINE)
    return _reduced(canvas, size)


def _reduced(canvas: Canvas, size: int) -> NDArray[np.uint8]:
    """Reduce a canvas to `size` x `size` px, by a box in half of the cases, as a browser does."""
    rng = canvas.rng
    reducer = Image.Resampling.BOX if rng.random() < 0.5 else REDUCERS[int(rng.integers(len(REDUCERS)))]
    return np.asarray(canvas.image.resize((size, size), reducer))


def _draw(seed: int, size: int, painters: Painters) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    turned = rng.random() < 0.3
    side = round(size * 1.42) + 2 if turned else size
    canvas = Canvas(rng, side, side, _FACTOR, _PAPER)
    _compose(canvas, painters)
    image = canvas.image
    if turned:
        image = image.rotate(float(rng.uniform(-45, 45)), Image.Resampling.BICUBIC)
        edge = (image.width - size * _FACTOR) // 2
        image = image.crop((edge, edge, edge + size * _FACTOR, edge + size * _FACTOR))
    return np.asarray(image.resize((size, size), REDUCERS[int(rng.integers(len(REDUCERS)))]))


def _compose(canvas: Canvas, painters: Painters) -> None:
    """Give the canvas to one painter, or cut it into two to four panels."""
    rng = canvas.rng
    if rng.random() < 0.5:
        _choose(rng, painters)(canvas)
        return
    split_x, split_y = (float(round(rng.uniform(0.35, 0.65) * side)) for side in (canvas.width, canvas.height))
    columns = [(0.0, split_x), (split_x, float(canvas.width))]
    rows = [(0.0, split_y), (split_y, float(canvas.height))]
    kind = rng.random()
    if kind < 0.25:
        columns = [(0.0, float(canvas.width))]
    elif kind < 0.5:
        rows = [(0.0, float(canvas.height))]
    for left, right in columns:
        for top, bottom in rows:
            panel = canvas.blank(right - left, bottom - top, _PAPER)
            _choose(rng, painters)(panel)
            canvas.paste(panel, (left, top))


def _choose(rng: np.random.Generator, painters: Painters) -> Painter:
    weights = np.array(list(painters.values()))
    return list(painters)[int(rng.choice(len(weights), p=weights / weights.sum()))]
