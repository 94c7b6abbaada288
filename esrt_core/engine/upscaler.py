"""Upscale frames with one network on one device: the entry point of the engine."""

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np

from esrt_core.engine.arrays import namespace
from esrt_core.engine.batching import CACHE_BYTES, TileCache, group_frames, run_tiles
from esrt_core.engine.color import Coding
from esrt_core.engine.form import Form, QueuingForm, choose_form
from esrt_core.engine.gpu import device_kind
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import Plan, check_memory, estimate_work, make_plan, smaller_tile
from esrt_core.engine.threads import use_cpu_threads
from esrt_core.engine.tiles import TiledFrame, Transfer
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.system.memory import available_bytes
from esrt_core.system.process import release_freed_memory
from esrt_core.weights.tensors import Weights

DEFAULTS = EngineOptions()
LARGE = 400_000  # px through the network; for fewer, allocating memory anew would show
GROUPS_IN_FLIGHT = 1  # queued on a GPU before an earlier one is checked


@dataclass(frozen=True)
class Upscaled:
    """Hold a larger frame and how it was made.

    notes     sentences for the user about what happened for the first time, such as memory that ran out.
    tile      side of the tiles in px (0: the whole picture at once); smaller than planned if memory ran out.
    computed  tiles that went through the network; the `reused` ones were equal to others byte for byte.
    """

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


@dataclass
class _Queued:
    """Hold frames that a GPU may still be working on.

    jobs     the pictures of each frame, complete once `transfer` is flushed; None if they must be computed (again).
    invalid  whether any of their results is invalid; also written by flushing `transfer`.
    """

    frames: Sequence[Frame]
    progress: ProgressCallback
    transfer: Transfer
    jobs: list[list[TiledFrame]] | None = None
    invalid: Plane = field(default_factory=lambda: np.zeros((), bool))


