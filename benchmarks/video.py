"""Compare all of `esrt video` with the bare network on the same tiles, with and without reuse.

    python benchmarks/video.py [--size 320x180] [--frames 12] [--device auto] [--threads N]

Every pixel of `noise` changes in every frame; `held` shows each picture four times, as a low frame rate does; `window`
changes in one corner, as a screen capture does. `ratio` is the time of the command, without planning and preflight,
divided by the bare network's time for the tiles that had to be computed, measured right before and after. On a CPU it
is this process's CPU time, which other programs disturb little; `ffmpeg` is the CPU time of decoder and encoder.
Threads spin while they wait for each other, so that on a busy machine only `--threads 1` (with OMP_NUM_THREADS=1) is
meaningful. On a GPU it is wall-clock time.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from esrt_core.engine.batching import TileCache
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.video import ffmpeg
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.run import prepare_clip, upscale_clip
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process

RATE = 24
NOISE = "noise=alls=40:allf=t"
CLIPS = {
    "noise": f"testsrc2=size={{size}}:rate={RATE},{NOISE}",
    "held": f"testsrc2=size={{size}}:rate={RATE // 4},{NOISE},fps={RATE}",
    "window": f"color=gray:size={{size}}:rate={RATE}[a];testsrc2=size=48x48:rate={RATE},{NOISE}[b];[a][b]overlay=8:8",
}


def make_clip(target: Path, kind: str, size: str, frames: int) -> Path:
    source = CLIPS[kind].format(size=size)
    ffmpeg.run(["-f", "lavfi", "-i", source, "-frames:v", str(frames), "-c:v", "ffv1", "-pix_fmt", "yuv420p", "-y",
                str(target)])  # fmt: skip
    return target


def timer_of(upscaler: Upscaler) -> Callable[[], float]:
    return time.process_time if upscaler.device_name == "cpu" else time.perf_counter


def seconds_a_tile(upscaler: Upscaler, width: int, height: int) -> float:
    """Return the bare network's seconds a tile, the mean of three batches of the tiles of a picture of this size."""
    plan = upscaler.plan(width, height)
    count = min(plan.batch, plan.tiles)
    form, timer = upscaler._form, timer_of(upscaler)
    transfer = form.transfer()
    tiles = transfer.to_device(np.random.default_rng(0).random((count, 3, *plan.tile_shape), np.float32))
    started = timer()
    with form.computing():
        for _ in range(3):
            results = form(tiles, plan.windows, plan.batch, False)
            transfer.to_host(results, np.empty(results.shape, np.float32))
            transfer.end_batch()
            transfer.flush()
    return (timer() - started) / (3 * count)


def ffmpeg_seconds() -> float:
    """Return the CPU seconds of all child processes that have exited."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    pool = UpscalerPool("auto", EngineOptions(given.device, given.threads))
    upscaler = pool.upscaler(2)
    width, height = map(int, given.size.split("x"))
    seconds_a_tile(upscaler, width, height)  # the first run also prepares the kernels
    tile = seconds_a_tile(upscaler, width, height)
    plan, timer = upscaler.plan(width, height), timer_of(upscaler)
    print(f"{upscaler.device_name}, {upscaler.precision}: {given.size}, {plan.tiles} tiles of {plan.tile_shape}")
    print(f"bare network: {tile * 1e3:.2f} ms a tile, {1 / (tile * plan.tiles):.3g} frames a second")
    print(
        f"{'clip':8} {'reuse':5} {'frames':>6} {'tiles':>6} {'seconds':>8} {'fps':>7} {'ffmpeg':>7} "
        f"{'whole':>8} {'bare':>8} ratio"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind in CLIPS:
            clip = make_clip(Path(folder) / f"{kind}.mkv", kind, given.size, given.frames)
            for reuse in (True, False):
                upscaler._cache = TileCache() if reuse else TileCache(0)
                options = VideoOptions(preset="ultrafast", segment=Fraction(60), overwrite=True, reuse=reuse)
                prepared = prepare_clip(clip, options, pool)
                before, others, started = seconds_a_tile(upscaler, width, height), ffmpeg_seconds(), timer()
                result = upscale_clip(prepared, pool)
                whole, others = timer() - started, ffmpeg_seconds() - others
                bare = result.tiles_computed * (before + seconds_a_tile(upscaler, width, height)) / 2
                print(
                    f"{kind:8} {'on' if reuse else 'off':5} {result.frames:6} {result.tiles_computed:6} "
                    f"{result.seconds:8.2f} {result.fps:7.3g} {others:7.2f} "
                    f"{whole:8.2f} {bare:8.2f} {whole / bare:5.2f}"
                )


if __name__ == "__main__":
    main()
