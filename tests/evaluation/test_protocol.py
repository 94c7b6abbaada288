import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, signal

from esrt_core.errors import MediaError
from esrt_core.evaluation.protocol import (
    Score,
    bicubic,
    crop_border,
    crop_to_multiple,
    luma_bt601,
    make_lr,
    mean_score,
    measure,
    psnr,
    psnr_y,
    score_picture,
    smallest_side,
    ssim,
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
    with pytest.raises(MediaError, match=r"40 x 16 px are too small to measure at x4; each side needs 20 px"):
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
    assert score.esrt.psnr == float("inf")
    assert score.esrt.ssim == pytest.approx(1.0)
    np.testing.assert_array_equal(result, hr)


def test_mean_score_is_the_mean_of_each() -> None:
    mean = mean_score([Score(30.0, 0.8), Score(34.0, 0.9)])
    assert mean.psnr == 32.0
    assert mean.ssim == pytest.approx(0.85)


def planes(height: int = 40, width: int = 53) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    first = ndimage.gaussian_filter(generator.uniform(0, 255, (height, width)), 1.5)
    return first, np.clip(first + generator.normal(0, 8, first.shape), 0, 255)


def ssim_by_two_dimensional_convolution(x: np.ndarray, y: np.ndarray) -> float:
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(plane: np.ndarray) -> np.ndarray:
        filtered: np.ndarray = signal.convolve2d(plane, window, mode="valid")
        return filtered

    variance_x, variance_y = mean(x**2) - mean(x) ** 2, mean(y**2) - mean(y) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    c1, c2 = 6.5025, 58.5225
    above = (2 * mean(x) * mean(y) + c1) * (2 * covariance + c2)
    return float(np.mean(above / ((mean(x) ** 2 + mean(y) ** 2 + c1) * (variance_x + variance_y + c2))))


def test_ssim_agrees_with_an_independent_implementation() -> None:
    first, second = planes()
    assert ssim(first, second) == pytest.approx(ssim_by_two_dimensional_convolution(first, second), abs=1e-10)


def test_ssim_of_a_plane_with_itself_is_one() -> None:
    first, _ = planes()
    assert ssim(first, first) == pytest.approx(1.0)


def test_ssim_refuses_planes_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(np.zeros((10, 30)), np.zeros((10, 30)))


def test_psnr_is_the_definition() -> None:
    first = np.full((4, 4), 100, np.uint8)
    second = first.copy()
    second[0, 0] = 90
    assert psnr(first, second) == pytest.approx(20 * np.log10(255) - 10 * np.log10(100 / 16))
    assert psnr(first, first) == float("inf")


def test_luma_has_studio_range_and_is_not_rounded() -> None:
    colors = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [1, 2, 3]]], np.uint8)
    expected = [16, 235, 81.481, 16 + (65.481 + 2 * 128.553 + 3 * 24.966) / 255]
    np.testing.assert_allclose(luma_bt601(colors)[0], expected)


def test_luma_of_gray_is_that_of_three_equal_channels() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(luma_bt601(gray), luma_bt601(np.stack([gray] * 3, axis=-1)))


def test_crop_border_cuts_each_side_and_nothing_for_zero() -> None:
    pixels = np.arange(30).reshape(5, 6)
    np.testing.assert_array_equal(crop_border(pixels, 2), [[14, 15]])
    np.testing.assert_array_equal(crop_border(pixels, 0), pixels)
