"""What results take of their disk."""

from pathlib import Path

import pytest
from PIL import Image

from esrt_core.errors import TargetError
from esrt_core.pipeline.folder_disk import expected_bytes
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned


def test_results_without_room_are_refused_before_the_work(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.bmp", 50, 50)
    monkeypatch.setattr("esrt_core.pipeline.folder_disk.free_bytes", lambda folder: 100_000)
    with pytest.raises(TargetError, match="at least 120,000 bytes and 100,000 are free"):
        planned(asked())


def test_a_disk_is_counted_once_with_what_its_pictures_take(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(3):
        make_picture(f"in/{index}/a.bmp", 40, 30)
    (disk,) = planned(asked()).disks()
    assert disk.least == 3 * 3 * 80 * 60
    assert disk.expected == pytest.approx(disk.least, rel=0.05)


def test_a_source_of_low_quality_says_nothing_about_the_result(asked: Asked) -> None:
    Path("in").mkdir()
    for quality in (20, 95):
        Image.effect_noise((80, 60), 60).save(f"in/{quality}.jpg", quality=quality)
    low, high = (expected_bytes(task.plan) for task in planned(asked()).tasks)
    assert low == high