class Upscaler:
    """Upscale frames with one network on one device.

    Batches of tiles are sent to the device, never a whole picture, and finished pieces are copied back, so that memory
    does not grow with the frames beyond the frames themselves. With one device and version of this program and torch, a
    result depends only on the frame, the network and the options (and on `tile`, if memory ran out).

    engine.form says what runs. A CPU is called and waited for; work for a GPU is queued, and checked when it is done.

    Settings of the process are not changed, see system.process.configure_process(); `options.threads` counts during
    calls alone.
    """

    def __init__(self, weights: Weights, options: EngineOptions = DEFAULTS, cache_bytes: int = CACHE_BYTES) -> None:
        """Place the network; `cache_bytes` limits the cached results of equal tiles, within and between frames.

        Raises: DeviceError if the device cannot be used.
        """
        self._weights = weights
        self._options = options
        self._tile = options.tile
        self._cache = TileCache(cache_bytes)
        self._notes: dict[str, str] = {}  # by subject; emptied into the next result
        self._reported_fallback = False
        self._seconds_per_operation: float | None = None  # per multiply-add
        self._form = choose_form(weights, options)

    @property
    def scale(self) -> int:
        """The scale of the network."""
        return self._weights.scale

    @property
    def device_name(self) -> str:
        """The device in use, such as "cpu" or "cuda:0"."""
        return self._form.device

    @property
    def precision(self) -> str:
        """The precision in use for 8-bit frames: "fp32", "fp16" or "bf16"; deeper frames always use fp32."""
        return self._form.precision

    def precision_for(self, depth: int) -> str:
        """Return the precision for frames of a depth in bits: float32 above 8."""
        return "fp32" if depth > 8 else self._form.precision

    def plan(self, width: int, height: int) -> Plan:
        """Plan the tiles of a picture of `width` x `height` px.

        Raises: OptionError if the option is tile 0 and the picture is too large for it.
        """
        plan = make_plan(width, height, self.scale, device_kind(self._form.device), self._tile)
        check_memory(plan, available_bytes() if plan.tile == 0 and self._form.device == "cpu" else None)
        return plan

    def upscale(self, frame: Frame, progress: ProgressCallback = ignore_progress) -> Upscaled:
        """Upscale a frame, keeping color space, depth, chroma subsampling and alpha.

        Alpha is upscaled as a gray picture; constant alpha stays constant.

        Raises: WeightsError if the network's result is not finite; OptionError as plan() does.
        """
        if _is_queuing(self._form):
            return self._collect(deque([self._queue([frame], progress)]))[0]
        return self._run([frame], progress)[0]

    def upscale_many(self, frames: Iterable[Frame]) -> Iterator[Upscaled]:
        """Upscale a stream of frames in order, with the same bytes as upscale().

        Small frames are grouped, so that tiles of one shape share batches; memory is bounded by a group. On a GPU the
        next group is queued before the current one is checked, so that the GPU never waits for the host.
        """
        in_flight: deque[_Queued] = deque()
        for group in group_frames(frames, device_kind(self._form.device)):
            if _is_queuing(self._form) or in_flight:
                in_flight.append(self._queue(group, ignore_progress))
                while len(in_flight) > GROUPS_IN_FLIGHT:
                    yield from self._collect(in_flight)
            else:
                yield from self._run(group, ignore_progress)
        while in_flight:
            yield from self._collect(in_flight)

    def estimate_seconds(self, width: int, height: int) -> float:
        """Estimate the seconds for an RGB picture from the speed of one tile, which is measured at the first call."""
        if self._seconds_per_operation is None:
            self._seconds_per_operation = self._measure_speed()
        return self._seconds_per_operation * estimate_work(self.plan(width, height))

    def _run(self, frames: Sequence[Frame], progress: ProgressCallback) -> list[Upscaled]:
        """Upscale frames now; if memory runs out, retry with smaller tiles, then on the CPU."""
        while True:
            try:
                transfer = self._form.transfer()
                jobs = [self._pictures(frame, transfer) for frame in frames]
                with use_cpu_threads(self._options.threads), self._form.computing():
                    run_tiles(_all(jobs), self._form, self._cache, transfer, _reporter(_all(jobs), progress))
                transfer.flush()
                self._release_after(_all(jobs))
                return self._results(frames, jobs)
            except self._form.memory_errors:
                if not self._shrink(frames):
                    raise
            self._form.release_memory()  # after the error, which references what was being computed, is gone

    def _release_after(self, pictures: Iterable[TiledFrame]) -> None:
        """Release what the work on large pictures leaves behind on a CPU: an encoder needs as much next."""
        if self._form.device == "cpu" and sum(picture.plan.computed_pixels for picture in pictures) >= LARGE:
            self._form.release_memory()
            release_freed_memory()

    def _queue(self, frames: Sequence[Frame], progress: ProgressCallback) -> _Queued:
        """Queue the work for some frames on a GPU, without waiting; if memory runs out, _collect() does it all."""
        if not _is_queuing(self._form):  # the CPU has taken over
            return _Queued(frames, progress, self._form.transfer())
        transfer = self._form.transfer()
        work = _Queued(frames, progress, transfer)
        with (
            contextlib.suppress(*self._form.memory_errors),
            self._form.deferred_checks() as invalid,
            use_cpu_threads(self._options.threads),
            self._form.computing(),
        ):
            jobs = [self._pictures(frame, transfer) for frame in frames]
            run_tiles(_all(jobs), self._form, self._cache, transfer, _reporter(_all(jobs), progress))
            if invalid:
                transfer.to_host(namespace(invalid[0]).stack(list(invalid)).any(), work.invalid)
            transfer.mark_complete()
            work.jobs = jobs
        return work

    def _collect(self, in_flight: deque[_Queued]) -> list[Upscaled]:
        """Wait for the first group in flight and return its results; what is invalid is computed again at once."""
        work = in_flight.popleft()
        work.transfer.flush()
        if work.invalid:
            self._cache.clear()
            for each in (work, *in_flight):  # they may have used invalid results from the cache
                each.jobs = None
        if work.jobs is None:
            return self._run(work.frames, work.progress)
        return self._results(work.frames, work.jobs)

    def _results(self, frames: Sequence[Frame], jobs: Sequence[Sequence[TiledFrame]]) -> list[Upscaled]:
        if self._form.fallbacks and not self._reported_fallback:
            self._reported_fallback = True
            self._notes["fallback"] = f"a tile was invalid in {self.precision} and was recomputed in fp32"
        notes, self._notes = tuple(self._notes.values()), {}
        return [
            _assemble(frame, job, notes if index == 0 else ())
            for index, (frame, job) in enumerate(zip(frames, jobs, strict=True))
        ]

    def _pictures(self, frame: Frame, transfer: Transfer) -> list[TiledFrame]:
        """Return the pictures of a frame: its colors, and its alpha if that is not constant."""
        parts = [frame]
        if frame.alpha is not None and not _is_constant(frame.alpha):
            parts.append(Frame((frame.alpha,), ColorSpace.GRAY, frame.depth))
        return [TiledFrame(part, self.plan(*_even_size(part)), transfer) for part in parts]

    def _shrink(self, frames: Sequence[Frame]) -> bool:
        """Switch to the next smaller tile, finally to the CPU; return whether that was possible."""
        self._cache.clear()
        tile = max(self.plan(frame.width, frame.height).tile for frame in frames)
        smaller = smaller_tile(tile)
        if smaller is not None:
            self._tile = smaller
        elif self._form.device != "cpu":
            self._tile = self._options.tile
            # Half precision is slow on a CPU.
            self._options = dataclasses.replace(self._options, device="cpu", precision="fp32")
            self._form = choose_form(self._weights, self._options)
        else:
            return False
        self._notes["memory"] = (
            f"memory ran out: continuing with tiles of {self._tile} px on {self._form.device}"
            if self._tile
            else f"memory ran out: continuing on {self._form.device}"
        )
        return True

    def _measure_speed(self) -> float:
        """Time one tile; return the seconds per multiply-add of estimate_work()."""
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        plan = self.plan(128, 128)
        transfer = self._form.transfer()
        picture = TiledFrame(Frame((noise,)), plan, transfer)
        with use_cpu_threads(self._options.threads), self._form.computing():
            tile = picture.decode([picture.cut(0)])
            self._form(tile, plan.windows, 1, False)  # the first run also prepares kernels and memory
            start = time.perf_counter()
            [result] = self._form(tile, plan.windows, 1, False)
            transfer.to_host(result, np.empty(result.shape, np.float32))
            transfer.end_batch()
            transfer.flush()
        return (time.perf_counter() - start) / (estimate_work(plan) / plan.tiles)


def _assemble(frame: Frame, pictures: Sequence[TiledFrame], notes: tuple[str, ...]) -> Upscaled:
    """Assemble a frame's finished planes."""
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


def _is_queuing(form: Form) -> TypeGuard[QueuingForm]:
    """Return whether work is queued on the form's device, so that reading a result waits for it."""
    return device_kind(form.device) == "cuda"


def _all(jobs: Iterable[Sequence[TiledFrame]]) -> list[TiledFrame]:
    return [picture for job in jobs for picture in job]


def _even_size(frame: Frame) -> tuple[int, int]:
    """Return (width, height) in px, rounded up to even where chroma is halved."""
    rows, columns = Coding.from_frame(frame).halved
    return frame.width + (frame.width % 2 if columns else 0), frame.height + (frame.height % 2 if rows else 0)


def _is_constant(plane: Plane) -> bool:
    return bool((plane == plane.flat[0]).all())


def _reporter(pictures: Sequence[TiledFrame], progress: ProgressCallback) -> Callable[[int], None]:
    total = sum(picture.plan.tiles for picture in pictures)
    return lambda done: progress(Progress("upscale", done, total, "tiles"))
