"""Measure memory on a GPU: three ways to compute attention, and the engine when it runs out. Run by benchmarks.gpu."""

import argparse
import math
import time
from contextlib import nullcontext
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.contenders import trained
from benchmarks.gpu_row import CUDA, Row, attempt, noise, peak, reset_peak, seconds, whole, without
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import TILE_LADDER, make_plan
from esrt_core.engine.upscaler import Upscaler
from esrt_core.model import ESRT, ESRTConfig, transformer
from esrt_core.weights.checkpoint import weights_of

OURS, PIECES, ALL = "fused in 4 pieces (ours)", "explicit in 4 pieces", "explicit over all tokens"  # ways to attend


def headline(options: argparse.Namespace) -> None:
    """Compare the memory of the ways to compute attention in the plain network, in float32 without TF32."""
    sizes = ((64, 48), (96, 64)) if options.small else ((256, 144), (1280, 720))
    for way in (OURS, PIECES, ALL):
        name = "split_attention" if way == ALL else "attention"
        with without("allow_tf32"), nullcontext() if way == OURS else patch.object(transformer, name, explicit):
            attempt(f"training step, {way}", training_row, options)
            for size in sizes:
                for windows in ((1, 1), whole(4, *size).windows):
                    attempt(f"forward {size}, windows {windows}, {way}", forward_row, options, way, size, windows)


def explicit(qkv: Tensor, heads: int, scale: float, attend: object = None) -> Tensor:
    """Attend over whole sequences with an explicit matrix of scores."""
    q, k, v = qkv.reshape(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    out: Tensor = torch.softmax((q * scale) @ k.transpose(2, 3), -1) @ v
    return out.transpose(1, 2).flatten(2)


def training_row(options: argparse.Namespace) -> Row:
    batch, side = (2, 24) if options.small else (16, 48)
    network = ESRT(ESRTConfig(4)).to(options.device)
    lr, hr = (torch.rand(batch, 3, side * scale, side * scale, device=options.device) for scale in (1, 4))

    def step() -> None:
        network.zero_grad(set_to_none=True)
        (network(lr) - hr).abs().mean().backward()

    step()
    reset_peak()
    step()
    return peak() | {"ms": round(1e3 * seconds(step, 3, 1), 1)}


@torch.inference_mode()
def forward_row(options: argparse.Namespace, way: str, size: tuple[int, int], windows: tuple[int, int]) -> Row:
    room = torch.cuda.get_device_properties(0).total_memory if options.device == "cuda" else 10**9
    pieces = math.prod(windows) * (1 if way == ALL else transformer.SPLITS)
    scores = 0 if way == OURS else 8 * 4 * math.prod(size) ** 2 / pieces  # bytes of 8 heads in float32
    if 2 * scores > room:
        return {"not run": "scores and their softmax are more than the card has", "scores GB": round(scores / 1e9)}
    network = ESRT(ESRTConfig(4)).eval().to(options.device)
    x = torch.rand(1, 3, size[1], size[0], device=options.device)
    reset_peak()
    taken = seconds(lambda: network(x, windows), 1, 0)
    return {"scores GB": round(scores / 1e9, 3)} | peak() | {"s of the first run": round(taken, 2)}


def shortage(options: argparse.Namespace) -> None:
    """Give the engine less and less memory until it reports it; the picture is small, as it may end on the CPU."""
    width, height = (64, 48) if options.small else (600, 400)
    plans = [make_plan(width, height, 2, "cuda", tile) for tile in (None, *TILE_LADDER)]
    batches = {str(plan.tile): plan.batch * math.prod(plan.tile_shape) for plan in plans}
    attempt("px in a batch, by tile", lambda: batches)
    reset_peak()
    attempt("unlimited", shortage_row, options, None, width, height)
    need, share, row = (torch.cuda.max_memory_allocated() if CUDA else 10**9), 0.8, Row()
    while share > 0.1 and not row.get("notes"):
        row = attempt(f"{share:.0%} of that", shortage_row, options, share * need, width, height)
        share /= 2
    if "cuda" in str(row.get("notes")):
        attempt("2000 x 1500 with as much", shortage_row, options, 2 * share * need, 2000, 1500)


def shortage_row(options: argparse.Namespace, limit: float | None, width: int, height: int) -> Row:
    upscaler = Upscaler(weights_of(trained(2)), EngineOptions(device=options.device))
    row: Row = {"limit GB": None if limit is None else round(limit / 1e9, 3)}
    if limit is not None and options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    try:
        began = time.perf_counter()
        result = upscaler.upscale(noise(width, height, 1))
        row |= {"s": round(time.perf_counter() - began, 2), "notes": result.notes, "tile": result.tile}
        return row | {"device": upscaler.device_name} | peak()
    finally:
        if CUDA:
            torch.cuda.set_per_process_memory_fraction(1.0)
