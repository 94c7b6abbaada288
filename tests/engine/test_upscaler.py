import numpy as np
import pytest
import torch

from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.model import ESRT
from esrt_core.progress import Progress
from tests.engine.conftest import make_network, noise, rgb

CPU = EngineOptions(device="cpu", tile=48)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 20), (30, 41), (70, 101)])
def test_every_size_comes_out_at_its_scale(scale: int, height: int, width: int) -> None:
    result = Upscaler(make_network(scale), CPU).upscale(rgb(height, width))
    assert result.frame.planes[0].shape == (height * scale, width * scale, 3)
    assert result.frame.planes[0].dtype == np.uint8


def test_tiles_agree_with_the_whole_picture(network: ESRT) -> None:
    frame = rgb(70, 101)
    tiled = Upscaler(network, CPU).upscale(frame).frame.planes[0].astype(float)
    whole = Upscaler(network, EngineOptions(device="cpu", tile=0)).upscale(frame).frame.planes[0].astype(float)
    assert np.abs(tiled - whole).mean() < 1


def test_progress_counts_the_tiles(network: ESRT) -> None:
    reports: list[Progress] = []
    upscaler = Upscaler(network, CPU)
    upscaler.upscale(rgb(70, 101), reports.append)
    tiles = upscaler.plan(101, 70).tiles
    assert (reports[-1].done, reports[-1].total, reports[-1].unit) == (tiles, tiles, "tiles")
    assert [report.done for report in reports] == sorted(report.done for report in reports)


def test_a_constant_alpha_stays_constant_and_is_not_computed(network: ESRT) -> None:
    frame = Frame((noise(20, 30, 3),), alpha=np.full((20, 30), 77, np.uint8))
    result = Upscaler(network, CPU).upscale(frame)
    assert result.frame.alpha is not None
    assert result.frame.alpha.shape == (40, 60)
    assert (result.frame.alpha == 77).all()
    assert result.computed == 1


def test_gray_stays_gray_and_equals_the_mean_of_its_rgb_form(network: ESRT) -> None:
    plane = noise(20, 30)
    gray = Upscaler(network, CPU).upscale(Frame((plane,), ColorSpace.GRAY)).frame
    colour = Upscaler(network, CPU).upscale(Frame((np.stack([plane] * 3, -1),))).frame
    assert gray.space == ColorSpace.GRAY
    unclamped = ((colour.planes[0] > 0) & (colour.planes[0] < 255)).all(-1)
    assert unclamped.any()
    assert np.abs(gray.planes[0] - colour.planes[0].astype(float).mean(-1))[unclamped].max() <= 1


def test_equal_tiles_are_computed_once(network: ESRT) -> None:
    frame = Frame((np.full((48 * 3, 48 * 4, 3), 90, np.uint8),))
    upscaler = Upscaler(network, CPU)
    result = upscaler.upscale(frame)
    assert (result.computed, result.reused) == (1, upscaler.plan(192, 144).tiles - 1)
    assert upscaler.upscale(frame).computed == 0


def test_threads_are_set_only_where_asked(network: ESRT) -> None:
    before = torch.get_num_threads()
    try:
        Upscaler(network, EngineOptions(device="cpu", threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
