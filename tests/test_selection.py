"""Which weights make the passes of a picture.

What a file's compression has taken.

Pictures by the weights that suit them: bundled networks, real files.
"""

from collections import deque
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from esrt_core import Upscaler
from esrt_core.engine.options import EngineOptions
from esrt_core.errors import WeightsError
from esrt_core.evaluation.prediction import Container
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import probe
from esrt_core.media.image.picture import ReadLimits
from esrt_core.media.video.probe import probe_clip
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import Task, plan_folder
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import Ended, StopRequest, run_folder
from esrt_core.pipeline.batch.workers import BatchPipeline, LoadedTask, load_task
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, plan_upscale
from esrt_core.pipeline.image.run import Result, load, upscale_picture
from esrt_core.pipeline.sizes import SizeRequest, exact
from esrt_core.selection import (
    ModelChain,
    UpscalerPool,
    container_of_clip,
    container_of_image,
    container_of_pillow,
    find_chains,
    single_chain,
)
from tests.conftest import WeightsOf
from tests.evaluation.pictures import drawing, jpeg, smooth, texture
from tests.pipeline.clips import make, picture, x264

KINDS = ("clean", "photo", "drawing")


def chosen(pixels: NDArray[np.uint8], container: Container = Container(), factor: int = 2) -> ModelChain:  # noqa: B008
    return find_chains("auto").choose([Frame((pixels,))], container, Fraction(factor))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_auto_gives_damaged_pictures_photo_weights_and_the_others_clean_ones(factor: int) -> None:
    damaged = chosen(jpeg(texture(), 50), factor=factor)
    assert (damaged.first, damaged.later) == ("photo", "clean")
    assert damaged.reason == "looks like a JPEG of quality 50"
    plain = chosen(texture(), factor=factor)
    assert (plain.first, plain.later, plain.reason) == ("clean", "clean", "no damage seen")


def test_auto_gives_noisy_pictures_photo_weights() -> None:
    noise = np.random.default_rng(0).normal(0, 8, (160, 192, 1))
    noisy = chosen(np.asarray((smooth() + noise).clip(0, 255).round(), np.uint8))
    assert (noisy.first, noisy.reason) == ("photo", "noise")


def test_auto_gives_drawings_drawing_weights() -> None:
    drawn = chosen(drawing())
    assert (drawn.first, drawn.later, drawn.reason) == ("drawing", "drawing", "drawing")


def test_what_the_file_says_goes_before_what_it_looks_like() -> None:
    assert chosen(jpeg(texture(), 50), Container(quality=50)).reason == "JPEG of quality 50"
    assert chosen(texture(), Container("webp", 1.234)).reason == "WebP of 1.2 bits per pixel"


def test_the_dearest_chain_is_planned_and_the_size_does_not_depend_on_the_choice(mixed: Path) -> None:
    pool = UpscalerPool("auto", ENGINE)
    plan = plan_upscale(Input(mixed / "b.jpg"), requested("3"), pool.selector)
    assert plan.size.passes == (3,)
    assert (plan.is_open, plan.model, plan.reason) == (True, "auto", "by pixels")
    sizes = {(size.width, size.height) for size in map(plan._size_with, pool.selector.all())}
    assert sizes == {(plan.size.width, plan.size.height)}
    assert {chain.first: passes for chain, passes in plan.choices} == dict.fromkeys(KINDS, (3,))
    loaded = load(plan).plan
    assert (loaded.is_open, loaded.model, loaded.reason) == (False, "photo", "JPEG of quality 50")


@pytest.mark.parametrize("model", KINDS)
def test_a_named_model_is_taken_whatever_the_picture_is(model: str) -> None:
    chain = find_chains(model).choose([Frame((jpeg(texture(), 50),))], Container(quality=50), Fraction(2))
    assert (chain.first, chain.reason) == (model, "")


