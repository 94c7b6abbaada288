"""The Python API: pictures in memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import esrt_core
from esrt_core import (
    EsrtError,
    MediaError,
    OptionError,
    Progress,
    Upscaler,
    WeightsError,
    upscale,
    upscale_clip,
    upscale_folder,
)
from esrt_core.pipeline.batch.run import Ended
from tests.conftest import MakePicture, WeightsOf
from tests.pipeline.clips import make, picture, x264

RNG = np.random.default_rng(11)
Kind = type[np.uint8] | type[np.uint16] | type[np.float32]


@pytest.fixture
def tiny(weights_of: WeightsOf) -> Upscaler:
    return Upscaler(2, str(weights_of(2)), "cpu", threads=1)


def noise(shape: tuple[int, ...], kind: Kind) -> NDArray[Any]:
    if kind is np.float32:
        return RNG.random(shape).astype(np.float32)
    return RNG.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)  # type: ignore[type-var]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4), (1, 1), (2, 30, 3)])
def test_an_array_keeps_its_layout_and_type(tiny: Upscaler, kind: Kind, shape: tuple[int, ...]) -> None:
    larger = tiny.upscale(noise(shape, kind))
    assert larger.dtype == kind
    assert larger.shape == (shape[0] * 2, shape[1] * 2, *shape[2:])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("I;16", "I;16"),
        ("F", "F"),
    ],
)
def test_an_image_of_any_mode_gives_an_image(tiny: Upscaler, mode: str, expected: str) -> None:
    colors = Image.fromarray(noise((8, 10, 4), np.uint8))
    opaque = mode not in ("LA", "RGBA")
    source = (
        Image.fromarray(noise((8, 10), np.uint16)) if mode == "I;16" else colors.convert("RGB" if opaque else "RGBA")
    )
    image = source if source.mode == mode else source.convert(mode)
    larger = tiny.upscale(image)
    assert isinstance(larger, Image.Image)
    assert (larger.mode, larger.size) == (expected, (20, 16))


def test_an_image_and_its_array_give_the_same_pixels(tiny: Upscaler) -> None:
    pixels = noise((8, 10, 3), np.uint8)
    assert (np.asarray(tiny.upscale(Image.fromarray(pixels))) == tiny.upscale(pixels)).all()


def test_float_values_beyond_one_keep_their_range(tiny: Upscaler) -> None:
    image = Image.fromarray(np.full((8, 8), 300, np.float32))
    assert np.asarray(tiny.upscale(image)).mean() == pytest.approx(300, rel=0.05)


def test_an_image_keeps_its_information(tiny: Upscaler) -> None:
    image = Image.new("RGB", (6, 6))
    image.info.update(dpi=(300, 300), icc_profile=b"profile", comment="dropped", transparency=(0, 0, 0))
    larger = tiny.upscale(image)
    assert larger.info == {"dpi": (300, 300), "icc_profile": b"profile"}
    assert "icc_profile" not in tiny.upscale(Image.new("CMYK", (6, 6))).info


def test_any_factor_is_reached_exactly(weights_of: WeightsOf) -> None:
    assert Upscaler(2.5, str(weights_of(3))).upscale(noise((3, 5), np.uint8)).shape == (8, 13)
    assert Upscaler(None, str(weights_of(3))).upscale(noise((3, 5), np.uint8)).shape == (9, 15)


def test_the_short_form_makes_it_four_times_as_large() -> None:
    reports: list[Progress] = []
    larger = upscale(noise((6, 8, 3), np.uint8), progress=reports.append)
    assert larger.shape == (24, 32, 3)
    assert (reports[-1].done, reports[-1].total, reports[-1].unit) == (1, 1, "tiles")


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.int64), np.zeros(4, np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_an_array_that_is_no_picture_is_refused(tiny: Upscaler, array: NDArray[Any]) -> None:
    with pytest.raises(MediaError, match="unsupported array"):
        tiny.upscale(array)


def test_values_that_are_not_finite_are_refused(tiny: Upscaler) -> None:
    with pytest.raises(MediaError, match="NaN or infinite"):
        tiny.upscale(np.full((4, 4), np.nan, np.float32))


def test_bad_arguments_raise_errors_of_one_tree() -> None:
    with pytest.raises(OptionError, match="scale must be at least 1"):
        Upscaler(0.5)
    with pytest.raises(WeightsError, match="nonsense"):
        Upscaler(2, "nonsense")
    with pytest.raises(EsrtError, match="quantum"):
        Upscaler(2, device="quantum")


def test_the_package_offers_its_names_lazily() -> None:
    assert set(esrt_core.__all__) <= set(dir(esrt_core))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = esrt_core.nonsense
    script = "import sys; from esrt_core import EsrtError; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_folder_is_upscaled_and_resumed(make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_picture(f"in/{name}.png", 20, 12)
    (tmp_path / "in" / "broken.png").write_bytes(b"nothing")
    ended: list[Ended] = []
    model = str(weights_of(2))
    first = upscale_folder(
        tmp_path / "in",
        tmp_path / "out",
        2,
        model,
        "cpu",
        on_end=ended.append,
    )
    assert (first.done, sorted(Path(each.task.source).name for each in ended)) == (2, ["a.png", "b.png"])
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (40, 24)
    make_picture("in/c.png", 20, 12)
    assert upscale_folder([tmp_path / "in"], tmp_path / "out", 2, model, "cpu").done == 1
    with pytest.raises(OptionError, match="does not exist"):
        upscale_folder(tmp_path / "gone", model=model)


def test_a_clip_is_upscaled(weights_of: WeightsOf, tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", *picture("48x32", "5", 1), *x264())
    reports: list[Progress] = []
    result = upscale_clip(clip, tmp_path / "large.mp4", 2, str(weights_of(2)), "cpu", progress=reports.append)
    assert (result.size, result.frames, result.target) == ((96, 64), 5, str(tmp_path / "large.mp4"))
    assert reports[-1].done == 5
