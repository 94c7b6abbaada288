"""One frame through its passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from esrt_core.engine.options import EngineOptions
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.resize import resize_frame, with_depth
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress
from esrt_core.selection import UpscalerPool, single_chain
from tests.conftest import WeightsOf
from tests.pipeline.conftest import PoolOf

RNG = np.random.default_rng(7)


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


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


@pytest.mark.parametrize("depth", [8, 16, 32])
@pytest.mark.parametrize("strength", [0.25, 0.8])
def test_a_blend_is_a_share_of_both_results(weights_of: WeightsOf, tmp_path: Path, depth: int, strength: float) -> None:
    tensors = {name: tensor * 0.8 for name, tensor in load_file(weights_of(2)).items()}
    other = tmp_path / "other.safetensors"
    save_file(tensors, other, metadata_of(weights_of(2)))
    strong, weak = str(weights_of(2)), str(other)
    chain = replace(single_chain(strong, (2,)), strength=strength, weaker=weak)
    pool = UpscalerPool(strong, EngineOptions(device="cpu", threads=1, precision="fp32"))
    frame, size = rgb(depth, alpha=True), SizePlan((2,), 18, 22, resample=False)
    blended = enlarge(frame, size, pool.for_chain(chain))
    parts = [enlarge(frame, size, pool.for_chain(single_chain(model, (2,)))) for model in (weak, strong)]
    for found, *planes in zip(blended.frame.all_planes(), *(part.frame.all_planes() for part in parts), strict=True):
        first, second = (plane.astype(np.float64) for plane in planes)
        assert np.abs(first - second).max() > (0.01 if depth == 32 else 2)
        allowed = 1e-6 if depth == 32 else 0.501
        assert np.abs(found - (first + strength * (second - first))).max() <= allowed
    assert blended.computed == 4  # colors and alpha, twice


def test_the_passes_after_a_blend_are_made_once(weights_of: WeightsOf) -> None:
    model = str(weights_of(2))
    chain = replace(single_chain(model, (2,)), strength=0.5, weaker=model)
    pool = UpscalerPool(model, EngineOptions(device="cpu", threads=1, precision="fp32"))
    frame, size = rgb(), SizePlan((2, 2), 36, 44, resample=False)
    blended, plain = (enlarge(frame, size, pool.for_chain(each)) for each in (chain, single_chain(model, (2,))))
    assert (blended.frame.planes[0] == plain.frame.planes[0]).all()
    assert blended.computed + blended.reused == plain.computed + plain.reused + 1