def test_only_the_first_pass_sees_the_damage() -> None:
    chain = find_chains("photo").plain
    assert [chain.model(pass_index) for pass_index in range(3)] == ["photo", "clean", "clean"]
    assert chain.scales == chain.later_scales == (2, 3, 4)


def test_drawing_weights_make_every_pass() -> None:
    assert find_chains("drawing").all() == (single_chain("drawing", (2, 3, 4)),)


def test_weights_of_ones_own_make_all_passes(weights_of: WeightsOf) -> None:
    path = str(weights_of(3))
    assert find_chains(path).all() == (single_chain(path, (3,)),)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(WeightsError, match="nonsense"):
        find_chains("nonsense")


def test_engines_of_two_line_ups_share_their_networks(weights_of: WeightsOf) -> None:
    two, four = str(weights_of(2)), str(weights_of(4))
    pool = UpscalerPool(two)
    other = pool.for_chain(ModelChain(four, (4,), two, (2,)))
    assert (pool.model, other.model, other.scales) == (two, four, (4,))
    assert other.upscaler(2, pass_index=1) is pool.upscaler(2)
    assert other.upscaler(4) is not other.upscaler(2, pass_index=1)
    assert (other.weights(4).path, other.weights(2, 1).path) == (weights_of(4), weights_of(2))


def saved(format_: str, **options: object) -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((40, 30)).save(file, format_, **options)
    return file.getvalue()


def container(content: bytes) -> Container:
    return container_of_image(probe(content, ReadLimits()))


def test_a_jpeg_says_its_quality() -> None:
    content = saved("JPEG", quality=60)
    assert container(content) == Container(quality=60)
    assert container_of_pillow(Image.open(BytesIO(content))) == Container(quality=60)
    assert container_of_pillow(Image.open(BytesIO(content)).resize((10, 10))) == Container()


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_lossy_formats_of_today_say_their_bits(format_: str) -> None:
    content = saved(format_, quality=70)
    assert container(content) == Container(format_.lower(), 8 * len(content) / 1200)


@pytest.mark.parametrize("content", [saved(name) for name in ("PNG", "TIFF", "BMP", "GIF")])
def test_lossless_formats_say_nothing(content: bytes) -> None:
    assert container(content) == Container()


def test_lossless_webp_says_nothing() -> None:
    assert container(saved("WEBP", lossless=True)) == Container()


def test_a_clip_says_its_codec_and_the_bits_of_its_picture(tmp_path: Path) -> None:
    clip = probe_clip(make(tmp_path / "a.mkv", *picture(), *x264()))
    pixels = clip.video.width * clip.video.height * clip.video.timing.frames
    assert 0 < clip.video.byte_size < clip.size
    assert container_of_clip(clip) == Container("h264", 8 * clip.video.byte_size / pixels)
    assert container_of_clip(replace(clip, video=replace(clip.video, codec="av1"))).codec == "hevc"
    assert container_of_clip(replace(clip, video=replace(clip.video, codec="prores"))) == Container()


ENGINE = EngineOptions(device="cpu", threads=1)


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of one picture without loss and the same one as a JPEG of quality 50, and enter its parent."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.fromarray(texture(160, 192)).save("in/a.png")
    Image.fromarray(texture(160, 192)).save("in/b.jpg", quality=50)
    return Path("in")


def upscaled(path: Path, options: UpscaleOptions) -> Result:
    pool = UpscalerPool(options.model, options.engine)
    return upscale_picture(plan_upscale(Input(path), options, pool.selector), pool)


def requested(scale: str, model: str = "auto") -> UpscaleOptions:
    return UpscaleOptions(SizeRequest(factor=exact(scale, "scale")), output="one/", model=model, engine=ENGINE)


