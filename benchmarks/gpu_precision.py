"""Compare results on a GPU with float32 on a CPU. Run by benchmarks.gpu."""

import argparse
import math

import numpy as np

from benchmarks.contenders import trained
from benchmarks.gpu_row import Row, attempt, without
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.weights.checkpoint import weights_of


def precision(options: argparse.Namespace) -> None:
    """Compare every precision with float32 on the CPU, with the same tiles."""
    frames, weights = pictures(96 if options.small else 512), weights_of(trained(2))
    rgb, tile = frames["8-bit RGB"], 48 if options.small else 240
    exact = Upscaler(weights, EngineOptions(device="cpu", tile=tile))
    for name in ("fp16", "bf16", "fp32"):
        upscaler = Upscaler(weights, EngineOptions(device=options.device, precision=name, tile=tile))
        attempt(name, difference, upscaler, rgb, exact)
        for setting in ("allow_tf32", "enabled"):
            with without(setting):
                upscaler = Upscaler(weights, EngineOptions(device=options.device, precision=name, tile=tile))
                attempt(f"{name} without cudnn.{setting}", difference, upscaler, rgb, exact)
    for name, frame in frames.items():
        upscaler = Upscaler(weights, EngineOptions(device=options.device, tile=tile))
        attempt(name, difference, upscaler, frame, exact)


def difference(upscaler: Upscaler, frame: Frame, exact: Upscaler) -> Row:
    result, expected = upscaler.upscale(frame), exact.upscale(frame).frame
    pairs = zip(result.frame.all_planes(), expected.all_planes(), strict=True)
    errors = np.concatenate([(a.astype(np.float64) - b.astype(np.float64)).ravel() for a, b in pairs])
    psnr = 10 * math.log10(frame.peak**2 / max(float((errors**2).mean()), 1e-20))
    row = {"largest difference": float(np.abs(errors).max()), "of": frame.peak, "PSNR dB": round(psnr, 2)}
    return row | {"differ": f"{(errors != 0).mean():.3%}", "notes": result.notes}


def pictures(side: int) -> dict[str, Frame]:
    """Draw one picture, a gradient, waves, sharp bars and noise, as every kind of frame."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = 0.5 + 0.2 * np.sin(40 * x * (1 + y)) + 0.2 * np.cos(90 * y)
    bars = 0.1 + 0.8 * (np.arange(side) // 3 % 2)[None]
    grain = np.random.default_rng(0).random((side, side))
    gray = np.where(y < 0.25, x, np.where(y < 0.5, waves, np.where(y < 0.75, bars, grain)))
    rgb = np.stack([gray, gray[::-1], gray.T], 2)
    eight = np.rint(rgb * 255).astype(np.uint8)
    luma, u, v = (eight[:: 2 if index else 1, :: 2 if index else 1, index].copy() for index in range(3))
    return {
        "8-bit RGB": Frame((eight,)),
        "16-bit RGB": Frame((np.rint(rgb * 65535).astype(np.uint16),), depth=16),
        "float RGB": Frame((rgb.astype(np.float32),), depth=32),
        "8-bit gray with alpha": Frame((luma,), ColorSpace.GRAY, alpha=luma[::-1].copy()),
        "8-bit YUV 4:2:0": Frame((luma, u, v), ColorSpace.YUV, full_range=False),
    }
