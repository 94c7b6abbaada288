"""Folders run with tiny networks: the bytes, and what is left behind.

What goes wrong in a folder: one bad file, and what concerns every picture.
"""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.upscaler import Upscaled
from esrt_core.errors import DeviceError, OptionError, TargetError
from esrt_core.files import TEMPORARY_MARK
from esrt_core.pipeline.batch import workers
from esrt_core.pipeline.batch.manifest import Entry, Manifest
from esrt_core.pipeline.batch.outputs import RunLock
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import Ended, StopRequest, run_folder
from esrt_core.pipeline.enlarge import finish
from esrt_core.pipeline.image.plan import Input, plan_upscale
from esrt_core.pipeline.image.run import upscale_picture, write
from esrt_core.pipeline.sizes import SizePlan, SizeRequest
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


@pytest.mark.slow
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
    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    for name, content in results().items():
        single = replace(options.upscale, output="one/")
        plan = plan_upscale(Input(Path("in") / name), single, pool.selector)
        assert Path(upscale_picture(plan, pool).target).read_bytes() == content, name


def test_sizes_with_a_reduction_have_the_same_bytes_too(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png", 20, 12)
    options = asked(size=SizeRequest(longest=65))
    run(options)
    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    plan = plan_upscale(Input(Path("in/a.png")), replace(options.upscale, output="one/"), pool.selector)
    assert results("in_65l") == {"a.png": Path(upscale_picture(plan, pool).target).read_bytes()}


def test_what_dead_runs_left_is_removed_and_nothing_else(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in_x2").mkdir()
    for name in (f".a.0123456789ab{TEMPORARY_MARK}.png", f".b.0123456789ab{TEMPORARY_MARK}.png", ".a.png"):
        Path("in_x2", name).write_bytes(b"half")
    result = run(asked())
    assert result.leftovers == 1
    assert sorted(results()) == [".a.png", f".b.0123456789ab{TEMPORARY_MARK}.png", "a.png"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [False, True])
def test_what_a_run_left_that_died_while_it_named_a_result_is_removed(
    asked: Asked, make_picture: MakePicture, more: bool
) -> None:
    make_picture("in/a.png")
    run(asked())
    Path(f"in_x2/.a.0123456789ab{TEMPORARY_MARK}.png").hardlink_to("in_x2/a.png")
    if more:
        make_picture("in/b.png")
    assert run(asked()).leftovers == 1
    assert sorted(results()) == (["a.png", "b.png"] if more else ["a.png"])


@pytest.mark.slow
def test_a_smaller_tile_is_used_again(asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    make_picture("in/a.png", 60, 60)
    make_picture("in/b.png", 60, 60)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "write", lambda *rest, **named: replace(write(*rest, **named), tile=48))
        run(asked("in/a.png", output="out"))
    plan = planned(asked("in/a.png", "in/b.png", output="out"))
    (pool,) = make_workers(plan)
    assert pool.options.tile == 48
    assert len(plan.done) == 1


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


def test_a_bad_file_stops_nothing_and_is_not_tried_again(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    Path("in/c.png").write_bytes(b"no picture")
    result = run(asked())
    assert result.done == 1
    assert [Path(failure.source).name for failure in result.failures] == ["b.png"]
    plan = planned(asked())
    assert plan.tasks == []
    assert [Path(failure.source).name for failure in plan.failed_before] == ["b.png", "c.png"]
    assert "truncated" in plan.failed_before[0].reason
    assert [Path(task.source).name for task in planned(asked(retry_failed=True)).tasks] == ["b.png"]
    Path("in/b.png").write_bytes(whole)
    assert run(asked()).done == 1


@pytest.mark.slow
def test_a_failure_is_tried_again_where_more_is_accepted(asked: Asked, make_picture: MakePicture) -> None:
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    options = asked()
    assert len(run(options).failures) == 1
    lenient = replace(options.upscale, limits=replace(options.upscale.limits, allow_truncated=True))
    assert run(replace(options, upscale=lenient)).done == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_takes_no_more_stops_all_and_is_nobodys_failure(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for index in range(4):
        make_picture(f"in/{index}.png", 9 + index, 9)
    save = Image.Image.save

    def refuse(image: Image.Image, file: BinaryIO, *rest: object, **parameters: object) -> None:
        if image.width != 18:  # the others than 0.png's result
            file.write(b"half")
            raise OSError(number, os.strerror(number))
        save(image, file, *rest, **parameters)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", refuse)
        result = run(asked())
    assert (result.done + result.remaining, result.failures) == (4, [])
    assert result.done <= 1  # none, where another picture's writing came first
    assert "cannot be written" in str(result.stopped)
    assert sorted(results()) == ["0.png"][: result.done]
    assert run(asked()).done == result.remaining


def test_a_manifest_that_takes_no_more_stops_all(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])  # whose failure shall be noted

    def refuse(own: Manifest, entry: Entry) -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise TargetError(f"{own.path} cannot be written") from full

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "add", refuse)
        result = run(asked())
    assert (result.done, result.remaining, result.failures) == (0, 2, [])
    assert str(result.stopped) == "in_x2/.esrt-manifest.jsonl cannot be written"
    assert results() == {}
    again = run(asked())
    assert (again.done, len(again.failures)) == (1, 1)


@pytest.mark.slow
def test_a_folder_that_goes_away_is_not_made_anew(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(40):
        make_picture(f"in/{index:02}.png", 9 + index, 40)

    def unplug(ended: Ended) -> None:
        if Path("in_x2").exists():
            Path("in_x2").rename("unplugged")

    result = run(asked(), unplug)
    assert (result.failures, result.done + result.remaining) == ([], 40)
    assert result.remaining > 0
    assert not Path("in_x2").exists()
    Path("unplugged").rename("in_x2")
    assert planned(asked()).refused == []
    assert run(asked()).done > 0
    assert len(results()) == 40


def test_a_folder_that_goes_away_between_the_look_and_the_write_is_not_made_anew(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/below/a.png")

    def unplug(upscaled: Upscaled, size: SizePlan, depth: int) -> Upscaled:
        Path("in_x2").rename("unplugged")
        return finish(upscaled, size, depth)

    monkeypatch.setattr(workers, "finish", unplug)
    result = run(asked())
    assert (result.done, result.remaining, result.failures) == (0, 1, [])
    assert not Path("in_x2").exists()


def test_a_picture_that_went_away_is_tried_again_when_it_is_back(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 9, 9)
    plan = planned(asked())
    whole.rename("b.png")
    result = run_folder(plan, make_workers(plan), lambda ended: None, StopRequest())
    assert (result.done, [Path(failure.source).name for failure in result.failures]) == (1, ["b.png"])
    Path("b.png").rename(whole)
    assert run(asked()).done == 1


def test_a_source_drive_that_went_away_stops_all(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    plan = planned(asked())
    Path("in").rename("unplugged")
    result = run_folder(plan, make_workers(plan), lambda ended: None, StopRequest())
    assert (result.done, result.remaining, result.failures) == (0, 1, [])


def test_a_lock_that_fails_ends_the_run(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def refuse(lock: RunLock, name: str) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(RunLock, "claim", refuse)
    monkeypatch.setattr(RunLock, "release", refuse)
    result = run(asked())
    assert (result.done, result.remaining, str(result.stopped)) == (0, 1, "in_x2 cannot be locked: Input/output error")


def test_a_device_that_is_lost_is_nobodys_failure(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def lost(*arguments: object) -> list[tuple[workers.LoadedTask, Upscaled]]:
        raise DeviceError("the device is lost")

    monkeypatch.setattr(workers, "enlarge_group", lost)
    result = run(asked())
    assert (str(result.stopped), result.remaining, result.failures) == ("the device is lost", 1, [])


def test_one_spoiled_picture_of_a_group_fails_alone(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(5):
        make_picture(f"in/{index}.png")
    make = workers.enlarge_group

    def spoiled(group: list[workers.LoadedTask], *rest: object) -> list[tuple[workers.LoadedTask, Upscaled]]:
        if any(Path(item.task.source).name == "3.png" for item in group):
            raise OptionError("not this one")
        return make(group, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "enlarge_group", spoiled)
    result = run(asked())
    assert result.done == 4
    assert [(Path(failure.source).name, failure.reason) for failure in result.failures] == [("3.png", "not this one")]
