"""Folders run with tiny networks: the bytes, and what is left behind."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.files import TEMPORARY_MARK
from esrt_core.pipeline import folder_stages
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_crew import make_crew
from esrt_core.pipeline.inputs import Input
from esrt_core.pipeline.plan import plan_upscale
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.pipeline.upscale import upscale_picture
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run


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


def test_what_dead_runs_left_is_removed_and_nothing_else(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in_x2").mkdir()
    for name in (f".a.0123456789ab{TEMPORARY_MARK}.png", f".b.0123456789ab{TEMPORARY_MARK}.png", ".a.png"):
        Path("in_x2", name).write_bytes(b"half")
    result = run(asked())
    assert result.leftovers == 1
    assert sorted(results()) == [".a.png", f".b.0123456789ab{TEMPORARY_MARK}.png", "a.png"]


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
