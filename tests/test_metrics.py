import numpy as np
import pytest
from scipy import ndimage, signal

from esrt_core.metrics import crop_border, luma_bt601, psnr, ssim


def planes(height: int = 40, width: int = 53) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    first = ndimage.gaussian_filter(generator.uniform(0, 255, (height, width)), 1.5)
    return first, np.clip(first + generator.normal(0, 8, first.shape), 0, 255)


def ssim_by_two_dimensional_convolution(x: np.ndarray, y: np.ndarray) -> float:
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(plane: np.ndarray) -> np.ndarray:
        return signal.convolve2d(plane, window, mode="valid")

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
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [1, 2, 3]]], np.uint8)
    expected = [16, 235, 81.481, 16 + (65.481 + 2 * 128.553 + 3 * 24.966) / 255]
    np.testing.assert_allclose(luma_bt601(colours)[0], expected)


def test_luma_of_gray_is_that_of_three_equal_channels() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(luma_bt601(gray), luma_bt601(np.stack([gray] * 3, axis=-1)))


def test_crop_border_cuts_each_side_and_nothing_for_zero() -> None:
    pixels = np.arange(30).reshape(5, 6)
    np.testing.assert_array_equal(crop_border(pixels, 2), [[14, 15]])
    np.testing.assert_array_equal(crop_border(pixels, 0), pixels)