@pytest.mark.slow
def test_a_folder_gives_every_picture_the_bytes_it_gets_by_itself(mixed: Path) -> None:
    options = FolderOptions(("in",), upscale=replace(requested("2"), output=None))
    plan = plan_folder(options, UpscalerPool("auto", ENGINE))
    ended = list[Ended]()
    run_folder(plan, make_workers(plan), ended.append, StopRequest())
    assert {Path(each.result.source).name: each.result.model for each in ended if each.result} == {
        "a.png": "clean",
        "b.jpg": "photo",
    }
    for name in ("a.png", "b.jpg"):
        single = Path(upscaled(mixed / name, requested("2")).target)
        assert single.read_bytes() == Path("in_x2", name).read_bytes()


@pytest.mark.slow
def test_the_choice_is_what_naming_it_gives(mixed: Path) -> None:
    first = Path(upscaled(mixed / "b.jpg", requested("4")).target).read_bytes()
    named = upscaled(mixed / "b.jpg", replace(requested("4", "photo"), output="two/"))
    assert Path(named.target).read_bytes() == first
    assert named.reason == ""
    clean = upscaled(mixed / "b.jpg", replace(requested("4", "clean"), output="three/"))
    assert Path(clean.target).read_bytes() != first


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_weights_of_its_own_for_x3(kind: str, mixed: Path) -> None:
    result = upscaled(mixed / "b.jpg", requested("3", kind))
    assert (result.model, result.passes, result.resampled, result.size) == (kind, (3,), False, (576, 480))


@pytest.mark.slow
def test_every_pass_of_a_drawing_has_drawing_weights(mixed: Path) -> None:
    pool = UpscalerPool("drawing", ENGINE)
    plan = plan_upscale(Input(mixed / "a.png"), requested("8", "drawing"), pool.selector)
    upscale_picture(plan, pool)
    assert set(pool._upscalers) == {("drawing", scale) for scale in plan.size.passes}


@pytest.mark.slow
def test_in_a_chain_only_the_first_pass_is_photo(mixed: Path) -> None:
    pool = UpscalerPool("auto", ENGINE)
    plan = plan_upscale(Input(mixed / "b.jpg"), requested("6"), pool.selector)
    assert upscale_picture(plan, pool).passes == (2, 3)
    assert set(pool._upscalers) == {("photo", 2), ("clean", 3)}


@pytest.mark.slow
def test_pictures_in_memory_are_looked_at_too(mixed: Path) -> None:
    jpeg = Image.open(mixed / "b.jpg")
    by_auto = Upscaler(2, device="cpu", threads=1)
    photo = Upscaler(2, "photo", "cpu", threads=1).upscale(jpeg)
    assert by_auto.upscale(jpeg).tobytes() == photo.tobytes()
    assert by_auto.upscale(jpeg.copy()).tobytes() == photo.tobytes()
    assert (by_auto.upscale(np.asarray(jpeg)) == np.asarray(photo)).all()
    plain = Image.open(mixed / "a.png")
    assert by_auto.upscale(plain).tobytes() == Upscaler(2, "clean", "cpu", threads=1).upscale(plain).tobytes()


def test_kinds_that_take_turns_still_share_batches(mixed: Path) -> None:
    for name in "ceg":
        Image.open(mixed / "a.png").save(mixed / f"{name}.png")
    for name in "df":
        Image.open(mixed / "b.jpg").save(mixed / f"{name}.jpg", quality=50)
    pool = UpscalerPool("auto", ENGINE)
    plan = plan_folder(FolderOptions(("in",), upscale=replace(requested("2"), output=None)), pool)
    items = [load_task(task) for task in plan.tasks]
    assert [item.loaded.plan.chain.first for item in items] == ["clean", "photo"] * 3 + ["clean"]
    pipeline = BatchPipeline(plan, {}, [pool], lambda task: None)
    for item in items[1:]:
        pipeline._loaded.put(item)
    group, held = items[:1], deque[LoadedTask | Task]()
    pipeline._fill(group, held, pool)
    assert len(group) > 1
    assert {item.batch_key for item in group} == {items[0].batch_key}
    taken = {id(item) for item in group}
    passed = items[: len(group) + len(held)]
    assert [id(item) for item in held] == [id(item) for item in passed if id(item) not in taken]
