"""Measure speed on a GPU: the bare network on whole pictures, and the engine. Run by benchmarks.gpu."""

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.contenders import trained
from benchmarks.gpu_row import Row, attempt, clip_noise, noise, peak, reset_peak, seconds, whole
from esrt_core.engine.device import DTYPES
from esrt_core.engine.fused import fuse
from esrt_core.engine.fused.form import TorchForm
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import Plan, estimate_work
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import Frame
from esrt_core.weights.checkpoint import weights_of

STREAM = 30  # frames


def cases(options: argparse.Namespace) -> tuple[tuple[int, int, int], ...]:
    return ((2, 96, 64), (4, 64, 48)) if options.small else ((2, 1280, 720), (2, 1920, 1080), (4, 1280, 720))


def speed(case: tuple[int, int, int], taken: float) -> Row:
    pixels = case[0] ** 2 * case[1] * case[2]
    return {"ms": round(1e3 * taken, 2), "frames/s": round(1 / taken, 2), "MP/s": round(pixels / taken / 1e6, 1)}


def bare(options: argparse.Namespace) -> None:
    """Time the bare network on whole pictures, and compare with its arithmetic and memory traffic alone."""
    limits = attempt("ceilings", ceilings, options)
    for case in cases(options):
        for form in ("fast fp16", "fast bf16", "plain fp16"):
            attempt(f"bare {case} {form}", bare_row, options, case, form, limits)


def ceilings(options: argparse.Namespace) -> Row:
    """Measure a bf16 matrix product in FLOP/s, and a copy inside the device in bytes read and written per s."""
    side, size = (256, 2**22) if options.small else (8192, 2**32)
    a, b = (torch.randn(side, side, device=options.device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.ones(size, dtype=torch.uint8, device=options.device)
    target = torch.empty_like(source)
    product, copy = seconds(lambda: a @ b, 10, 3), seconds(lambda: target.copy_(source), 10, 3)
    return {"TFLOP/s": round(2 * side**3 / product / 1e12, 3), "GB/s": round(2 * size / copy / 1e9, 1)}


@torch.no_grad()
def bare_row(options: argparse.Namespace, case: tuple[int, int, int], form: str, limits: Row) -> Row:
    plan, dtype, network = whole(*case), DTYPES[form[-4:]], trained(case[0])
    module: nn.Module = (fuse(network, dtype) if form.startswith("fast") else network.to(dtype)).to(options.device)
    x = torch.rand(1, 3, plan.height, plan.width, device=options.device)
    x = (x if form.startswith("fast") else x.to(dtype)).contiguous(memory_format=torch.channels_last)
    run: Callable[[], Tensor] = torch.inference_mode()(lambda: module(x, plan.windows))
    reset_peak()
    best = seconds(run, options.repeats)
    row: Row = {"windows": plan.windows, "eager": speed(case, best) | peak()}
    with Traffic() as traffic:  # type: ignore[no-untyped-call]
        module(x, plan.windows)
    row |= bounds(plan, best, traffic.bytes, limits)
    if options.device == "cuda":
        row["graph"] = attempt(f"graph {case} {form}", graph_row, options, case, run)
    return row


def bounds(plan: Plan, taken: float, moved: int, limits: Row) -> Row:
    """Return the times for multiply-adds and memory traffic at the device's peak, and their shares of a time."""
    flops = 2 * estimate_work(plan)
    row: Row = {"TFLOP": round(flops / 1e12, 4), "GB moved": round(moved / 1e9, 2)}
    if "failed" in limits:
        return row
    for name, least in ("matmul", flops / limits["TFLOP/s"] / 1e12), ("copy", moved / limits["GB/s"] / 1e9):
        row |= {f"ms at {name} peak": round(1e3 * least, 2), f"share of {name} peak": f"{least / taken:.1%}"}
    return row


def graph_row(options: argparse.Namespace, case: tuple[int, int, int], run: Callable[[], Tensor]) -> Row:
    reset_peak()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return speed(case, seconds(graph.replay, options.repeats)) | peak()


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes that operations read and write, every tensor once per operation; views count as nothing."""

    bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        read, written = ([x for x in tree_leaves(tree) if isinstance(x, Tensor)] for tree in (args, result))
        storages = {x.untyped_storage().data_ptr() for x in read}
        is_view = not func._schema.is_mutable and any(x.untyped_storage().data_ptr() in storages for x in written)
        if not is_view and "empty" not in func.name():
            self.bytes += sum(min(x.nbytes, x.untyped_storage().nbytes()) for x in (*read, *written))
        return result


def engine(options: argparse.Namespace) -> None:
    """Time the engine from a frame in host memory to a frame in host memory."""
    for case in cases(options):
        attempt(f"engine {case}", engine_row, options, case)
    for case in cases(options):
        attempt(f"a stream of {STREAM} frames, RGB, {case}", stream_row, options, case, noise)
        attempt(f"a stream of {STREAM} frames, YUV 4:2:0, {case}", stream_row, options, case, clip_noise)


def engine_row(options: argparse.Namespace, case: tuple[int, int, int]) -> Row:
    upscaler = Upscaler(weights_of(trained(case[0])), EngineOptions(device=options.device))
    frames = iter([noise(*case[1:], seed) for seed in range(2 + 2 * options.repeats)])
    upscaler.upscale(next(frames))
    reset_peak()
    row = speed(case, seconds(lambda: upscaler.upscale(next(frames)), options.repeats, 1)) | peak()
    inside: list[float] = []
    network = TorchForm._average

    def timed(self: TorchForm, *arguments: Any) -> Tensor:
        results: list[Tensor] = []
        inside.append(seconds(lambda: results.append(network(self, *arguments)), 1, 0))
        return results[0]

    with patch.object(TorchForm, "_average", timed):
        for frame in frames:
            upscaler.upscale(frame)
    plan = upscaler.plan(*case[1:])
    computed = math.ceil(plan.tiles / plan.batch) * plan.batch * math.prod(plan.tile_shape)
    row |= {
        "ms of the network": round(1e3 * sum(inside) / options.repeats, 2),
        "tiles": plan.tiles,
        "batch": plan.batch,
    }
    return row | {"px computed for each px": round(computed / (case[1] * case[2]), 2)}


def stream_row(options: argparse.Namespace, case: tuple[int, int, int], make: Callable[[int, int, int], Frame]) -> Row:
    upscaler = Upscaler(weights_of(trained(case[0])), EngineOptions(device=options.device))
    list(upscaler.upscale_many(make(*case[1:], seed) for seed in range(100, 105)))
    frames = [make(*case[1:], seed) for seed in range(STREAM)]
    reset_peak()
    taken = seconds(lambda: sum(1 for _ in upscaler.upscale_many(frames)), 1, 0)
    return speed(case, taken / len(frames)) | peak()
