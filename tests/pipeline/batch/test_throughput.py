"""How long a folder takes."""

import threading

import pytest

from esrt_core.engine.threads import cpu_threads, requested_threads, take_cpu_threads
from esrt_core.engine.upscaler import Upscaled, Upscaler
from esrt_core.media.frame import Frame
from esrt_core.pipeline.batch.plan import Task
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.throughput import Throughput, expected_seconds, work_of
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned


def test_the_time_left_follows_the_work_not_the_pictures(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 40, 40)
    make_picture("in/b.png", 40, 120)
    options = asked()
    tasks, pool = planned(options).tasks, UpscalerPool(options.upscale.model, options.upscale.engine)
    times = iter([100.0, 110.0, 110.0])
    status = Throughput(tasks, pool, lambda: next(times)).end(tasks[0], failed=False)
    assert status.seconds_left == pytest.approx(30, rel=0.2)
    assert (status.ended, status.pictures_per_second) == (1, 0.1)
    assert status.megapixels == pytest.approx(0.0064)


@pytest.mark.parametrize("large_first", [False, True])
def test_the_time_left_is_right_after_a_tenth_of_the_work(
    asked: Asked, make_picture: MakePicture, large_first: bool
) -> None:
    sides = [64 + 7 * index for index in range(20)] + [400, 500]
    for index, side in enumerate(reversed(sides) if large_first else sides):
        make_picture(f"in/{index:02}.png", side, side)
    options = asked()
    tasks, pool = planned(options).tasks, UpscalerPool(options.upscale.model, options.upscale.engine)
    now = began = 0.0
    meter = Throughput(tasks, pool, lambda: now)
    total = sum(seconds_of(task) for task in tasks)
    for group in (tasks[index : index + 4] for index in range(0, len(tasks), 4)):
        began += sum(seconds_of(task) for task in group)
        now = began
        for task in group:
            meter.compute(task)
        for task in group:  # are written while the network is at the next ones
            now += 0.3 * min(1.0, total - now)
            status = meter.end(task, failed=False)
            if 0.1 <= status.share < 0.9:
                assert status.seconds_left == pytest.approx(total - now, rel=0.2)


def seconds_of(task: Task) -> float:
    """Return what a picture takes in a network that works evenly."""
    return task.plan.info.width * task.plan.info.height / 10_000


def test_the_estimate_is_the_time_of_samples_for_the_whole_work(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(4):
        make_picture(f"in/{index}.png", 30, 30)
    plan = planned(asked())
    times = iter([0.0, 3.0, 3.0])
    assert expected_seconds(plan.tasks, make_workers(plan), lambda: next(times)) == pytest.approx(12)


def test_the_estimate_is_made_with_the_threads_that_each_engine_will_have(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png", 30, 30)
    plan = planned(asked())
    workers = [*make_workers(plan), *make_workers(plan)]
    before, upscale, seen = requested_threads(), Upscaler.upscale, set[tuple[int, int]]()

    def spy(self: Upscaler, frame: Frame) -> Upscaled:
        seen.add((threading.get_ident(), cpu_threads()))
        return upscale(self, frame)

    monkeypatch.setattr(Upscaler, "upscale", spy)
    monkeypatch.setattr("esrt_core.pipeline.batch.throughput.CALIBRATION_SECONDS", 0.3)
    take_cpu_threads(4)
    try:
        seconds = expected_seconds(plan.tasks, workers)
        assert cpu_threads() == 4
    finally:
        take_cpu_threads(before)
    assert [threads for _, threads in seen] == [2, 2]
    assert seconds > 0


def test_the_paces_of_unequal_engines_are_added_up(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.png", 30, 30)
    plan = planned(asked())
    [pool] = make_workers(plan)
    total = 4 * work_of(plan.tasks[0].plan, pool)
    paces = iter([1.0, 3.0])
    monkeypatch.setattr("esrt_core.pipeline.batch.throughput._seconds_per_work", lambda *_: next(paces))
    assert expected_seconds(plan.tasks, [pool, pool]) == pytest.approx(total * 3 / 4)
