"""One frame through its passes."""

import numpy as np
import pytest

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.resize import resize_frame, with_depth
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress
from tests.pipeline.conftest import PoolOf

RNG = np.random.default_rng(7)


def rgb(depth: int = 8, alpha: bool = False) -> Frame:
    shape = (11, 9)
    if depth == 32:
        color = RNG.random((*shape, 3)).astype(np.float32)
    else:
        color = RNG.integers(0, 2**depth, (*shape, 3)).astype(np.uint8 if depth == 8 else np.uint16)
    return Frame((color,), ColorSpace.RGB, depth, color[..., 0].copy() if alpha else None)


def test_one_pass_is_the_engine_alone(pool_of: PoolOf) -> None:
    pool, frame = pool_of(2), rgb()
    enlarged = enlarge(frame, SizePlan((2,), 18, 22, resample=False), pool)
    assert (enlarged.frame.planes[0] == pool.upscaler(2).upscale(frame).frame.planes[0]).all()


def test_eight_bits_are_rounded_once_after_all_passes(pool_of: PoolOf) -> None:
    pool, frame = pool_of(2), rgb()
    upscaler = pool.upscaler(2)
    wide = upscaler.upscale(upscaler.upscale(with_depth(frame, 16)).frame).frame
    expected = with_depth(resize_frame(wide, 31, 38), 8)
    enlarged = enlarge(frame, SizePlan((2, 2), 31, 38, resample=True), pool).frame
    assert enlarged.depth == 8
    assert (enlarged.planes[0] == expected.planes[0]).all()


@pytest.mark.parametrize("depth", [8, 16, 32])
@pytest.mark.parametrize("alpha", [False, True])
def test_depth_and_alpha_stay(pool_of: PoolOf, depth: int, alpha: bool) -> None:
    enlarged = enlarge(rgb(depth, alpha), SizePlan((2,), 14, 17, resample=True), pool_of(2)).frame
    assert enlarged.depth == depth
    assert (enlarged.width, enlarged.height) == (14, 17)
    assert (enlarged.alpha is not None) == alpha


def test_progress_counts_tiles_over_all_passes(pool_of: PoolOf) -> None:
    reports: list[Progress] = []
    enlarge(rgb(alpha=True), SizePlan((3, 3), 81, 99, resample=False), pool_of(3), reports.append)
    total = reports[0].total
    assert {report.total for report in reports} == {total}
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert reports[-1].done == total
