"""A row of benchmarks.gpu: a measurement, or the reason for its failure."""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from esrt_core.engine.plan import Plan, tiled_plan, tiling_for
from esrt_core.media.frame import ColorSpace, Frame

Row = dict[str, Any]
CUDNN: Any = torch.backends.cudnn
CUDA = torch.cuda.is_available()


def attempt(what: str, measure: Callable[..., Row | None], *arguments: object) -> Row:
    """Print a measurement, or the reason for its failure; then free the memory."""
    began = time.perf_counter()
    try:
        row = measure(*arguments) or {}
    except torch.OutOfMemoryError:
        row = {"failed": "out of memory"}
    except Exception as error:  # noqa: BLE001
        row = {"failed": f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[-1]}"}
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
    print(json.dumps({"what": what, **row, "took s": round(time.perf_counter() - began, 1)}, default=str), flush=True)
    return row


def synchronize() -> None:
    if CUDA:
        torch.cuda.synchronize()


def reset_peak() -> None:
    synchronize()
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> Row:
    synchronize()
    most = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()) if CUDA else (0, 0)
    return {"peak GB": round(most[0] / 1e9, 3), "reserved GB": round(most[1] / 1e9, 3)}


def seconds(run: Callable[[], object], repeats: int, warm_up: int = 2) -> float:
    """Return the median time of a run in s, including what it launches on the GPU."""
    times = []
    for _ in range(warm_up + repeats):
        synchronize()
        began = time.perf_counter()
        run()
        synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[warm_up:])


def noise(width: int, height: int, seed: int) -> Frame:
    return Frame((np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8),))


def clip_noise(width: int, height: int, seed: int) -> Frame:
    """Return a frame as in clips: luma, and chroma of half the width and height, in studio range."""
    source = np.random.default_rng(seed)
    sizes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    planes = tuple(source.integers(16, 236, size, np.uint8) for size in sizes)
    return Frame(planes, ColorSpace.YUV, full_range=False)


def whole(scale: int, width: int, height: int) -> Plan:
    """Plan the whole picture as one tile with the engine's windows."""
    return tiled_plan(width, height, scale, replace(tiling_for("cuda"), tile=2048))


@contextmanager
def without(setting: str) -> Iterator[None]:
    """Switch off a setting of torch.backends.cudnn."""
    before = getattr(CUDNN, setting)
    setattr(CUDNN, setting, False)
    try:
        yield
    finally:
        setattr(CUDNN, setting, before)
