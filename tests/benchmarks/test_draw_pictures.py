"""The small pictures that are written beside the drawn ones."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.draw_pictures import Order, write
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
