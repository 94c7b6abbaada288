"""What goes wrong in a folder: one bad file, and what concerns every picture."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from esrt_core.errors import DeviceError, OptionError, TargetError
from esrt_core.manifest import Entry, Manifest
from esrt_core.pipeline import folder_flow, folder_stages
from esrt_core.pipeline.folder_crew import make_crew
from esrt_core.pipeline.folder_run import Ended, Stop, run_folder
from esrt_core.run_lock import RunLock
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


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
    assert (result.done + result.left, result.failures) == (4, [])
    assert result.done <= 1  # none, where another picture's writing came first
    assert "cannot be written" in str(result.stopped)
    assert sorted(results()) == ["0.png"][: result.done]
    assert run(asked()).done == result.left


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
    assert (result.done, result.left, result.failures) == (0, 2, [])
    assert str(result.stopped) == "in_x2/.esrt-manifest.jsonl cannot be written"
    assert results() == {}
    again = run(asked())
    assert (again.done, len(again.failures)) == (1, 1)


def test_a_folder_that_goes_away_is_not_made_anew(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(40):
        make_picture(f"in/{index:02}.png", 9 + index, 40)

    def unplug(ended: Ended) -> None:
        if Path("in_x2").exists():
            Path("in_x2").rename("unplugged")

    result = run(asked(), unplug)
    assert (result.failures, result.done + result.left) == ([], 40)
    assert result.left > 0
    assert not Path("in_x2").exists()
    Path("unplugged").rename("in_x2")
    assert planned(asked()).refused == []
    assert run(asked()).done > 0
    assert len(results()) == 40


def test_a_picture_that_went_away_is_tried_again_when_it_is_back(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 9, 9)
    plan = planned(asked())
    whole.rename("b.png")
    result = run_folder(plan, make_crew(plan), lambda ended: None, Stop())
    assert (result.done, [failure.source.name for failure in result.failures]) == (1, ["b.png"])
    Path("b.png").rename(whole)
    assert run(asked()).done == 1


def test_a_source_drive_that_went_away_stops_all(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    plan = planned(asked())
    Path("in").rename("unplugged")
    result = run_folder(plan, make_crew(plan), lambda ended: None, Stop())
    assert (result.done, result.left, result.failures) == (0, 1, [])


def test_a_lock_that_fails_ends_the_run(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def refuse(lock: RunLock, name: str) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(RunLock, "claim", refuse)
    monkeypatch.setattr(RunLock, "release", refuse)
    result = run(asked())
    assert (result.done, result.left, str(result.stopped)) == (0, 1, "in_x2 cannot be locked: Input/output error")


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
