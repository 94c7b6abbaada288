"""How long a folder takes."""

import pytest

from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_meter import FolderMeter, expected_seconds
from esrt_core.pipeline.folder_run import make_crew
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned


def test_the_time_left_follows_the_work_not_the_pictures(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 40, 40)
    make_picture("in/b.png", 40, 120)
    options = asked()
    tasks, engines = planned(options).tasks, Engines(options.upscale.model, options.upscale.engine)
    times = iter([100.0, 110.0])
    status = FolderMeter(tasks, engines, lambda: next(times)).end(tasks[0], failed=False)
    assert status.seconds_left == pytest.approx(30, rel=0.2)
    assert (status.ended, status.pictures_per_second) == (1, 0.1)
    assert status.megapixels == pytest.approx(0.0064)


def test_the_estimate_is_the_time_of_samples_for_the_whole_work(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(4):
        make_picture(f"in/{index}.png", 30, 30)
    plan = planned(asked())
    times = iter([0.0, 3.0, 3.0])
    assert expected_seconds(plan.tasks, make_crew(plan), lambda: next(times)) == pytest.approx(12)
