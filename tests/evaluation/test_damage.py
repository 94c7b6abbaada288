"""What the pixels of a picture tell: the quality of a JPEG on any grid, noise, and nothing where nothing was lost."""

import numpy as np
import pytest

from esrt_core.evaluation.damage import FEATURES, WINDOW, WINDOWS, Look, look, windows_of
from esrt_core.evaluation.resample import imresize
from esrt_core.media.frame import ColorSpace, Frame
from tests.evaluation.pictures import Rgb, jpeg, texture


def seen(pixels: Rgb) -> Look:
    return look([Frame((np.ascontiguousarray(pixels),))])


@pytest.mark.parametrize("quality", [20, 40, 60, 75, 85, 92])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_the_quality_of_a_jpeg_is_found_in_its_pixels(quality: int, subsampling: str) -> None:
    assert seen(jpeg(texture(), quality, subsampling)).quality == quality


@pytest.mark.parametrize("quality", [40, 75, 90])
@pytest.mark.parametrize(("top", "left"), [(0, 3), (5, 0), (1, 7)])
def test_it_is_found_in_a_crop_too(quality: int, top: int, left: int) -> None:
    assert seen(jpeg(texture(), quality)[top:, left:]).quality == quality


def test_it_is_found_in_gray_and_deep_pictures() -> None:
    compressed = jpeg(texture(), 60)
    gray = np.ascontiguousarray(jpeg(np.repeat(texture()[..., :1], 3, axis=2), 60)[..., 0])
    assert look([Frame((gray,), ColorSpace.GRAY)]).quality == 60
    assert look([Frame((compressed.astype(np.uint16) * 257,), depth=16)]).quality == 60


def test_nothing_is_found_where_nothing_was_lost() -> None:
    for seed in range(4):
        assert seen(texture(seed=seed)).quality is None
    assert seen(np.zeros((64, 64, 3), np.uint8)).quality is None


def alike(kind: str) -> Rgb:
    """Draw what has few different blocks of 8 x 8 px: all fit the table of some JPEG quality by coincidence."""
    rows, columns = np.mgrid[:120, :160].astype(np.float64)
    tile = np.random.default_rng(0).integers(0, 256, (8, 8))
    level = {
        "across": columns * 1.6,
        "down": rows * 2.1,
        "diagonal": (rows + columns) * 0.9,
        "radial": np.hypot(rows, columns) * 1.2,
        "stripes": (rows + columns) // 3 % 2 * 200,
        "checkers": (rows // 4 + columns // 4) % 2 * 255,
        "tiles": np.tile(tile, (15, 20)),
    }[kind]
    return np.repeat(np.asarray(level, np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["across", "down", "diagonal", "radial", "stripes", "checkers", "tiles"])
def test_blocks_that_are_alike_are_no_trace_of_a_jpeg(kind: str) -> None:
    assert seen(alike(kind)).quality is None
    assert seen(alike(kind)[3:, 2:]).quality is None


def test_a_jpeg_is_found_among_blocks_that_are_alike() -> None:
    picture = np.concatenate([alike("across"), np.resize(texture()[:64, :160], (64, 160, 3))])
    assert seen(jpeg(picture, 60)).quality == 60


def test_a_jpeg_that_was_made_smaller_has_no_grid() -> None:
    assert seen(imresize(jpeg(texture(), 50), 120, 144)).quality is None


@pytest.mark.parametrize("sigma", [3, 6, 12])
def test_noise_is_measured_in_flat_places(sigma: int) -> None:
    random = np.random.default_rng(sigma)
    plain = np.full((160, 160, 3), 128.0)
    plain[:, 80:] = 60
    found = seen(np.asarray((plain + random.normal(0, sigma, (160, 160, 1))).round(), np.uint8))
    assert found.is_noisy
    assert found.noise == pytest.approx(sigma, rel=0.25)


def test_smooth_and_textured_pictures_are_not_noisy() -> None:
    smooth = imresize(np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.float32), 160, 160)
    assert not seen(np.asarray(smooth.clip(0, 255), np.uint8)).is_noisy
    assert not seen(texture()).is_noisy
    assert not seen(np.zeros((40, 40, 3), np.uint8)).is_noisy


def test_color_that_was_halved_is_less_fine() -> None:
    place = FEATURES.index("fine color")
    pixels = np.random.default_rng(0).integers(60, 200, (96, 96, 3)).astype(np.uint8)
    full, halved = (seen(jpeg(pixels, 95, kind)).features[place] for kind in ("4:4:4", "4:2:0"))
    assert halved < full - np.log(1.5)


def test_halved_color_changes_the_luma_only_where_a_channel_is_cut_off() -> None:
    place = FEATURES.index("halved")
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 1::2, 0] = 255  # red and black, px by px: the mean color of a pair cannot be shown with either's luma
    gray = np.repeat(stripes[..., :1], 3, axis=2)
    pale = np.full_like(stripes, 128)
    pale[:, 1::2, 0] = 150
    for harmless in (gray, pale):
        assert seen(harmless).features[place] == pytest.approx(np.log(0.05))
    # with a luma of 76 on red and 0 on black, and half of red's color, red is 166 and the others 38 on the first;
    # on the second red is 89, and the others, at -38, are cut off at 0
    expected = 0.5 * np.log((0.701 * 38.1) ** 2 / 2)
    assert seen(stripes).features[place] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (9, 7), (24, 24), (100, 8)])
