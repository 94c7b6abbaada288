import numpy as np
import pytest
import torch

from esrt_core.engine.color import MARGIN, Coding, double_axis, halve_axis
from esrt_core.media.frame import ColorSpace, Frame

CPU = torch.device("cpu")


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
    [x] = Coding.from_frame(frame).decode([frame.planes], CPU)
    assert x.shape == (3, 4, 4)
    assert torch.allclose(x[:, 0, 0], torch.tensor(rgb, dtype=torch.float32), atol=0.01)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_numbers_survive_a_round_trip(matrix: str, full: bool, depth: int) -> None:
    frame = yuv(120 << (depth - 8), 118 << (depth - 8), 140 << (depth - 8), depth, full, matrix)
    coding = Coding.from_frame(frame)
    luma, chroma = coding.encode(coding.decode([frame.planes], CPU)[0])
    assert (coding.round(luma)[0].numpy() == frame.planes[0]).all()
    assert (coding.round(chroma).numpy() == np.stack(frame.planes[1:])).all()


@pytest.mark.parametrize(("depth", "dtype"), [(8, np.uint8), (16, np.uint16), (32, np.float32)])
def test_rgb_numbers_survive_a_round_trip(depth: int, dtype: type) -> None:
    peak = 1 if depth == 32 else 2**depth - 1
    values = (np.linspace(0, 1, 48).reshape(4, 4, 3) * peak).astype(dtype)
    coding = Coding.from_frame(Frame((values,), ColorSpace.RGB, depth))
    numbers = coding.round(coding.encode(coding.decode([(values,)], CPU)[0])[0])
    assert np.allclose(numbers.permute(1, 2, 0).numpy(), values)


def test_gray_is_the_mean_of_three_channels() -> None:
    coding = Coding.from_frame(Frame((np.zeros((4, 4), np.uint8),), ColorSpace.GRAY))
    rgb = torch.tensor([0.0, 0.2, 0.4]).view(3, 1, 1)
    assert coding.encode(rgb)[0].item() == pytest.approx(0.2 * 255)


def test_rounding_clips_and_takes_the_nearest() -> None:
    coding = Coding.from_frame(Frame((np.zeros((4, 4), np.uint8),), ColorSpace.GRAY))
    assert coding.round(torch.tensor([-3.0, 0.4, 0.6, 254.7, 300.0])).tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("dim", [1, 2])
def test_a_straight_slope_survives_both_ways(left: bool, dim: int) -> None:
    luma_positions = torch.arange(16.0).expand(1, 3, -1)
    where = torch.arange(-MARGIN, 8 + MARGIN) * 2 + (0.0 if left else 0.5)  # of the chroma samples, in luma samples
    chroma = where.expand(1, 3, -1)
    if dim == 1:
        luma_positions, chroma = luma_positions.transpose(1, 2), chroma.transpose(1, 2)
    assert torch.equal(double_axis(chroma, dim, left), luma_positions)
    inner = halve_axis(luma_positions, dim, left).narrow(dim, 1, 6)
    assert torch.equal(inner, chroma.narrow(dim, MARGIN + 1, 6))


def test_a_constant_stays_exact() -> None:
    x = torch.full((2, 6, 10), float(np.float32(0.3)))
    for left in (False, True):
        assert (halve_axis(halve_axis(x, 1, left), 2, left) == x[0, 0, 0]).all()
        assert (double_axis(x, 2, left) == x[0, 0, 0]).all()
