"""Which weights make the passes of a picture.

What a file's compression has taken.

Pictures by the weights that suit them: bundled networks, real files.
"""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from esrt_core import Upscaler
from esrt_core.engine.options import EngineOptions
from esrt_core.errors import WeightsError
from esrt_core.media.image.decode import probe
from esrt_core.media.image.picture import ReadLimits
from esrt_core.media.video.probe import probe_clip
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import plan_folder
from esrt_core.pipeline.batch.run import Ended, StopRequest, run_folder
from esrt_core.pipeline.batch.workers import make_workers
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, plan_upscale
from esrt_core.pipeline.image.run import Result, upscale_picture
from esrt_core.pipeline.sizes import SizeRequest, exact
from esrt_core.selection import (
    CLEAN_FROM_CLIP_BITS,
    CLEAN_FROM_QUALITY,
    CLEAN_FROM_QUALITY_SUBSAMPLED,
    ModelChain,
    UpscalerPool,
    assess_clip,
    assess_image,
    assess_pillow_image,
    find_chains,
    single_chain,
)
from tests.conftest import MakePicture, WeightsOf
from tests.pipeline.clips import make, picture, x264


def test_auto_gives_damaged_pictures_photo_weights_and_the_others_clean_ones() -> None:
    selector = find_chains("auto")
    damaged = selector.choose("JPEG of quality 70")
    assert (damaged.first, damaged.later, damaged.reason) == ("photo", "clean", "JPEG of quality 70")
    assert selector.choose(None).first == "clean"
    assert selector.choose(None).reason


@pytest.mark.parametrize("damage", [None, "JPEG of quality 70"])
@pytest.mark.parametrize("model", ["clean", "photo", "drawing"])
def test_a_named_model_is_taken_whatever_the_picture_is(model: str, damage: str | None) -> None:
    chain = find_chains(model).choose(damage)
    assert (chain.first, chain.reason) == (model, "")


def test_only_the_first_pass_sees_the_damage() -> None:
    chain = find_chains("photo").plain
    assert [chain.model(pass_index) for pass_index in range(3)] == ["photo", "clean", "clean"]
    assert chain.scales == (2, 4)
    assert chain.later_scales == (2, 3, 4)


def test_drawing_weights_make_every_pass() -> None:
    assert find_chains("drawing").all() == (single_chain("drawing", (2, 4)),)


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


def damage(content: bytes) -> str | None:
    return assess_image(probe(content, ReadLimits()))


