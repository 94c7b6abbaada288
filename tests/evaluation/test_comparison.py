"""Candidates side by side where they differ most.

Where candidates differ most.

The sheet beside a result.
"""

import numpy as np
import pytest

from esrt_core.evaluation.comparison import (
    Box,
    Candidate,
    cell_differences,
    comparison_sheet,
    crop_side,
    most_different,
    most_different_regions,
    result_sheet,
    source_pixels,
    to_display_rgb,
)
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.resize import enlarge_bicubic

RNG = np.random.default_rng(3)


def candidates(*frames: Frame) -> tuple[Candidate, ...]:
    return tuple(Candidate(f"number {index}", frame) for index, frame in enumerate(frames))


def test_the_sheet_shows_what_differs() -> None:
    source = Frame((np.full((120, 160, 3), 100, np.uint8),))
    result = enlarge_bicubic(source, 640, 480)
    pixels = result.planes[0].copy()
    pixels[10:20, 10:20] = (255, 0, 0)
    sheet = comparison_sheet(source, candidates(result, Frame((pixels,)))).planes[0]
    red = (sheet == (255, 0, 0)).all(axis=2)
    assert red.sum() == 10 * 10 * 4  # one crop has it, enlarged twice
    assert np.nonzero(red)[1].min() > sheet.shape[1] // 2  # in the last column


@pytest.mark.parametrize("space", [ColorSpace.GRAY, ColorSpace.RGB])
@pytest.mark.parametrize("depth", [8, 16, 32])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_kind_of_frame_can_be_shown(space: ColorSpace, depth: int, alpha: bool) -> None:
    def plane(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        values = RNG.random(shape)
        if depth == 32:
            return values.astype(np.float32)
        values *= 2**depth - 1
        return values.astype(np.uint8) if depth == 8 else values.astype(np.uint16)

    def frame(height: int, width: int) -> Frame:
        color = plane(height, width) if space == ColorSpace.GRAY else plane(height, width, 3)
        return Frame((color,), space, depth, plane(height, width) if alpha else None)

    sheet = comparison_sheet(frame(5, 7), candidates(frame(10, 14), frame(10, 14)))
    assert sheet.planes[0].dtype == np.uint8


@pytest.mark.parametrize("size", [(256, 256), (600, 450), (40, 24), (1000, 9), (9, 1000), (9, 9)])
def test_three_crops_fit_into_small_and_narrow_pictures(size: tuple[int, int]) -> None:
    noise = RNG.integers(0, 256, (2, size[1], size[0])).astype(np.uint8)
    assert len(most_different(list(noise), crop_side(*size, 144), 3)) == 3


def test_what_is_transparent_shows_on_white() -> None:
    frame = Frame((np.zeros((2, 2), np.uint16),), ColorSpace.GRAY, 16, np.zeros((2, 2), np.uint16))
    assert (to_display_rgb(frame) == 255).all()


def test_the_sources_pixels_are_repeated_at_any_factor() -> None:
    source = Frame((np.arange(12, dtype=np.uint8).reshape(3, 4),), ColorSpace.GRAY)
    result = Frame((np.zeros((7, 10), np.uint8),), ColorSpace.GRAY)
    pixels = source_pixels(source, Box(1, 2, 5, 6), result)[..., 0]
    assert pixels.shape == (5, 6)
    assert pixels.tolist()[0] == [0, 1, 1, 2, 2, 2]
    assert pixels[:, 0].tolist() == [0, 0, 4, 4, 8]


def test_every_candidate_has_a_column_and_counts_for_the_choice() -> None:
    source = Frame((np.full((100, 100), 90, np.uint8),), ColorSpace.GRAY)
    frames = [Frame((np.full((600, 600), 90, np.uint8),), ColorSpace.GRAY) for _ in range(3)]
    frames[1].planes[0][300:310, 400:410] = 255  # only the one in the middle differs
    sheet = comparison_sheet(source, candidates(*frames)).planes[0]
    places = most_different_regions(source, candidates(*frames), 144)
    assert sheet.shape[1] > 4 * 288  # the source and three candidates
    assert places[0].box.crop(frames[1].planes[0]).max() == 255
    assert [crop.max() for crop in places[0].crops] == [90, 255, 90]


def test_the_largest_differences_are_found_worst_first() -> None:
    first = np.zeros((200, 300, 3), np.uint8)
    second = first.copy()
    second[20:60, 200:240] = 50
    second[120:160, 40:80, 1] = 255  # one channel of three: 85 on average
    boxes = most_different([first, second], side=40, count=2)
    assert boxes == (Box(120, 40, 40, 40), Box(20, 200, 40, 40))


def test_boxes_do_not_overlap_and_stay_inside() -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (2, 90, 70)).astype(np.uint16)
    boxes = most_different(list(noise), side=32, count=9)
    assert len(boxes) == 3  # the worst ones leave no room for a fourth
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(box.crop(noise[0]).shape == (32, 32) for box in boxes)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3), (7, 5)])
def test_a_picture_smaller_than_the_crop_is_one_box_wide(shape: tuple[int, int]) -> None:
    boxes = most_different([np.zeros(shape, np.uint8), np.ones(shape, np.uint8)], side=64, count=3)
    assert boxes == (Box(0, 0, *shape),)


def test_more_than_two_candidates_count_by_their_spread() -> None:
    low, middle, high = (np.full((4, 4), value, np.float32) for value in (0.25, 0.5, 1.0))
    assert cell_differences([middle, high, low], 4, 4) == pytest.approx(16 * 0.75)


def test_unsigned_numbers_do_not_wrap_around() -> None:
    dark, bright = np.full((4, 4), 10, np.uint8), np.full((4, 4), 250, np.uint8)
    assert cell_differences([dark, bright], 2, 2).tolist() == [[960, 960], [960, 960]]


def test_it_is_the_comparison_of_bicubic_and_the_model() -> None:
    source = Frame((np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8),))
    result = Frame((np.zeros((60, 80, 3), np.uint8),))
    candidates = (Candidate("bicubic", enlarge_bicubic(source, 80, 60)), Candidate("ESRT (tiny)", result))
    expected = comparison_sheet(source, candidates).planes[0]
    assert (result_sheet(source, result, "tiny").planes[0] == expected).all()
