import numpy as np
import pytest

from esrt_core.media.alpha import bleed, composite
from esrt_core.media.frame import ColorSpace, Frame
from tests.media.pictures import noise


def disc(dtype: type[np.generic] = np.uint8, peak: float = 255, hidden: int = 0) -> tuple[Frame, np.ndarray]:
    """A red disc whose hidden surroundings have an arbitrary color."""
    y, x = np.mgrid[:41, :53]
    inside = np.hypot(x - 26, y - 20) < 12
    color = np.where(inside[..., None], np.array([0.8 * peak, 0.1 * peak, 0.2 * peak]), hidden).astype(dtype)
    return Frame((color,), depth={255: 8, 65535: 16, 1.0: 32}[peak], alpha=(inside * peak).astype(dtype)), inside


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_bleed_takes_the_color_from_inside_the_shape(dtype: type[np.generic], peak: float) -> None:
    frame, inside = disc(dtype, peak)
    bled = bleed(frame).planes[0]
    assert np.array_equal(bled[inside], frame.planes[0][inside])
    assert np.allclose(bled, frame.planes[0][20, 26], atol=peak / 250)


def test_bleed_keeps_half_transparent_colors() -> None:
    frame = Frame((noise(8, 8, 3),), alpha=np.full((8, 8), 20, np.uint8))
    assert bleed(frame) is frame


def test_bleed_works_on_gray_and_single_rows() -> None:
    alpha = np.array([[0, 0, 255, 0, 0]], np.uint8)
    frame = Frame((np.array([[9, 9, 100, 9, 9]], np.uint8),), ColorSpace.GRAY, alpha=alpha)
    assert np.array_equal(bleed(frame).planes[0], np.full((1, 5), 100))


def test_bleed_mixes_the_colors_around_a_hole() -> None:
    color = np.zeros((1, 9, 3), np.uint8)
    color[:, :3], color[:, 6:] = 200, 100
    alpha = np.array([[255] * 3 + [0] * 3 + [255] * 3], np.uint8)
    middle = bleed(Frame((color,), alpha=alpha)).planes[0][0, 3:6, 0]
    assert all(100 <= value <= 200 for value in middle)


def test_bleed_leaves_frames_without_alpha_or_all_hidden() -> None:
    opaque = Frame((noise(4, 4, 3),))
    hidden = Frame((noise(4, 4, 3),), alpha=np.zeros((4, 4), np.uint8))
    assert bleed(opaque) is opaque
    assert bleed(hidden) is hidden


def test_composite_mixes_by_alpha() -> None:
    frame = Frame((np.full((1, 3, 3), 100, np.uint8),), alpha=np.array([[0, 128, 255]], np.uint8))
    flat = composite(frame, (255, 0, 100))
    assert flat.alpha is None
    assert flat.planes[0][0].tolist() == [[255, 0, 100], [177, 50, 100], [100, 100, 100]]


def test_composite_keeps_gray_on_gray_and_colors_it_on_color() -> None:
    frame = Frame((noise(300, 3),), ColorSpace.GRAY, alpha=noise(300, 3, seed=1))
    assert composite(frame, (255, 255, 255)).space is ColorSpace.GRAY
    assert composite(frame, (255, 0, 0)).space is ColorSpace.RGB


def test_composite_works_at_16_bits() -> None:
    frame = Frame((np.full((2, 2, 3), 65535, np.uint16),), depth=16, alpha=np.zeros((2, 2), np.uint16))
    assert composite(frame, (255, 128, 0)).planes[0][0, 0].tolist() == [65535, 128 * 257, 0]
