"""Where candidates differ most."""

import numpy as np
import pytest

from esrt_core.evaluation.difference import Box, cell_differences, most_different


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
    assert all(box.cut(noise[0]).shape == (32, 32) for box in boxes)


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
