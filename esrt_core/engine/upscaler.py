"""Upscaler: the engine's door. A Frame in host memory in, a larger Frame out.

Upscaled: what the engine gives back for a frame.
"""

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from esrt_core.engine.batching import CACHE_BYTES, TileCache, group_frames, run_pictures
from esrt_core.engine.color import Coding
from esrt_core.engine.device import choose_device, choose_precision, free_memory
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import Plan, check_memory, estimate_work, make_plan, smaller_tile
from esrt_core.engine.runner import Runner
from esrt_core.engine.tiles import AsyncCopies, TiledFrame
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.model import ESRT
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.system.process import HeapTrimmer, keep_freed_memory, limit_onednn_cache


@dataclass(frozen=True)
class Upscaled:
    """Hold a result: the larger frame, what should be said about it, and how it came about.

    notes     what happened for the first time while it was made, such as memory that ran out.
    tile      the tile in px that was used (0: the whole picture at once); smaller than planned after memory ran out.
    computed  tiles that went through the network; the `reused` ones were equal to others byte for byte.
    """

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


def combine(frame: Frame, pictures: Sequence[TiledFrame], notes: tuple[str, ...]) -> Upscaled:
    """Put a frame's finished planes together."""
    plan = pictures[0].plan
    alpha: Plane | None = None
    if len(pictures) > 1:
        alpha = pictures[1].finished()[0]
    elif frame.alpha is not None:
        size = (frame.height * plan.scale, frame.width * plan.scale)
        alpha = np.full(size, frame.alpha.flat[0], frame.alpha.dtype)
    larger = dataclasses.replace(frame, planes=pictures[0].finished(), alpha=alpha)
    computed = sum(picture.computed for picture in pictures)
    reused = sum(picture.plan.tiles for picture in pictures) - computed
    return Upscaled(larger, notes, plan.tile, computed, reused)


DEFAULTS = EngineOptions()
AHEAD = 1  # groups that a GPU is given before an earlier one is looked at


@dataclass
class _Work:
    """Hold frames that a GPU may still be at work on.

    jobs     the pictures of each frame, complete when `copies` is settled; None while they have to be made.
    spoiled  what the landing brings beside them: whether one of their results is no good.
    """

    frames: Sequence[Frame]
    progress: ProgressCallback
    copies: AsyncCopies
    jobs: list[list[TiledFrame]] | None = None
    spoiled: Plane = field(default_factory=lambda: np.zeros((), bool))


