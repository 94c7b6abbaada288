import numpy as np
import pytest
from PIL import Image

from esrt_core.evaluation.resample import imresize


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pillow_with_mirrored_border(plane: np.ndarray, out_h: int, out_w: int) -> np.ndarray:
    """Pillow has the same kernel but no border rule of MATLAB's: pad by the picture itself and cut the middle out."""
    height, width = plane.shape
    padded = np.pad(plane, ((height, height), (width, width)), mode="symmetric")
    resized = Image.fromarray(padded.astype(np.float32)).resize((3 * out_w, 3 * out_h), Image.Resampling.BICUBIC)
    return np.asarray(resized)[out_h : 2 * out_h, out_w : 2 * out_w]


@pytest.mark.parametrize(("out_h", "out_w"), [(24, 30), (16, 20), (12, 15), (96, 120), (31, 47), (48, 25)])
def test_imresize_agrees_with_pillow_inside_and_mirrors_the_border(out_h: int, out_w: int) -> None:
    plane = noise(48, 60).astype(np.float64)
    expected = pillow_with_mirrored_border(plane, out_h, out_w)
    np.testing.assert_allclose(imresize(plane, out_h, out_w), expected, atol=1e-3)


def test_imresize_mirrors_pictures_smaller_than_the_kernel() -> None:
    plane = noise(3, 2).astype(np.float64)
    expected = pillow_with_mirrored_border(np.pad(plane, ((3, 3), (2, 2)), mode="symmetric"), 3, 3)[1:2, 1:2]
    np.testing.assert_allclose(imresize(plane, 1, 1), expected, atol=1e-3)


def test_imresize_halves_with_the_kernel_stretched_to_eight_taps() -> None:
    row = np.zeros((1, 16))
    row[0, 8] = 256.0  # half a pixel from output 4's center: a quarter of the stretched kernel's unit
    cubic_at_quarter = 1.5 / 64 - 2.5 / 16 + 1
    assert imresize(row, 1, 8)[0, 4] == pytest.approx(256 * cubic_at_quarter / 2)


def test_imresize_of_uint8_rounds_and_clips_after_each_direction() -> None:
    picture = noise(40, 36, 3)
    rows = imresize(picture.astype(np.float64), 20, 36)
    rounded = np.clip(np.floor(rows + 0.5), 0, 255)
    both = imresize(rounded, 20, 18)
    np.testing.assert_array_equal(imresize(picture, 20, 18), np.clip(np.floor(both + 0.5), 0, 255).astype(np.uint8))


def test_imresize_takes_batches_and_single_planes_alike() -> None:
    batch = noise(4, 33, 47, 3)
    together = imresize(batch, 11, 20)
    assert together.shape == (4, 11, 20, 3)
    for picture, result in zip(batch, together, strict=True):
        np.testing.assert_array_equal(imresize(picture, 11, 20), result)
        np.testing.assert_array_equal(imresize(picture[..., 1], 11, 20), result[..., 1])


def test_imresize_keeps_a_flat_picture_flat() -> None:
    assert np.all(imresize(np.full((50, 70, 3), 77, np.uint8), 17, 23) == 77)


def test_imresize_refuses_other_numbers_of_dimensions() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        imresize(np.zeros(5), 2, 2)