def test_small_pictures_can_be_looked_at(height: int, width: int) -> None:
    found = seen(texture()[:1, :1].repeat(height, 0).repeat(width, 1))
    assert found.features.shape == (len(FEATURES),)
    assert np.isfinite(found.features).all()


def test_large_pictures_are_judged_by_windows_on_one_grid() -> None:
    large = np.tile(texture(), (4, 3, 1))
    windows = windows_of([Frame((large,))])
    assert windows.shape == (WINDOWS * WINDOWS, WINDOW, WINDOW, 3)
    assert (windows[0] == large[:WINDOW, :WINDOW]).all()
    assert seen(jpeg(large, 70)).quality == 70
    assert seen(jpeg(large, 70)[2:, 3:]).quality == 70


@pytest.mark.parametrize("color", [0, 128, 255])
@pytest.mark.parametrize("sides", [((0, 67), (0, 0)), ((40, 40), (0, 0)), ((0, 0), (16, 24)), ((80, 200), (8, 9))])
def test_margins_of_one_color_do_not_count(color: int, sides: tuple[tuple[int, int], ...]) -> None:
    compressed = jpeg(texture(), 60)
    within = np.pad(compressed, (*sides, (0, 0)), constant_values=color)
    expected, found = seen(compressed), seen(within)
    assert found.quality == 60
    assert found.features == pytest.approx(expected.features, abs=0.12)


def test_exact_margins_leave_the_same_pixels() -> None:
    within = np.pad(texture(), ((16, 24), (8, 8), (0, 0)), constant_values=90)
    assert (windows_of([Frame((within,))]) == windows_of([Frame((texture(),))])).all()
    deep = Frame((within.astype(np.float32) / 255,), depth=32)
    assert windows_of([deep]).shape == windows_of([Frame((texture(),))]).shape


def test_frames_of_a_clip_with_different_margins_are_looked_at_together() -> None:
    dark = np.zeros((160, 192, 3), np.uint8)
    dark[64:96, 64:96] = texture()[64:96, 64:96]
    assert np.isfinite(look([Frame((texture(),)), Frame((dark,))]).features).all()


def test_frames_of_a_clip_are_looked_at_together() -> None:
    frames = [Frame((jpeg(texture(seed=seed), 60),)) for seed in range(3)]
    assert look(frames).quality == 60
