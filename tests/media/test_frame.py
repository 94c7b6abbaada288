from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_core.media.frame import ColorSpace, Frame, FrameError


def zeros(*shape: int, dtype: str = "u1") -> np.ndarray:
    return np.zeros(shape, dtype)


LUMA = zeros(5, 7)
HALF = zeros(3, 4)


@pytest.mark.parametrize(
    "frame",
    [
        Frame((zeros(1, 1, 3),)),
        Frame((LUMA,), ColorSpace.GRAY, alpha=zeros(5, 7)),
        Frame((zeros(5, 7, 3, dtype="u2"),), depth=16, alpha=zeros(5, 7, dtype="u2")),
        Frame((zeros(5, 7, dtype="f4"),), ColorSpace.GRAY, 32),
        Frame((LUMA, HALF, HALF), ColorSpace.YUV),
        Frame((LUMA, LUMA, LUMA), ColorSpace.YUV, matrix="bt601"),
        Frame((zeros(5, 7, dtype="u2"), zeros(5, 4, dtype="u2"), zeros(5, 4, dtype="u2")), ColorSpace.YUV, 10),
    ],
)
def test_a_frame_that_is_what_it_says_is_made(frame: Frame) -> None:
    assert frame.height * frame.width == frame.planes[0].shape[0] * frame.planes[0].shape[1]
    assert replace(frame) is not frame


@pytest.mark.parametrize(
    ("planes", "space", "depth", "alpha", "reason"),
    [
        ((), ColorSpace.RGB, 8, None, "cannot have planes"),
        ((LUMA,), ColorSpace.RGB, 8, None, r"cannot have planes of the shape \(5, 7\)"),
        ((zeros(5, 7, 1),), ColorSpace.RGB, 8, None, "1 channels"),
        ((zeros(5, 7, 2),), ColorSpace.RGB, 8, None, "2 channels"),
        ((zeros(5, 7, 4),), ColorSpace.RGB, 8, None, "4 channels"),
        ((zeros(5, 7, 3),), ColorSpace.GRAY, 8, None, "cannot have planes"),
        ((LUMA, LUMA), ColorSpace.GRAY, 8, None, "cannot have planes"),
        ((zeros(0, 7, 3),), ColorSpace.RGB, 8, None, "no pixels"),
        ((zeros(5, 0),), ColorSpace.GRAY, 8, None, "no pixels"),
        ((zeros(5, 7, 3),), ColorSpace.RGB, 8, zeros(7, 5), "alpha of the shape"),
        ((zeros(5, 7, 3),), ColorSpace.RGB, 8, zeros(5, 7, 1), "alpha of the shape"),
        ((zeros(5, 7, 3),), ColorSpace.RGB, 8, zeros(5, 7, dtype="u2"), "must be uint8, not uint16"),
        ((zeros(5, 7, 3),), ColorSpace.RGB, 16, None, "must be uint16, not uint8"),
        ((zeros(5, 7, 3, dtype="f8"),), ColorSpace.RGB, 32, None, "must be float32"),
        ((zeros(5, 7, 3, dtype="i2"),), ColorSpace.RGB, 16, None, "must be uint16, not int16"),
        ((zeros(5, 7, 3),), ColorSpace.RGB, 7, None, "7 bits"),
        ((zeros(5, 7, 3, dtype="u2"),), ColorSpace.RGB, 24, None, "24 bits"),
        ((LUMA, HALF, LUMA), ColorSpace.YUV, 8, None, "does not fit luma"),
        ((LUMA, zeros(1, 3), zeros(1, 3)), ColorSpace.YUV, 8, None, "does not fit luma"),
    ],
)
def test_a_frame_that_is_not_what_it_says_cannot_be_made(
    planes: tuple[np.ndarray, ...], space: ColorSpace, depth: int, alpha: np.ndarray | None, reason: str
) -> None:
    with pytest.raises(FrameError, match=reason):
        Frame(planes, space, depth, alpha)


@pytest.mark.parametrize(
    ("value", "dtype", "depth"),
    [(1.5, "f4", 32), (-0.1, "f4", 32), (np.nan, "f4", 32), (np.inf, "f4", 32), (1024, "u2", 10)],
)
def test_values_out_of_range_are_found(value: float, dtype: str, depth: int) -> None:
    frame = Frame((np.array([[0, value]], dtype),), ColorSpace.GRAY, depth)
    with pytest.raises(FrameError, match="not within 0 and"):
        frame.check_values()
    Frame((np.array([[0, 1]], dtype),), ColorSpace.GRAY, depth).check_values()


def test_an_unknown_matrix_is_refused() -> None:
    with pytest.raises(FrameError, match="matrix 'rgb'"):
        Frame((LUMA, HALF, HALF), ColorSpace.YUV, matrix="rgb")


shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
arrays = st.builds(np.zeros, shapes, st.sampled_from(["u1", "u2", "f4", "f8", "i4"]))


@pytest.mark.slow
@given(
    st.lists(arrays, max_size=3).map(tuple),
    st.sampled_from(ColorSpace),
    st.sampled_from([1, 8, 9, 16, 32]),
    st.none() | arrays,
)
def test_every_frame_that_can_be_made_has_one_size_and_one_kind_of_number(
    planes: tuple[np.ndarray, ...], space: ColorSpace, depth: int, alpha: np.ndarray | None
) -> None:
    try:
        frame = Frame(planes, space, depth, alpha)
    except FrameError:
        return
    assert frame.height > 0
    assert frame.width > 0
    assert len({plane.dtype for plane in frame.all_planes()}) == 1
    assert frame.planes[0].shape[2:] == ((3,) if space is ColorSpace.RGB else ())
    assert alpha is None or alpha.shape == (frame.height, frame.width)
