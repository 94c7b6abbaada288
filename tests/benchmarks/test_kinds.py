"""The table of benchmarks.kinds: a cache belongs to one side."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.kinds import Job, measure_picture


def test_a_cache_of_another_side_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    job = Job(tmp_path, "report", tmp_path / "a.png", False, 0, 2, (), named=("undamaged",), side=32)
    measure_picture(job)
    measure_picture(job)
    whole = Job(tmp_path, "report", tmp_path / "a.png", False, 0, 2, (), named=("undamaged",))
    with pytest.raises(SystemExit, match="another --side"):
        measure_picture(whole)
