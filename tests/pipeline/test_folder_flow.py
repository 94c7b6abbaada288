"""Pictures in flow: several devices, bounded memory, an end when it is asked for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from esrt_core.engine.device import cpu_threads, take_cpu_threads
from esrt_core.pipeline import folder_budget, folder_flow
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_crew import make_crew
from esrt_core.pipeline.folder_run import Ended, Stop, run_folder
from esrt_core.pipeline.folder_stages import CheckWanted, Loaded, Made
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


def test_stopping_ends_the_pictures_in_hand(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(12):
        make_picture(f"in/{index:02}.png", 9 + index, 9)
    monkeypatch.setattr(folder_budget, "IN_HAND", 2)
    plan, stop = planned(asked()), Stop()
    result = run_folder(plan, make_crew(plan), lambda ended: stop.ask(), stop)
    assert 1 <= result.done < 12
    assert result.done + result.left == 12
    assert len(results()) == result.done
    assert run(asked()).done == result.left


def test_large_pictures_are_in_hand_by_themselves(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png", 9, 9)
    make_picture("in/b.png", 90, 90)
    make_picture("in/c.png", 9, 9)
    small, large, last = planned(asked()).tasks
    monkeypatch.setattr(folder_budget, "IN_HAND_BYTES", 100_000)
    budget = folder_budget.Budget()
    assert budget.admits(large)
    budget.add(small)
    assert budget.admits(last)
    assert not budget.admits(large)
    budget.remove(small)
    assert budget.admits(large)
    assert run(asked()).done == 3


def test_several_devices_share_the_work(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(10):
        make_picture(f"in/{index}.png", 20, 60 + index)
    options = asked()
    plan = planned(options)
    heard: list[Ended] = []
    crew = make_crew(plan) + make_crew(plan)
    assert run_folder(plan, crew, heard.append, Stop()).done == 10
    assert heard[-1].status.share == pytest.approx(1)
    assert run(replace(options, output="alone")).done == 10
    assert results() == results("alone")


def test_two_engines_share_the_threads_of_a_cpu(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        make_picture(f"in/{index}.png", 20, 60 + index)
    seen = []
    make = folder_flow.make

    def spy(group: Sequence[Loaded], engines: Engines, check_wanted: CheckWanted) -> list[Made]:
        seen.append((cpu_threads(), engines))
        return make(group, engines, check_wanted)

    monkeypatch.setattr(folder_flow, "make", spy)
    monkeypatch.setattr(folder_flow, "MOST_FRAMES", 1)
    before, upscale = cpu_threads(), asked().upscale
    try:
        plan = planned(asked(upscale=replace(upscale, engine=replace(upscale.engine, threads=4))))
        crew = make_crew(plan)
        assert len(crew) == 2
        assert run_folder(plan, crew, lambda ended: None, Stop()).done == 10
        assert cpu_threads() == 4
    finally:
        take_cpu_threads(before)
    assert {threads for threads, _ in seen} == {2}
    assert all(engines in crew for _, engines in seen)
