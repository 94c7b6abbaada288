"""The small pictures that are written beside the drawn ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.draw_pictures import Order, write, write_mixed
from benchmarks.drawings import installed
from esrt_core.evaluation.dataset import read_pair
from esrt_core.media.image.picture import ReadLimits


def test_small_pictures_are_what_the_trainer_makes_unless_they_were_a_jpeg(tmp_path: Path) -> None:
    for share in (0.0, 1.0):
        folder, small = tmp_path / f"large-{share}", tmp_path / f"small-{share}"
        for each in (folder, small / "x2"):
            each.mkdir(parents=True)
        write(Order(folder, "graphic", 64, small, (2,), share), 3)
        path = folder / "graphic-00003.png"
        made = np.asarray(Image.open(small / "x2" / path.name).convert("RGB"))
        same = np.array_equal(made, read_pair(path, None, 2, ReadLimits()).lr)
        assert made.shape == (32, 32, 3)
        assert same == (share == 0)


def test_a_part_of_a_photo_lies_on_a_mixed_page(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    write_mixed(Order(tmp_path, "page", 64, None, (), 0.0), [tmp_path / "photo.png"], 5)
    made = np.asarray(Image.open(tmp_path / "mixed-00005.png"))
    assert made.shape == (64, 64, 3)
    windows = np.lib.stride_tricks.sliding_window_view(photo, (16, 16, 3))[:, :, 0].reshape(-1, 16 * 16 * 3)
    known = {window.tobytes() for window in windows}
    found = np.lib.stride_tricks.sliding_window_view(made, (16, 16, 3))[:, :, 0].reshape(-1, 16 * 16 * 3)
    share = np.mean([window.tobytes() in known for window in found])
    assert 0.02 < share < 0.8


def test_fonts_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_places", lambda: {"FreeSans.ttf": Path("FreeSans.ttf")})
    found = installed.missing()
    assert "LiberationMono-Regular.ttf" in found
    assert "FreeSans.ttf" not in found
