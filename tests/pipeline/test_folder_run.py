"""Folders planned and run with tiny networks: nothing is lost, and one bad file never stops the rest."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import DeviceError, OptionError, TargetError
from esrt_core.files import TEMPORARY_MARK
from esrt_core.pipeline import folder_flow, folder_stages
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_meter import FolderMeter, expected_seconds
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.folder_plan import FolderPlan, plan_folder
from esrt_core.pipeline.folder_run import Ended, FolderResult, Stop, make_crew, named_devices, run_folder
from esrt_core.pipeline.inputs import Input
from esrt_core.pipeline.options import UpscaleOptions
from esrt_core.pipeline.plan import plan_upscale
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.pipeline.upscale import Result, upscale_picture
from tests.conftest import MakePicture, WeightsOf

Asked = Callable[..., FolderOptions]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_of: WeightsOf) -> Asked:
    """Return a maker of options for the folder `in` of the working folder, with a network of x2."""
    monkeypatch.chdir(tmp_path)

    def make(*inputs: str, size: SizeRequest = SizeRequest(), **changes: object) -> FolderOptions:  # noqa: B008
        engine = EngineOptions(device="cpu", threads=1)
        upscale = UpscaleOptions(size, model=str(weights_of(2)), engine=engine)
        if "overwrite" in changes:
            upscale = replace(upscale, overwrite=bool(changes.pop("overwrite")))
        return replace(FolderOptions(inputs or ("in",), upscale=upscale, devices=("cpu",)), **changes)  # type: ignore[arg-type]

    return make


def planned(options: FolderOptions) -> FolderPlan:
    return plan_folder(options, Engines(options.upscale.model, options.upscale.engine))


def run(options: FolderOptions, heard: Callable[[Ended], None] = lambda ended: None) -> FolderResult:
    plan = planned(options)
    return run_folder(plan, make_crew(plan) if plan.tasks else [], heard, Stop())


def results(folder: str = "in_x2") -> dict[str, bytes]:
    files = (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".esrt-manifest"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_every_picture_has_the_bytes_that_it_gets_by_itself(asked: Asked, make_picture: MakePicture) -> None:
    for index, (mode, kind) in enumerate(
        [("RGB", "png"), ("RGBA", "png"), ("L", "jpg"), ("RGB", "webp"), ("1", "tif")]
    ):
        make_picture(f"in/sub/{index}.{kind}", 9 + index, 14, mode)
    for index in range(6):  # of one shape, so that they share batches
        make_picture(f"in/same{index}.png", 12 + index % 2, 10)
    frames = [Image.new("RGB", (9, 8), (40 * index, 0, 0)) for index in range(3)]
    frames[0].save("in/anim.gif", save_all=True, append_images=frames[1:], duration=50)
    make_picture("in/large.png", 260, 40)
    options = asked()
    assert run(options).done == 13
    engines = Engines(options.upscale.model, options.upscale.engine)
    for name, content in results().items():
        single = replace(options.upscale, output="one/")
        plan = plan_upscale(Input(Path("in") / name), single, engines.lineups)
        assert Path(upscale_picture(plan, engines).target).read_bytes() == content, name


def test_sizes_with_a_reduction_have_the_same_bytes_too(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 20, 12)
    options = asked(size=SizeRequest(longest=65))
    run(options)
    engines = Engines(options.upscale.model, options.upscale.engine)
    plan = plan_upscale(Input(Path("in/a.png")), replace(options.upscale, output="one/"), engines.lineups)
    assert results("in_65l") == {"a.png": Path(upscale_picture(plan, engines).target).read_bytes()}


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


def test_a_bad_file_stops_nothing_and_is_not_tried_again(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    Path("in/c.png").write_bytes(b"no picture")
    result = run(asked())
    assert result.done == 1
    assert [failure.source.name for failure in result.failures] == ["b.png"]
    plan = planned(asked())
    assert plan.tasks == []
    assert [failure.source.name for failure in plan.failed_before] == ["b.png", "c.png"]
    assert "truncated" in plan.failed_before[0].reason
    assert [task.source.name for task in planned(asked(retry_failed=True)).tasks] == ["b.png"]
    Path("in/b.png").write_bytes(whole)
    assert run(asked()).done == 1


def test_a_failure_is_tried_again_where_more_is_accepted(asked: Asked, make_picture: MakePicture) -> None:
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    options = asked()
    assert len(run(options).failures) == 1
    lenient = replace(options.upscale, limits=replace(options.upscale.limits, allow_truncated=True))
    assert run(replace(options, upscale=lenient)).done == 1


def test_a_file_that_is_no_result_is_not_replaced(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in_x2").mkdir()
    Path("in_x2/a.png").write_bytes(b"mine")
    plan = planned(asked())
    assert "exists and is no result" in plan.refused[0].reason
    run_folder(plan, [], lambda ended: None, Stop())
    assert results() == {"a.png": b"mine"}
    assert run(asked(overwrite=True)).done == 1
    Path("in_x2/a.png").write_bytes(b"mine again")
    assert "exists and is no result" in planned(asked()).refused[0].reason


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
        assert "a.png and in/a.ico would both become in_x2/a.png" in plan.refused[0].reason
        run_folder(plan, make_crew(plan) if plan.tasks else [], lambda ended: None, Stop())


def test_pictures_that_are_large_enough_are_no_failures(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 50, 20)
    make_picture("in/b.png", 20, 20)
    plan = planned(asked(size=SizeRequest(longest=40)))
    assert (plan.large, len(plan.tasks), plan.refused) == ([Path("in/a.png")], 1, [])


def test_results_without_room_are_refused_before_the_work(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.bmp", 50, 50)
    monkeypatch.setattr("esrt_core.pipeline.folder_disk.free_bytes", lambda folder: 100_000)
    with pytest.raises(TargetError, match="at least 120,000 bytes and 100,000 are free"):
        planned(asked())


def test_a_folder_without_pictures_is_refused(asked: Asked) -> None:
    Path("in").mkdir()
    Path("in/a.txt").write_bytes(b"x")
    with pytest.raises(OptionError, match=r"no pictures in in \(passed over: 1 no picture\)"):
        planned(asked())


def test_planning_writes_nothing(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    planned(asked())
    assert not Path("in_x2").exists()


def test_a_full_disk_stops_all_and_is_nobodys_failure(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.png", 9 + index, 9)
    write = folder_stages.write

    def full(made: folder_stages.Made, *rest: object) -> Result:
        if made.loaded.task.source.name != "0.png":
            raise TargetError("the disk is full") from OSError(28, "No space left on device")
        return write(made, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(folder_flow, "write", full)
        result = run(asked())
    assert (result.done, result.left, result.failures) == (1, 3, [])
    assert str(result.stopped) == "the disk is full"
    assert len(planned(asked()).tasks) == 3


def test_a_device_that_is_lost_is_nobodys_failure(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def lost(*arguments: object) -> list[folder_stages.Made]:
        raise DeviceError("the device is lost")

    monkeypatch.setattr(folder_flow, "make", lost)
    result = run(asked())
    assert (str(result.stopped), result.left, result.failures) == ("the device is lost", 1, [])


def test_an_error_of_the_program_in_the_network_comes_out(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def broken(*arguments: object) -> list[folder_stages.Made]:
        raise RuntimeError("a kernel failed")

    monkeypatch.setattr(folder_flow, "make", broken)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        run(asked())


def test_one_spoiled_picture_of_a_group_fails_alone(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(5):
        make_picture(f"in/{index}.png")
    make = folder_stages.make

    def spoiled(group: list[folder_stages.Loaded], *rest: object) -> list[folder_stages.Made]:
        if any(loaded.task.source.name == "3.png" for loaded in group):
            raise OptionError("not this one")
        return make(group, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_flow, "make", spoiled)
    result = run(asked())
    assert result.done == 4
    assert [(failure.source.name, failure.reason) for failure in result.failures] == [("3.png", "not this one")]


def test_stopping_ends_the_pictures_in_hand(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(12):
        make_picture(f"in/{index:02}.png", 9 + index, 9)
    monkeypatch.setattr(folder_flow, "IN_HAND", 2)
    plan, stop = planned(asked()), Stop()
    result = run_folder(plan, make_crew(plan), lambda ended: stop.ask(), stop)
    assert 1 <= result.done < 12
    assert result.done + result.left == 12
    assert len(results()) == result.done
    assert run(asked()).done == result.left


def test_what_dead_runs_left_is_removed_and_nothing_else(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in_x2").mkdir()
    for name in (f".a.0123456789ab{TEMPORARY_MARK}.png", f".b.0123456789ab{TEMPORARY_MARK}.png", ".a.png"):
        Path("in_x2", name).write_bytes(b"half")
    result = run(asked())
    assert result.leftovers == 1
    assert sorted(results()) == [".a.png", f".b.0123456789ab{TEMPORARY_MARK}.png", "a.png"]


def test_a_smaller_tile_is_used_again(asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    make_picture("in/a.png", 60, 60)
    make_picture("in/b.png", 60, 60)
    make_result = folder_stages.make_result
    with monkeypatch.context() as patch:
        patch.setattr(folder_stages, "make_result", lambda *arguments: replace(make_result(*arguments), tile=48))
        run(asked("in/a.png", output="out"))
    plan = planned(asked("in/a.png", "in/b.png", output="out"))
    (engines,) = make_crew(plan)
    assert engines.options.tile == 48
    assert len(plan.done) == 1


def test_large_pictures_are_in_hand_by_themselves(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png", 9, 9)
    make_picture("in/b.png", 90, 90)
    make_picture("in/c.png", 9, 9)
    small, large, last = planned(asked()).tasks
    monkeypatch.setattr(folder_flow, "IN_HAND_BYTES", 100_000)
    budget = folder_flow.Budget()
    assert budget.admits(large)
    budget.add(small)
    assert budget.admits(last)
    assert not budget.admits(large)
    budget.remove(small)
    assert budget.admits(large)
    assert run(asked()).done == 3


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


def test_names_that_are_not_utf_8_come_through(asked: Asked, make_picture: MakePicture) -> None:
    make_picture(os.fsdecode(b"in/\xff.png"))
    assert run(asked()).done == 1
    assert list(results()) == [os.fsdecode(b"\xff.png")]
    assert planned(asked()).tasks == []


def test_comparisons_lie_beside_the_results(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    options = asked()
    compared = replace(options, upscale=replace(options.upscale, compare=True))
    assert run(compared).done == 1
    assert sorted(results()) == ["a.png", "a_compare.png"]


def test_float_pictures_keep_their_depth(asked: Asked) -> None:
    Path("in").mkdir()
    Image.fromarray(np.linspace(0, 1, 120, dtype=np.float32).reshape(10, 12)).save("in/a.tif")
    assert run(asked()).done == 1
    with Image.open("in_x2/a.tif") as image:
        assert (image.mode, image.size) == ("F", (24, 20))


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


def test_all_devices_are_those_that_auto_takes_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert named_devices(("all",)) == ("auto",)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert named_devices(("all",)) == ("cuda:0", "cuda:1")
    assert named_devices(("cuda:1", "cpu")) == ("cuda:1", "cpu")


def test_a_disk_is_counted_once_with_what_its_pictures_take(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(3):
        make_picture(f"in/{index}/a.bmp", 40, 30)
    (disk,) = planned(asked()).disks()
    assert disk.least == 3 * 3 * 80 * 60
    assert disk.expected == pytest.approx(disk.least, rel=0.05)