class Upscaler:
    """Enlarge frames with one network on one device.

    The device gets batches of tiles, never a whole picture, and finished pieces come back, so that beyond the frames
    themselves memory does not grow with them. On one device, with one thread count and one torch version, a result
    depends on the frame, the network and the options alone (and on `tile`, where memory ran out).
    """

    def __init__(self, network: ESRT, options: EngineOptions = DEFAULTS, cache_bytes: int = CACHE_BYTES) -> None:
        """Place the network. `cache_bytes` bounds the results kept for equal tiles, within and between frames.

        On a CPU the whole process keeps the memory that it frees from now on, ready for the next tile.
        """
        limit_onednn_cache()
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._network = network
        self._options = options
        self._tile = options.tile
        self._cache = TileCache(cache_bytes)
        self._heap = HeapTrimmer()
        self._notes: dict[str, str] = {}  # by subject; emptied into the next result
        self._reported_fallback = False
        self._pace: float | None = None  # seconds per multiply-add
        self._use(choose_device(options.device))

    def _use(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cpu":
            keep_freed_memory()
        self._precision = choose_precision(self._options, device)
        self._runner = Runner(self._network, device, self._precision, self._options.tile == 0, self._options.tta)

    @property
    def scale(self) -> int:
        """The network's factor."""
        return self._network.config.scale

    @property
    def device_name(self) -> str:
        """The device in use, such as "cpu" or "cuda:0"."""
        return str(self._device)

    @property
    def precision(self) -> str:
        """The precision in use for 8-bit frames: "fp32", "fp16" or "bf16"; deeper ones always get fp32."""
        return self._precision

    def precision_for(self, depth: int) -> str:
        """Return the precision in which frames of a depth are enlarged: float32 where 8 bits are not enough."""
        return "fp32" if depth > 8 else self._precision

    def plan(self, width: int, height: int) -> Plan:
        """Plan the tiles of a picture; raise OptionError when tile 0 was asked for and the picture is too large."""
        plan = make_plan(width, height, self.scale, self._device.type, self._tile)
        check_memory(plan, free_memory() if plan.tile == 0 and self._device.type == "cpu" else None)
        return plan

    def upscale(self, frame: Frame, progress: ProgressCallback = ignore_progress) -> Upscaled:
        """Enlarge a frame; space, depth, chroma's subsampling and alpha stay as they are.

        Alpha is enlarged as a gray picture; where it is constant it stays so. Raise WeightsError when the network's
        result is not finite, and OptionError as `plan` does.
        """
        return self._complete(deque([self._begin([frame], progress)]))[0]

    def upscale_many(self, frames: Iterable[Frame]) -> Iterator[Upscaled]:
        """Enlarge frames as they come, in order, with the bytes that `upscale` gives.

        Small ones are taken in groups, so that tiles of one shape share batches; memory is bounded by a group. A GPU
        gets the next group before the one in hand is looked at, so that it never waits for the host.
        """
        in_flight: deque[_Work] = deque()
        for group in group_frames(frames, self._device.type):
            in_flight.append(self._begin(group, ignore_progress))
            while len(in_flight) > (AHEAD if _is_async_device(self._device) else 0):
                yield from self._complete(in_flight)
        while in_flight:
            yield from self._complete(in_flight)

    def estimate_seconds(self, width: int, height: int) -> float:
        """Estimate the time for an RGB picture from the pace of one tile, which is measured at the first call."""
        if self._pace is None:
            self._pace = self._measure_pace()
        return self._pace * estimate_work(self.plan(width, height))

    def _begin(self, frames: Sequence[Frame], progress: ProgressCallback) -> _Work:
        """Queue what a GPU has to do for some frames; elsewhere, or where memory runs out, `_complete` does it all."""
        work = _Work(frames, progress, AsyncCopies(self._device))
        if _is_async_device(self._device):
            with contextlib.suppress(torch.OutOfMemoryError), self._runner.deferred_checks() as invalid:
                jobs = self._run(work)
                if invalid:
                    work.copies.add(torch.stack(invalid).any(), work.spoiled)
                work.copies.close()
                work.jobs = jobs
        return work

    def _complete(self, in_flight: deque[_Work]) -> list[Upscaled]:
        """Take the first group from those under way and return its results."""
        work = in_flight.popleft()
        work.copies.settle()
        if work.spoiled:
            self._cache.clear()
            for each in (work, *in_flight):  # they may have used what was in the cache
                each.jobs = None
        jobs = self._run_with_fallback(work) if work.jobs is None else work.jobs
        self._note_fallback()
        notes, self._notes = tuple(self._notes.values()), {}
        return [
            combine(frame, job, notes if index == 0 else ())
            for index, (frame, job) in enumerate(zip(work.frames, jobs, strict=True))
        ]

    def _run_with_fallback(self, work: _Work) -> list[list[TiledFrame]]:
        """Enlarge frames, every batch looked at before the next; make do with the memory there is."""
        while True:
            try:
                work.copies = AsyncCopies(self._device)
                jobs = self._run(work)
                work.copies.settle()
                return jobs
            except torch.OutOfMemoryError:
                if not self._shrink(work.frames):
                    raise
            if torch.cuda.is_available():  # after the error, which holds on to what was being computed, is gone
                torch.cuda.empty_cache()

    def _run(self, work: _Work) -> list[list[TiledFrame]]:
        """Enlarge frames; return the pictures of each, complete when the work's landing is settled."""
        jobs = [self._pictures(frame, work.copies) for frame in work.frames]
        pictures = [picture for job in jobs for picture in job]
        report = _reporter(pictures, work.progress)
        run_pictures(pictures, self._runner, self._cache, self._heap, work.copies, report)
        return jobs

    def _pictures(self, frame: Frame, copies: AsyncCopies) -> list[TiledFrame]:
        """Make what goes through the network for a frame: its colors, and its alpha where that is not constant."""
        parts = [frame]
        if frame.alpha is not None and not _is_constant(frame.alpha):
            parts.append(Frame((frame.alpha,), ColorSpace.GRAY, frame.depth))
        return [TiledFrame(part, self.plan(*_even_size(part)), copies) for part in parts]

    def _shrink(self, frames: Sequence[Frame]) -> bool:
        """Take the next smaller tile, in the end the CPU; say whether there is a next try."""
        self._cache.clear()
        tile = max(self.plan(frame.width, frame.height).tile for frame in frames)
        smaller = smaller_tile(tile)
        if smaller is not None:
            self._tile = smaller
        elif self._device.type != "cpu":
            self._tile = self._options.tile
            self._options = dataclasses.replace(self._options, precision="fp32")  # half precision is slow on a CPU
            self._use(torch.device("cpu"))
        else:
            return False
        self._notes["memory"] = (
            f"memory ran out: going on with tiles of {self._tile or 'the usual'} px on {self._device}"
        )
        return True

    def _note_fallback(self) -> None:
        if self._runner.fallbacks and not self._reported_fallback:
            self._reported_fallback = True
            self._notes["redone"] = f"{self._precision} spoiled a tile, which was computed again in fp32"

    def _measure_pace(self) -> float:
        """Time one tile: seconds per multiply-add of the estimate."""
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        plan = self.plan(128, 128)
        picture = TiledFrame(Frame((noise,)), plan, AsyncCopies(self._device))
        with torch.inference_mode():
            tile = picture.decode([picture.cut(0)])
            self._runner(tile, plan.windows)  # the first run also prepares the kernels
            start = time.perf_counter()
            self._runner(tile, plan.windows).cpu()
        return (time.perf_counter() - start) / (estimate_work(plan) / plan.tiles)


def _is_async_device(device: torch.device) -> bool:
    """Say whether to look at a result means to wait for what the device still has to do."""
    return device.type == "cuda"


def _even_size(frame: Frame) -> tuple[int, int]:
    """Return (width, height), even where chroma is halved."""
    rows, columns = Coding.of(frame).halved
    return frame.width + (frame.width % 2 if columns else 0), frame.height + (frame.height % 2 if rows else 0)


def _is_constant(plane: Plane) -> bool:
    return bool((plane == plane.flat[0]).all())


def _reporter(pictures: Sequence[TiledFrame], progress: ProgressCallback) -> Callable[[int], None]:
    total = sum(picture.plan.tiles for picture in pictures)
    return lambda done: progress(Progress("upscale", done, total, "tiles"))
