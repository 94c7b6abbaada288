"""Pictures by the weights that suit them: bundled networks, real files."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from esrt_core import Upscaler
from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_crew import make_crew
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.folder_plan import plan_folder
from esrt_core.pipeline.folder_run import Ended, Stop, run_folder
from esrt_core.pipeline.inputs import Input
from esrt_core.pipeline.options import UpscaleOptions
from esrt_core.pipeline.plan import plan_upscale
from esrt_core.pipeline.sizes import SizeRequest, exact
from esrt_core.pipeline.upscale import Result, upscale_picture
from tests.conftest import MakePicture

ENGINE = EngineOptions(device="cpu", threads=1)


@pytest.fixture
def mixed(make_picture: MakePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of one picture without loss and the same one as a JPEG of quality 50, and enter its parent."""
    monkeypatch.chdir(tmp_path)
    Image.open(make_picture("in/a.png")).save("in/b.jpg", quality=50)
    return Path("in")


def upscaled(path: Path, options: UpscaleOptions) -> Result:
    engines = Engines(options.model, options.engine)
    return upscale_picture(plan_upscale(Input(path), options, engines.lineups), engines)


def asked(scale: str, model: str = "auto") -> UpscaleOptions:
    return UpscaleOptions(SizeRequest(factor=exact(scale, "scale")), output="one/", model=model, engine=ENGINE)


def test_a_folder_gives_every_picture_the_bytes_it_gets_by_itself(mixed: Path) -> None:
    options = FolderOptions(("in",), upscale=replace(asked("2"), output=None))
    plan = plan_folder(options, Engines("auto", ENGINE))
    ended = list[Ended]()
    run_folder(plan, make_crew(plan), ended.append, Stop())
    assert {Path(each.result.source).name: each.result.model for each in ended if each.result} == {
        "a.png": "clean",
        "b.jpg": "photo",
    }
    for name in ("a.png", "b.jpg"):
        single = Path(upscaled(mixed / name, asked("2")).target)
        assert single.read_bytes() == Path("in_x2", name).read_bytes()


def test_the_choice_is_what_naming_it_gives(mixed: Path) -> None:
    first = Path(upscaled(mixed / "b.jpg", asked("4")).target).read_bytes()
    named = upscaled(mixed / "b.jpg", replace(asked("4", "photo"), output="two/"))
    assert Path(named.target).read_bytes() == first
    assert named.reason == ""
    clean = upscaled(mixed / "b.jpg", replace(asked("4", "clean"), output="three/"))
    assert Path(clean.target).read_bytes() != first


def test_by_three_photo_means_four_and_down(mixed: Path) -> None:
    result = upscaled(mixed / "b.jpg", asked("3"))
    assert (result.model, result.passes, result.resampled, result.size) == ("photo", (4,), True, (60, 36))


def test_by_three_drawing_means_four_and_down(mixed: Path) -> None:
    result = upscaled(mixed / "a.png", asked("3", "drawing"))
    assert (result.model, result.passes, result.resampled, result.size) == ("drawing", (4,), True, (60, 36))


def test_in_a_chain_every_pass_is_drawing(mixed: Path) -> None:
    engines = Engines("drawing", ENGINE)
    plan = plan_upscale(Input(mixed / "a.png"), asked("8", "drawing"), engines.lineups)
    upscale_picture(plan, engines)
    assert set(engines._upscalers) == {("drawing", scale) for scale in plan.size.passes}


def test_in_a_chain_only_the_first_pass_is_photo(mixed: Path) -> None:
    engines = Engines("auto", ENGINE)
    plan = plan_upscale(Input(mixed / "b.jpg"), asked("6"), engines.lineups)
    upscale_picture(plan, engines)
    assert plan.size.passes == (2, 3)
    assert set(engines._upscalers) == {("photo", 2), ("clean", 3)}


def test_pictures_in_memory_are_chosen_by_their_tables_too(mixed: Path) -> None:
    jpeg = Image.open(mixed / "b.jpg")
    chosen = Upscaler(2, device="cpu", threads=1).upscale(jpeg)
    assert chosen.tobytes() == Upscaler(2, "photo", "cpu", threads=1).upscale(jpeg).tobytes()
    plain = Upscaler(2, device="cpu", threads=1).upscale(jpeg.copy())
    assert plain.tobytes() == Upscaler(2, "clean", "cpu", threads=1).upscale(jpeg).tobytes()
