import numpy as np
import pytest
from PIL import Image

from benchmarks.drawings import canvas as canvases
from benchmarks.drawings import draw, draw_fine, draw_graphic, draw_page, installed, scene
from benchmarks.drawings.fonts import FONTS, load_font, random_word
from benchmarks.drawings.scan import scanned


@pytest.mark.parametrize("drawing", [draw, draw_page, draw_graphic, draw_fine])
def test_equal_seeds_draw_equal_pictures(drawing: scene.Drawing) -> None:
    first = drawing(7, 48)
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, drawing(7, 48))


def test_other_seeds_draw_other_pictures_full_of_detail() -> None:
    pictures = [draw(seed, 64) for seed in range(12)]
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert np.median([picture.std() for picture in pictures]) > 25


@pytest.mark.slow
@pytest.mark.parametrize(
    "painter", scene.EVERYTHING | scene.GRAPHICS | scene.FINE, ids=lambda painter: painter.__name__
)
def test_every_painter_covers_small_and_oblong_canvases(painter: scene.Painter) -> None:
    for width, height in ((30, 90), (120, 40), (96, 96)):
        untouched = canvases.Canvas(np.random.default_rng(5), width, height, 2, (1, 2, 3))
        painter(untouched)
        pixels = np.asarray(untouched.image)
        assert pixels.shape == (2 * height, 2 * width, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1


def test_edges_are_smooth() -> None:
    canvas = canvases.Canvas(np.random.default_rng(0), 20, 20, 4, (0, 0, 0))
    canvas.polygon([(2, 3), (18, 7), (9, 17)], (255, 255, 255))
    reduced = np.asarray(canvas.image.resize((20, 20), scene.REDUCERS[0]))
    assert len(np.unique(reduced)) > 6


def test_translucent_ink_is_darker_where_lines_cross() -> None:
    canvas = canvases.Canvas(np.random.default_rng(0), 20, 20, 1, (200, 200, 200))
    canvas.wash([(0, 10), (20, 10)], (0, 0, 0), 1, 0.5)
    canvas.wash([(10, 0), (10, 20)], (0, 0, 0), 1, 0.5)
    pixels = np.asarray(canvas.image)[..., 0]
    assert pixels[3, 3] == 200
    assert abs(int(pixels[10, 3]) - 100) <= 1
    assert abs(int(pixels[10, 10]) - 50) <= 1


@pytest.mark.parametrize("name", FONTS)
def test_every_font_writes_every_word_it_is_given(name: str) -> None:
    font, rng = load_font(name, 16), np.random.default_rng(1)
    missing = bytes(font.getmask("\U0010ffff"))
    for _ in range(150):
        word = random_word(rng, name)
        assert all(bytes(font.getmask(letter)) != missing for letter in word), word


def test_a_scan_keeps_its_size_and_what_is_written() -> None:
    page = np.full((60, 80, 3), 255, np.uint8)
    page[20:40, 30:50] = 0
    seen = scanned(Image.fromarray(page), np.random.default_rng(3))
    assert seen.shape == page.shape
    assert seen[28:32, 38:42].mean() < 90 < 180 < seen[2:6, 2:6].mean()


def test_a_missing_font_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "place", lambda name: None)
    word = random_word(np.random.default_rng(1), "NotoSansCJK-Regular.ttc")
    assert word.isascii()
    assert load_font("NotoSansCJK-Regular.ttc", 16).getbbox(word)[2] > 0
