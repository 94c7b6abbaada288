import traceback
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine import upscaler as upscaler_module
from esrt_core.engine.batching import run_tiles
from esrt_core.engine.form import Form, choose_form
from esrt_core.engine.fused import form as form_module
from esrt_core.engine.fused import fuse
from esrt_core.engine.fused.form import TorchForm
from esrt_core.engine.fused.network import FusedESRT
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native import form as native_form_module
from esrt_core.engine.native.form import NativeForm
from esrt_core.engine.native.library import load_library
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.threads import cpu_threads
from esrt_core.engine.upscaler import Upscaler
from esrt_core.errors import OptionError
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.progress import Progress
from esrt_core.weights.checkpoint import make_network as make_network_of
from esrt_core.weights.checkpoint import weights_of
from esrt_core.weights.tensors import Weights
from tests.engine.conftest import make_network, noise, rgb

CPU = EngineOptions(device="cpu", tile=48)


class Repeat(nn.Module):
    """Enlarge twice by repeating pixels; run out of memory above a tile."""

    def __init__(self, largest: int = 10_000, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.largest = largest
        self.error = error
        self.batches: list[int] = []

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        if max(x.shape[2:]) > self.largest:
            raise self.error("pretended")
        self.batches.append(len(x))
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Spoiling(nn.Module):
    """Spoil one tile of a batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        y: Tensor = self.network(x, windows)
        y[-1, :, 0, 0] = float("inf")
        return y


def spoil_half(upscaler: Upscaler, weights: Weights, dtype: torch.dtype) -> None:
    form = upscaler._form
    assert isinstance(form, TorchForm)
    form._half = Spoiling(fuse(make_network_of(weights), dtype).to(form.device))


def use_repeat(
    monkeypatch: pytest.MonkeyPatch, largest: int = 10_000, error: type[Exception] = torch.OutOfMemoryError
) -> Repeat:
    fake = Repeat(largest, error)
    monkeypatch.setattr(form_module, "fuse", lambda network, dtype=torch.float32: fake)
    return fake


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 20), (30, 41), (50, 71)])
def test_every_size_comes_out_at_its_scale(scale: int, height: int, width: int) -> None:
    result = Upscaler(weights_of(make_network(scale)), CPU).upscale(rgb(height, width))
    assert result.frame.planes[0].shape == (height * scale, width * scale, 3)
    assert result.frame.planes[0].dtype == np.uint8
    assert result.tile == 48


def test_tiles_agree_with_the_whole_picture(weights: Weights) -> None:
    frame = rgb(60, 70)
    tiled = Upscaler(weights, CPU).upscale(frame).frame.planes[0].astype(float)
    whole = Upscaler(weights, EngineOptions(device="cpu", tile=0)).upscale(frame).frame.planes[0].astype(float)
    assert np.abs(tiled - whole).mean() < 1


@pytest.mark.parametrize(("depth", "dtype"), [(8, np.uint8), (10, np.uint16), (16, np.uint16), (32, np.float32)])
@pytest.mark.parametrize("space", [ColorSpace.RGB, ColorSpace.GRAY])
def test_depth_space_and_alpha_are_kept(
    monkeypatch: pytest.MonkeyPatch, weights: Weights, depth: int, dtype: type, space: ColorSpace
) -> None:
    use_repeat(monkeypatch)
    generator = np.random.default_rng(0)
    peak = 1 if depth == 32 else 2**depth - 1
    smooth = np.linspace(0.3, 0.6, 50)[:, None] + np.linspace(0, 0.3, 60)
    plane = (smooth if space == ColorSpace.GRAY else np.stack([smooth] * 3, -1)) * peak
    frame = Frame((plane.astype(dtype),), space, depth, (generator.random((50, 60)) * peak).astype(dtype))
    result = Upscaler(weights, CPU).upscale(frame).frame
    assert (result.space, result.depth) == (space, depth)
    assert result.alpha is not None
    assert result.alpha.shape == (100, 120)
    reduced = result.planes[0].astype(np.float64)[::2, ::2] / peak
    assert np.abs(reduced - plane / peak).max() < max(2e-3, 1 / peak)


def test_a_constant_alpha_stays_constant_and_is_not_computed(weights: Weights) -> None:
    frame = Frame((noise(20, 30, 3),), alpha=np.full((20, 30), 77, np.uint8))
    result = Upscaler(weights, CPU).upscale(frame)
    assert result.frame.alpha is not None
    assert result.frame.alpha.shape == (40, 60)
    assert (result.frame.alpha == 77).all()
    assert result.computed == 1


def test_gray_equals_the_mean_of_its_rgb_form(weights: Weights) -> None:
    plane = noise(20, 30)
    gray = Upscaler(weights, CPU).upscale(Frame((plane,), ColorSpace.GRAY)).frame
    color = Upscaler(weights, CPU).upscale(Frame((np.stack([plane] * 3, -1),))).frame
    unclipped = ((color.planes[0] > 0) & (color.planes[0] < 255)).all(-1)
    assert unclipped.any()
    assert np.abs(gray.planes[0] - color.planes[0].astype(float).mean(-1))[unclipped].max() <= 1


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize(("height", "width"), [(50, 102), (51, 101)])
def test_yuv_goes_through_with_its_subsampling(
    monkeypatch: pytest.MonkeyPatch, weights: Weights, depth: int, rows: int, columns: int, height: int, width: int
) -> None:
    use_repeat(monkeypatch)
    dtype, unit = (np.uint8, 1) if depth == 8 else (np.uint16, 4)
    slope = np.linspace(100, 160, width)
    small = (-(-height // rows), -(-width // columns))
    luma = np.broadcast_to(slope * unit, (height, width)).astype(dtype)
    chroma = np.broadcast_to(np.linspace(110, 140, small[1]) * unit, small).astype(dtype)
    frame = Frame((luma, chroma, chroma), ColorSpace.YUV, depth, full_range=False)
    planes = Upscaler(weights, CPU).upscale(frame).frame.planes
    assert [plane.shape for plane in planes] == [(2 * p.shape[0], 2 * p.shape[1]) for p in frame.planes]
    for larger, plane in zip(planes, frame.planes, strict=True):
        assert np.abs(larger[::2, ::2].astype(int) - plane).max() <= 2 * unit


def test_equal_tiles_are_computed_once_within_and_between_frames(weights: Weights) -> None:
    frame = Frame((np.full((48 * 3, 48 * 4, 3), 90, np.uint8),))
    upscaler = Upscaler(weights, CPU)
    result = upscaler.upscale(frame)
    assert (result.computed, result.reused) == (1, upscaler.plan(192, 144).tiles - 1)
    again = upscaler.upscale(frame)
    assert again.computed == 0
    assert np.array_equal(again.frame.planes[0], result.frame.planes[0])


def test_reuse_never_changes_a_byte(weights: Weights) -> None:
    pixels = noise(60, 160, 3)
    pixels[:, 80:] = pixels[:, :80]
    frame = Frame((pixels,))
    kept = Upscaler(weights, CPU)
    kept.upscale(frame)
    fresh = Upscaler(weights, CPU, cache_bytes=0).upscale(frame)
    assert np.array_equal(kept.upscale(frame).frame.planes[0], fresh.frame.planes[0])


def test_bytes_do_not_depend_on_the_batch_or_on_company(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [rgb(20, 24, seed=index) for index in range(4)] + [rgb(60, 50, seed=9)]
    alone = [Upscaler(weights, CPU).upscale(frame).frame.planes[0] for frame in frames]
    together = [result.frame.planes[0] for result in Upscaler(weights, CPU).upscale_many(frames)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_bytes_do_not_depend_on_the_threads(weights: Weights) -> None:
    before, of_torch = cpu_threads(), torch.get_num_threads()
    during: list[tuple[int, int]] = []
    results = [
        Upscaler(weights, EngineOptions(device="cpu", tile=48, threads=threads))
        .upscale(rgb(50, 60), lambda progress: during.append((cpu_threads(), torch.get_num_threads())))
        .frame
        for threads in (1, 2)
    ]
    assert set(during) == {(1, 1), (2, 2)}
    assert (cpu_threads(), torch.get_num_threads()) == (before, of_torch)
    assert np.array_equal(results[0].planes[0], results[1].planes[0])


def test_small_frames_share_batches(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    fake = use_repeat(monkeypatch)
    frames = [rgb(16, 16, seed=index) for index in range(6)]
    results = list(Upscaler(weights, CPU).upscale_many(frames))
    assert fake.batches == [6]
    assert [result.computed for result in results] == [1] * 6
    for frame, result in zip(frames, results, strict=True):
        assert np.array_equal(result.frame.planes[0][::2, ::2], frame.planes[0])


def test_progress_counts_the_tiles(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    use_repeat(monkeypatch)
    reports: list[Progress] = []
    upscaler = Upscaler(weights, CPU)
    upscaler.upscale(rgb(200, 300), reports.append)
    tiles = upscaler.plan(300, 200).tiles
    assert (reports[-1].done, reports[-1].total, reports[-1].unit) == (tiles, tiles, "tiles")
    assert [report.done for report in reports] == sorted({report.done for report in reports})


@pytest.mark.slow
def test_a_doubtful_group_is_computed_again_with_care(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    monkeypatch.setattr(upscaler_module, "_is_queuing", lambda form: True)
    options = EngineOptions(device="cpu", tile=48, precision="bf16")
    for spoil in (False, True):
        upscaler = Upscaler(weights, options)
        if spoil:
            spoil_half(upscaler, weights, torch.bfloat16)
        result = upscaler.upscale(rgb(60, 70))
        assert bool(upscaler._form.fallbacks) == spoil
        assert bool(result.notes) == spoil
        expected = Upscaler(weights, EngineOptions(device="cpu", tile=48)).upscale(rgb(60, 70)).frame.planes[0]
        assert np.abs(result.frame.planes[0].astype(int) - expected).max() <= 3


@pytest.mark.slow
def test_a_device_that_is_waited_for_gets_the_next_group_first(
    monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    monkeypatch.setattr(upscaler_module, "_is_queuing", lambda form: True)
    frames = [rgb(300, 300, seed) for seed in range(3)]  # a group each
    begun = [0]
    upscaler = Upscaler(weights, CPU)

    def counted(*arguments: Any) -> None:
        begun[0] += 1
        run_tiles(*arguments)

    monkeypatch.setattr(upscaler_module, "run_tiles", counted)
    seen = [(begun[0], result.frame.planes[0]) for result in upscaler.upscale_many(frames)]
    assert [count for count, _ in seen] == [2, 3, 3]
    for frame, (_, plane) in zip(frames, seen, strict=True):
        assert np.array_equal(plane, Upscaler(weights, CPU).upscale(frame).frame.planes[0])


@pytest.mark.slow
def test_what_was_begun_before_a_doubt_was_seen_is_computed_again(
    monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    monkeypatch.setattr(upscaler_module, "_is_queuing", lambda form: True)
    frame = rgb(300, 300)
    upscaler = Upscaler(weights, EngineOptions(device="cpu", tile=48, precision="bf16"))
    spoil_half(upscaler, weights, torch.bfloat16)
    results = list(upscaler.upscale_many([frame, frame]))  # the second takes its tiles from the cache
    assert [bool(result.notes) for result in results] == [True, False]
    assert results[1].computed == 0
    expected = Upscaler(weights, CPU).upscale(frame).frame.planes[0].astype(int)
    for result in results:
        assert np.abs(result.frame.planes[0] - expected).max() <= 3


def test_memory_that_runs_out_in_advance_is_made_do_with(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    monkeypatch.setattr(upscaler_module, "_is_queuing", lambda form: True)
    use_repeat(monkeypatch, largest=64)
    frames = [rgb(300, 300, seed) for seed in range(3)]
    results = list(Upscaler(weights, EngineOptions(device="cpu")).upscale_many(frames))
    assert [result.tile for result in results] == [64] * 3
    assert [len(result.notes) for result in results] == [1, 0, 0]
    for frame, result in zip(frames, results, strict=True):
        assert np.array_equal(result.frame.planes[0][::2, ::2], frame.planes[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_what_a_cpu_gives_spoiled_tiles_too(weights: Weights) -> None:
    frames = [rgb(150, 200, seed) for seed in range(4)]
    on_gpu = EngineOptions(device="cuda", tile=96)
    for spoil in (False, True):
        upscaler = Upscaler(weights, on_gpu, cache_bytes=0)
        if spoil:
            spoil_half(upscaler, weights, torch.float16)
        results = list(upscaler.upscale_many(frames))
        assert bool(upscaler._form.fallbacks) == spoil
        for frame, result in zip(frames, results, strict=True):
            expected = Upscaler(weights, EngineOptions(device="cpu", tile=96)).upscale(frame)
            difference = np.abs(result.frame.planes[0].astype(int) - expected.frame.planes[0])
            assert difference.max() <= 2
            assert difference.mean() < 0.1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_out_of_memory_makes_a_new_plan_with_smaller_tiles_and_says_so_once(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    use_repeat(monkeypatch, largest=64, error=error)
    upscaler = Upscaler(weights, EngineOptions(device="cpu"))
    first, second = upscaler.upscale(rgb(150, 160)), upscaler.upscale(rgb(150, 160, seed=2))
    assert (first.tile, second.tile) == (64, 64)
    assert len(first.notes) == 1
    assert "memory" in first.notes[0]
    assert second.notes == ()
    asked = Upscaler(weights, EngineOptions(device="cpu", tile=64)).upscale(rgb(150, 160))
    assert np.array_equal(first.frame.planes[0], asked.frame.planes[0])


def test_out_of_memory_at_the_smallest_tile_ends_on_the_cpu(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    use_repeat(monkeypatch)

    def failing(pictures: object, form: Form, *rest: object) -> None:
        if form.device != "cpu":
            raise torch.OutOfMemoryError("pretended")
        run_tiles(pictures, form, *rest)  # type: ignore[arg-type]

    def pretending(weights: Weights, options: EngineOptions) -> Form:
        form = choose_form(weights, options)
        form.device = "mps" if options.device == "auto" else form.device
        return form

    monkeypatch.setattr(upscaler_module, "choose_form", pretending)
    monkeypatch.setattr(upscaler_module, "run_tiles", failing)
    upscaler = Upscaler(weights, EngineOptions())
    assert upscaler.device_name == "mps"
    assert upscaler.upscale(rgb(20, 30)).notes == ("memory ran out: continuing on cpu",)
    assert (upscaler.device_name, upscaler.precision) == ("cpu", "fp32")


def test_another_error_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("pretended")

    monkeypatch.setattr(upscaler_module, "run_tiles", fail)
    with pytest.raises(RuntimeError, match="pretended"):
        Upscaler(weights, CPU).upscale(rgb(20, 30))


def test_a_whole_picture_that_is_too_large_is_refused_before_the_work(weights: Weights) -> None:
    upscaler = Upscaler(weights, EngineOptions(device="cpu", tile=0))
    with pytest.raises(OptionError, match="tile 0"):
        upscaler.upscale(Frame((np.zeros((1500, 1500, 3), np.uint8),)))


def test_the_estimate_grows_with_the_picture(weights: Weights) -> None:
    upscaler = Upscaler(weights, CPU)
    assert 0 < upscaler.estimate_seconds(100, 100) < upscaler.estimate_seconds(400, 400)


def test_threads_are_left_alone_unless_asked_for(weights: Weights) -> None:
    before = torch.get_num_threads()
    Upscaler(weights, CPU).upscale(rgb(20, 30))
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.skipif(load_library() is None, reason="there was no C compiler when the package was installed")
@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("tile", [0, 48, None])
def test_both_forms_give_the_same_picture(tile: int | None, tta: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    weights, options = weights_of(ESRT(ESRTConfig(2))), EngineOptions(device="cpu", tile=tile, tta=tta)
    alpha = noise(60, 70)
    frame = Frame((noise(60, 70, 3),), alpha=alpha)
    native = Upscaler(weights, options)
    assert isinstance(native._form, NativeForm)
    monkeypatch.setattr(native_form_module, "load_library", lambda: None)
    fused = Upscaler(weights, options)
    assert isinstance(fused._form, TorchForm)
    ours, theirs = native.upscale(frame), fused.upscale(frame)
    assert (ours.tile, ours.computed) == (theirs.tile, theirs.computed)
    for mine, other in zip(ours.frame.all_planes(), theirs.frame.all_planes(), strict=True):
        difference = np.abs(mine.astype(int) - other)
        assert difference.max() <= 1
        assert difference.mean() < 1e-3


@pytest.mark.skipif(load_library() is None, reason="there was no C compiler when the package was installed")
@pytest.mark.slow
def test_the_native_form_makes_do_with_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    upscaler = Upscaler(weights_of(ESRT(ESRTConfig(2))), EngineOptions(device="cpu"))
    plain = NativeESRT.__call__

    def small(self: NativeESRT, x: Plane, windows: tuple[int, int], threads: int) -> Plane:
        if max(x.shape[2:]) > 64:
            raise MemoryError
        return plain(self, x, windows, threads)

    monkeypatch.setattr(NativeESRT, "__call__", small)
    result = upscaler.upscale(rgb(150, 160))
    assert result.tile == 64
    assert result.notes == ("memory ran out: continuing with tiles of 64 px on cpu",)


def frames_below_the_door(network: type, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of our functions on the stack in a call of the network, from the engine's door on."""
    found: list[list[str]] = []
    name = "__call__" if network is NativeESRT else "forward"
    plain = getattr(network, name)

    def watched(*arguments: Any) -> Any:
        ours = [frame for frame in traceback.extract_stack() if "/esrt_core/" in frame.filename]
        found.append([frame.name for frame in ours] + [name])
        return plain(*arguments)

    monkeypatch.setattr(network, name, watched)
    upscaler.upscale(rgb(20, 30))
    return found[0]


@pytest.mark.parametrize("queuing", [False, True])
@pytest.mark.parametrize("tta", [False, True])
def test_the_network_is_at_most_six_calls_below_the_door(
    queuing: bool, tta: bool, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaler_module, "_is_queuing", lambda form: queuing)
    names = frames_below_the_door(FusedESRT, Upscaler(weights, EngineOptions(device="cpu", tta=tta)), monkeypatch)
    path = ["upscale", "_queue" if queuing else "_run", "run_tiles", "__call__", "_average", "forward"]
    assert names == path


@pytest.mark.skipif(load_library() is None, reason="there was no C compiler when the package was installed")
@pytest.mark.parametrize("tta", [False, True])
def test_the_native_network_is_at_most_five_calls_below_the_door(tta: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = Upscaler(weights_of(ESRT(ESRTConfig(2))), EngineOptions(device="cpu", tta=tta))
    names = frames_below_the_door(NativeESRT, upscaler, monkeypatch)
    assert names == ["upscale", "_run", "run_tiles", "__call__", "__call__"]
