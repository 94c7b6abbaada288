"""Other bit depths, rounded exactly."""

import numpy as np
import pytest

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.pipeline.depth import with_depth


def gray(values: list[int], depth: int) -> Frame:
    plane = np.array([values], np.uint8 if depth == 8 else np.uint16)
    return Frame((plane,), ColorSpace.GRAY, depth, alpha=plane.copy())


def test_eight_bits_go_to_sixteen_and_back_unchanged() -> None:
    frame = gray(list(range(256)), 8)
    wide = with_depth(frame, 16)
    assert wide.planes[0][0, [0, 1, 255]].tolist() == [0, 257, 65535]
    back = with_depth(wide, 8)
    assert (back.planes[0] == frame.planes[0]).all()
    assert back.alpha is not None
    assert (back.alpha == frame.planes[0]).all()


def test_sixteen_bits_are_rounded_to_the_nearest() -> None:
    values = list(range(0, 65536, 7))
    expected = [int(value / 257 + 0.5) for value in values]
    assert with_depth(gray(values, 16), 8).planes[0][0].tolist() == expected


@pytest.mark.parametrize("depth", [9, 10, 12, 16])
def test_full_scale_stays_full_scale(depth: int) -> None:
    assert with_depth(gray([0, 255], 8), depth).planes[0].tolist() == [[0, 2**depth - 1]]


def test_float_stays_float() -> None:
    frame = Frame((np.zeros((2, 2), np.float32),), ColorSpace.GRAY, 32)
    assert with_depth(frame, 16) is frame
