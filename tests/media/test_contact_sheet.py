"""Sheets of labeled crops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from esrt_core.media.contact_sheet import Row, draw_sheet

COLUMNS = ("left", "right")


def crop(value: int, side: int = 16) -> NDArray[np.uint8]:
    return np.full((side, side, 3), value, np.uint8)


def test_every_crop_is_on_the_sheet_enlarged_by_whole_pixels() -> None:
    rows = [Row("first", (crop(40), crop(80))), Row("second", (crop(120), crop(160)))]
    pixels = draw_sheet("title", COLUMNS, rows, cell=70).planes[0]
    for value in (40, 80, 120, 160):
        # 16 px go into 70 four times: 64 x 64; letters may have the same gray here and there
        assert 64 * 64 <= np.all(pixels == value, axis=2).sum() < 64 * 64 + 60


def test_columns_stand_side_by_side_in_their_order() -> None:
    pixels = draw_sheet("title", COLUMNS, [Row("", (crop(40, 288), crop(80, 288)))]).planes[0]
    line = pixels[pixels.shape[0] // 2, :, 0].tolist()
    assert line.index(40) < line.index(80)


def test_text_that_does_not_fit_is_shortened_not_cut() -> None:
    row = Row("c" * 500, (crop(0), crop(0)))
    plain = draw_sheet("t", COLUMNS, [Row("c", (crop(0), crop(0)))]).planes[0]
    long = draw_sheet("t" * 500 + "\n\x1b[31m", COLUMNS, [row]).planes[0]
    assert long.shape == plain.shape
    assert (long[:, -8:] == 255).all()


def test_a_row_needs_a_crop_for_every_column() -> None:
    with pytest.raises(ValueError, match="one crop for each column"):
        draw_sheet("title", COLUMNS, [Row("", (crop(0),))])
