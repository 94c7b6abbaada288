from itertools import pairwise

import pytest

from esrt_core.engine.geometry import has_even_windows, largest_side, split_axis, window_count

SIZES = [1, 31, 32, 33, 48, 49, 63, 64, 65, 97, 191, 192, 193, 350, 509, 1000, 4095, 6000]
TILES = [48, 64, 192]


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_axis_and_overlap_by_two_halos(size: int, tile: int) -> None:
    axis = split_axis(size, tile, halo=8, feather=8)
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.length == size
    overlaps = [a + axis.length - b for a, b in pairwise(axis.starts)]
    assert all(16 <= overlap <= axis.length for overlap in overlaps)
    assert axis.length <= max(tile, 1)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("size", SIZES)
def test_seams_lie_inside_both_tiles_and_in_order(size: int, tile: int) -> None:
    axis = split_axis(size, tile, halo=8, feather=8)
    for index, overlap in enumerate(axis.overlaps):
        assert overlap.stop - overlap.start == 8
        assert overlap.start - axis.starts[index + 1] >= 4
        assert axis.starts[index] + axis.length - overlap.stop >= 4
    edges = [0, *(edge for overlap in axis.overlaps for edge in (overlap.start, overlap.stop)), size]
    assert edges == sorted(edges)


@pytest.mark.parametrize("size", range(98, 700, 86))
def test_on_an_even_axis_starts_and_seams_are_even(size: int) -> None:
    axis = split_axis(size, 96, halo=8, feather=8)
    assert has_even_windows(axis.length, 48)
    assert all(start % 2 == 0 for start in axis.starts)
    assert all(overlap.start % 2 == 0 for overlap in axis.overlaps)


def test_a_picture_up_to_a_tile_is_one_tile_of_its_own_size() -> None:
    assert split_axis(191, 192, 8, 8).length == 191
    assert split_axis(192, 192, 8, 8).starts == (0,)


def test_a_hard_cut_has_empty_seams() -> None:
    axis = split_axis(500, 96, halo=8, feather=0)
    assert all(overlap.start == overlap.stop for overlap in axis.overlaps)
    assert axis.span(0)[1] == axis.span(1)[0]


@pytest.mark.parametrize(("length", "count"), [(8, 1), (48, 1), (71, 1), (72, 2), (96, 2), (176, 4), (192, 4)])
def test_windows_are_about_as_large_as_asked(length: int, count: int) -> None:
    assert window_count(length, 48) == count


@pytest.mark.parametrize(
    ("tile", "side"), [(48, 48), (64, 64), (100, 100), (101, 100), (192, 192), (250, 250), (256, 252)]
)
def test_a_tile_is_rounded_down_to_even_windows(tile: int, side: int) -> None:
    assert largest_side(tile, 48) == side
