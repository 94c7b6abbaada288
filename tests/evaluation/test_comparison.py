"""Candidates side by side where they differ most."""

import numpy as np
import pytest

from esrt_core.evaluation.comparison import (
    Candidate,
    comparison_sheet,
    crop_side,
    differing_places,
    displayed,
    pixels_of,
)
from esrt_core.evaluation.difference import Box, most_different
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
        return (values * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)

    def frame(height: int, width: int) -> Frame:
        colour = plane(height, width) if space == ColorSpace.GRAY else plane(height, width, 3)
        return Frame((colour,), space, depth, plane(height, width) if alpha else None)

    sheet = comparison_sheet(frame(5, 7), candidates(frame(10, 14), frame(10, 14)))
    assert sheet.planes[0].dtype == np.uint8


@pytest.mark.parametrize("size", [(256, 256), (600, 450), (40, 24), (1000, 9), (9, 1000), (9, 9)])
def test_three_crops_fit_into_small_and_narrow_pictures(size: tuple[int, int]) -> None:
    noise = RNG.integers(0, 256, (2, size[1], size[0])).astype(np.uint8)
    assert len(most_different(list(noise), crop_side(*size, 144), 3)) == 3


def test_what_is_transparent_shows_on_white() -> None:
    frame = Frame((np.zeros((2, 2), np.uint16),), ColorSpace.GRAY, 16, np.zeros((2, 2), np.uint16))
    assert (displayed(frame) == 255).all()


def test_the_sources_pixels_are_repeated_at_any_factor() -> None:
    source = Frame((np.arange(12, dtype=np.uint8).reshape(3, 4),), ColorSpace.GRAY)
    result = Frame((np.zeros((7, 10), np.uint8),), ColorSpace.GRAY)
    pixels = pixels_of(source, Box(1, 2, 5, 6), result)[..., 0]
    assert pixels.shape == (5, 6)
    assert pixels.tolist()[0] == [0, 1, 1, 2, 2, 2]
    assert pixels[:, 0].tolist() == [0, 0, 4, 4, 8]


def test_every_candidate_has_a_column_and_counts_for_the_choice() -> None:
    source = Frame((np.full((100, 100), 90, np.uint8),), ColorSpace.GRAY)
    frames = [Frame((np.full((600, 600), 90, np.uint8),), ColorSpace.GRAY) for _ in range(3)]
    frames[1].planes[0][300:310, 400:410] = 255  # only the one in the middle differs
    sheet = comparison_sheet(source, candidates(*frames)).planes[0]
    places = differing_places(source, candidates(*frames), 144)
    assert sheet.shape[1] > 4 * 288  # the source and three candidates
    assert places[0].box.cut(frames[1].planes[0]).max() == 255
    assert [crop.max() for crop in places[0].crops] == [90, 255, 90]
