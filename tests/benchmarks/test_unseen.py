"""The unseen drawings, as far as they need neither a browser nor fonts."""

import re

import numpy as np
import pytest

from benchmarks.draw_unseen import SIDE, scan
from benchmarks.drawings import installed
from benchmarks.unseen import art, pages

KINDS = (
    *(pages.article, pages.scripts, pages.interface, pages.sheet, pages.listing),
    *(art.comic, art.line_art, art.street_map),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_equal_seeds_write_equal_pages(kind: art.Kind) -> None:
    first = kind(np.random.default_rng(4))
    assert first == kind(np.random.default_rng(4))
    assert first != kind(np.random.default_rng(5))
    assert not re.search(r"=[\w.]+/>", first)  # HTML would read the slash as part of the value


def test_no_family_is_among_those_of_the_training() -> None:
    unseen = {name.replace(" ", "") for name in (*pages.SANS, *pages.SERIF, *pages.MONOSPACED)}
    unseen |= {font.replace(" ", "").removesuffix("JP") for _, font, _ in pages.SCRIPTS}
    trained = (*installed.SANS, *installed.SERIF, *installed.MONOSPACED, *installed.LETTERED, *installed.SCRIPTS)
    assert unseen.isdisjoint({re.sub(r"\d*(-\w+)?\.\w+$", "", name) for name in trained})


def test_a_scan_is_paler_than_its_page() -> None:
    page = np.full((SIDE, SIDE, 3), 255, np.uint8)
    page[200:280, 200:280] = 0
    seen = scan(page, np.random.default_rng(0))
    assert seen[240, 240].mean() > 20
    assert 180 < seen[10:20, 10:20].mean() < 245
