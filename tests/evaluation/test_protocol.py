import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.evaluation.protocol import (
    Score,
    bicubic,
    crop_to_multiple,
    make_lr,
    mean_score,
    measure,
    psnr_y,
    score_picture,
    smallest_side,
)
from esrt_core.media.frame import Frame


def picture(height: int, width: int, seed: int = 1) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def test_crop_to_multiple_cuts_the_end_off() -> None:
    hr = picture(41, 50)
    np.testing.assert_array_equal(crop_to_multiple(hr, 3), hr[:39, :48])
    assert crop_to_multiple(hr, 2).shape == (40, 50, 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_has_the_size_that_enlarges_back_to_hr(scale: int) -> None:
    hr = picture(48, 60)
    lr = make_lr(hr, scale)
    assert lr.shape == (48 // scale, 60 // scale, 3)
    assert lr.dtype == np.uint8
    assert bicubic(lr, scale).shape == hr.shape


def test_a_border_of_scale_px_counts_for_nothing() -> None:
    hr = picture(40, 40)
    spoilt = hr.copy()
    for edge in (spoilt[:2], spoilt[-2:], spoilt[:, :2], spoilt[:, -2:]):
        edge[...] = 255 - edge
    assert psnr_y(spoilt, hr, 2) == float("inf")
    assert measure(spoilt, hr, 2).ssim == pytest.approx(1.0)
    assert psnr_y(spoilt, hr, 1) < 60


def test_psnr_is_that_of_the_unrounded_studio_range_luma() -> None:
    hr = np.full((32, 32, 3), 100, np.uint8)
    result = hr.copy()
    result[..., 2] += 10  # blue weighs 24.966 / 255
    assert psnr_y(result, hr, 2) == pytest.approx(20 * np.log10(255 / (10 * 24.966 / 255)))


def test_measure_refuses_what_is_smaller_than_the_window_of_ssim() -> None:
    tiny = picture(16, 40)
    with pytest.raises(MediaError, match=r"40 x 16 px is too small to measure at x4: each side needs 20 px"):
        measure(tiny, tiny, 4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_smallest_side_can_just_be_measured(scale: int) -> None:
    side = smallest_side(scale)
    assert side % scale == 0
    enough, short = picture(side, side), picture(side - scale, side)
    assert measure(enough, enough, scale).psnr == float("inf")
    with pytest.raises(MediaError):
        measure(short, short, scale)


def test_measure_refuses_pictures_of_different_sizes() -> None:
    with pytest.raises(ValueError, match="compared"):
        measure(picture(40, 40), picture(40, 44), 2)


def test_score_picture_measures_both_and_returns_the_picture() -> None:
    hr = picture(40, 48)
    lr = make_lr(hr, 2)

    def perfect(frame: Frame) -> Frame:
        np.testing.assert_array_equal(frame.planes[0], lr)
        return Frame((hr,))

    score, result = score_picture("x.png", lr, hr, 2, perfect)
    assert score.name == "x.png"
    assert score.bicubic == measure(bicubic(lr, 2), hr, 2)
    assert score.esrt == Score(float("inf"), pytest.approx(1.0))
    np.testing.assert_array_equal(result, hr)


def test_mean_score_is_the_mean_of_each() -> None:
    assert mean_score([Score(30.0, 0.8), Score(34.0, 0.9)]) == Score(32.0, pytest.approx(0.85))
