import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.resample import enlarge_bicubic, imresize, resize_frame


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
    row[0, 8] = 256.0  # half a pixel from output 4's centre: a quarter of the stretched kernel's unit
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


@pytest.mark.parametrize(
    ("dtype", "depth", "tolerance"), [(np.uint8, 8, 1.5 / 255), (np.uint16, 10, 0.51 / 1023), (np.float32, 32, 1e-6)]
)
def test_resize_frame_is_lanczos_at_every_depth(dtype: type, depth: int, tolerance: float) -> None:
    picture = 0.3 + 0.4 * noise(40, 30, 3) / 255.0  # Pillow clips 8 bits between the two directions
    peak = 1 if depth == 32 else 2**depth - 1
    stored = (picture * peak).astype(dtype)
    resized = resize_frame(Frame((stored,), depth=depth), 17, 23)
    channel = Image.fromarray(stored[..., 2].astype(np.float32))
    expected = np.clip(np.asarray(channel.resize((17, 23), Image.Resampling.LANCZOS)), 0, peak)
    assert resized.depth == depth
    assert resized.planes[0].shape == (23, 17, 3)
    np.testing.assert_allclose(resized.planes[0][..., 2] / peak, expected / peak, atol=tolerance)


def test_resize_frame_keeps_chroma_subsampled() -> None:
    frame = Frame((noise(37, 51), noise(19, 26), noise(19, 26)), ColorSpace.YUV, full_range=False)
    resized = resize_frame(frame, 101, 75)
    assert [plane.shape for plane in resized.planes] == [(75, 101), (38, 51), (38, 51)]
    assert not resized.full_range


def test_resize_frame_lets_no_hidden_colour_into_the_picture() -> None:
    colour = np.zeros((32, 32, 3), np.uint8)
    colour[:, :16] = (200, 40, 40)
    colour[:, 16:] = (0, 255, 0)  # under transparent pixels
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, :16] = 255
    resized = resize_frame(Frame((colour,), alpha=alpha), 15, 15)
    assert resized.alpha is not None
    seen = resized.planes[0][resized.alpha > 8].astype(int)
    assert len(seen)
    assert np.abs(seen - (200, 40, 40)).max() <= 6


def test_resize_frame_gives_transparent_regions_their_own_colour() -> None:
    colour = np.full((16, 16), 90, np.uint8)
    resized = resize_frame(Frame((colour,), ColorSpace.GRAY, alpha=np.zeros((16, 16), np.uint8)), 8, 8)
    assert np.all(resized.planes[0] == 90)
    assert resized.alpha is not None
    assert not resized.alpha.any()


def test_enlarge_bicubic_is_pillows() -> None:
    picture = noise(9, 13, 3)
    expected = np.asarray(Image.fromarray(picture).resize((26, 18), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(enlarge_bicubic(Frame((picture,)), 26, 18).planes[0], expected)
