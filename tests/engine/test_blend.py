import numpy as np
import pytest
import torch

from esrt_core.engine.arrays import Array
from esrt_core.engine.blend import Blender
from esrt_core.engine.geometry import Axis, halved, split_axis
from esrt_core.media.frame import Plane

SCALE = 2


def stitch(rows: Axis, columns: Axis, tiles: list[Array]) -> tuple[Plane, Plane]:
    """Return the stitched picture and how often every px was written."""
    channels = tiles[0].shape[0]
    out = np.zeros((channels, rows.size * SCALE, columns.size * SCALE), np.float32)
    count = np.zeros((rows.size * SCALE, columns.size * SCALE))

    def write(top: int, left: int, piece: Array) -> None:
        area = (slice(top, top + piece.shape[1]), slice(left, left + piece.shape[2]))
        out[:, *area] = piece
        count[area] += 1

    blender = Blender(rows, columns, SCALE, write)
    for tile in tiles:
        blender.add(tile)
    return out, count


def cut(picture: Plane, rows: Axis, columns: Axis) -> list[Array]:
    return [
        picture[:, SCALE * y : SCALE * (y + rows.length), SCALE * x : SCALE * (x + columns.length)].copy()
        for y in rows.starts
        for x in columns.starts
    ]


@pytest.mark.parametrize("feather", [0, 2, 8])
@pytest.mark.parametrize(("height", "width"), [(40, 200), (150, 97), (48, 48), (131, 170)])
def test_tiles_cut_from_a_picture_make_it_again(height: int, width: int, feather: int) -> None:
    rows, columns = split_axis(height, 48, 8, feather), split_axis(width, 48, 8, feather)
    picture = np.random.default_rng(0).random((3, height * SCALE, width * SCALE), np.float32)
    out, count = stitch(rows, columns, cut(picture, rows, columns))
    assert (count == 1).all()
    assert np.allclose(out, picture, atol=1e-6)


def test_equal_values_stay_exactly_what_they_are() -> None:
    rows, columns = split_axis(150, 48, 8, 8), split_axis(97, 48, 8, 8)
    picture = np.full((1, 150 * SCALE, 97 * SCALE), 0.1, np.float32)
    assert np.array_equal(stitch(rows, columns, cut(picture, rows, columns))[0], picture)


def test_different_tiles_fade_monotonically_along_a_seam() -> None:
    rows, columns = split_axis(48, 48, 8, 8), split_axis(80, 48, 8, 8)
    tiles = [np.full((1, 48 * SCALE, 48 * SCALE), value, np.float32) for value in (0.0, 1.0)]
    line = stitch(rows, columns, tiles)[0][0, 0]
    start, stop = columns.overlaps[0].start * SCALE, columns.overlaps[0].stop * SCALE
    assert (line[:start] == 0).all()
    assert (line[stop:] == 1).all()
    assert (np.diff(line[start:stop]) > 0).all()
    assert line[start:stop].mean() == pytest.approx(0.5)


def test_a_halved_axis_matches_planes_of_half_the_size() -> None:
    axis = split_axis(150, 48, 8, 8)
    half = halved(axis)
    assert (half.size * 2, half.length * 2) == (axis.size, axis.length)
    picture = np.random.default_rng(0).random((2, half.size * SCALE, half.size * SCALE), np.float32)
    assert np.allclose(stitch(half, half, cut(picture, half, half))[0], picture, atol=1e-6)


def test_tensors_and_arrays_give_the_same() -> None:
    rows, columns = split_axis(97, 48, 8, 8), split_axis(80, 48, 8, 8)
    draw = np.random.default_rng(0)
    tiles = [
        draw.random((3, 48 * SCALE, 48 * SCALE), np.float32) for _ in range(len(rows.starts) * len(columns.starts))
    ]
    theirs, _ = stitch(rows, columns, [torch.from_numpy(tile.copy()) for tile in tiles])
    ours, _ = stitch(rows, columns, tiles)
    assert np.abs(ours - theirs).max() < 1e-6
