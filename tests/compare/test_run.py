"""Models compared on one picture, with tiny random networks."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.compare.gain import Reduction, trust_of
from esrt_core.compare.options import ComparisonOptions
from esrt_core.compare.run import Comparison, compare_models
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.evaluation.comparison import to_display_rgb
from esrt_core.evaluation.damage import look
from esrt_core.evaluation.prediction import Container, predict_gains
from esrt_core.evaluation.protocol import bicubic, make_lr, psnr_y
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.weights.tensors import load_weights
from tests.conftest import MakePicture, WeightsOf
from tests.evaluation.pictures import jpeg, texture

CPU = EngineOptions(device="cpu", threads=1)


def compared(picture: Path, models: list[Path], target: Path | None = None, limit: int = 10**6) -> Comparison:
    names = tuple(str(model) for model in models)
    return compare_models(ComparisonOptions(picture, names, None, target, CPU, ReadLimits(limit)))


@pytest.fixture
def other(weights_of: WeightsOf, tmp_path: Path) -> Path:
    path = tmp_path / "other_x2.safetensors"
    path.write_bytes(weights_of(2).read_bytes())
    return path


@pytest.mark.slow
def test_the_gain_is_that_of_the_protocol(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    source = make_picture()
    Image.fromarray(texture()).save(source)
    found = compared(source, [weights_of(2)])
    hr = np.asarray(Image.open(source))
    lr = make_lr(hr, 2)
    ours = Upscaler(load_weights(weights_of(2)), CPU).upscale(Frame((lr,))).frame.planes[0]
    baseline, model = psnr_y(bicubic(lr, 2), hr, 2), psnr_y(ours, hr, 2)
    assert [score.label for score in found.scores] == ["bicubic", "ESRT (tiny)"]
    assert [score.psnr for score in found.scores] == [baseline, model]
    assert [score.gain for score in found.scores] == [0, model - baseline]


def test_the_sheet_has_a_column_for_every_candidate(
    make_picture: MakePicture, weights_of: WeightsOf, other: Path
) -> None:
    source = make_picture(width=40, height=40)
    one, two = compared(source, [weights_of(2)]), compared(source, [weights_of(2), other], source.with_name("b.png"))
    assert one.target == str(source.with_name("a_x2_compare.png"))
    widths = [np.asarray(Image.open(found.target)).shape[1] for found in (one, two)]
    assert widths[1] - 12 == (widths[0] - 12) // 3 * 4
    assert [score.label for score in two.scores] == ["bicubic", "ESRT (tiny)", "ESRT (other)"]


def test_models_called_alike_are_told_apart_by_what_was_said(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path
) -> None:
    twin = tmp_path / "tiny_x2.safetensors"
    twin.write_bytes(weights_of(2).read_bytes())
    found = compared(make_picture(), [weights_of(2), twin])
    assert [score.label for score in found.scores[1:]] == [f"ESRT ({weights_of(2)})", f"ESRT ({twin})"]


def test_the_page_is_written_by_its_ending(make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path) -> None:
    found = compared(make_picture(), [weights_of(2)], tmp_path / "page.HTML")
    page = Path(found.target).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert '<option value="2" selected>ESRT (tiny)</option>' in page


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "1"])
def test_every_kind_of_picture_can_be_compared(make_picture: MakePicture, weights_of: WeightsOf, mode: str) -> None:
    source = make_picture(width=24, height=24)
    picture = Image.open(source)
    (picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)).save(source)
    scores = compared(source, [weights_of(2)]).scores
    assert all(score.psnr is not None for score in scores)


def test_a_picture_too_small_to_measure_is_still_shown(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    found = compared(make_picture(width=5, height=9), [weights_of(2)])
    assert [score.psnr for score in found.scores] == [None, None]
    assert found.notes == ("the picture is too small to be reduced by 2 and measured: no figures in dB",)
    assert Path(found.target).exists()


def test_a_restored_picture_has_no_gain() -> None:
    flat = np.full((20, 20, 3), 80, np.uint8)
    reduction = Reduction(flat, 2)
    perfect = reduction.score("perfect", lambda lr: Frame((np.full((20, 20, 3), 80, np.uint8),)))
    assert (perfect.psnr, perfect.gain) == (None, None)
    assert reduction.score_bicubic().psnr is None
    assert to_display_rgb(Frame((flat,))).shape == (20, 20, 3)


def test_only_the_first_page_counts_and_that_is_said(weights_of: WeightsOf, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert "only the first of 2 pages is compared" in compared(tmp_path / "a.tif", [weights_of(2)]).notes


def test_models_of_different_scales_do_not_go_together(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    with pytest.raises(OptionError, match=r"different scales \(tiny x2, tiny x3\); choose one with -s"):
        compared(make_picture(), [weights_of(2), weights_of(3)])


def test_what_exists_is_kept_and_the_picture_never_replaced(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    source = make_picture()
    compared(source, [weights_of(2)])
    with pytest.raises(TargetError, match="exists"):
        compared(source, [weights_of(2)])
    with pytest.raises(TargetError, match="is the input itself"):
        compared(source, [weights_of(2)], source)


def test_a_result_above_the_limit_is_refused(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    with pytest.raises(MediaError, match="40 x 24 px exceed --max-pixels"):
        compared(make_picture(), [weights_of(2)], limit=959)
    compared(make_picture(), [weights_of(2)], limit=960)


@pytest.mark.parametrize(
    ("models", "target", "message"),
    [
        (("a", "a"), None, "a model is named twice in a,a"),
        (("a", ""), None, "the name of a model is empty"),
        (("a",), Path("sheet.gif"), "sheet.gif: use .png, or .html for a page with a slider"),
    ],
)
def test_what_cannot_be_meant_is_refused(models: tuple[str, ...], target: Path | None, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ComparisonOptions(Path("a.png"), models, target=target)


@pytest.mark.slow
def test_a_damaged_picture_is_damaged_again_before_it_is_measured(tmp_path: Path, weights_of: WeightsOf) -> None:
    source = tmp_path / "a.png"
    damaged = jpeg(texture(), 50)
    Image.fromarray(damaged).save(source)
    found = compared(source, [weights_of(2)])
    lr = jpeg(make_lr(damaged, 2), 50)
    assert found.damage == "looks like a JPEG of quality 50"
    assert found.notes[-1].startswith("looks like a JPEG of quality 50: its reduced version got the same damage")
    assert found.scores[0].psnr == psnr_y(bicubic(lr, 2), damaged, 2)
    Image.fromarray(texture()).save(source)
    Path(found.target).unlink()
    plain = compared(source, [weights_of(2)])
    assert (plain.damage, plain.notes) == ("", ())
    assert plain.scores[0].psnr == psnr_y(bicubic(make_lr(texture(), 2), 2), texture(), 2)


def test_between_the_bundled_weights_of_a_damaged_picture_counts_in_part_what_is_expected(tmp_path: Path) -> None:
    damaged = jpeg(texture(), 50)
    Image.fromarray(damaged).save(tmp_path / "a.png")
    found = compare_models(ComparisonOptions(tmp_path / "a.png", ("clean", "photo"), 2, None, CPU, ReadLimits(10**6)))
    (_, _), (clean, clean_gain), (photo, photo_gain) = ((score.psnr, score.gain) for score in found.scores)
    assert clean is not None
    assert photo is not None
    assert clean_gain is not None
    assert photo_gain is not None
    expected = predict_gains(look([Frame((damaged,))]), Container(), 2)["photo"]
    trust = trust_of(math.sqrt(80 * 96))  # px of the reduced version
    assert abs(photo - clean - expected) > 0.01  # or the shares made no difference
    assert photo_gain - clean_gain == pytest.approx(trust * (photo - clean) + (1 - trust) * expected)
