"""Pictures in flight: several devices, bounded memory, an end when it is asked for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from esrt_core.engine.threads import cpu_threads
from esrt_core.engine.upscaler import Upscaled
from esrt_core.pipeline.batch import workers
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import Ended, StopRequest, run_folder
from esrt_core.pipeline.batch.workers import CheckCancelled, LoadedTask
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


@pytest.mark.slow
def test_stopping_ends_the_pictures_in_hand(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(12):
        make_picture(f"in/{index:02}.png", 9 + index, 9)
    monkeypatch.setattr(workers, "MAX_IN_FLIGHT", 2)
    plan, stop = planned(asked()), StopRequest()
    result = run_folder(plan, make_workers(plan), lambda ended: stop.request(), stop)
    assert 1 <= result.done < 12
    assert result.done + result.remaining == 12
    assert len(results()) == result.done
    assert run(asked()).done == result.remaining


@pytest.mark.slow
def test_large_pictures_are_in_hand_by_themselves(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png", 9, 9)
    make_picture("in/b.png", 90, 90)
    make_picture("in/c.png", 9, 9)
    small, large, last = planned(asked()).tasks
    monkeypatch.setattr(workers, "MAX_IN_FLIGHT_BYTES", 100_000)
    budget = workers.Budget()
    assert budget.admits(large)
    budget.add(small)
    assert budget.admits(last)
    assert not budget.admits(large)
    budget.remove(small)
    assert budget.admits(large)
    assert run(asked()).done == 3


@pytest.mark.slow
def test_several_devices_share_the_work(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(10):
        make_picture(f"in/{index}.png", 20, 60 + index)
    options = asked()
    plan = planned(options)
    on_end: list[Ended] = []
    workers = make_workers(plan) + make_workers(plan)
    assert run_folder(plan, workers, on_end.append, StopRequest()).done == 10
    assert on_end[-1].status.share == pytest.approx(1)
    assert run(replace(options, output="alone")).done == 10
    assert results() == results("alone")


@pytest.mark.slow
def test_two_engines_share_the_threads_of_a_cpu(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        make_picture(f"in/{index}.png", 20, 60 + index)
    seen = []
    make = workers.enlarge_group

    def spy(
        group: Sequence[LoadedTask], pool: UpscalerPool, check_cancelled: CheckCancelled
    ) -> list[tuple[LoadedTask, Upscaled]]:
        seen.append((pool.options.threads, pool))
        return make(group, pool, check_cancelled)

    monkeypatch.setattr(workers, "enlarge_group", spy)
    monkeypatch.setattr(workers, "MOST_FRAMES", 1)
    before, upscale = cpu_threads(), asked().upscale
    plan = planned(asked(upscale=replace(upscale, engine=replace(upscale.engine, threads=4))))
    pools = make_workers(plan)
    assert len(pools) == 2
    assert run_folder(plan, pools, lambda ended: None, StopRequest()).done == 10
    assert cpu_threads() == before
    assert {threads for threads, _ in seen} == {2}
    assert all(pool in pools for _, pool in seen)
