"""What a folder's plan does, leaves alone and refuses.

What results take of their disk.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError, TargetError
from esrt_core.media.frame import Frame
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import SHEET, EncodeOptions, Page
from esrt_core.pipeline.batch.disks import expected_bytes
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import StopRequest, run_folder
from esrt_core.pipeline.sizes import SizeRequest
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


@pytest.mark.slow
def test_what_is_done_is_not_done_again(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    make_picture("in/b.png", 9, 9)
    assert run(asked()).done == 2
    plan = planned(asked())
    assert (plan.tasks, plan.done) == ([], [Path("in/a.png"), Path("in/b.png")])
    make_picture("in/b.png", 10, 9)
    Path("in_x2/a.png").unlink()
    assert run(asked()).done == 2
    with Image.open("in_x2/b.png") as image:
        assert image.size == (20, 18)


def test_the_device_is_no_part_of_what_is_done_but_other_options_are(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    run(asked())
    options = asked()
    other = replace(options.upscale, engine=EngineOptions(device="auto"))
    assert planned(replace(options, upscale=other, devices=("auto",))).tasks == []
    slower = replace(options.upscale, engine=EngineOptions(device="cpu", tta=True))
    assert len(planned(replace(options, upscale=slower)).tasks) == 1


def test_a_file_that_is_no_result_is_not_replaced(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in_x2").mkdir()
    Path("in_x2/a.png").write_bytes(b"mine")
    plan = planned(asked())
    assert "exists and is not a result" in plan.refused[0].reason
    run_folder(plan, [], lambda ended: None, StopRequest())
    assert results() == {"a.png": b"mine"}
    assert run(asked(overwrite=True)).done == 1
    Path("in_x2/a.png").write_bytes(b"mine again")
    assert "exists and is not a result" in planned(asked()).refused[0].reason


def test_an_input_is_never_replaced(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    make_picture("b.png")
    make_picture("in/b.png")
    plan = planned(asked("in/a.png", "b.png", "in/b.png", output="in", overwrite=True))
    assert plan.tasks == []
    assert all("the input itself" in failure.reason or "is an input" in failure.reason for failure in plan.refused)


def test_two_pictures_of_one_name_are_noticed_before_the_work(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.ico", 16, 16)
    make_picture("in/a.png", 9, 9)
    for done in (1, 0):
        plan = planned(asked())
        assert len(plan.tasks) == done
        assert "a.png and in/a.ico would both be written to in_x2/a.png" in plan.refused[0].reason
        run_folder(plan, make_workers(plan) if plan.tasks else [], lambda ended: None, StopRequest())


def test_pictures_that_are_large_enough_are_no_failures(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 50, 20)
    make_picture("in/b.png", 20, 20)
    plan = planned(asked(size=SizeRequest(longest=40)))
    assert (plan.large, len(plan.tasks), plan.refused) == ([Path("in/a.png")], 1, [])


def test_a_folder_without_pictures_is_refused(asked: Asked) -> None:
    Path("in").mkdir()
    Path("in/a.txt").write_bytes(b"x")
    with pytest.raises(OptionError, match=r"no pictures in in \(skipped: 1 no picture\)"):
        planned(asked())


def test_planning_writes_nothing(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    planned(asked())
    assert not Path("in_x2").exists()


def test_results_without_room_are_refused_before_the_work(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.bmp", 50, 50)
    monkeypatch.setattr("esrt_core.pipeline.batch.disks.free_bytes", lambda folder: 30_000)
    with pytest.raises(TargetError, match="at least 40,000 bytes but only 30,000 are free"):
        planned(asked())


def test_a_disk_is_counted_once_with_what_its_pictures_take(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(3):
        make_picture(f"in/{index}/a.bmp", 40, 30)
    (disk,) = planned(asked()).disks()
    assert disk.least == 3 * 80 * 60  # if all were gray
    assert disk.expected == pytest.approx(3 * 3 * 80 * 60, rel=0.05)


def test_a_source_of_low_quality_says_nothing_about_the_result(asked: Asked) -> None:
    Path("in").mkdir()
    for quality in (20, 95):
        Image.effect_noise((80, 60), 60).save(f"in/{quality}.jpg", quality=quality)
    low, high = (expected_bytes(task.plan) for task in planned(asked()).tasks)
    assert low == high


def test_comparison_sheets_are_skipped(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    frame = Frame((np.zeros((8, 8, 3), np.uint8),))
    with Path("in/a_x2_compare.png").open("wb") as file:
        encode([Page(frame)], file, "png", SHEET, EncodeOptions())
    plan = planned(asked())
    assert [task.source for task in plan.tasks] == [Path("in/a.png")]
    assert plan.skipped == {"comparison sheet": 1}
