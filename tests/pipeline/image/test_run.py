"""Plans carried out, from file to file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaled, Upscaler
from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Picture, ReadLimits, Source
from esrt_core.pipeline.image import plan as plan_module
from esrt_core.pipeline.image import run
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, UpscalePlan, check_distinct, plan_upscale
from esrt_core.pipeline.image.run import LONG, estimate, upscale_picture
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture, WeightsOf
from tests.pipeline.conftest import PoolOf

Planner = Callable[..., UpscalePlan]


@pytest.fixture
def plan(pool_of: PoolOf) -> Planner:
    """Return what plans a picture for tiny x2 weights."""

    def planned(source: Path | bytes, options: UpscaleOptions | None = None) -> UpscalePlan:
        return plan_upscale(Input(source), options or UpscaleOptions(), pool_of(2).selector)

    return planned


def animation(path: Path, frames: int = 3) -> Path:
    pictures = [Image.new("RGB", (10, 8), (80 * index, 0, 255)) for index in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 200, 300][:frames], loop=0)
    return path


def test_the_result_says_what_was_done(make_picture: MakePicture, pool_of: PoolOf, plan: Planner) -> None:
    source = make_picture()
    result = upscale_picture(plan(source), pool_of(2))
    assert result.target == str(source.with_name("a_x2.png"))
    assert (result.source_size, result.size, result.passes, result.pages) == ((20, 12), (40, 24), (2,), 1)
    assert (result.device, result.precision, result.format) == ("cpu", "fp32", "png")
    assert result.computed + result.reused == 1
    assert result.notes == ()


@pytest.mark.parametrize(
    ("name", "noise", "quality", "noted"),
    [
        ("a.png", 0.0, 0, True),
        ("a.png", 12.0, 0, False),
        ("a.jpg", 0.0, 95, True),
        ("a.jpg", 0.0, 30, False),
        ("a.webp", 0.0, 30, False),
    ],
)
def test_cleaning_up_what_has_no_damage_is_said_to_cost_detail(
    pool_of: PoolOf, plan: Planner, tmp_path: Path, name: str, noise: float, quality: int, noted: bool
) -> None:
    y, x = np.mgrid[0:96, 0:96]
    pixels = 128 + 60 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None] + np.zeros(3)
    pixels = pixels + np.random.default_rng(1).normal(0, noise, pixels.shape)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(tmp_path / name, quality=quality)
    result = upscale_picture(plan(tmp_path / name, UpscaleOptions(SizeRequest(factor=Fraction(1)))), pool_of(2))
    assert (run.UNDAMAGED in result.notes) == noted
    assert result.size == (96, 96)


@pytest.mark.parametrize(
    ("factor", "mode", "precision"),
    [(2, "RGB", "bf16"), (4, "RGB", "fp32"), (1.5, "RGB", "fp32"), (2, "I;16", "fp32")],
    ids=["one pass", "two passes", "then down", "16 bits"],
)
def test_the_precision_that_is_said_is_the_one_in_use(
    factor: float, mode: str, precision: str, make_picture: MakePicture, weights_of: WeightsOf, plan: Planner
) -> None:
    source = make_picture("a.png")
    if mode == "I;16":
        Image.fromarray(np.full((12, 20), 40000, np.uint16)).save(source)
    options = UpscaleOptions(SizeRequest(factor=Fraction(factor)))
    planned = plan(source, options)
    bytes_of = {}
    for asked, said in (("bf16", precision), ("fp32", "fp32")):
        pool = UpscalerPool(str(weights_of(2)), EngineOptions(device="cpu", threads=1, precision=asked))
        assert estimate(planned, pool).precision == said
        result = upscale_picture(planned, pool)
        assert result.precision == said
        bytes_of[asked] = Path(result.target).read_bytes()
        Path(result.target).unlink()
    assert (bytes_of["bf16"] == bytes_of["fp32"]) is (precision == "fp32")


@pytest.mark.parametrize("pages", [1, 2])
def test_decoding_ends_before_the_network_and_encoding_begins_after_it(
    pages: int, pool_of: PoolOf, tmp_path: Path, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    upscale = Upscaler.upscale

    def decoded(source: Source, limits: ReadLimits) -> Picture:
        picture = decode(source, limits)

        def each() -> Iterator[Page]:
            for page in picture.pages:
                events.append("decoded")
                yield page

        return replace(picture, pages=each())

    def upscaled(upscaler: Upscaler, frame: Frame, progress: ProgressCallback) -> Upscaled:
        events.append("network")
        return upscale(upscaler, frame, progress)

    def encoded(pages: Iterable[Page], file: Path, name: str, metadata: Metadata, options: EncodeOptions) -> object:
        events.append("encoder")
        return encode(pages, file, name, metadata, options)

    monkeypatch.setattr(run, "decode", decoded)
    monkeypatch.setattr(run, "encode", encoded)
    monkeypatch.setattr(Upscaler, "upscale", upscaled)
    upscale_picture(plan(animation(tmp_path / "a.gif", pages)), pool_of(2))
    one = ["decoded", "network", "encoder"]
    assert events == (one if pages == 1 else ["encoder", "decoded", "network", "decoded", "network"])


def test_the_same_plan_gives_the_same_bytes(
    make_picture: MakePicture, pool_of: PoolOf, tmp_path: Path, plan: Planner
) -> None:
    source, pool = make_picture(), pool_of(2)
    for name in ("one.png", "two.png"):
        upscale_picture(plan(source, UpscaleOptions(output=str(tmp_path / name))), pool)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_an_animation_stays_one(pool_of: PoolOf, tmp_path: Path, plan: Planner) -> None:
    reports: list[Progress] = []
    upscale_picture(plan(animation(tmp_path / "a.gif")), pool_of(2), reports.append)
    with Image.open(tmp_path / "a_x2.gif") as image:
        assert (image.n_frames, image.size) == (3, (20, 16))  # type: ignore[attr-defined]
    assert reports[-1].done == reports[-1].total == 3


def test_an_animation_in_a_still_format_is_its_first_frame_and_that_is_said(
    pool_of: PoolOf, tmp_path: Path, plan: Planner
) -> None:
    result = upscale_picture(plan(animation(tmp_path / "a.gif"), UpscaleOptions(format="jpeg")), pool_of(2))
    assert result.pages == 1
    assert any("only the first of 3 frames" in note for note in result.notes)


def test_pages_of_other_sizes_grow_by_the_same_factor(pool_of: PoolOf, tmp_path: Path, plan: Planner) -> None:
    pages = [Image.new("RGB", (10, 8), "red"), Image.new("RGB", (16, 4), "blue")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    upscale_picture(plan(tmp_path / "a.tif", UpscaleOptions(SizeRequest(width=15))), pool_of(2))
    with Image.open(tmp_path / "a_15w.tif") as image:
        sizes = []
        for index in range(2):
            image.seek(index)
            sizes.append(image.size)
    assert sizes == [(15, 12), (24, 6)]


def test_nothing_appears_when_the_work_fails(make_picture: MakePicture, tmp_path: Path, plan: Planner) -> None:
    source = make_picture()
    planned = plan(source)
    source.write_bytes(source.read_bytes()[:70])
    with pytest.raises(MediaError):
        upscale_picture(planned, UpscalerPool())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_target_that_appeared_meanwhile_is_kept(make_picture: MakePicture, pool_of: PoolOf, plan: Planner) -> None:
    source = make_picture()
    planned = plan(source)
    target = source.with_name("a_x2.png")
    target.write_bytes(b"mine")
    with pytest.raises(TargetError, match="exists"):
        upscale_picture(planned, pool_of(2))
    assert target.read_bytes() == b"mine"


def test_bytes_in_and_a_stream_out(make_picture: MakePicture, pool_of: PoolOf, plan: Planner) -> None:
    planned = plan(make_picture().read_bytes())
    stream = BytesIO()
    result = upscale_picture(planned, pool_of(2), stream=stream)
    with Image.open(stream) as image:
        assert image.size == (40, 24)
    assert (result.source, result.target) == ("standard input", "standard output")
    with pytest.raises(OptionError, match="no stream"):
        upscale_picture(planned, pool_of(2))


def test_a_lossless_webp_stays_lossless(
    make_picture: MakePicture, pool_of: PoolOf, tmp_path: Path, plan: Planner
) -> None:
    Image.open(make_picture()).save(tmp_path / "b.webp", lossless=True)
    assert plan(tmp_path / "b.webp").encode.lossless is True
    upscale_picture(plan(tmp_path / "b.webp"), pool_of(2))
    upscale_picture(plan(tmp_path / "b.webp", UpscaleOptions(format="png")), pool_of(2))
    webp, png = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("b_x2.webp", "b_x2.png"))
    assert (webp == png).all()


def test_limits_count_for_the_input_and_the_result(make_picture: MakePicture, plan: Planner) -> None:
    source = make_picture()
    with pytest.raises(MediaError, match="--max-pixels"):
        plan(source, UpscaleOptions(limits=ReadLimits(max_pixels=239)))
    with pytest.raises(MediaError, match="the result would have 40 x 24 px, more than the 959 px allowed"):
        plan(source, UpscaleOptions(limits=ReadLimits(max_pixels=959)))
    assert plan(source, UpscaleOptions(limits=ReadLimits(max_pixels=960))).size.width == 40


def test_a_disk_that_is_surely_too_full_is_noticed(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch, plan: Planner
) -> None:
    source = make_picture(width=200, height=100)
    monkeypatch.setattr(plan_module, "free_bytes", lambda folder: 1599)
    with pytest.raises(TargetError, match="needs at least 1,600 bytes but only 1,599 are free"):
        plan(source)
    monkeypatch.setattr(plan_module, "free_bytes", lambda folder: 1600)
    plan(source)


def test_a_folder_as_input_names_the_command_for_it(tmp_path: Path, plan: Planner) -> None:
    with pytest.raises(OptionError, match=f"is a folder; use: esrt batch {tmp_path}"):
        plan(tmp_path)


def test_two_plans_for_one_file_are_refused(make_picture: MakePicture, tmp_path: Path, plan: Planner) -> None:
    options = UpscaleOptions(output=f"{tmp_path}/out/")
    plans = [plan(make_picture("x/a.png"), options), plan(make_picture("y/a.png"), options)]
    check_distinct(plans[:1])
    with pytest.raises(OptionError, match=r"would both be written to .*out/a_x2.png"):
        check_distinct(plans)


@pytest.mark.slow
def test_only_long_work_is_estimated(make_picture: MakePicture, pool_of: PoolOf, plan: Planner) -> None:
    pool = pool_of(2)
    short = estimate(plan(make_picture()), pool)
    assert (short.device, short.precision, short.tiles, short.seconds) == ("cpu", "fp32", 1, None)
    side = int(LONG**0.5) + 1
    long = estimate(plan(make_picture("b.png", side, side)), pool)
    assert long.tiles > 1
    assert long.seconds is not None
    assert long.seconds > 0


def test_networks_are_loaded_once(pool_of: PoolOf) -> None:
    pool = pool_of(2)
    assert pool.scales == (2,)
    assert pool.upscaler(2) is pool.upscaler(2)


def test_an_unknown_model_is_refused_before_any_picture() -> None:
    with pytest.raises(Exception, match="nonsense"):
        UpscalerPool("nonsense", EngineOptions())
