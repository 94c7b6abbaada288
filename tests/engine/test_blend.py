import pytest
import torch
from torch import Tensor

from esrt_core.engine.blend import Blender
from esrt_core.engine.geometry import Axis, halved, split_axis

SCALE = 2


def stitch(rows: Axis, columns: Axis, tiles: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the stitched picture and how often every px was written."""
    channels = tiles[0].shape[0]
    out = torch.zeros(channels, rows.size * SCALE, columns.size * SCALE)
    count = torch.zeros(rows.size * SCALE, columns.size * SCALE)

    def write(top: int, left: int, piece: Tensor) -> None:
        area = (slice(top, top + piece.shape[1]), slice(left, left + piece.shape[2]))
        out[:, *area] = piece
        count[area] += 1

    blender = Blender(rows, columns, SCALE, write)
    for tile in tiles:
        blender.add(tile)
    return out, count


def cut(picture: Tensor, rows: Axis, columns: Axis) -> list[Tensor]:
    return [
        picture[:, SCALE * y : SCALE * (y + rows.length), SCALE * x : SCALE * (x + columns.length)]
        for y in rows.starts
        for x in columns.starts
    ]


@pytest.mark.parametrize("feather", [0, 2, 8])
@pytest.mark.parametrize(("height", "width"), [(40, 200), (150, 97), (48, 48), (131, 170)])
def test_tiles_cut_from_a_picture_make_it_again(height: int, width: int, feather: int) -> None:
    rows, columns = split_axis(height, 48, 8, feather), split_axis(width, 48, 8, feather)
    picture = torch.rand(3, height * SCALE, width * SCALE)
    out, count = stitch(rows, columns, cut(picture, rows, columns))
    assert (count == 1).all()
    assert torch.allclose(out, picture, atol=1e-6)


def test_equal_values_stay_exactly_what_they_are() -> None:
    rows, columns = split_axis(150, 48, 8, 8), split_axis(97, 48, 8, 8)
    picture = torch.full((1, 150 * SCALE, 97 * SCALE), 0.1)
    assert torch.equal(stitch(rows, columns, cut(picture, rows, columns))[0], picture)


def test_different_tiles_fade_monotonically_along_a_seam() -> None:
    rows, columns = split_axis(48, 48, 8, 8), split_axis(80, 48, 8, 8)
    tiles = [torch.full((1, 48 * SCALE, 48 * SCALE), value) for value in (0.0, 1.0)]
    line = stitch(rows, columns, tiles)[0][0, 0]
    start, stop = columns.overlaps[0].start * SCALE, columns.overlaps[0].stop * SCALE
    assert (line[:start] == 0).all()
    assert (line[stop:] == 1).all()
    assert (line[start:stop].diff() > 0).all()
    assert line[start:stop].mean().item() == pytest.approx(0.5)


def test_a_halved_axis_matches_planes_of_half_the_size() -> None:
    axis = split_axis(150, 48, 8, 8)
    half = halved(axis)
    assert (half.size * 2, half.length * 2) == (axis.size, axis.length)
    picture = torch.rand(2, half.size * SCALE, half.size * SCALE)
    assert torch.allclose(stitch(half, half, cut(picture, half, half))[0], picture, atol=1e-6)
