import numpy as np
import pytest
import torch

from esrt_core.engine.arrays import Array, along
from esrt_core.engine.color import MARGIN, Coding, double_axis, halve_axis
from esrt_core.media.frame import ColorSpace, Frame, Plane


def samples(*planes: Plane) -> list[Array]:
    """Return one tile's planes as a batch in float32."""
    return [plane[None].astype(np.float32) for plane in planes]


def yuv(y: float, u: float, v: float, depth: int = 8, full: bool = False, matrix: str = "bt709") -> Frame:
    dtype = np.uint8 if depth == 8 else np.uint16
    planes = tuple(np.full((4, 4), value, dtype) for value in (y, u, v))
    return Frame(planes, ColorSpace.YUV, depth, matrix=matrix, full_range=full)


@pytest.mark.parametrize(
    ("frame", "rgb"),
    [
        (yuv(16, 128, 128), (0, 0, 0)),
        (yuv(235, 128, 128), (1, 1, 1)),
        (yuv(940, 512, 512, depth=10), (1, 1, 1)),
        (yuv(255, 128, 128, full=True), (1, 1, 1)),
        (yuv(63, 102, 240), (1, 0, 0)),  # the red of BT.709 color bars
        (yuv(81, 90, 240, matrix="bt601"), (1, 0, 0)),
        (yuv(32, 240, 118), (0, 0, 1)),
    ],
)
def test_known_colors_are_read(frame: Frame, rgb: tuple[float, float, float]) -> None:
    [x] = Coding.from_frame(frame).decode(samples(*frame.planes))
    assert x.shape == (3, 4, 4)
    assert np.allclose(x[:, 0, 0], rgb, atol=0.01)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_numbers_survive_a_round_trip(matrix: str, full: bool, depth: int) -> None:
    frame = yuv(120 << (depth - 8), 118 << (depth - 8), 140 << (depth - 8), depth, full, matrix)
    coding = Coding.from_frame(frame)
    luma, chroma = coding.encode(coding.decode(samples(*frame.planes))[0])
    assert (coding.round(luma)[0] == frame.planes[0]).all()
    assert (coding.round(chroma) == np.stack(frame.planes[1:])).all()


@pytest.mark.parametrize(("depth", "dtype"), [(8, np.uint8), (16, np.uint16), (32, np.float32)])
def test_rgb_numbers_survive_a_round_trip(depth: int, dtype: type[np.generic]) -> None:
    peak = 1 if depth == 32 else 2**depth - 1
    values = (np.linspace(0, 1, 48).reshape(4, 4, 3) * peak).astype(dtype)
    coding = Coding.from_frame(Frame((values,), ColorSpace.RGB, depth))
    numbers = coding.round(coding.encode(coding.decode(samples(values))[0])[0])
    assert np.allclose(np.moveaxis(numbers, 0, 2), values)


def test_gray_is_the_mean_of_three_channels() -> None:
    coding = Coding.from_frame(Frame((np.zeros((4, 4), np.uint8),), ColorSpace.GRAY))
    rgb = np.array([0.0, 0.2, 0.4], np.float32).reshape(3, 1, 1)
    assert coding.encode(rgb)[0].item() == pytest.approx(0.2 * 255)


def test_rounding_clips_and_takes_the_nearest() -> None:
    coding = Coding.from_frame(Frame((np.zeros((4, 4), np.uint8),), ColorSpace.GRAY))
    assert coding.round(np.array([-3.0, 0.4, 0.6, 254.7, 300.0])).tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("dim", [1, 2])
def test_a_straight_slope_survives_both_ways(left: bool, dim: int) -> None:
    luma_positions = np.broadcast_to(np.arange(16.0), (1, 3, 16))
    where = np.arange(-MARGIN, 8 + MARGIN) * 2 + (0.0 if left else 0.5)  # of the chroma samples, in luma samples
    chroma = np.broadcast_to(where, (1, 3, 8 + 2 * MARGIN))
    if dim == 1:
        luma_positions, chroma = luma_positions.swapaxes(1, 2), chroma.swapaxes(1, 2)
    assert np.array_equal(double_axis(chroma, dim, left), luma_positions)
    inner = halve_axis(luma_positions, dim, left)[along(dim, 1, 7)]
    assert np.array_equal(inner, chroma[along(dim, MARGIN + 1, MARGIN + 7)])


def test_a_constant_stays_exact() -> None:
    x = np.full((2, 6, 10), 0.3, np.float32)
    for left in (False, True):
        assert (halve_axis(halve_axis(x, 1, left), 2, left) == x[0, 0, 0]).all()
        assert (double_axis(x, 2, left) == x[0, 0, 0]).all()


@pytest.mark.parametrize("space", list(ColorSpace))
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("full", [False, True])
def test_tensors_and_arrays_give_the_same(space: ColorSpace, rows: int, columns: int, full: bool) -> None:
    draw = np.random.default_rng(0)
    shape = {ColorSpace.RGB: (8, 12, 3)}.get(space, (8, 12))
    first = draw.integers(0, 256, shape, np.uint8)
    chroma = [draw.integers(0, 256, (8 // rows, 12 // columns), np.uint8) for _ in range(2)]
    planes = (first, *chroma) if space == ColorSpace.YUV else (first,)
    coding = Coding.from_frame(Frame(planes, space, full_range=full))
    margins = ((MARGIN,) * 2 if rows == 2 else (0, 0), (MARGIN,) * 2 if columns == 2 else (0, 0))
    arrays = samples(first, *(np.pad(plane, margins, mode="edge") for plane in planes[1:]))
    ours, theirs = coding.decode(arrays), coding.decode([torch.from_numpy(array) for array in arrays])
    assert ours.dtype == np.float32
    assert np.abs(theirs.numpy() - ours).max() < 1e-6
    for mine, other in zip(coding.encode(ours[0]), coding.encode(torch.from_numpy(ours[0])), strict=True):
        assert np.abs(other.numpy() - mine).max() < 1e-4
        assert np.array_equal(coding.round(torch.from_numpy(mine)).numpy(), coding.round(mine))