@pytest.mark.parametrize(
    ("subsampling", "good"),
    [("4:4:4", CLEAN_FROM_QUALITY), ("4:2:2", CLEAN_FROM_QUALITY_SUBSAMPLED), ("4:2:0", CLEAN_FROM_QUALITY_SUBSAMPLED)],
)
def test_a_jpeg_is_judged_by_its_tables_and_its_color(subsampling: str, good: int) -> None:
    assert damage(saved("JPEG", quality=60, subsampling=subsampling)) == "JPEG of quality 60"
    assert damage(saved("JPEG", quality=good - 1, subsampling=subsampling)) is not None
    assert damage(saved("JPEG", quality=good, subsampling=subsampling)) is None
    image = Image.open(BytesIO(saved("JPEG", quality=94, subsampling=subsampling)))
    assert (assess_pillow_image(image) is None) == (good == CLEAN_FROM_QUALITY)


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_lossy_formats_of_today_are_judged_by_their_bits(format_: str) -> None:
    info = probe(saved(format_, quality=70), ReadLimits())
    pixels = info.width * info.height
    good = info.format.clean_from_bits
    assert good is not None
    assert assess_image(replace(info, byte_size=pixels // 8)) == f"{info.format.label} of 1 bits per pixel"
    assert assess_image(replace(info, byte_size=round(1.01 * good * pixels / 8))) is None


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP", "GIF"])
def test_lossless_formats_do_not(format_: str) -> None:
    assert damage(saved(format_)) is None


def test_lossless_webp_does_not() -> None:
    assert damage(saved("WEBP", lossless=True)) is None


def test_a_pillow_image_knows_its_tables_until_it_is_changed() -> None:
    image = Image.open(BytesIO(saved("JPEG", quality=50)))
    assert assess_pillow_image(image) == "JPEG of quality 50"
    assert assess_pillow_image(image.resize((10, 10))) is None
    assert assess_pillow_image(Image.open(BytesIO(saved("PNG")))) is None


def test_a_clip_is_judged_by_its_codec_and_its_bits(tmp_path: Path) -> None:
    clip = probe_clip(make(tmp_path / "a.mkv", *picture(), *x264()))
    frame = clip.video.width * clip.video.height * clip.video.timing.frames / 8
    assert assess_clip(replace(clip, size=round(0.15 * frame))) == "h264 of 0.15 bits per pixel"
    assert assess_clip(replace(clip, size=round(1.01 * CLEAN_FROM_CLIP_BITS * frame))) is None
    modern = replace(clip, size=round(0.5 * CLEAN_FROM_CLIP_BITS * frame), video=replace(clip.video, codec="hevc"))
    assert assess_clip(modern) is None
    whole = replace(clip, size=1, video=replace(clip.video, codec="prores"))
    assert assess_clip(whole) is None


ENGINE = EngineOptions(device="cpu", threads=1)


@pytest.fixture
def mixed(make_picture: MakePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of one picture without loss and the same one as a JPEG of quality 50, and enter its parent."""
    monkeypatch.chdir(tmp_path)
    Image.open(make_picture("in/a.png")).save("in/b.jpg", quality=50)
    return Path("in")


def upscaled(path: Path, options: UpscaleOptions) -> Result:
    pool = UpscalerPool(options.model, options.engine)
    return upscale_picture(plan_upscale(Input(path), options, pool.selector), pool)


def requested(scale: str, model: str = "auto") -> UpscaleOptions:
    return UpscaleOptions(SizeRequest(factor=exact(scale, "scale")), output="one/", model=model, engine=ENGINE)


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


def test_the_choice_is_what_naming_it_gives(mixed: Path) -> None:
    first = Path(upscaled(mixed / "b.jpg", requested("4")).target).read_bytes()
    named = upscaled(mixed / "b.jpg", replace(requested("4", "photo"), output="two/"))
    assert Path(named.target).read_bytes() == first
    assert named.reason == ""
    clean = upscaled(mixed / "b.jpg", replace(requested("4", "clean"), output="three/"))
    assert Path(clean.target).read_bytes() != first


def test_by_three_photo_means_four_and_down(mixed: Path) -> None:
    result = upscaled(mixed / "b.jpg", requested("3"))
    assert (result.model, result.passes, result.resampled, result.size) == ("photo", (4,), True, (60, 36))


def test_x3_of_a_drawing_is_x4_reduced(mixed: Path) -> None:
    result = upscaled(mixed / "a.png", requested("3", "drawing"))
    assert (result.model, result.passes, result.resampled, result.size) == ("drawing", (4,), True, (60, 36))


def test_every_pass_of_a_drawing_has_drawing_weights(mixed: Path) -> None:
    pool = UpscalerPool("drawing", ENGINE)
    plan = plan_upscale(Input(mixed / "a.png"), requested("8", "drawing"), pool.selector)
    upscale_picture(plan, pool)
    assert set(pool._upscalers) == {("drawing", scale) for scale in plan.size.passes}


def test_in_a_chain_only_the_first_pass_is_photo(mixed: Path) -> None:
    pool = UpscalerPool("auto", ENGINE)
    plan = plan_upscale(Input(mixed / "b.jpg"), requested("6"), pool.selector)
    upscale_picture(plan, pool)
    assert plan.size.passes == (2, 3)
    assert set(pool._upscalers) == {("photo", 2), ("clean", 3)}


def test_pictures_in_memory_are_chosen_by_their_tables_too(mixed: Path) -> None:
    jpeg = Image.open(mixed / "b.jpg")
    chosen = Upscaler(2, device="cpu", threads=1).upscale(jpeg)
    assert chosen.tobytes() == Upscaler(2, "photo", "cpu", threads=1).upscale(jpeg).tobytes()
    plain = Upscaler(2, device="cpu", threads=1).upscale(jpeg.copy())
    assert plain.tobytes() == Upscaler(2, "clean", "cpu", threads=1).upscale(jpeg).tobytes()
